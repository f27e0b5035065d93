"""The record of a crash: kept for the next boot to tell. Loaded for that alone."""

import os
import sys

_FILE = "crash.txt"


def keep(agent, error):
    """Say what happened, keep it, and find out whether the board is open."""
    if agent.config is None:  # boot did not get far enough to know
        from agent import boot

        boot.look(agent)
    sys.print_exception(error)
    with open(agent.path + _FILE, "w") as file:
        sys.print_exception(error, file)


def last(path):
    """The last line of what the last crash left, "" where there was none. Told once: the next
    boot follows another crash, or none."""
    try:
        with open(path + _FILE) as file:
            told = file.read().strip().split("\n")[-1][:200]
        os.remove(path + _FILE)
    except OSError:
        return ""
    return told

"""The record of a crash: kept for the next boot to tell. Loaded for that alone."""

import sys

_FILE = "crash.txt"  # boot.last_crash() reads it


def keep(agent, error):
    """Say what happened, keep it, and find out whether the board is open."""
    if agent.config is None:  # boot did not get far enough to know
        from agent import boot

        boot.look(agent)
    sys.print_exception(error)
    with open(agent.path + _FILE, "w") as file:
        sys.print_exception(error, file)

"""Started at boot: runs the agent, unless the boot button is held down."""

import micropython

# First of all: Ctrl-C must not end a boot at the prompt, where every key can be read. The agent
# lets it interrupt again where that may be.
try:
    micropython.kbd_intr(-1)
    for _ in range(2):
        pass  # one that came before is raised here
except (KeyboardInterrupt, AttributeError):
    pass  # none comes any more; or the port has no interrupt


def _held():
    """Whether the pin that board.json names as `strap` is low: stay at the prompt."""
    import json

    with open("board.json") as file:
        strap = json.load(file).get("strap")
    if strap is None:
        return False
    from machine import Pin

    return not Pin(strap, Pin.IN, Pin.PULL_UP).value()


if not _held():
    from agent import run

    run.main()

"""Started at boot: runs the agent, unless the boot button is held down."""


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

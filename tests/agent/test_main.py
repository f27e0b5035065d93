"""main.py: Ctrl-C is off before anything else happens; the boot button keeps the prompt."""

import io
import json
import sys

import agent
import agent.config

_PATH = agent.config.__file__.rpartition("/")[0].rpartition("/")[0] + "/main.py"


class Fake:
    """A module that does as it is told."""

    def __init__(self, **members):
        for name, value in members.items():
            setattr(self, name, value)


def boot(board, low=False, interrupt=None):
    """What main.py did, in order. `interrupt`: raised by kbd_intr, as one that waited would be;
    False: the port has none."""
    did = []

    def kbd_intr(character):
        did.append("kbd_intr %d" % character)
        if interrupt:
            raise interrupt

    class Pin:
        IN = PULL_UP = 1

        def __init__(self, number, *mode):
            did.append("pin %d" % number)

        def value(self):
            return 0 if low else 1

    fakes = {
        "micropython": Fake() if interrupt is False else Fake(kbd_intr=kbd_intr),
        "machine": Fake(Pin=Pin),
    }
    real = {name: sys.modules.get(name) for name in fakes}
    real_run = getattr(agent, "run", None)
    agent.run = Fake(main=lambda: did.append("run"))
    sys.modules["agent.run"] = agent.run
    sys.modules.update(fakes)
    with open(_PATH) as file:
        source = file.read()
    try:
        exec(source, {"open": lambda name: io.StringIO(json.dumps(board))})
    finally:
        for name, module in real.items():
            sys.modules.pop(name)
            if module:
                sys.modules[name] = module
        sys.modules.pop("agent.run")
        agent.run = real_run
    return did


def test_the_agent_is_started_deaf():
    assert boot({}) == ["kbd_intr -1", "run"]
    assert boot({"strap": 9}) == ["kbd_intr -1", "pin 9", "run"]


def test_a_ctrl_c_that_waited_changes_nothing():
    assert boot({}, interrupt=KeyboardInterrupt) == ["kbd_intr -1", "run"]


def test_a_port_without_interrupts():
    assert boot({}, interrupt=False) == ["run"]


def test_the_boot_button_keeps_the_prompt():
    assert boot({"strap": 0}, low=True) == ["kbd_intr -1", "pin 0"]

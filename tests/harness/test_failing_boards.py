"""A board dies, hangs, babbles, answers with another firmware: each is named, the rest goes on."""

import pytest

from ikelet import boards, build
from ikelet_hil.capabilities import require

pytestmark = pytest.mark.timeout(400)  # runs of pytest within, on a machine that is busy
BREAKING = """
@pytest.mark.parametrize("number", range(3))
def test_number(agent, number):
    assert agent.status()["board"] == "unix"
    if number == 1 and {condition}:
        {breaking}
    agent.status()
"""
DIES = "os.kill(agent.running.pid, signal.SIGKILL)"
HANGS = "os.kill(agent.running.pid, signal.SIGSTOP)"
ONCE = "first_time('broken')"


def test_a_board_that_dies_once_is_recovered(harness):
    harness.suite(BREAKING.format(condition=ONCE, breaking=DIES))
    outcome = harness.run("--board", "unix")
    assert outcome.tests == {
        "test_number[unix-0]": "passed",
        "test_number[unix-1]": "recovered",
        "test_number[unix-2]": "passed",
    }, outcome.said
    assert outcome.code == 0
    assert "2 passed, 1 recovered" in outcome.said
    told = next(report for report in outcome.reports if report["outcome"] == "recovered")
    assert "unix: the interpreter ended (signal SIGKILL)" in told["sections"]["tried again"]
    assert "restart brought it back" in told["sections"]["tried again"]


def test_a_board_that_hangs_is_named(harness):
    harness.suite(
        BREAKING.format(condition=ONCE, breaking=HANGS)
        + "from ikelet import agent as it\nit.CALL_DEADLINE = 1.0\n"
        + "from ikelet_hil import station as there\nthere._ANSWER = 1.0\n"
    )
    outcome = harness.run("--board", "unix")
    assert outcome.tests["test_number[unix-1]"] == "recovered", outcome.said
    assert "unix hangs: no answer within 1 s" in str(outcome.reports)


def test_an_assertion_is_not_tried_again(harness):
    harness.suite(
        "def test_it(agent):\n    assert not first_time('it'), 'fails once'\n    agent.status()\n"
    )
    outcome = harness.run("--board", "unix")
    assert outcome.tests == {"test_it[unix]": "failed"}, outcome.said
    assert "fails once" in outcome.said


def test_a_crash_of_the_agent_is_not_tried_again(harness):
    """It is what the tests are for: a traceback is no trouble of the board's."""
    harness.suite(
        """
from ikelet import build
files = build.files
MAIN = b'''
import sys, json
print(json.dumps({"jsonrpc": "2.0", "method": "event", "params": {"event": "boot",
      "version": VERSION, "board": "unix"}}))
sys.stdin.readline()
raise MemoryError("no more")
'''
@pytest.fixture(autouse=True)
def crashing(monkeypatch):
    from ikelet import flash
    main = MAIN.replace(b"VERSION", repr(flash.agent_version()).encode())
    monkeypatch.setattr(build, "files", lambda board: files(board) | {"main.py": main})

def test_it(agent):
    assert first_time("it")
    agent.status()
"""
    )
    outcome = harness.run("--board", "unix")
    assert outcome.tests == {"test_it[unix]": "failed"}, outcome.said
    assert "MemoryError: no more" in outcome.said
    assert not any("tried again" in report["sections"] for report in outcome.reports)


# A firmware of which every board gets the same: nothing brings such a board back.
OTHER_FIRMWARE = """
from ikelet import build
files = build.files

@pytest.fixture(autouse=True, scope="session")
def other_firmware():
    if BOARD:
        build.files = lambda board: files(board) | (CHANGED if board.name == BOARD else {})

@pytest.mark.parametrize("number", range(4))
def test_number(other_firmware, agent, number):
    agent.status()
"""
BABBLE = b"""
import sys, os
while True:
    sys.stdout.buffer.write(os.urandom(64))
"""


def changed_version():
    return build.compiled("agent/__init__.py", b'VERSION = "6.6.6"\n')


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"main.py": BABBLE}, "unix babbles: "),
        ({"agent/__init__.mpy": None}, "unix answers as agent 6.6.6 on unix, not "),
        ({"main.py": b"import time\ntime.sleep(600)\n"}, "unix did not start the agent in time"),
        ({"main.py": b"import sys\nsys.exit(3)\n"}, "the interpreter ended (exit code 3)"),
    ],
    ids=["babbles", "other-firmware", "says-nothing", "ends"],
)
def test_a_dead_board_ends_its_tests_and_no_others(harness, change, named):
    """Two boards: the broken one's first test fails with the reason, its others end at once; the
    other board's all pass."""
    change = {name: content or changed_version() for name, content in change.items()}
    harness.suite(
        f"BOARD = 'unix'\nCHANGED = {change!r}\n{OTHER_FIRMWARE}"
        "from ikelet import agent as it, device\nit.BOOT_DEADLINE = 4.0\n"
        "from ikelet import rehearsal\nrehearsal.DEADLINE = 4.0\n"
    )
    other = boards.find("qemu-rv32")
    arguments = ["--board", "unix"]
    if not boards.usable(other):
        arguments += ["--board", "qemu-rv32", "-n", "2", "--dist", "loadgroup"]
    outcome = harness.run(*arguments)
    mine = [outcome.tests[f"test_number[unix-{number}]"] for number in range(4)]
    assert mine == ["failed", "skipped", "skipped", "skipped"], outcome.said
    assert named in outcome.said
    assert "unix is dead: " in outcome.said
    assert outcome.code == 1
    others = [value for name, value in outcome.tests.items() if "rv32" in name]
    assert others == ["passed"] * 4 * (len(arguments) > 2), outcome.said
    require("qemu-rv32")

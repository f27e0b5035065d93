"""Which tests run, how often, in which order; what is in quarantine; boards side by side."""

import datetime
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ikelet_hil import quarantine, targets
from ikelet_hil.capabilities import require
from ikelet_hil.quarantine import Quarantine, QuarantineError

pytestmark = pytest.mark.timeout(400)  # runs of pytest within, on a machine that is busy
SIMPLE = """
@pytest.mark.parametrize("word", ["one", "two", "three"])
def test_word(board, word):
    pass

def test_alone(board):
    pass

def test_without_a_board():
    pass
"""


def ids(said: str) -> list[str]:
    return re.findall(r"test_suite\.py::(\S+)", said)


def test_the_same_ids_on_every_board(harness):
    harness.suite(SIMPLE)
    boards = [target.name for target in targets.emulated()]
    collected = ids(harness.run("--collect-only", "-q").said)
    assert len(collected) == 4 * len(boards) + 1
    for name in boards:
        mine = [one.replace(f"[{name}-", "[") for one in collected if f"[{name}-" in one]
        assert mine == ["test_word[one]", "test_word[two]", "test_word[three]"]
        assert f"test_alone[{name}]" in collected


def test_an_argument_of_the_same_name_is_no_board(harness):
    """A failure that looks like a board's brings none back, where the test has none."""
    harness.suite("""
from ikelet.links import LinkError

@pytest.mark.parametrize("board", ["unix"])
def test_something(board):
    raise LinkError("gone")
""")
    outcome = harness.run("--board", "unix")
    assert list(outcome.tests.values()) == ["failed"], outcome.said
    assert "INTERNALERROR" not in outcome.said and "the board is dead" not in outcome.said


@pytest.mark.parametrize(
    "name", ["serial:A50285BI", "socket://192.0.2.1:9", "qemu-rv32@/dev/nowhere"]
)
def test_collecting_touches_no_port(harness, name):
    harness.suite(SIMPLE)
    outcome = harness.run("--collect-only", "-q", "--board", name)
    assert f"test_word[{name}-one]" in ids(outcome.said), outcome.said
    assert outcome.code == 0


def test_a_named_board_that_is_not_there_fails(harness):
    harness.suite(SIMPLE)
    outcome = harness.run("--board", "qemu-rv32@/dev/nowhere")
    values = list(outcome.tests.values())
    assert values == ["failed", "skipped", "skipped", "skipped", "passed"], outcome.said
    assert outcome.code == 1
    assert "there is no port /dev/nowhere" in outcome.said


def test_a_name_that_is_none(harness):
    harness.suite(SIMPLE)
    outcome = harness.run("--board", "unxi")
    assert outcome.code == 4
    assert "did you mean unix?" in outcome.said


def test_count_and_seed(harness):
    harness.suite(SIMPLE)
    first = harness.run("--board", "unix", "--count", "3", "--seed", "7")
    again = harness.run("--board", "unix", "--count", "3", "--seed", "7")
    assert "random order: --seed 7" in first.said
    order = list(first.tests)
    assert order == list(again.tests)
    assert len(order) == 4 * 3 + 1
    rounds = [re.search(r"round(\d)", name) for name in order]
    assert [int(found[1]) for found in rounds if found] == [1] * 4 + [2] * 4 + [3] * 4
    assert order != list(harness.run("--board", "unix", "--count", "3").tests)


def test_a_made_up_seed_is_printed(harness):
    harness.suite(SIMPLE)
    said = harness.run("--collect-only", "-q", "--board", "unix", "--seed").said
    seed = re.search(r"random order: --seed (\d+)", harness.run("--board", "unix", "--seed").said)
    assert seed, said


def test_boards_side_by_side(harness):
    """Without -n: a worker each, at the same time, each with its own tests alone."""
    require("qemu-rv32")
    harness.suite(
        """
@pytest.mark.parametrize("number", range(3))
def test_number(board, number):
    mine = os.path.join(os.environ["HARNESS"], board.name)
    open(mine, "w").write(str(os.getpid()))
    other = {"unix": "qemu-rv32", "qemu-rv32": "unix"}[board.name]
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(os.environ["HARNESS"], other)):
        assert time.monotonic() < deadline, "the other board's tests do not run"
        time.sleep(0.05)
    assert open(os.path.join(os.environ["HARNESS"], other)).read() != str(os.getpid())
"""
    )
    outcome = harness.run("--board", "unix", "--board", "qemu-rv32")
    assert "2 workers" in outcome.said
    assert sorted(outcome.tests.values()) == ["passed"] * 6, outcome.said
    assert re.search(r"unix +PASSED +test_suite.py::test_number\[unix-2\].*\(3/3\)", outcome.said)


def test_the_command(harness):
    """`ikelet hil` hands everything to pytest, and finds the suites and the boards itself."""
    harness.suite(SIMPLE)

    def hil(*arguments: str) -> str:
        line = [sys.executable, "-m", "ikelet", "hil", "--collect-only", "-q", *arguments]
        done = subprocess.run(
            line, cwd=harness.folder, env=harness.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert ids(hil("test_suite.py", "--board", "unix", "-k", "two")) == ["test_word[unix-two]"]
    assert "test_alone[unix]" in ids(hil("test_suite.py"))
    assert "hil/test_psk.py::test_suite[unix-" in hil("--board", "unix", "-k", "test_suite")


# -- quarantine -----------------------------------------------------------------------------------

QUARANTINE = """
[[quarantine]]
test = "test_suite.py::test_word[[]t*"
board = "unix"
owner = "jane"
reason = "the radio loses frames"
until = {until}
"""
LATER = datetime.date.today() + datetime.timedelta(days=9)
EARLIER = datetime.date.today() - datetime.timedelta(days=1)


def test_quarantine(harness):
    harness.suite(SIMPLE)
    text = QUARANTINE.format(until=LATER).replace("[[]t*", "[t*")
    (harness.folder / "quarantine.toml").write_text(text)
    outcome = harness.run("--board", "unix")
    assert outcome.tests["test_word[unix-one]"] == "passed"
    assert outcome.tests["test_word[unix-two]"] == "skipped"
    assert f"quarantined until {LATER} by jane: the radio loses frames" in outcome.said
    verified = harness.run("--board", "unix", "--quarantine-verify")
    assert sorted(verified.tests) == ["test_word[unix-three]", "test_word[unix-two]"]
    assert "can leave quarantine: test_suite.py::test_word[unix-two]" in verified.said
    (harness.folder / "quarantine.toml").write_text(text.replace(str(LATER), str(EARLIER)))
    expired = harness.run("--board", "unix")
    assert expired.tests["test_word[unix-two]"] == "passed"
    assert "has run out" in expired.said


def test_patterns_take_brackets_as_they_are():
    entry = quarantine.Entry("a.py::test[x-*]", "*", "o", "r", LATER)
    assert entry.covers("a.py::test[x-1]", "unix")
    assert not entry.covers("a.py::testx", "unix")
    assert Quarantine([entry], False, LATER).find("a.py::test[x-]", "any") is entry
    assert Quarantine([entry], False, LATER + datetime.timedelta(1)).find("x", "any") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("until = ", "till = "), r"quarantine 1\.till is unknown; did you mean until\?"),
        ((f"until = {LATER}", 'until = "soon"'), r'quarantine 1\.until is "soon"; it is a day'),
        (('owner = "jane"', ""), r"quarantine 1\.owner is missing; it is who sees to it"),
        (("[[quarantine]]", "[[isolation]]"), r"isolation is unknown; write \[\[quarantine\]\]"),
        (("= ", ""), "Expected '='"),
    ],
)
def test_a_wrong_quarantine_file_is_refused(tmp_path: Path, change, said):
    path = tmp_path / "quarantine.toml"
    path.write_text(QUARANTINE.format(until=LATER).replace(*change))
    with pytest.raises(QuarantineError, match=said):
        quarantine.load(path)

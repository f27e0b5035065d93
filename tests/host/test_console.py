"""Lines and messages out of any bytes."""

import itertools
import json
import queue

from hypothesis import given
from hypothesis import strategies as st

from ikelet.console import MAX_LINE, Console, LineSplitter, decode


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_pieces_do_not_matter(data: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [
        line for start, end in itertools.pairwise(edges) for line in splitter.feed(data[start:end])
    ]
    assert found == [line.rstrip(b"\r") for line in data.split(b"\n")[:-1]]


def test_overlong_line_is_dropped_whole() -> None:
    splitter = LineSplitter()
    data = b"a\n" + b"x" * (MAX_LINE + 1) + b"\nb\n" + b"y" * MAX_LINE + b"\n"
    for size in (1, 7, 4096, len(data)):
        pieces = [data[i : i + size] for i in range(0, len(data), size)]
        lines = [line for piece in pieces for line in splitter.feed(piece)]
        assert lines == [b"a", b"b", b"y" * MAX_LINE]
    assert splitter.overlong == 4


# Hypothesis tries the words that it finds in our sources, too: with this one it makes messages.
@given(st.binary(max_size=200).filter(lambda data: b"jsonrpc" not in data))
def test_garbage_is_no_message(data: bytes) -> None:
    assert decode(data) is None


@given(st.binary(max_size=60).filter(lambda junk: b"\n" not in junk))
def test_message_behind_half_a_line(junk: bytes) -> None:
    message = {"jsonrpc": "2.0", "id": 7, "result": {"a": 1}}
    assert decode(junk + json.dumps(message, separators=(",", ":")).encode()) == message


class Echo:
    """A link whose board answers every call, behind a line that is no message."""

    url = "echo"

    def __init__(self) -> None:
        self._to_read: queue.Queue[bytes] = queue.Queue()

    def read(self, timeout: float) -> bytes:
        try:
            return self._to_read.get(timeout=timeout)
        except queue.Empty:
            return b""

    def write(self, data: bytes) -> None:
        answer = {"jsonrpc": "2.0", "id": json.loads(data)["id"], "result": 1}
        self._to_read.put(b"a log line\r\n" + json.dumps(answer).encode() + b"\n")

    def close(self) -> None: ...


class Pages(Echo):
    """A board that answers in pages of two."""

    def write(self, data: bytes) -> None:
        asked = json.loads(data)
        start = asked["params"].get("from", 0)
        numbers = [n for n in range(7) if start <= n < start + 2]
        result = {"list": numbers, "table": {str(n): n for n in numbers}, "of": asked["method"]}
        if start + 2 < 7:
            result["more"] = start + 2
        self._to_read.put(
            json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode() + b"\n"
        )


def test_what_does_not_fit_into_a_line_is_asked_for_again() -> None:
    with Console(Pages()) as console:
        answer = console.call("status", {"a": 1})
    assert answer == {
        "list": list(range(7)),
        "table": {str(n): n for n in range(7)},
        "of": "status",
    }


def test_every_line_is_told_in_order() -> None:
    told: list[tuple[str, bytes]] = []
    with Console(Echo(), on_line=lambda *line: told.append(line)) as console:
        assert console.call("status") == 1
        console.on_line = None
        assert console.call("status") == 1
    assert [direction for direction, _ in told] == ["out", "in", "in"]
    assert json.loads(told[0][1])["method"] == "status"
    assert told[1][1] == b"a log line"

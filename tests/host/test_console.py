"""Lines and messages out of any bytes."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from ikelet.console import MAX_LINE, LineSplitter, decode


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


@given(st.binary(max_size=200))
def test_garbage_is_no_message(data: bytes) -> None:
    assert decode(data) is None


@given(st.binary(max_size=60).filter(lambda junk: b"\n" not in junk))
def test_message_behind_half_a_line(junk: bytes) -> None:
    message = {"jsonrpc": "2.0", "id": 7, "result": {"a": 1}}
    assert decode(junk + json.dumps(message, separators=(",", ":")).encode()) == message

"""Memory ends at any moment of an exchange: nothing but MemoryError comes of it, and the exchange
goes on with the next message.

On a board the table of an object's attributes grows as they are set, so even that may fail.
"""

import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import pytest

from attacker import other
from cheap import CheapHal
from ike import folded
from ike import registry as R
from ike.sa import Sa
from pair import Pair, changed

# What takes no memory: statements, and functions of which each statement is known to take none.
FREE = (
    "try:",
    "return",
    "return copy",
    "if sa.initiator:",
    "if line.spare:",
    "if not reply:",
    "if not (sa.initiator or encrypted):",
    "if reply and not _send_or_fail(sa, number + 1, reply, answer):",
)
FREE_FUNCTIONS = ("enter", "forget", "follow", "accept", "find", "is_up")
STEP = 31  # of so many lines one is tried


class Short:
    """Memory ends once, at the `at`th moment."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.has_ended = False

    def moment(self) -> None:
        self.left -= 1
        if self.left == -1:
            self.has_ended = True
            raise MemoryError

    @contextmanager
    def at_attributes(self) -> Iterator[None]:
        """A moment is an attribute that an SA gets."""

        def setting(sa: Sa, name: str, value: Any) -> None:
            if name not in sa.__dict__:
                self.moment()
            object.__setattr__(sa, name, value)

        Sa.__setattr__ = setting  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            del Sa.__setattr__

    @contextmanager
    def at_lines(self) -> Iterator[None]:
        """A moment is a line of the protocol core."""

        def entered(frame: FrameType, event: str, argument: object) -> Any:
            del event, argument
            code = frame.f_code
            if "/firmware/ike/" in code.co_filename and code.co_name not in FREE_FUNCTIONS:
                return reached
            return None

        def reached(frame: FrameType, event: str, argument: object) -> Any:
            del argument
            if event == "line" and self.left >= 0:
                line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
                if not (line in FREE or line.startswith("return self._")):
                    self.moment()
            return reached

        before = sys.gettrace()
        sys.settrace(entered)
        try:
            yield
        finally:
            sys.settrace(before)


def tried(function: Callable[..., Any], *arguments: Any) -> None:
    """As the loop does: what was being done is dropped."""
    try:
        function(*arguments)
    except MemoryError:
        pass


def spoofed(sender: str, datagram: bytes) -> list[bytes]:
    """What somebody makes of a message in clear."""
    if datagram[16] == R.KE:
        return [changed(datagram, 99, datagram[99] ^ bit) for bit in (1, 2)]
    at = 3 if sender == "i" else 8
    return [changed(datagram, at, datagram[at] ^ 1)] if datagram[16] == R.SA else []


def exchange(pair: Pair, beside: bool) -> None:
    """One until both sides have an SA, with retransmissions and, `beside`, spoofed messages
    before the peer's own; a renewal of it; and its end."""
    spoofs = 6 if beside else 0

    def pass_on() -> None:
        nonlocal spoofs
        for _ in range(40):
            tried(pair.collect, "i")
            tried(pair.collect, "r")
            if not pair.pending:
                return
            sender, datagram = pair.pending.pop(0)
            for wrong in spoofed(sender, datagram) if spoofs > 0 else ():
                spoofs -= 1
                tried(pair.give, other(sender), wrong)
            tried(pair.give, other(sender), datagram)

    def work() -> None:
        pass_on()
        for engine in (pair.i, pair.r):
            tried(engine.poll, pair.clock.now)
        pair.clock.now += 50

    while pair.clock.now < 25000 and not (pair.i.is_up("gw") and pair.r.is_up("gw")):
        if not pair.i.sas:
            tried(pair.i.initiate, "gw", pair.clock.now)
        work()
        if pair.clock.now % 1000 == 0:
            tried(folded.relieve, pair.r)
    assert pair.i.is_up("gw") and pair.r.is_up("gw")
    assert pair.i.find("gw").ka == pair.r.find("gw").ka
    assert all(sa.dpd_due for engine in (pair.i, pair.r) for sa in engine.sas if sa.established)
    assert pair.i.find("gw").renew_at
    for sa in list(pair.i.sas):
        tried(pair.i.renew, sa, pair.clock.now)
    for _ in range(20):
        work()
    for _ in range(3):
        tried(pair.i.terminate, "gw")
    assert not pair.i.is_up("gw")


def attempt(pair: Pair, lost: int = 0) -> None:
    """One that fails, as every message from number `lost` on is lost, or a side refuses the other:
    it ends, is told, and leaves nothing."""
    for _ in range(2):
        tried(pair.i.initiate, "gw", 0)
    passed = 0
    while pair.clock.now < 75000:
        tried(pair.collect, "i")
        tried(pair.collect, "r")
        for sender, datagram in pair.pending:
            passed += 1
            if not lost or passed < lost:
                tried(pair.give, other(sender), datagram)
        pair.pending.clear()
        for engine in (pair.i, pair.r):
            tried(engine.poll, pair.clock.now)
        pair.clock.now += 250
    assert [sa.state for sa in pair.i.sas + pair.r.sas] == []
    assert pair.i.last_failure or pair.r.last_failure


def run(moments: str, step: int, play: Callable[[Pair], None], **values: Any) -> int:
    """How many moments there are."""
    at = 0
    while True:
        short = Short(at)
        ours = {"crypto": CheapHal(b"i"), "dpd": 20, **values.get("ours", {})}
        theirs = {"crypto": CheapHal(b"r"), "dpd": 20, **values.get("theirs", {})}
        pair = Pair(ours, theirs)
        with short.at_lines() if moments == "lines" else short.at_attributes():
            play(pair)
        if not short.has_ended:
            return at
        at += step


each_way = pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside spoofed ones"])


@each_way
def test_memory_ends_at_any_attribute(beside: bool) -> None:
    assert run("attributes", 1, partial(exchange, beside=beside)) > 60


@each_way
def test_memory_ends_at_some_lines(beside: bool) -> None:
    assert run("lines", STEP, partial(exchange, beside=beside)) > 3000


STRANGER = {"local_id": "10.9.0.99"}


@pytest.mark.parametrize(
    ("lost", "values"),
    [(4, {}), (6, {}), (0, {"ours": STRANGER}), (0, {"theirs": STRANGER})],
    ids=["no message 4", "no message 6", "refused by the responder", "refused by the initiator"],
)
def test_memory_ends_in_an_attempt_that_fails(lost: int, values: dict[str, Any]) -> None:
    assert run("lines", 53, partial(attempt, lost=lost), **values) > 1000


@pytest.mark.soak
@pytest.mark.timeout(600)
@each_way
def test_memory_ends_at_any_line(beside: bool) -> None:
    print(run("lines", 1, partial(exchange, beside=beside)), "lines")

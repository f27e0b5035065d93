"""What can happen to a datagram on the wire: a rule says to which, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from random import Random
from typing import Protocol

from ikelet_hil.passage import Passage


class Surroundings(Protocol):
    """What a rule may look at: the wire."""

    random: Random
    passages: list[Passage]
    reached: int


@dataclass(frozen=True)
class At:
    """Which datagrams a rule acts on: all that is given must hold.

    `number`: as in Passage. `reached`: a message of at least this number went on before.
    `first`: the first match to act on, from 1; `times`: how often to act, None for ever.
    """

    number: int | None = None
    direction: str | None = None
    reached: int = 0
    first: int = 1
    times: int | None = 1
    probability: float = 1.0

    def __str__(self) -> str:
        which = "any datagram" if self.number is None else f"message {self.number}"
        given = [
            f"{one.name} {getattr(self, one.name)}"
            for one in fields(self)
            if one.name != "number" and getattr(self, one.name) != one.default
        ]
        return ", ".join([which, *given])


@dataclass(frozen=True)
class Out:
    """A datagram that goes on: after `delay` seconds, or behind the next one with number `until`.

    `extra` is the fate of one that nobody sent; `back` turns it towards the other side.
    """

    data: bytes
    delay: float = 0.0
    until: int | None = None
    extra: str = ""
    back: bool = False


Act = Callable[[Passage, Surroundings], Iterable[Out]]


class Rule:
    """Something that the wire does to the datagrams that `at` selects; `acted` counts them."""

    def __init__(self, fate: str, at: At, act: Act) -> None:
        self.fate, self.at, self.act = fate, at, act
        self.matched = self.acted = 0

    def __str__(self) -> str:
        return f"{self.fate}: {self.at}"

    def takes(self, passage: Passage, wire: Surroundings) -> bool:
        at = self.at
        if at.number is not None and at.number != passage.number:
            return False
        if at.direction not in (None, passage.direction):
            return False
        if wire.reached < at.reached or wire.random.random() >= at.probability:
            return False
        self.matched += 1
        if self.matched < at.first or (at.times is not None and self.acted >= at.times):
            return False
        self.acted += 1
        return True


def drop(at: At) -> Rule:
    """It never arrives."""
    return Rule("dropped", at, lambda *_: [])


def duplicate(at: At, copies: int = 1, after: float = 0.0) -> Rule:
    """It arrives, and again `copies` times, each `after` seconds later than the one before."""
    return Rule(
        "duplicated",
        at,
        lambda passage, _: [Out(passage.data, n * after) for n in range(copies + 1)],
    )


def delay(at: At, seconds: float) -> Rule:
    """It arrives late."""
    return Rule("delayed", at, lambda passage, _: [Out(passage.data, seconds)])


def reorder(at: At, until: int) -> Rule:
    """It arrives behind the next message `until` of its direction."""
    return Rule("held", at, lambda passage, _: [Out(passage.data, until=until)])


def corrupt(at: At, offset: int | None = None, mask: int | None = None) -> Rule:
    """One octet of it is another: the one at `offset` (negative: from the end), or any."""

    def act(passage: Passage, wire: Surroundings) -> list[Out]:
        data = bytearray(passage.data)
        where = wire.random.randrange(len(data)) if offset is None else offset
        data[where] ^= mask or wire.random.randrange(1, 256)
        return [Out(bytes(data))]

    return Rule("corrupted", at, act)


def truncate(at: At, size: int) -> Rule:
    """Only its first `size` octets arrive."""
    return Rule("truncated", at, lambda passage, _: [Out(passage.data[:size])])


def rewrite(at: At, change: Callable[[bytes], bytes]) -> Rule:
    """It arrives as `change` makes it."""
    return Rule("rewritten", at, lambda passage, _: [Out(change(passage.data))])


def replay(at: At, *numbers: int, after: float = 0.0) -> Rule:
    """Behind it arrives what went the same way before, oldest first; `numbers` name which."""

    def act(passage: Passage, wire: Surroundings) -> list[Out]:
        old = [
            Out(each.data, after, extra="replayed")
            for each in wire.passages
            if each.sent
            and each is not passage
            and each.direction == passage.direction
            and (not numbers or each.number in numbers)
        ]
        return [Out(passage.data), *old]

    return Rule("passed", at, act)


def inject(
    at: At, make: Callable[[bytes], Iterable[bytes]], back: bool = False, before: bool = False
) -> Rule:
    """With it arrives what `make` makes of it: behind it, or before it; `back`: at its sender."""

    def act(passage: Passage, _: Surroundings) -> list[Out]:
        forged = [Out(data, extra="injected", back=back) for data in make(passage.data)]
        return [*forged, Out(passage.data)] if before else [Out(passage.data), *forged]

    return Rule("passed", at, act)

"""A board's memory before and after a test, and whether the test left a leak."""

from __future__ import annotations

import re
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ikelet.errors import IkeletError

if TYPE_CHECKING:
    from ikelet.agent import Agent

Heap = dict[str, Any]

# What an agent may hold more than right after its boot, in octets.
TEXTS = 640  # of the last failure and the last end, and what the ports' own buffers grow by
EVENTS = 512  # the last events, as lines
LATE = 1024  # names of what an exchange loads only at times (ike.dpd, ends, folded, lifetime)
REASON = 128  # every reason of a drop, counted from its first time on
KEY_PAIR = 3  # times the octets of the group: made ahead when idle, perhaps not at boot
# What curves and certificates leave behind when their modules are unloaded: MicroPython keeps the
# names in them for ever, once; and the counters of what only they ask of the engines. An agent may
# be met when those of its boot have gone, and others of the same number have come for a key pair.
NAMES = 17408
FIRST = 192  # every first message it remembers, besides the message itself ...
FIRSTS = 16  # ... of which it keeps so many, ...
FIRSTS_BYTES = 4096  # ... and of their octets so many
MODULE = 6144  # the largest of the modules that are imported when they are first needed
# ESP-IDF's heap: what lwIP holds for datagrams that are still on their way.
IDF = 4096

_PATIENCE = 3.0  # seconds, times the board's slowness


@dataclass
class Since:
    """An agent as it was when a test first met it, and the first messages that it got since."""

    heap: Heap
    reasons: int
    firsts: set[bytes] = field(default_factory=set)


_first_met: weakref.WeakKeyDictionary[Agent, Since] = weakref.WeakKeyDictionary()


class HeapCheck:
    """Of one agent and test: `before` as the test gets it, `after` once its SAs are down.

    Both are the board's own {free, used, modules, ...} after a collection. An agent that serves
    many tests is compared with what it was at first, so that small leaks add up. `unknown` says
    why there is no `after`.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        status = agent.status()
        self.before: Heap = status["heap"]
        self.after: Heap | None = None
        self.unknown = ""
        self._uptime = status["uptime_ms"]
        self._since = _first_met.setdefault(agent, Since(self.before, len(status["drops"])))

    def settle(self, firsts: Iterable[bytes]) -> str:
        """Take the SAs down, measure, and say what leaked; "" for nothing. `firsts` are the first
        messages that the agent got in this test."""
        self._since.firsts |= set(firsts)
        try:
            return self._measure()
        except IkeletError as error:
            # Tests end boards on purpose; whether this one should have is theirs to judge.
            self.unknown = f"the board does not tell: {error}"
            return ""

    def _measure(self) -> str:
        deadline = time.monotonic() + _PATIENCE * self._agent.board.slowness
        while True:
            # Again and again: what is still on its way brings an exchange back.
            self._agent.take_down()
            status = self._agent.status()
            if status["uptime_ms"] < self._uptime:
                self.unknown = "the board was restarted"
                return ""
            self.after = status["heap"]
            reasons = len(status["drops"]) - self._since.reasons
            allowed = allowance(self._agent.config.peers, reasons, self._since.firsts)
            networked = self._agent.board.link == "udp"
            leak = leaked(self._since.heap, self.after, allowed, networked)
            if not leak or time.monotonic() > deadline:
                return leak
            time.sleep(0.1)

    def as_result(self) -> dict[str, Any]:
        return {"before": self.before, "after": self.after, "unknown": self.unknown}


def allowance(peers: dict[str, Any], reasons: int, firsts: set[bytes]) -> int:
    """Octets that an agent may hold more than at first, but for imports. `reasons` counts the
    reasons of drops that are new, `firsts` are the first messages that it got."""
    proposals = " ".join(name for peer in peers.values() for name in peer["proposals"])
    group = max((int(bits) // 8 for bits in re.findall(r"modp(\d+)", proposals)), default=0)
    remembered = FIRST * min(FIRSTS, len(firsts)) + min(FIRSTS_BYTES, sum(map(len, firsts)))
    signed = any(peer.get("auth") == "cert" for peer in peers.values())
    names = NAMES if signed or re.search("ecp|curve", proposals) else 0
    return TEXTS + EVENTS + LATE + names + KEY_PAIR * group + REASON * max(0, reasons) + remembered


def leaked(first: Heap, last: Heap, allowed: int, networked: bool = True) -> str:
    """One line about a leak between two measurements, or "". `networked`: the board has a network
    of its own."""
    grown = last["used"] - first["used"]
    modules = max(0, last["modules"] - first["modules"])
    allowed += MODULE * modules
    if grown > allowed:
        why = f" ({modules} modules were imported)" if modules else ""
        return (
            f"memory leak: the board holds {grown} bytes more than when its agent began; "
            f"{allowed} can be accounted for{why}"
        )
    if networked and first.get("idf") and last.get("idf"):
        # MicroPython's heap grows out of ESP-IDF's, which the network lives on.
        took = last["used"] + last["free"] - first["used"] - first["free"]
        if took > IDF:
            return f"MicroPython's heap took {took} bytes of what the network has"
        lost = first["idf"]["free"] - last["idf"]["free"]
        if lost > IDF:
            return f"memory leak: ESP-IDF's heap lost {lost} bytes; up to {IDF} are expected"
    return ""

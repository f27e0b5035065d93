"""The wire between agent and peer: every datagram passes here, is recorded, and may be disturbed.

    wire.add(drop(At(3)))                     the first message 3, once
    wire.add(corrupt(At(5, times=None)))      every message 5
    wire.add(delay(At(probability=0.2, times=None), 0.3))

Both sides talk to a socket of the wire, each taking it for the other. The first rule that matches
a datagram acts on it; random choices follow from the seed.
"""

import contextlib
import heapq
import itertools
import random
import select
import socket
import threading
import time
from collections.abc import Iterable

from ikelet_hil.passage import OTHER_WAY, TO_AGENT, TO_PEER, Numbering, Passage
from ikelet_hil.rules import Out, Rule
from ikelet_hil.timeline import NoTimeline, Timeline

__all__ = ["TO_AGENT", "TO_PEER", "Passage", "Wire"]

Address = tuple[str, int]

LOOPBACK = "127.0.0.1"


class Wire:
    """A UDP proxy between two addresses, in a thread of its own from creation to close().

    `agent` and `peer` are where the two sides are; a side that is not known yet is learned from
    what it sends. `agent_side` is what the agent shall take for its peer, `peer_side` what the
    peer shall take for the agent. `agent_socket` is lent to it for the former.
    """

    def __init__(
        self,
        agent: Address | None = None,
        peer: Address | None = None,
        timeline: Timeline | None = None,
        seed: int | None = None,
        agent_socket: socket.socket | None = None,
    ) -> None:
        self.seed = random.randrange(1 << 32) if seed is None else seed
        self.random = random.Random(self.seed)
        self.passages: list[Passage] = []
        self.rules: list[Rule] = []
        self.reached = 0
        self._timeline = timeline or NoTimeline()
        self._numbering = Numbering()
        self._lent = agent_socket
        self._sockets = {TO_PEER: agent_socket or bound(), TO_AGENT: bound()}
        self._ends = {TO_PEER: peer, TO_AGENT: agent}
        self._due: list[tuple[float, int, Passage, bytes]] = []
        self._order = itertools.count()
        self._held: list[tuple[int, Passage, bytes]] = []
        self._lock = threading.RLock()
        for each in self._sockets.values():
            _drain(each)
        self._woken, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._thread.start()

    @property
    def agent_side(self) -> Address:
        address: Address = self._sockets[TO_PEER].getsockname()[:2]
        return address

    @property
    def peer_side(self) -> Address:
        address: Address = self._sockets[TO_AGENT].getsockname()[:2]
        return address

    def connect(self, agent: Address | None = None, peer: Address | None = None) -> None:
        """Where a side is, once that is known."""
        with self._lock:
            self._ends[TO_AGENT] = agent or self._ends[TO_AGENT]
            self._ends[TO_PEER] = peer or self._ends[TO_PEER]

    def add(self, *rules: Rule) -> None:
        """From now on, behind those that are there."""
        with self._lock:
            self.rules += rules

    def clear(self) -> None:
        """From now on everything passes; what is still on its way arrives."""
        with self._lock:
            self.rules.clear()

    def inject(self, direction: str, *datagrams: bytes) -> None:
        """Send datagrams of one's own making."""
        with self._lock:
            for data in datagrams:
                self._add_own(direction, Out(data), "injected", "the test")

    def numbered(self, number: int | None, direction: str | None = None) -> list[Passage]:
        """The passages of message `number` that a side sent, in order."""
        with self._lock:
            return [
                passage
                for passage in self.passages
                if passage.sent
                and passage.number == number
                and direction in (None, passage.direction)
            ]

    def repeated(self) -> list[Passage]:
        """The passages in which a side sent a message that it had sent before."""
        with self._lock:
            sent = [passage for passage in self.passages if passage.sent]
        first = {passage.data: passage for passage in reversed(sent)}
        return [passage for passage in sent if first[passage.data] is not passage]

    def close(self) -> None:
        """End the thread and free the ports. May be called more than once."""
        if self._wake.fileno() < 0:
            return
        self._wake.send(b"x")
        self._thread.join()
        for each in (self._woken, self._wake, *self._sockets.values()):
            if each is not self._lent:
                each.close()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            readable = select.select([self._woken, *self._sockets.values()], [], [], wait)[0]
            if self._woken in readable and b"x" in self._woken.recv(64):
                return
            with self._lock:
                for direction, end in self._sockets.items():
                    if end in readable:
                        self._take(direction, end)
                while self._due and self._due[0][0] <= time.monotonic():
                    _, _, passage, data = heapq.heappop(self._due)
                    self._deliver(passage, data)

    def _take(self, direction: str, end: socket.socket) -> None:
        try:
            data, sender = end.recvfrom(65535)
        except OSError:  # an ICMP error about something sent before: the side is not there
            return
        self._ends[OTHER_WAY[direction]] = sender[:2]
        passage = Passage(time.monotonic(), direction, data, self._number(data, direction))
        rule = next((rule for rule in self.rules if rule.takes(passage, self)), None)
        outs: Iterable[Out] = [Out(data)]
        if rule:
            passage.fate, passage.cause = rule.fate, str(rule)
            outs = rule.act(passage, self)
        self._record(passage)
        for out in outs:
            self._go_on(passage, out)

    def _number(self, data: bytes, direction: str) -> int | None:
        return self._numbering.number(data, direction)

    def _go_on(self, passage: Passage, out: Out) -> None:
        if out.extra:
            direction = OTHER_WAY[passage.direction] if out.back else passage.direction
            self._add_own(direction, out, out.extra, passage.cause)
        elif out.until is not None:
            self._held.append((out.until, passage, out.data))
        else:
            self._schedule(passage, out)

    def _add_own(self, direction: str, out: Out, fate: str, cause: str) -> None:
        number = self._number(out.data, direction)
        passage = Passage(time.monotonic(), direction, out.data, number, fate, cause)
        self._record(passage)
        self._schedule(passage, out)

    def _schedule(self, passage: Passage, out: Out) -> None:
        if out.delay <= 0:
            self._deliver(passage, out.data)
            return
        due = time.monotonic() + out.delay
        heapq.heappush(self._due, (due, next(self._order), passage, out.data))
        self._wake.send(b"t")  # another thread may have asked

    def _deliver(self, passage: Passage, data: bytes) -> None:
        there = self._ends[passage.direction]
        try:
            if there is None:
                raise OSError("nobody is there yet")
            self._sockets[OTHER_WAY[passage.direction]].sendto(data, there)
        except OSError as error:
            passage.fate, passage.cause = "undeliverable", str(error)
            return
        passage.delivered.append((time.monotonic(), data))
        self.reached = max(self.reached, passage.number or 0)
        self._let_go(passage)

    def _let_go(self, passage: Passage) -> None:
        """Send what was held until this passage."""
        held, self._held = self._held, []
        for until, other, data in held:
            if until == passage.number and other.direction == passage.direction:
                self._deliver(other, data)
            else:
                self._held.append((until, other, data))

    def _record(self, passage: Passage) -> None:
        self.passages.append(passage)
        cause = f" ({passage.cause})" if passage.cause else ""
        self._timeline.add(
            "udp",
            f"{passage.direction} {passage}: {passage.fate}{cause}",
            direction=passage.direction,
            number=passage.number,
            bytes=len(passage.data),
            fate=passage.fate,
        )


def bound(host: str = LOOPBACK) -> socket.socket:
    """A UDP socket at a free port of `host`."""
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((host, 0))
    return found


def _drain(end: socket.socket) -> None:
    """Forget what came before: a lent socket may have something of an earlier exchange."""
    while select.select([end], [], [], 0)[0]:
        with contextlib.suppress(OSError):
            end.recv(65535)

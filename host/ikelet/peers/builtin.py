"""The built-in peer: an IKEv1 Main Mode gateway of our own, on a UDP socket.

It is the conformance oracle for the agent: it verifies everything it receives, and by default
the first message of a live negotiation that breaks a rule fails that negotiation, with the
reason. `forgiving` makes it drop such a message and wait for a better one, as a gateway does.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scapy.packet import Packet

from . import fragments
from . import messages as m
from .base import Address, Datagram, PeerConfig, PeerError, PeerEvent, PeerResult
from .messages import Header, Payload, RejectedError, require
from .parts import Change, unchanged
from .phase1 import DONE, Negotiation
from .threaded import ThreadedPeer

# Called with (number, datagram) before sending; number is 0 for an Informational. Returns
# what to send instead: octets, a list of datagrams, or None to lose it.
Mangle = Callable[[int, bytes], "bytes | list[bytes] | None"]


@dataclass
class _Sa:
    """A negotiation with what its transport needs: duplicates and retransmission."""

    negotiation: Negotiation
    remote: Address
    started: float = field(default_factory=time.monotonic)
    seen: dict[bytes, int] = field(default_factory=dict)
    last_received: bytes = b""
    last_sent: bytes = b""
    sent_number: int = 0
    attempt: int = 0
    deadline: float | None = None
    failed: bool = False
    reassembly: fragments.Reassembly = field(default_factory=fragments.Reassembly)


class BuiltinPeer(ThreadedPeer):
    """A peer gateway in a background thread. See `base.Peer` for what all peers share.

    `versions` makes it send other messages 5 and 6 than it ought to: see `Negotiation`.
    """

    def __init__(
        self,
        config: PeerConfig,
        mangle: Mangle | None = None,
        forgiving: bool = False,
        versions: Mapping[int, Sequence[Change]] | None = None,
    ) -> None:
        super().__init__(config)
        self.results: list[PeerResult] = []
        self.mangle = mangle
        self.forgiving = forgiving
        self.versions = versions
        self._sas: dict[bytes, _Sa] = {}
        self._latest: _Sa | None = None

    # -- what a user asks for ---------------------------------------------------------------

    def initiate(self) -> None:
        """Send message 1 and return; `wait` tells how it ended."""
        remote = self.config.remote
        if not remote or not remote[1]:
            raise PeerError("an initiator needs the address and port of the other side")
        if not self._thread:
            raise PeerError("the peer is not started")
        with self._changed:
            negotiation = Negotiation(self.config, versions=self.versions)
            sa = _Sa(negotiation, remote)
            self._sas[negotiation.cookies[0]] = self._latest = sa
            self._send(sa, 1, negotiation.first_message(), negotiation.sent)

    def wait(self, timeout: float) -> PeerResult:
        """How the latest negotiation ended, after at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or self._finished(), timeout)
            if self._error:
                raise PeerError(f"the peer broke down: {self._error!r}") from self._error
            return self._result(self._latest)

    def delete(self) -> None:
        """Send DELETE for the latest SA, under its protection, and forget it."""
        with self._changed:
            sa = self._latest
            if not sa or not sa.negotiation.established or sa not in self._sas.values():
                raise PeerError("there is no established SA to delete")
            cookies = b"".join(sa.negotiation.cookies)
            message = sa.negotiation.build_informational(m.build_delete(cookies))
            self._transmit(sa, 0, message, ("HASH", "D"))
            self._forget(sa, "deleted by us")

    def inform(self, *layers: Packet, change: Change = unchanged) -> None:
        """Send an Informational of `layers` under the latest SA's keys, even if that is gone;
        `change` turns it, HASH(1) included, into what nobody should send."""
        with self._changed:
            sa = self._latest
            if not sa or not sa.negotiation.established:
                raise PeerError("there are no keys to send an Informational under")
            message = sa.negotiation.build_informational(*layers, change=change)
            self._transmit(sa, 0, message, ("HASH",))

    # -- thread -----------------------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            with self._changed:
                timeout = self._retransmit_due(time.monotonic())
            readable, _, _ = select.select([self._socket, self._wake], [], [], timeout)
            if self._wake in readable and self._woken():
                return
            if self._socket in readable:
                data, source = self._socket.recvfrom(65535)
                with self._changed:
                    self._receive(data, source[:2])

    def _retransmit_due(self, now: float) -> float | None:
        """Send again what is due; seconds until the next is, None when nothing waits."""
        for sa in list(self._sas.values()):
            if sa.deadline is None or sa.deadline > now:
                continue
            if sa.attempt >= len(self.config.retransmit):
                self._fail(sa, f"no answer to message {sa.sent_number}")
            else:
                self._arm(sa, now)
                self._transmit(sa, sa.sent_number, sa.last_sent, (), kind="retransmit")
        deadlines = [sa.deadline for sa in self._sas.values() if sa.deadline is not None]
        return max(0.0, min(deadlines) - now) if deadlines else None

    def _arm(self, sa: _Sa, now: float) -> None:
        sa.deadline = now + self.config.retransmit[sa.attempt]
        sa.attempt += 1

    # -- receiving --------------------------------------------------------------------------

    def _receive(self, data: bytes, source: Address) -> None:
        now = time.monotonic()
        self.datagrams.append(Datagram(now, source, self.address, data))
        sa = None
        try:
            self._check_source(source)
            header = m.parse_header(data)
            sa = self._find(header, source)
            if header.first == m.FRAGMENT and not header.encrypted:
                whole = self._reassembled(sa, header, data)
                if whole is None:
                    return
                header, data = m.parse_header(whole), whole
            if header.exchange == m.INFORMATIONAL:
                self._informational(sa, header, data)
            elif not self._duplicate(sa, data):
                self._main_mode(sa, header, data)
        except RejectedError as error:
            self._reject(sa, str(error), error.notify, len(data))

    def _check_source(self, source: Address) -> None:
        remote = self.config.remote
        if remote:
            known = source[0] == remote[0] and remote[1] in (0, source[1])
            require(known, f"came from {source[0]} port {source[1]}, which is not the other side")

    def _find(self, header: Header, source: Address) -> _Sa:
        """The SA of an initiator cookie; a new one for a first message to a responder."""
        sa = self._sas.get(header.initiator_cookie)
        if sa:
            sa.remote = source if self.config.role == "responder" else sa.remote
            return sa
        require(header.exchange == m.MAIN_MODE, f"exchange {header.exchange} of an unknown SA")
        require(self.config.role == "responder", "initiator cookie is not of this side")
        require(not any(header.responder_cookie), "message of an unknown SA", 4)
        negotiation = Negotiation(self.config, header.initiator_cookie, self.versions)
        sa = _Sa(negotiation, source)
        self._sas[header.initiator_cookie] = self._latest = sa
        return sa

    def _reassembled(self, sa: _Sa, header: Header, data: bytes) -> bytes | None:
        """The whole message, once this fragment completes it."""
        require(sa.negotiation.fragments, "fragment, though nobody agreed to fragments")
        require(sa.negotiation.expected >= 5, "fragment of a message that is never large")
        whole = sa.reassembly.add(*m.split(header.first, data[m.HEADER_SIZE :]))
        require(whole is None or whole[:16] == data[:16], "fragments of another SA's message")
        return whole

    def _duplicate(self, sa: _Sa, data: bytes) -> bool:
        """Whether `data` was seen before; the last message again gets the last answer again."""
        number = sa.seen.get(data)
        if number is None:
            return False
        self._event("duplicate", direction="in", number=number, length=len(data))
        if data == sa.last_received and not sa.negotiation.initiator:
            self._transmit(sa, sa.sent_number, sa.last_sent, (), kind="retransmit")
        return True

    def _main_mode(self, sa: _Sa, header: Header, data: bytes) -> None:
        negotiation = sa.negotiation
        number = negotiation.expected
        require(not sa.failed, "message of a failed negotiation")
        require(number != DONE, "message of an established Main Mode")
        payloads = negotiation.open(header, data)
        names = _names(payloads)
        self._event("message", direction="in", number=number, payloads=names, length=len(data))
        answer = negotiation.handle(payloads)
        sa.seen[data], sa.last_received = number, data
        sa.deadline = None
        if number in (3, 4):
            self._log_key(negotiation.cookies[0].hex(), negotiation.keys.ka)
        if answer is not None:
            self._send(sa, number + 1, answer, negotiation.sent)
        if negotiation.established:
            self._finish(sa, "established", str(negotiation.suite))

    def _informational(self, sa: _Sa, header: Header, data: bytes) -> None:
        negotiation = sa.negotiation
        if not negotiation.established:
            self._clear_notify(sa, header, data)
            return
        require(not sa.failed, "Informational of a failed negotiation")
        payloads = negotiation.open_informational(header, data)
        names = ("HASH", *_names(payloads))
        self._event("message", direction="in", number=0, payloads=names, length=len(data))
        for payload in payloads:
            if payload.kind == m.DELETE:
                self._check_delete(sa, payload)
                self._forget(sa, "deleted by the other side")
            elif payload.kind == m.NOTIFY:
                kind = payload.dissect().notify_msg_type
                self._event("notify", f"notification {kind}", direction="in", number=0)
            else:
                raise RejectedError(f"payload {payload.name} does not belong in an Informational")

    def _clear_notify(self, sa: _Sa, header: Header, data: bytes) -> None:
        """An error from the other side before there are keys: unproven, but final here."""
        require(
            not header.encrypted,
            "an encrypted Informational came instead, likely an error about the message before",
        )
        payloads, rest = m.split(header.first, data[m.HEADER_SIZE :])
        require(not rest, f"{len(rest)} octets after the last payload")
        (notify,) = m.only(payloads, (m.NOTIFY,))
        kind = notify.dissect().notify_msg_type
        name = m.NOTIFY_NAMES.get(kind, str(kind))
        self._event("notify", name, direction="in", number=0, payloads=("N",), length=len(data))
        if not self.forgiving:
            self._fail(sa, f"the other side answered {name}")

    def _check_delete(self, sa: _Sa, payload: Payload) -> None:
        layer = payload.dissect()
        require(layer.doi == 1, f"DOI of DELETE is {layer.doi}, not IPsec (1)")
        require(layer.proto == 1, f"protocol of DELETE is {layer.proto}, not ISAKMP (1)")
        expected = b"\x10\x00\x01" + b"".join(sa.negotiation.cookies)
        require(payload.body[5:] == expected, "DELETE does not name both cookies of this SA")

    def _reject(self, sa: _Sa | None, reason: str, notify: int | None, length: int) -> None:
        number = sa.negotiation.expected if sa else None
        where = f"message {number}: " if number and number != DONE else ""
        self._event("rejected", where + reason, direction="in", number=number, length=length)
        if not sa or sa.negotiation.established or sa.failed:
            return
        if notify == m.NO_PROPOSAL_CHOSEN and not sa.negotiation.initiator:
            first, body = m.build_chain([m.build_notify(notify)])
            message = m.build_message(sa.negotiation.cookies, first, body, m.INFORMATIONAL)
            self._transmit(sa, 0, message, ("N",))
        if not self.forgiving:
            self._fail(sa, where + reason)

    # -- sending ----------------------------------------------------------------------------

    def _send(self, sa: _Sa, number: int, data: bytes, payloads: tuple[str, ...]) -> None:
        """Send a new message; an initiator repeats it until it is answered."""
        sa.last_sent, sa.sent_number, sa.attempt = data, number, 0
        if sa.negotiation.initiator:
            self._arm(sa, time.monotonic())
            self._waker.send(b"t")
        for forged in sa.negotiation.forged:
            self._transmit(sa, number, forged, payloads)
        sa.negotiation.forged = []
        self._transmit(sa, number, data, payloads)

    def _transmit(
        self,
        sa: _Sa,
        number: int,
        data: bytes,
        payloads: tuple[str, ...],
        kind: str = "message",
    ) -> None:
        self._event(kind, direction="out", number=number, payloads=payloads, length=len(data))
        mangled = self.mangle(number, data) if self.mangle else data
        for each in mangled if isinstance(mangled, list) else [mangled]:
            if each is not None:
                self._put(sa, each)

    def _put(self, sa: _Sa, message: bytes) -> None:
        """On the wire, in fragments where the other side takes them."""
        may = sa.negotiation.fragments and message[16] != m.FRAGMENT
        for each in fragments.split(message) if may else [message]:
            now = time.monotonic()
            self.datagrams.append(Datagram(now, self.address, sa.remote, each))
            self._socket.sendto(each, sa.remote)

    # -- ends -------------------------------------------------------------------------------

    def _finished(self) -> bool:
        sa = self._latest
        return bool(sa and (sa.failed or sa.negotiation.established))

    def _fail(self, sa: _Sa, reason: str) -> None:
        sa.failed, sa.deadline = True, None
        self._finish(sa, "failed", reason)

    def _finish(self, sa: _Sa, kind: str, text: str) -> None:
        self.results.append(self._result(sa, text if sa.failed else ""))
        self._event(kind, text)

    def _forget(self, sa: _Sa, text: str) -> None:
        self._sas.pop(sa.negotiation.cookies[0], None)
        self._event("deleted", text)

    def _result(self, sa: _Sa | None, reason: str = "") -> PeerResult:
        if not sa:
            return PeerResult(False, self._quiet())
        for result in reversed(self.results):
            if result.initiator_cookie == sa.negotiation.cookies[0].hex():
                return result
        negotiation = sa.negotiation
        established = negotiation.established and not sa.failed
        missing = f"message {negotiation.expected} did not come"
        return PeerResult(
            established,
            "" if established else reason or missing,
            negotiation.role,
            negotiation.cookies[0].hex(),
            negotiation.cookies[1].hex(),
            str(negotiation.suite) if negotiation.suite else None,
            negotiation.lifetime,
            negotiation.remote_id,
            time.monotonic() - sa.started,
            negotiation.remote_certificate,
        )

    def _quiet(self) -> str:
        rejected = [event.text for event in self.events if event.kind == "rejected"]
        return rejected[-1] if rejected else "nothing came from the other side"

    def _event(self, kind: str, text: str = "", **details: Any) -> None:
        self._emit(PeerEvent(kind, text, **details))


def _names(payloads: list[Payload]) -> tuple[str, ...]:
    return tuple(payload.name for payload in payloads)

"""charon's log, read as events: messages with numbers and sizes, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .base import PeerEvent

_LINE = re.compile(r"(\d+)\[(\w+)\] (.*)")
_RECEIVED = re.compile(r"received packet: from .* \((\d+) bytes\)")
_SENDING = re.compile(r"sending packet: from .* \((\d+) bytes\)")
_PAYLOADS = re.compile(r"(parsed|generating) (\w+) (request|response) \d+ \[ (.*) \]")
_RETRANSMIT = re.compile(r"sending retransmit \d+ of|retransmitting response")
_KEY = re.compile(r"encryption key Ka => (\d+) bytes")
_DUMP = re.compile(r" *\d+: ((?:[0-9A-F]{2}(?: |$))+)")

_NAMES = {"V": "VID", "No": "NONCE"}
_NUMBERS = {
    ("request", "SA"): 1,
    ("response", "SA"): 2,
    ("request", "KE"): 3,
    ("response", "KE"): 4,
    ("request", "ID"): 5,
    ("response", "ID"): 6,
}

# What a log line means for the negotiation. charon goes on after some of them, for it cannot
# tell a wrong key from a damaged packet.
_FAILURES = {
    "no IKE config found": "strongSwan has no connection for these addresses",
    "no proposal found": "no proposal in common: {proposals}",
    "received NO_PROPOSAL_CHOSEN": "the other side answered NO-PROPOSAL-CHOSEN",
    "was not encrypted": "{line}",
    "could not decrypt payloads": "message does not decrypt: the pre-shared keys differ",
    "calculated HASH does not match": "HASH is wrong",
    "message parsing failed": "message could not be parsed",
    "no shared key found": "strongSwan has no pre-shared key for this address",
    "giving up after": "no answer: {line}",
    "peer did not initiate": "message 5 did not come in time",
    "found 1 matching config, but none allows": "no matching configuration: {line}",
    "no peer config found": "strongSwan has no connection for the identity of the agent",
    "IDir .* does not match": "identity is not the expected one: {line}",
    "AUTHENTICATION_FAILED": "authentication failed",
    "deleting half open IKE_SA": "negotiation timed out half open",
    "invalid HASH_V1 payload": "HASH payload is invalid",
    "DH public value": "{line}",
}


class CharonLog:
    """Feed it lines; it keeps what spans lines (threads interleave) and yields events."""

    def __init__(self, keep_dumps: bool = False) -> None:
        self.lines: list[str] = []
        self.ka: bytes | None = None
        self._keep_dumps = keep_dumps
        self._received: dict[str, int] = {}
        self._generated: dict[str, tuple[int | None, tuple[str, ...]]] = {}
        self._proposals: list[str] = []
        self._ka_missing = 0

    def feed(self, line: str) -> Iterator[PeerEvent]:
        match = _LINE.match(line)
        if not match:
            self.lines.append(line)
            return
        thread, _, text = match.groups()
        if self._dump(text):
            if self._keep_dumps:
                self.lines.append(line)
            return
        self.lines.append(line)
        yield from self._packet(thread, text)
        yield from self._state(text)

    def _dump(self, text: str) -> bool:
        """Whether a line is hex of some secret; that of Ka is picked up."""
        key = _KEY.match(text)
        if key:
            self.ka, self._ka_missing = b"", int(key[1])
            return True
        dump = _DUMP.match(text)
        if dump and self._ka_missing > 0:
            octets = bytes.fromhex(dump[1])[: self._ka_missing]
            self.ka += octets
            self._ka_missing -= len(octets)
        return bool(dump)

    def _packet(self, thread: str, text: str) -> Iterator[PeerEvent]:
        if match := _RECEIVED.match(text):
            self._received[thread] = int(match[1])
        elif match := _PAYLOADS.match(text):
            verb, exchange, kind, payloads = match.groups()
            names = tuple(_NAMES.get(name, name.split("(")[0]) for name in payloads.split())
            main_mode = exchange == "ID_PROT"
            number = _NUMBERS.get((kind, names[0])) if main_mode else 0
            if verb == "parsed":
                length = self._received.pop(thread, None)
                yield PeerEvent("message", "", "in", number, names, length)
            else:
                self._generated[thread] = number, names
        elif _RETRANSMIT.search(text):
            yield PeerEvent("retransmit", text, "out")
        elif match := _SENDING.match(text):
            generated = self._generated.pop(thread, None)
            if generated:
                yield PeerEvent("message", "", "out", *generated, int(match[1]))

    def _state(self, text: str) -> Iterator[PeerEvent]:
        if text.startswith("received proposals:"):
            self._proposals = [text]
        elif text.startswith("configured proposals:"):
            self._proposals.append(text)
        elif re.match(r"IKE_SA .* established between", text):
            yield PeerEvent("established", text)
        elif text.startswith(("received DELETE for IKE_SA", "deleting IKE_SA")):
            by = "the other side" if text.startswith("received") else "us"
            yield PeerEvent("deleted", f"deleted by {by}")
        else:
            for pattern, reason in _FAILURES.items():
                if re.search(pattern, text):
                    filled = reason.format(line=text, proposals="; ".join(self._proposals))
                    yield PeerEvent("failed", filled)
                    return

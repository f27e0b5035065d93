"""A datagram on the wire, and which message of an exchange it is."""

from dataclasses import dataclass, field

TO_PEER, TO_AGENT = "agent->peer", "peer->agent"
OTHER_WAY = {TO_PEER: TO_AGENT, TO_AGENT: TO_PEER}

_HEADER = 28
_MAIN_MODE, _INFORMATIONAL = 2, 5
_SA, _FRAGMENT = 1, 132
_ENCRYPTED = 1
_NON_ESP_MARKER = bytes(4)


@dataclass
class Passage:
    """One datagram: as it came to the wire (`data`, at `t`) and what went on in its place.

    Times are of time.monotonic(). `number` is 1 to 6 in Main Mode, 0 of an Informational, None of
    anything else. `fate` is passed, dropped, delayed, held, duplicated, corrupted, truncated or
    rewritten, or undeliverable; replayed or injected where nobody sent it. `cause` is the rule.
    """

    t: float
    direction: str
    data: bytes
    number: int | None
    fate: str = "passed"
    cause: str = ""
    delivered: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def sent(self) -> bool:
        """Whether one of the two sides sent it, and not the wire by itself."""
        return self.fate not in ("replayed", "injected")

    def __str__(self) -> str:
        name = {None: "a datagram", 0: "an Informational"}.get(self.number)
        return f"{name or f'message {self.number}'} of {len(self.data)} bytes"


class Numbering:
    """Tells a datagram's number from its header alone, as somebody between the two sides can."""

    def __init__(self) -> None:
        self._initiator: dict[bytes, str] = {}  # initiator's cookie: the direction of its messages

    def number(self, data: bytes, direction: str) -> int | None:
        """1 to 6 for Main Mode, 0 for an Informational, None for anything else."""
        data = data.removeprefix(_NON_ESP_MARKER)
        if len(data) < _HEADER:
            return None
        cookie, first, exchange = data[:8], data[16], data[18]
        if exchange == _INFORMATIONAL:
            return 0
        if exchange != _MAIN_MODE:
            return None
        if not any(data[8:16]):
            self._initiator.setdefault(cookie, direction)
        odd = self._initiator.get(cookie) == direction
        if data[19] & _ENCRYPTED or first == _FRAGMENT:
            return 5 if odd else 6
        if first == _SA:
            return 1 if odd else 2
        return 3 if odd else 4

"""What every peer gateway has in common: its settings, its events, its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Address = tuple[str, int]

# Seconds between transmissions of an unanswered message. The sum (63 s) leaves a slow board
# time for a Diffie-Hellman in software.
RETRANSMIT = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class PeerError(Exception):
    """A peer could not be set up or was misused; the text is one line fit for a user."""


class PeerUnavailableError(PeerError):
    """Something this peer needs is not installed or not permitted here; says what."""


@dataclass(frozen=True)
class Credentials:
    """What a peer authenticates with instead of a pre-shared key, all of it DER.

    `key` is PKCS#8, `chain` the peer's certificate and those between it and a CA, `anchors` the
    CAs that it believes, `crls` their lists.
    """

    key: bytes
    chain: tuple[bytes, ...]
    anchors: tuple[bytes, ...]
    crls: tuple[bytes, ...] = ()


@dataclass
class PeerConfig:
    """Settings of a peer gateway, seen from the peer: `local` is the peer, `remote` the agent.

    `local` port 0 takes a free port, `remote` port 0 (or `remote` None) accepts any.
    `psk` is the key itself, as octets. `proposals` are spelled cipher-hash-group, for example
    "aes256-sha256-modp2048", in order of preference. Identities are addresses, with `credentials`
    any that strongSwan spells; `remote_id` None accepts any. `lifetime` is in seconds.

    `keylog` is a file that gets one `initiator-cookie,key` line per established SA, in the
    format of Wireshark's `ikev1_decryption_table`. `on_event` is called with every PeerEvent,
    from the peer's own thread.
    """

    role: str = "responder"
    local: Address = ("127.0.0.1", 0)
    remote: Address | None = None
    psk: bytes = b""
    credentials: Credentials | None = None
    local_id: str = "127.0.0.1"
    remote_id: str | None = None
    proposals: list[str] = field(default_factory=lambda: ["aes256-sha256-modp2048"])
    lifetime: int = 28800
    retransmit: tuple[float, ...] = RETRANSMIT
    keylog: Path | str | None = None
    on_event: Callable[[PeerEvent], None] | None = None

    def __post_init__(self) -> None:
        if self.role not in ("initiator", "responder"):
            raise PeerError(f'role is "{self.role}"; it must be "initiator" or "responder"')
        if not self.psk and not self.credentials:
            raise PeerError("psk is empty; a peer needs a pre-shared key")
        if not self.proposals:
            raise PeerError("proposals is empty; name at least one, as aes256-sha256-modp2048")


@dataclass(frozen=True)
class PeerEvent:
    """Something a peer did or saw.

    `t` is in seconds on the clock of `time.monotonic()`. `kind` is one of:
    message, retransmit, duplicate, rejected, notify, established, failed, deleted.
    `number` is 1..6 for Main Mode and 0 for an Informational. `length` counts the octets of
    the datagram, `payloads` names its payloads ("SA", "VID", ...), decrypted ones too.
    """

    kind: str
    text: str = ""
    direction: str | None = None
    number: int | None = None
    payloads: tuple[str, ...] = ()
    length: int | None = None
    t: float = field(default_factory=time.monotonic)

    def as_dict(self) -> dict:
        """The event as plain data for JSON, without what is not set."""
        values = dict(vars(self), payloads=list(self.payloads))
        return {key: value for key, value in values.items() if value not in (None, "", [])}


@dataclass(frozen=True)
class PeerResult:
    """How a negotiation ended; `reason` is a sentence when it is not established.

    Cookies are hex. `suite` is spelled as in `PeerConfig.proposals`. `elapsed` is in seconds,
    from the first message seen or sent; `remote_certificate` is DER, where the kind of peer tells.
    """

    established: bool
    reason: str = ""
    role: str | None = None
    initiator_cookie: str | None = None
    responder_cookie: str | None = None
    suite: str | None = None
    lifetime: int | None = None
    remote_id: str | None = None
    elapsed: float | None = None
    remote_certificate: bytes | None = None


@dataclass(frozen=True)
class Datagram:
    """One UDP payload on the wire; `t` on the clock of `time.monotonic()`."""

    t: float
    source: Address
    destination: Address
    data: bytes


class Peer(Protocol):
    """A peer gateway. Also a context manager: starts on entry, stops on exit."""

    config: PeerConfig
    events: list[PeerEvent]
    datagrams: list[Datagram]

    @property
    def address(self) -> Address:
        """Where the peer listens, once started."""

    def start(self) -> None: ...

    def stop(self) -> None:
        """Stop, and leave nothing behind. May be called more than once."""

    def initiate(self) -> None:
        """Begin a negotiation and return at once; `wait` tells how it ended."""

    def wait(self, timeout: float) -> PeerResult:
        """The end of the latest negotiation, or a result that says what is still missing."""

    def wait_event(self, kind: str, timeout: float, after: int = 0) -> PeerEvent | None:
        """The first event of `kind` from index `after` of `events` on, or None in time."""

    def delete(self) -> None:
        """Take the established SA down, telling the other side."""

    def __enter__(self) -> Peer: ...

    def __exit__(self, *exception: object) -> None: ...

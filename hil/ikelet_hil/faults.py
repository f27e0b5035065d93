"""The faults that every exchange must survive, as data: what is done to it, what comes of it.

An exchange has three stages of two messages: SA, key exchange, identities. At each of them the
agent receives one message, whatever its role. Most faults are forgeries: a message that is wrong
in one way arrives right before the honest one that it was made of. It must be dropped under its
own name, and cost the honest exchange nothing. Others disturb the honest messages themselves, or
come once the SA is there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ikelet.peers.parts import Change, unchanged
from ikelet.peers.suites import GROUPS, Group
from ikelet_hil import changes as c
from ikelet_hil.changes import Raw
from ikelet_hil.rules import At, Rule, corrupt, drop, duplicate, inject, reorder, replay, rewrite
from ikelet_hil.wire import TO_AGENT, TO_PEER

if TYPE_CHECKING:
    from ikelet_hil.bench import Bench

ROLES = ("initiator", "responder")
# The smallest group: no fault depends on its size, and a slow board has many of them to do.
SUITE = "aes256-sha256-modp1024"
STAGES = SA, KEY_EXCHANGE, IDENTITIES = (1, 2, 3)
IN_CLEAR = (SA, KEY_EXCHANGE)

Drops = str | tuple[str, str]  # reasons, "|" between them: of both roles, or of one and the other


@dataclass(frozen=True)
class Turn:
    """The numbers of a stage's two messages, by the agent's role."""

    role: str

    def to_agent(self, stage: int) -> int:
        return 2 * stage - (self.role == "responder")

    def to_peer(self, stage: int) -> int:
        return 2 * stage - (self.role == "initiator")


@dataclass(frozen=True)
class Fault:
    """`rules` go to the wire, `versions` to the peer, `act` is done once the SA is there.

    The rest by the agent's role. `drops`: the reasons under which it counts what it drops: no
    others ("duplicate" apart), and at least one. `fails`: there is no SA in the end, for want of
    an answer to this message. `alone`: only the agent has one. `ends`: `act` is the SA's end.
    """

    name: str
    rules: Callable[[Turn], list[Rule]] = lambda _: []
    versions: Callable[[Turn], dict[int, list[Change]]] = lambda _: {}
    act: Callable[[Bench], None] | None = None
    drops: dict[str, set[str]] = field(default_factory=dict)
    fails: dict[str, int] = field(default_factory=dict)
    alone: tuple[str, ...] = ()
    ends: bool = False
    roles: tuple[str, ...] = ROLES


def _by_role(drops: Drops) -> dict[str, set[str]]:
    both = (drops, drops) if isinstance(drops, str) else drops
    return {role: set(each.split("|")) for role, each in zip(ROLES, both, strict=True) if each}


def disturbed(name: str, drops: Drops, rules: Callable[[Turn], list[Rule]], **more: Any) -> Fault:
    """The wire does something to the honest messages."""
    return Fault(name, rules, drops=_by_role(drops), **more)


def forged(name: str, stages: Sequence[int], drops: Drops, *made: Raw) -> Fault:
    """Datagrams made of the honest one arrive before it. A role without drops does not have it."""

    def rules(turn: Turn) -> list[Rule]:
        def make(honest: bytes) -> list[bytes]:
            return [one(honest) for one in made]

        return [inject(At(turn.to_agent(stage)), make, before=True) for stage in stages]

    by_role = _by_role(drops)
    return Fault(name, rules, drops=by_role, roles=tuple(by_role))


def tolerated(name: str, stages: Sequence[int], raw: Raw) -> Fault:
    """The honest message arrives changed, and is as good as before."""

    def rules(turn: Turn) -> list[Rule]:
        return [rewrite(At(turn.to_agent(stage), times=None), raw) for stage in stages]

    return Fault(name, rules)


def sealed(name: str, drops: Drops, *made: Change, honest: bool = True) -> Fault:
    """The peer itself sends other versions of its encrypted message, and then the honest one."""
    versions = [*made, unchanged] if honest else [*made]

    def by_turn(turn: Turn) -> dict[int, list[Change]]:
        return {turn.to_agent(IDENTITIES): versions}

    return Fault(name, versions=by_turn, drops=_by_role(drops))


def later(name: str, drops: Drops, act: Callable[[Bench], None], ends: bool = False) -> Fault:
    """Something happens once the SA is there."""
    return Fault(name, act=act, drops=_by_role(drops), ends=ends)


# -- loss, order, repetition ----------------------------------------------------------------------

_ANY_STATE = "duplicate|old-message|already-established|unexpected-clear|unexpected-payload"
_WRONG_KEY = "undecipherable|bad-hash"
_RIVAL = f"spoofed|{_WRONG_KEY}"  # what is found out only once one of them is authenticated


def _again(stage: int) -> Callable[[Bench], None]:
    return lambda bench: bench.wire.inject(TO_AGENT, _message(bench, stage))


def _message(bench: Bench, stage: int) -> bytes:
    """What the agent got at a stage, as it was sent."""
    return bench.wire.numbered(Turn(bench.role).to_agent(stage))[0].data


def _all_again(bench: Bench) -> None:
    sent = [each.data for each in bench.wire.passages if each.direction == TO_AGENT]
    bench.wire.inject(TO_AGENT, *sent)


def _lost(number: int) -> Fault:
    return disturbed(f"message {number} lost", "", lambda _: [drop(At(number))])


def _corrupted(number: int, drops: Drops) -> Fault:
    return disturbed(f"message {number} corrupted", drops, lambda _: [corrupt(At(number), 40)])


def _behind(number: int, drops: Drops) -> Fault:
    name = f"message {number} behind {number + 2}"
    return disturbed(name, drops, lambda _: [reorder(At(number), until=number + 2)])


DELIVERY = [
    *[_lost(number) for number in range(1, 7)],
    disturbed(
        "all lost to the peer",
        "",
        lambda _: [drop(At(direction=TO_PEER, times=None))],
        fails={"initiator": 1, "responder": 2},
    ),
    disturbed(
        "all lost to the agent",
        "",
        lambda _: [drop(At(direction=TO_AGENT, times=None))],
        fails={"initiator": 1, "responder": 0},
    ),
    disturbed(
        "last message withheld",
        ("", "duplicate"),
        lambda _: [drop(At(6, times=None))],
        fails={"initiator": 5},
        alone=("responder",),
    ),
    disturbed("all twice", "duplicate", lambda _: [duplicate(At(times=None))]),
    disturbed(
        "all thrice, late", _ANY_STATE, lambda _: [duplicate(At(times=None), copies=2, after=0.1)]
    ),
    later("stage 1 again in the end", ("already-established", "old-message"), _again(SA)),
    later("stage 2 again in the end", "already-established", _again(KEY_EXCHANGE)),
    later("stage 3 again in the end", "duplicate", _again(IDENTITIES)),
    later("all again in the end", _ANY_STATE, _all_again),
    disturbed(
        "all before again, each time",
        _ANY_STATE,
        lambda _: [replay(At(direction=TO_AGENT, times=None))],
    ),
    _behind(1, ("", "duplicate")),
    _behind(2, ("duplicate", "")),
    _behind(3, ("", "already-established")),
    _behind(4, ("already-established", "")),
    _corrupted(5, ("", _WRONG_KEY)),
    _corrupted(6, (_WRONG_KEY, "")),
    disturbed(
        "all reflected",
        (
            f"not-responder|reflected|{_WRONG_KEY}",
            "unexpected-payload|unexpected-clear|already-established",
        ),
        lambda _: [inject(At(direction=TO_PEER, times=None), lambda sent: [sent], back=True)],
    ),
]

# -- headers and framing --------------------------------------------------------------------------


def _cut_to(*sizes: int) -> list[Raw]:
    return [c.cut(size) for size in sizes]


FRAMING = [
    forged("initiator cookie 0", STAGES, "zero-cookie", c.zeros(0, 8)),
    forged(
        "responder cookie 0",
        (KEY_EXCHANGE, IDENTITIES),
        ("not-responder", "sa-not-first|unexpected-payload|unexpected-encrypted"),
        c.zeros(8, 16),
    ),
    forged("responder cookie unknown", IN_CLEAR, ("", "unknown-cookie"), c.flipped(8)),
    forged("responder cookie another", [SA], (_RIVAL, ""), c.flipped(8)),
    forged("major version", STAGES, "bad-major-version", c.octet(17, 0x20)),
    forged("minor version", STAGES, "bad-minor-version", c.octet(17, 0x11)),
    forged("exchange type", STAGES, "unsupported-exchange", c.octet(18, 4), c.octet(18, 34)),
    forged("message ID", STAGES, "bad-message-id", c.flipped(23)),
    forged("authentication-only flag", STAGES, "bad-flags", c.flipped(19, 4)),
    tolerated("reserved header bits", STAGES, c.flipped(19, 0xF8)),
    tolerated("commit bit", STAGES, c.flipped(19, 2)),
    forged("encryption flag", IN_CLEAR, "unexpected-encrypted", c.flipped(19, 1)),
    forged("no encryption", [IDENTITIES], "unexpected-clear", c.in_clear),
    forged("cut to 0 to 27 octets", STAGES, "too-short|empty-datagram", *_cut_to(*range(28))),
    forged("cut to 28 or more", STAGES, "length-mismatch", *_cut_to(28, 29, 40, -1)),
    forged("octets behind the end", STAGES, "length-mismatch", lambda sent: sent + b"\0"),
    forged(
        "payload length 0 to 3",
        IN_CLEAR,
        "payload-overrun",
        *[c.payloads(c.length(n)) for n in range(4)],
    ),
    forged("payload length huge", IN_CLEAR, "payload-overrun", c.payloads(c.length(0xFFFF))),
    forged("RESERVED of a payload", IN_CLEAR, "reserved-not-zero", c.payloads(c.reserved)),
    forged("payload loop", IN_CLEAR, "too-many-payloads", c.payloads(c.loop)),
    forged("transform loop", [SA], "bad-transform", c.payloads(c.transform_loop)),
    sealed("payload length 0 to 3, encrypted", "undecipherable", *[c.length(n) for n in range(4)]),
    sealed("payload length huge, encrypted", "undecipherable", c.length(0xFFFF)),
    sealed("RESERVED of a payload, encrypted", "undecipherable", c.reserved),
    sealed("payload loop, encrypted", "undecipherable", c.loop),
]

# -- what the payloads say ------------------------------------------------------------------------

_GROUP = GROUPS[SUITE.split("-")[2]]
assert isinstance(_GROUP, Group)
_UNKNOWN, _NO_PROPOSAL, _R_U_THERE = 4242, 14, 36136


def _public(value: int) -> bytes:
    return value.to_bytes(_GROUP.size, "big")


def _ke(name: str, drops: str, change: Change) -> Fault:
    return forged(f"KE {name}", [KEY_EXCHANGE], drops, c.payloads(change))


def _key_length(name: str, *attributes: bytes) -> Fault:
    change = c.payloads(c.key_length(*attributes))
    return forged(f"key length {name}", [SA], ("attributes-changed", "no-proposal-chosen"), change)


def _notify(kind: int, spi: bytes = b"", data: bytes = b"") -> bytes:
    return struct.pack(">IBBH", 1, 1, len(spi), kind) + spi + data


_OTHER_NONCE = c.payloads(c.value(c.NONCE, bytes(32)))
_OTHER_KE = c.payloads(c.value(c.KE, _public(2)))
_CERTIFICATES = [c.plus(c.CERT, b"\4" + bytes(size)) for size in (600, 10000)]

CONTENT = [
    _key_length("omitted"),
    _key_length("empty", struct.pack(">HH", 14, 0)),
    _key_length("twice", c.basic(14, 256), c.basic(14, 256)),
    _key_length("0", c.basic(14, 0)),
    _ke("omitted", "missing-payload", c.without(c.KE)),
    _ke("twice", "repeated-payload", c.twice(c.KE)),
    _ke("empty", "bad-ke-length", c.value(c.KE, b"")),
    _ke("short", "bad-ke-length", c.body(c.KE, lambda old: old[1:])),
    _ke("long", "bad-ke-length", c.body(c.KE, lambda old: b"\0" + old)),
    _ke("0", "bad-ke-value", c.value(c.KE, _public(0))),
    _ke("1", "bad-ke-value", c.value(c.KE, _public(1))),
    _ke("p - 1", "bad-ke-value", c.value(c.KE, _public(_GROUP.prime - 1))),
    _ke("p", "bad-ke-value", c.value(c.KE, _public(_GROUP.prime))),
    _ke("all ones", "bad-ke-value", c.value(c.KE, b"\xff" * _GROUP.size)),
    _ke("of another", _RIVAL, c.value(c.KE, _public(2))),
    _ke("with a nonce of 7", "bad-nonce-length", c.value(c.NONCE, bytes(7))),
    _ke("with a nonce of 257", "bad-nonce-length", c.value(c.NONCE, bytes(257))),
    _ke("with no nonce", "missing-payload", c.without(c.NONCE)),
    _ke("with the nonce of another", _RIVAL, c.value(c.NONCE, bytes(32))),
    disturbed(
        "nonce replaced",
        ("", _WRONG_KEY),
        lambda turn: [rewrite(At(turn.to_agent(KEY_EXCHANGE), times=None), _OTHER_NONCE)],
        fails={"initiator": 5, "responder": 4},
    ),
    disturbed(
        "a second key exchange behind",
        _RIVAL,
        lambda turn: [
            inject(
                At(turn.to_agent(KEY_EXCHANGE)), lambda old: [_OTHER_NONCE(old), _OTHER_KE(old)]
            )
        ],
    ),
    sealed("HASH omitted", "missing-payload", c.without(c.HASH)),
    sealed("HASH empty", "bad-hash", c.value(c.HASH, b"")),
    sealed("HASH garbage", "bad-hash", c.value(c.HASH, b"\x5a" * 32)),
    sealed("HASH too long", "bad-hash", c.body(c.HASH, lambda old: old + bytes(32))),
    sealed("HASH twice", "repeated-payload", c.twice(c.HASH)),
    sealed("ID omitted", "missing-payload", c.without(c.ID)),
    sealed("ID of another", "bad-hash", c.body(c.ID, lambda old: old[:-1] + b"\x63")),
    sealed("a signature of 600 octets", "unexpected-payload", c.plus(c.SIG, bytes(600))),
    sealed("huge certificates, encrypted", "unexpected-payload|too-long", *_CERTIFICATES),
    forged(
        "huge certificates",
        IN_CLEAR,
        "unexpected-payload|too-long",
        *[c.payloads(change) for change in _CERTIFICATES],
    ),
    forged(
        "IKEv2 payloads",
        IN_CLEAR,
        "invalid-payload-type",
        *[c.payloads(c.plus(kind, bytes(32))) for kind in (c.SA_V2, c.SK_V2)],
    ),
    sealed(
        "IKEv2 payloads, encrypted",
        "undecipherable",
        *[c.plus(kind, bytes(32)) for kind in (c.SA_V2, c.SK_V2)],
    ),
    forged(
        "IKEv2 message",
        STAGES,
        "bad-major-version",
        lambda sent: sent[:17] + b"\x20\x22" + sent[19:],
    ),
    tolerated("unknown notify", IN_CLEAR, c.payloads(c.plus(c.N, _notify(_UNKNOWN)))),
    sealed(
        "unknown notify, encrypted", "doubtful-end", c.plus(c.N, _notify(_UNKNOWN)), honest=False
    ),
    tolerated("unknown vendor ID", IN_CLEAR, c.payloads(c.plus(c.VID, b"whoever"))),
]

# -- informationals -------------------------------------------------------------------------------

_SPOOFED = "unauthenticated-informational"


def _informed(*kinds: str, change: Change = unchanged) -> Callable[[Bench], None]:
    """The peer sends an Informational of payloads by name, under the SA's protection."""

    def act(bench: Bench) -> None:
        from ikelet.peers import messages as m
        from ikelet.peers.builtin import BuiltinPeer

        cookies = bench.cookies()
        made = {
            "delete": lambda: m.build_delete(cookies),
            "delete of an unknown SA": lambda: m.build_delete(bytes(16)),
            "unknown notify": lambda: m.build_notify(_UNKNOWN),
            "error": lambda: m.build_notify(_NO_PROPOSAL),
            "R-U-THERE": lambda: m.build_notify(_R_U_THERE, cookies),
        }
        assert isinstance(bench.peer, BuiltinPeer)
        bench.peer.inform(*[made[kind]() for kind in kinds], change=change)

    return act


def _r_u_there_without_an_sa(bench: Bench) -> None:
    bench.agent.call("down", {"peer": "gw"})
    _informed("R-U-THERE")(bench)


def _delete_again(bench: Bench) -> None:
    _informed("delete")(bench)
    bench.until(lambda: bench.wire.numbered(0, TO_AGENT))
    bench.wire.inject(TO_AGENT, bench.wire.numbered(0, TO_AGENT)[0].data)


INFORMATIONALS = [
    forged("spoofed error", STAGES, _SPOOFED, c.clear_informational((c.N, _notify(_NO_PROPOSAL)))),
    forged(
        "spoofed R-U-THERE", STAGES, _SPOOFED, c.clear_informational((c.N, _notify(_R_U_THERE)))
    ),
    later("two deletes in one message", "", _informed("delete", "delete"), ends=True),
    later("a delete again", "unknown-cookie", _delete_again, ends=True),
    later("delete of an unknown SA", "delete-of-unknown-sa", _informed("delete of an unknown SA")),
    later("delete without HASH", "missing-payload", _informed("delete", change=c.without(c.HASH))),
    later(
        "delete with an empty HASH", "bad-hash", _informed("delete", change=c.value(c.HASH, b""))
    ),
    later(
        "delete with another HASH",
        "bad-hash",
        _informed("delete", change=c.value(c.HASH, bytes(32))),
    ),
    later(
        "delete of odd length",
        "bad-hash",
        _informed("delete", change=c.body(c.D, lambda old: old[:-1])),
    ),
    later("R-U-THERE without an SA", "unknown-cookie", _r_u_there_without_an_sa, ends=True),
    later("unknown notify in the end", "", _informed("unknown notify")),
    later("an error in the end", "", _informed("error")),
    later(
        "IKEv2 payload in an Informational",
        "undecipherable",
        _informed("unknown notify", change=c.plus(c.SK_V2, bytes(32))),
    ),
    later(
        "message 5 or 6 as an Informational",
        f"{_WRONG_KEY}|missing-payload",
        lambda bench: bench.wire.inject(TO_AGENT, c.as_informational(_message(bench, IDENTITIES))),
    ),
    later(
        "spoofed delete",
        _SPOOFED,
        lambda bench: bench.wire.inject(
            TO_AGENT,
            c.clear_informational((c.D, struct.pack(">IBBH", 1, 1, 16, 1) + bench.cookies()))(
                _message(bench, SA)
            ),
        ),
    ),
]

FAULTS = [*DELIVERY, *FRAMING, *CONTENT, *INFORMATIONALS]

# What the core does not master yet: (fault, agent's role) -> why. Strict: what passes must go.
EXPECTED_FAILURES: dict[tuple[str, str], str] = {}

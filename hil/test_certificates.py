"""Main Mode with certificates against strongSwan: keys, groups, chains, identities, refusals."""

import time
from typing import Any

import pytest

from ikelet.boards import Board
from ikelet.peers import PeerResult
from ikelet_hil import lab
from ikelet_hil.bench import Bench
from ikelet_hil.capabilities import require
from ikelet_hil.lab import AGENT, GATEWAY, Holder

ROLES = ("initiator", "responder")
each_role = pytest.mark.parametrize("role", ROLES)

KEYS = ("rsa2048", "rsa3072", "rsa4096", "ecdsa256", "ecdsa384", "ecdsa521")
GROUPS = ("modp2048", "modp4096", "ecp256", "ecp384", "ecp521", "curve25519")
# Bytes: an agent with certificates idles with 90 KB, and an exchange takes 41 KB more, in pieces
# that are not all small (tests/bench/heap.py).
HEAP = 138 * 1024
HEAP_TO_RESPOND = 160 * 1024
# What a slow board does of the matrix; RSA it does with a chain, see test_chains.
FEW = (("ecdsa256", "modp2048"), ("ecdsa256", "curve25519"))


@pytest.fixture(autouse=True)
def _room(board: Board) -> None:
    small = board.heap < HEAP
    require("heap", f"{board.name} has {board.heap >> 10} KB, certificates need more" * small)


def start(
    bench: Bench,
    role: str,
    ours: Holder,
    theirs: Holder,
    group: str = "curve25519",
    agent: dict[str, Any] | None = None,
    peer: dict[str, Any] | None = None,
    **certificate: Any,
) -> None:
    bench.start(
        "strongswan",
        role,
        {"auth": "cert", "local_id": AGENT, "remote_id": GATEWAY} | (agent or {}),
        {"credentials": theirs.for_peer(), "local_id": GATEWAY, "remote_id": AGENT} | (peer or {}),
        f"aes256-sha256-{group}",
        certificate=ours.for_agent(**certificate),
    )


def quick(bench: Bench, short: bool = False) -> None:
    """Skip what takes a slow board too long; `short`: one of the few that every board runs."""
    slow = bench.board.slowness > 1 and not short
    require("speed", f"{bench.board.name} takes minutes for all of it" if slow else "")


def require_room_to_respond(board: Board) -> None:
    """With a key on a curve a responder checks the peer's certificate before it signs: on the
    smaller heap that found no room in one exchange of ten."""
    small = board.heap < HEAP_TO_RESPOND
    why = f"{board.name} has {board.heap >> 10} KB, a responder with an EC key needs more at times"
    require("heap", why * small)


def establish(bench: Bench) -> PeerResult:
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason
    return theirs


def refuse(bench: Bench, code: str) -> str:
    """The sentence with which the agent refuses the gateway, for this reason."""
    outcome, _ = bench.negotiate()
    assert not outcome.established
    failed = [event for event in bench.events if event["event"] == "failed"]
    assert [event["code"] for event in failed] == [code], failed or outcome.reason
    return str(failed[0]["reason"])


@each_role
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", KEYS)
def test_keys_and_groups(bench: Bench, kind: str, group: str, role: str) -> None:
    quick(bench, (kind, group) in FEW)
    if kind.startswith("ecdsa") and role == "responder":
        require_room_to_respond(bench.board)
    start(bench, role, lab.holder(kind, AGENT), lab.holder(kind, GATEWAY), group)
    establish(bench)


@each_role
@pytest.mark.parametrize("hash_name", ["sha384", "sha512"])
@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256"])
def test_hashes(bench: Bench, kind: str, hash_name: str, role: str) -> None:
    """The prf is the suite's; the hash of HASH_I is the suite's for RSA, the curve's for ECDSA."""
    quick(bench)
    proposals = {"proposals": [f"aes128-{hash_name}-ecp256"]}
    ours, theirs = lab.holder(kind, AGENT), lab.holder(kind, GATEWAY)
    start(bench, role, ours, theirs, agent=proposals, peer=proposals)
    establish(bench)


@each_role
@pytest.mark.parametrize("depth", [1, 2])
def test_chains(bench: Bench, depth: int, role: str) -> None:
    """Intermediates travel along; with two of them in fragments."""
    quick(bench, depth == 1)
    issuer = lab.authority("rsa2048", "root", depth)
    anchors = [lab.authority("rsa2048", "root")]
    ours, theirs = (lab.holder("rsa2048", owner, issuer) for owner in (AGENT, GATEWAY))
    ours.anchors = theirs.anchors = anchors
    start(bench, role, ours, theirs, "modp2048")
    establish(bench)


IDENTITIES = [
    ("C=DE, O=Lab, CN=agent.example", "C=DE, O=Lab, CN=gw.example", []),
    ("10.9.0.2", "10.9.0.1", ["10.9.0.2", "10.9.0.1"]),
    ("2001:db8::2", "2001:db8::1", ["2001:db8::2", "2001:db8::1"]),
    ("agent@example.org", "gw@example.org", ["agent@example.org", "gw@example.org"]),
]


@each_role
@pytest.mark.parametrize(("ours", "theirs", "names"), IDENTITIES, ids=[i[0] for i in IDENTITIES])
def test_identities(bench: Bench, ours: str, theirs: str, names: list[str], role: str) -> None:
    quick(bench)
    settings = {"local_id": ours, "remote_id": theirs}
    mirrored = {"local_id": theirs, "remote_id": ours}
    agent = lab.holder("ecdsa256", AGENT, names=names[:1])
    gateway = lab.holder("ecdsa256", GATEWAY, names=names[1:])
    start(bench, role, agent, gateway, agent=settings, peer=mirrored)
    assert establish(bench).remote_id == ours


@each_role
def test_any_identity_and_the_subject_by_default(bench: Bench, role: str) -> None:
    quick(bench)
    settings = {"remote_id": "any", "local_id": None}
    ours, theirs = lab.holder("ecdsa256", AGENT), lab.holder("ecdsa256", GATEWAY)
    start(bench, role, ours, theirs, agent=settings, peer={"remote_id": None})
    assert establish(bench).remote_id == "C=DE, O=Lab, CN=agent.example"


def test_peer_from_anywhere(bench: Bench) -> None:
    quick(bench)
    ours, theirs = lab.holder("ecdsa256", AGENT), lab.holder("ecdsa256", GATEWAY)
    start(bench, "responder", ours, theirs, agent={"address": "any"})
    establish(bench)


@each_role
def test_revocation_list(bench: Bench, role: str) -> None:
    quick(bench)
    ours, theirs = lab.holder("ecdsa256", AGENT), lab.holder("ecdsa256", GATEWAY)
    ours.crls = [lab.crl(lab.authority())]
    start(bench, role, ours, theirs, crl_required=True)
    establish(bench)


def refused_cases() -> dict[str, tuple[str, Holder, dict[str, Any], dict[str, Any]]]:
    """Name: (code, the gateway, settings of the agent's section certificate, of its peer)."""
    gateway = lab.holder("ecdsa256", GATEWAY)
    stale = lab.crl(lab.authority(), days=-1)
    revoking = lab.crl(lab.authority(), gateway.identity)

    def crl(der: bytes) -> dict[str, Any]:
        return {"crl": [lab.base64_of(der)]}

    return {
        "expired": ("expired", lab.holder("ecdsa256", GATEWAY, days=-1), {}, {}),
        "another name": ("wrong-identity", gateway, {}, {"remote_id": "other.example"}),
        "revoked": ("revoked", gateway, crl(revoking), {}),
        "stale CRL": ("stale-crl", gateway, crl(stale), {}),
        "no CRL": ("no-crl", gateway, {"crl_required": True}, {}),
    }


CASES = refused_cases()


@each_role
@pytest.mark.parametrize("case", CASES)
def test_refused(bench: Bench, case: str, role: str) -> None:
    quick(bench, case == "another name" and role == "initiator")
    code, gateway, section, agent = CASES[case]
    gateway.anchors = [lab.authority()]
    start(bench, role, lab.holder("ecdsa256", AGENT), gateway, agent=agent, **section)
    reason = refuse(bench, code)
    assert "certificate" in reason or "identity" in reason


@each_role
def test_unknown_ca(bench: Bench, role: str) -> None:
    """May be damage on the way: the exchange waits for a better message until its time is up."""
    quick(bench)
    gateway = lab.holder("ecdsa256", GATEWAY, lab.authority("ecdsa256", "stranger"))
    gateway.anchors = [lab.authority()]
    start(bench, role, lab.holder("ecdsa256", AGENT), gateway)
    outcome, _ = bench.negotiate(5)
    assert not outcome.established
    assert "unknown-ca" in bench.drops()


@pytest.mark.parametrize(("days", "told"), [(40, False), (12, True), (-1, True)])
def test_expiry_is_told_ahead(bench: Bench, days: int, told: bool) -> None:
    """An event at boot, and then once a day; status has it too. It is the peer's to refuse."""
    quick(bench)
    ours = lab.holder("ecdsa256", AGENT, days=days)
    start(bench, "initiator", ours, lab.holder("ecdsa256", GATEWAY))
    about = bench.agent.status()["certificate"]
    until = ours.identity.certificate.not_valid_after_utc.timestamp()
    assert about["expires"] == until
    assert abs(about["now"] - time.time()) < 300
    bench.agent.catch_up()
    events = [one for one in bench.events if one["event"] == "certificate-expires"]
    # Whole days: one more within the second in which it was issued.
    left = {max(0, days - 1), max(0, days)}
    assert len(events) == told and {one["days"] for one in events} <= left
    assert [one["expires"] for one in events] == [until] * told


def test_clock_unset(bench: Bench) -> None:
    has_clock = "" if bench.board.name == "qemu-rv32" else f"{bench.board.name} has a clock"
    require("no clock", has_clock)
    ours = lab.holder("ecdsa256", AGENT)
    start(bench, "initiator", ours, lab.holder("ecdsa256", GATEWAY), time=None)
    assert "clock" in refuse(bench, "clock-unset")


@each_role
def test_mixed_methods(bench: Bench, role: str) -> None:
    """One side has a key, the other a certificate."""
    quick(bench)
    bench.start(
        "strongswan",
        role,
        {"auth": "cert", "local_id": AGENT, "remote_id": GATEWAY},
        certificate=lab.holder("ecdsa256", AGENT).for_agent(),
    )
    outcome, _ = bench.negotiate(8)
    assert not outcome.established
    if role == "responder":
        assert bench.drops() == {"auth-method-mismatch": 1}

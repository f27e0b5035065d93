"""Main Mode with a pre-shared key against real gateways, in both roles."""

import base64
import itertools

import pytest

from ikelet_hil.bench import OTHER, OURS, THEIRS, Bench, eventually
from ikelet_hil.capabilities import require

ROLES = ("initiator", "responder")
PEERS = ("builtin", "strongswan")

# Every cipher, hash and group at least once; the matrix is in test_psk_matrix.py.
SUITES = (
    "aes256-sha256-modp2048",
    "aes128-sha384-modp2048",
    "aes192-sha512-modp3072",
    "aes256-sha512-modp4096",
)
LEGACY_SUITES = ("3des-sha1-modp1024", "aes128-md5-modp1536", "aes128-sha1-modp2048")

each_role = pytest.mark.parametrize("role", ROLES)
each_peer = pytest.mark.parametrize("kind", PEERS)


def need(kind: str) -> None:
    if kind == "strongswan":
        require("strongswan")
        require("netns")


def check_established(bench: Bench, role: str, suite: str) -> None:
    """Negotiate, and compare what both sides say of the SA; then take it down."""
    outcome, theirs = bench.negotiate()
    assert outcome.established, outcome.reason
    assert theirs.established, theirs.reason
    assert outcome.role == role
    assert theirs.role == OTHER[role]
    assert outcome.suite == theirs.suite == suite
    assert outcome.cookies == {
        "initiator": theirs.initiator_cookie,
        "responder": theirs.responder_cookie,
    }
    assert theirs.remote_id == OURS
    assert outcome.lifetime == 28800
    assert set(bench.drops()) <= {"duplicate"}  # a slow answer is asked for again


@each_peer
@each_role
@pytest.mark.parametrize("suite", SUITES)
def test_suite(bench: Bench, kind: str, role: str, suite: str) -> None:
    need(kind)
    bench.start(kind, role, suite=suite)
    check_established(bench, role, suite)


@each_role
@pytest.mark.parametrize("suite", LEGACY_SUITES)
def test_legacy_suite_with_the_switch(bench: Bench, role: str, suite: str) -> None:
    need("strongswan")
    bench.start("strongswan", role, suite=suite)
    check_established(bench, role, suite)


@pytest.mark.parametrize("suite", LEGACY_SUITES)
def test_legacy_suite_without_the_switch(bench: Bench, suite: str) -> None:
    need("strongswan")
    modern = {"proposals": ["aes256-sha256-modp2048"], "legacy": False}
    bench.start("strongswan", "responder", modern, suite=suite)
    bench.peer.initiate()
    refused = bench.peer.wait(10 * bench.board.slowness)
    assert not refused.established
    assert "NO_PROPOSAL" in refused.reason.upper().replace("-", "_")
    assert bench.drops() == {"no-proposal-chosen": 1}


@each_peer
@each_role
def test_six_messages(bench: Bench, kind: str, role: str) -> None:
    need(kind)
    bench.start(kind, role)
    assert bench.negotiate()[0].established
    messages = [event for event in bench.events if event["event"] == "message"]
    assert [event["number"] for event in messages] == [1, 2, 3, 4, 5, 6]
    out, into = ("out", "in") if role == "initiator" else ("in", "out")
    assert [event["direction"] for event in messages] == [out, into] * 3
    assert {"ID", "HASH"} <= set(messages[4]["payloads"])
    assert [event["t_ms"] for event in messages] == sorted(event["t_ms"] for event in messages)


@each_peer
@each_role
def test_taking_it_down_takes_the_peers_down(bench: Bench, kind: str, role: str) -> None:
    need(kind)
    bench.start(kind, role)
    assert bench.negotiate()[0].established
    assert bench.agent.call("down", {"peer": "gw"}) == {"ok": True, "ended": 1}
    assert eventually(lambda: any(event.kind == "deleted" for event in bench.peer.events))
    if kind == "strongswan":
        assert eventually(lambda: bench.peer.list_sas() == [])
    assert bench.agent.status()["peers"][0]["state"] == "DOWN"


@each_peer
@each_role
def test_the_peers_delete_takes_ours_down(bench: Bench, kind: str, role: str) -> None:
    need(kind)
    bench.start(kind, role)
    assert bench.negotiate()[0].established
    bench.peer.delete()
    assert eventually(lambda: bench.agent.status()["peers"][0]["state"] == "DOWN")


@each_role
def test_again_and_again(bench: Bench, role: str) -> None:
    """Three times in a row: nothing of one exchange is left for the next."""
    need("strongswan")
    bench.start("strongswan", role)
    seen = set()
    for _ in range(3):
        outcome, _ = bench.negotiate()
        assert outcome.established, outcome.reason
        assert outcome.cookies is not None
        seen.add((outcome.cookies["initiator"], outcome.cookies["responder"]))
        bench.agent.call("down", {"peer": "gw"})
        assert eventually(lambda: bench.peer.list_sas() == [])
    assert len(seen) == 3


@each_role
def test_wrong_psk(bench: Bench, role: str) -> None:
    bench.start("builtin", role, peer={"psk": b"not the key that the agent has"})
    outcome, _ = bench.negotiate(timeout=3)
    assert not outcome.established
    assert "pre-shared keys differ" in outcome.reason


@each_role
def test_no_common_proposal(bench: Bench, role: str) -> None:
    need("strongswan")
    bench.start("strongswan", role, {"proposals": ["aes128-sha384-modp3072"]})
    outcome, _ = bench.negotiate(timeout=3)
    assert not outcome.established
    if role == "initiator":
        assert "NO-PROPOSAL-CHOSEN" in outcome.reason
    else:
        assert bench.drops()["no-proposal-chosen"] >= 1


def test_wrong_identity(bench: Bench) -> None:
    """The gateway proves the key under another identity than the one configured."""
    bench.start("builtin", "initiator", {"remote_id": "10.9.0.77"})
    outcome, _ = bench.negotiate(timeout=5)
    assert not outcome.established
    assert THEIRS in outcome.reason
    assert "remote_id" in outcome.reason


def test_nobody_there(bench: Bench) -> None:
    bench.start("builtin", "initiator")
    bench.peer.stop()
    outcome = bench.agent.bring_up("gw", 1.5 * bench.board.slowness)
    assert not outcome.established
    assert "no answer to message 1" in outcome.reason


def test_status_shows_which_engine_did_what(bench: Bench) -> None:
    bench.start("builtin", "initiator")
    outcome, _ = bench.negotiate()
    assert outcome.established
    assert sum(outcome.engines["modexp"].values()) == 2
    assert sum(outcome.engines["aes_cbc"].values()) == 2
    status = bench.agent.status()
    assert status["peers"][0]["state"] == "ESTABLISHED"
    assert status["engine_failures"] == {}
    assert all("ok" in verdicts.values() for verdicts in status["selftest"].values())
    assert status["heap"]["free"] > 0


def test_the_matrix_covers_what_it_says() -> None:
    from test_psk_matrix import MATRIX

    assert len(MATRIX) == len(set(MATRIX)) == 27 + 2
    parts = [set(column) for column in zip(*(suite.split("-") for suite in MATRIX), strict=True)]
    assert parts[0] == {"aes128", "aes192", "aes256"}
    assert parts[1] == {"sha256", "sha384", "sha512"}
    assert len(list(itertools.product(*parts))) > len(MATRIX) - 2


def test_no_secret_on_the_console(bench: Bench) -> None:
    """The key is looked for in everything that the board says, in each of its spellings."""
    secret = b"canary-4f1d6a90c2e7"
    bench.start("builtin", "initiator", {"psk": secret.decode()}, {"psk": secret})
    assert bench.negotiate()[0].established
    said = [bench.events, list(bench.agent.console.noise)]
    said += [
        bench.agent.call(name)
        for name in ("status", "counters", "events", "config.get", "selftest")
    ]
    text = repr(said)
    assert "(set)" in text and " established " in text
    for spelling in (secret.decode(), secret.hex(), base64.b64encode(secret).decode()):
        assert spelling not in text

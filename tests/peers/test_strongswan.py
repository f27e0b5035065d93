"""A real charon against the built-in peer, and that it leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ikelet.peers import PeerConfig, PeerError, PeerUnavailableError, make_peer
from ikelet.peers import charon as charon_module
from ikelet.peers.netns import NetnsPair, remove_stale
from peers.peer_pair import PSK, Join

SUITES = [
    "aes128-sha256-modp2048",
    "aes192-sha384-modp3072",
    "aes256-sha512-modp4096",
    "aes256-sha256-modp6144",
    "aes256-sha256-modp8192",
    # legacy, and Ka longer than SKEYID_e (RFC 2409 B)
    "3des-md5-modp1024",
    "3des-sha1-modp1536",
    "aes256-sha1-modp1024",
    "aes256-md5-modp1536",
]


@pytest.fixture(autouse=True)
def _needs_strongswan(require: Callable[[str], None]) -> None:
    require("strongswan")


@pytest.mark.parametrize("role", ["initiator", "responder"])
@pytest.mark.parametrize("proposal", SUITES)
def test_charon_and_builtin_agree(join: Join, role: str, proposal: str) -> None:
    initiator, responder = join(proposals=[proposal], **{f"{role}_kind": "strongswan"})
    initiator.initiate()
    first, second = initiator.wait(20), responder.wait(20)
    assert first.established, first.reason
    assert second.established, second.reason
    assert first.suite == second.suite == proposal
    assert first.initiator_cookie == second.initiator_cookie
    assert first.responder_cookie == second.responder_cookie
    assert (first.role, second.role) == ("initiator", "responder")


def test_events_name_the_six_messages(join: Join) -> None:
    initiator, charon = join(responder_kind="strongswan")
    initiator.initiate()
    assert initiator.wait(10).established
    assert charon.wait(10).established
    ours = [(e.number, e.payloads, e.length) for e in initiator.events if e.kind == "message"]
    theirs = [(e.number, e.payloads, e.length) for e in charon.events if e.kind == "message"]
    assert [number for number, _, _ in ours] == [1, 2, 3, 4, 5, 6]
    assert theirs == ours
    assert [len(d.data) for d in charon.datagrams] == [length for _, _, length in ours]


@pytest.mark.parametrize("role", ["initiator", "responder"])
@pytest.mark.parametrize("who", ["initiator", "responder"])
def test_delete_in_both_directions(join: Join, role: str, who: str) -> None:
    initiator, responder = join(**{f"{role}_kind": "strongswan"})
    initiator.initiate()
    assert initiator.wait(10).established
    assert responder.wait(10).established
    charon = initiator if role == "initiator" else responder
    assert len(charon.list_sas()) == 1
    sender, receiver = (initiator, responder) if who == "initiator" else (responder, initiator)
    sender.delete()
    deleted = receiver.wait_event("deleted", 5)
    assert deleted is not None
    assert deleted.text == "deleted by the other side"
    deadline = time.monotonic() + 2
    while charon.list_sas() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert charon.list_sas() == []


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_no_common_proposal(join: Join, role: str) -> None:
    initiator, responder = join(
        initiator={"proposals": ["aes256-sha256-modp1024"]},
        responder={"proposals": ["aes128-sha256-modp1024"]},
        **{f"{role}_kind": "strongswan"},
    )
    initiator.initiate()
    reasons = [initiator.wait(10).reason, responder.wait(10).reason]
    assert reasons[0] == "the other side answered NO-PROPOSAL-CHOSEN"
    assert "no proposal in common" in reasons[1]


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_wrong_psk(join: Join, role: str) -> None:
    initiator, responder = join(
        initiator={"psk": PSK[:-1], "retransmit": (0.2, 0.2)}, **{f"{role}_kind": "strongswan"}
    )
    initiator.initiate()
    assert "pre-shared keys differ" in responder.wait(10).reason
    assert not initiator.wait(10).established


def test_lifetime_offered_is_the_one_configured(join: Join) -> None:
    initiator, responder = join(initiator_kind="strongswan", initiator={"lifetime": 86400})
    initiator.initiate()
    assert responder.wait(10).lifetime == 86400


@pytest.mark.parametrize(
    ("value", "reason"),
    [("no", "payload type ID_V1 was not encrypted"), ("yes", "HASH is wrong")],
)
def test_settings_reach_charon(join: Join, value: str, reason: str) -> None:
    """A message 5 in the clear, with a wrong HASH: how far it gets depends on the setting."""
    initiator, charon = join(
        initiator={"retransmit": (0.5,)},
        initiator_options={"mangle": _clear_message_5},
        responder_kind="strongswan",
        responder_options={"settings": {"accept_unencrypted_mainmode_messages": value}},
    )
    initiator.initiate()
    assert charon.wait(5).reason == reason
    assert "encrypted Informational" in initiator.wait(5).reason


def _clear_message_5(number: int, data: bytes) -> bytes:
    if number != 5:
        return data
    hash_payload = b"\0\0\0\x24" + bytes(32)
    identity = b"\x08\0\0\x0c\x01\0\0\0\x7f\0\0\1"
    body = identity + hash_payload
    return data[:19] + b"\0" + data[20:24] + (28 + len(body)).to_bytes(4, "big") + body


def test_secrets_are_logged_only_on_request(join: Join) -> None:
    for asked in (False, True):
        initiator, charon = join(
            responder_kind="strongswan", responder_options={"log_secrets": asked}
        )
        initiator.initiate()
        assert initiator.wait(10).established
        assert charon.wait(10).established
        assert any("SKEYID" in line for line in charon.log) == asked


def test_key_logs_of_both_sides_agree(join: Join, tmp_path: Path) -> None:
    initiator, charon = join(
        proposals=["3des-md5-modp1024"],
        initiator={"keylog": tmp_path / "ours"},
        responder={"keylog": tmp_path / "theirs"},
        responder_kind="strongswan",
    )
    initiator.initiate()
    assert initiator.wait(10).established
    assert charon.wait(10).established
    assert (tmp_path / "ours").read_text() == (tmp_path / "theirs").read_text()


def test_start_is_quick_and_stop_leaves_nothing() -> None:
    began = time.monotonic()
    peer = make_peer("strongswan", PeerConfig(psk=PSK))
    with peer:
        started = time.monotonic() - began
        pid = peer.pid
        directory = peer._charon.vici.parent
        assert Path("/proc", str(pid), "comm").read_text().strip() == "charon"
    assert not Path("/proc", str(pid)).exists()
    assert not directory.exists()
    assert started < 1.0


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder for temporary files, where tests beside this one do not clear up; its name is short
    enough for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_charon_dies_with_its_owner(monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    script = """
        import sys
        from ikelet.peers import PeerConfig, make_peer
        peer = make_peer("strongswan", PeerConfig(psk=b"0123456789abcdef"))
        peer.start()
        print(peer.pid, peer._charon.vici.parent, flush=True)
        sys.stdin.read()
    """
    host = Path(charon_module.__file__).parents[2]
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(host), "TMPDIR": str(short)},
        text=True,
    )
    with owner:
        pid, directory = owner.stdout.readline().split()
        assert Path("/proc", pid).exists()
        owner.send_signal(signal.SIGKILL)
        owner.wait(5)
    deadline = time.monotonic() + 5
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(pid)
    assert Path(directory).exists()
    charon_module.remove_stale()
    assert not Path(directory).exists()


def _runs(pid: str) -> bool:
    """Whether the process is there and not a zombie that nobody waited for."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_charons_with_real_ports(require: Callable[[str], None]) -> None:
    require("root")
    require("netns")
    with NetnsPair() as pair:
        left, right = pair.addresses
        first = make_peer(
            "strongswan",
            _between(left, right, role="initiator"),
            netns=pair.names[0],
        )
        second = make_peer(
            "strongswan",
            _between(right, left, role="responder"),
            netns=pair.names[1],
        )
        with first, second:
            first.initiate()
            assert first.wait(10).established
            assert second.wait(10).established
    assert not any(Path("/run/netns", name).exists() for name in pair.names)


def _between(local: str, remote: str, role: str) -> PeerConfig:
    return PeerConfig(
        role=role,
        psk=PSK,
        local=(local, 500),
        remote=(remote, 500),
        local_id=local,
        remote_id=remote,
    )


def test_namespaces_of_killed_runs_are_removed(require: Callable[[str], None]) -> None:
    require("root")
    require("netns")
    gone = subprocess.Popen(["true"])
    gone.wait()
    stale = f"ikelet-{gone.pid}-0a"
    subprocess.run(["ip", "netns", "add", stale], check=True)
    with NetnsPair() as pair:
        assert stale not in os.listdir("/run/netns")
        assert pair.names[0] in os.listdir("/run/netns")
        remove_stale()
        assert pair.names[0] in os.listdir("/run/netns")


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IKELET_CHARON", "/nonexistent/charon")
    with pytest.raises(PeerUnavailableError, match="IKELET_CHARON names /nonexistent/charon"):
        make_peer("strongswan", PeerConfig(psk=PSK)).start()
    monkeypatch.delenv("IKELET_CHARON")
    monkeypatch.setattr(charon_module, "CHARON_PATHS", ())
    with pytest.raises(PeerUnavailableError, match="apt install strongswan-charon"):
        make_peer("strongswan", PeerConfig(psk=PSK)).start()


def test_charon_that_ends_is_noticed() -> None:
    with make_peer("strongswan", PeerConfig(psk=PSK)) as peer:
        os.kill(peer.pid, signal.SIGKILL)
        with pytest.raises(PeerError, match="charon ended"):
            peer.wait(5)

"""tshark reads our captures, and our key logs decrypt them: a third reading of the protocol."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ikelet.peers import Datagram, pcap
from peers.peer_pair import Join

_FIELDS = ("ip.src", "isakmp.typepayload", "isakmp.id.data.ipv4_addr", "isakmp.hash")


@pytest.fixture(autouse=True)
def _needs_tshark(require: Callable[[str], None]) -> None:
    require("tshark")


def _tshark(tmp_path: Path, datagrams: list[Datagram], *options: str) -> str:
    capture = tmp_path / "exchange.pcapng"
    assert pcap.write(capture, datagrams) == len(datagrams)
    command = ["tshark", "-r", str(capture), *pcap.decode_as(datagrams), *options]
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _fields(tmp_path: Path, datagrams: list[Datagram]) -> list[list[str]]:
    """One row of _FIELDS a datagram."""
    wanted = [word for name in _FIELDS for word in ("-e", name)]
    text = _tshark(tmp_path, datagrams, "-T", "fields", *wanted)
    return [line.split("\t") for line in text.splitlines()]


@pytest.mark.parametrize("role", ["initiator", "responder"])
@pytest.mark.parametrize("kind", ["builtin", "strongswan"])
@pytest.mark.parametrize("proposal", ["aes256-sha256-modp2048", "3des-md5-modp1024"])
def test_key_log_decrypts_a_capture(
    join: Join, require: Callable[[str], None], tmp_path: Path, kind: str, role: str, proposal: str
) -> None:
    if kind == "strongswan":
        require("strongswan")
    keylog = tmp_path / "ikev1_decryption_table"
    # Wireshark tells the two sides' KE apart by address alone.
    sides = {"initiator": {"local": ("127.0.0.2", 0)}, "responder": {}}
    sides[role]["keylog"] = keylog
    initiator, responder = join(proposals=[proposal], **{f"{role}_kind": kind}, **sides)
    initiator.initiate()
    assert initiator.wait(10).established
    assert responder.wait(10).established
    initiator.delete()
    assert responder.wait_event("deleted", 5)

    datagrams = responder.datagrams
    rows = _fields(tmp_path, datagrams)
    assert [row[0] for row in rows] == ["127.0.0.2", "127.0.0.1"] * 3 + ["127.0.0.2"]
    for row in rows[4:6]:
        assert row[1].startswith("5,8")
        assert row[2] == "127.0.0.1"
        assert len(bytes.fromhex(row[3])) == {"sha256": 32, "md5": 16}[proposal.split("-")[1]]
    assert rows[4][3] != rows[5][3]
    # The DELETE, with the IV and HASH(1) of an Informational
    assert rows[6][1].startswith("8,12")

    keylog.write_text("")
    assert [row[2:] for row in _fields(tmp_path, datagrams)] == [["", ""]] * 7


def test_capture_is_well_formed(join: Join, tmp_path: Path) -> None:
    initiator, responder = join()
    initiator.initiate()
    assert initiator.wait(5).established
    assert responder.wait(5).established
    options = ("-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
    problems = ("-Y", "_ws.malformed or _ws.expert.severity >= 0x600000")
    assert _tshark(tmp_path, responder.datagrams, *options, *problems) == ""
    bad = [*responder.datagrams[:-1], replace(responder.datagrams[-1], data=b"\1" * 30)]
    assert _tshark(tmp_path, bad, *options, *problems) != ""


def test_ipv6_datagrams(tmp_path: Path) -> None:
    datagram = Datagram(1.0, ("::1", 500), ("::2", 500), bytes(range(40)))
    text = _tshark(tmp_path, [datagram], "-T", "fields", "-e", "ipv6.src", "-e", "udp.payload")
    assert text.split() == ["::1", datagram.data.hex()]

"""What a test on a board leaves behind, from an exchange on the board `unix`."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ikelet import boards
from ikelet_hil.bench import Bench
from ikelet_hil.canary import Canary
from ikelet_hil.evidence import Evidence
from ikelet_hil.rules import At, corrupt, drop, duplicate

TEST = "hil/test_psk.py::test_suite[aes256-initiator]"


@dataclass
class Kept:
    """An exchange that was disturbed, and what was written about it."""

    folder: Path
    evidence: Evidence
    bench: Bench
    canary: Canary
    leaks: list[str]
    finds: list[Any]

    @property
    def result(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return read

    def tshark(self, *fields: str) -> list[list[str]]:
        """The fields of every frame, read as a user would."""
        wanted = [word for field in fields for word in ("-e", field)]
        command = [
            "tshark",
            "-r",
            "capture.pcapng",
            "-T",
            "fields",
            "-o",
            "udp.check_checksum:TRUE",
        ]
        done = subprocess.run(
            [*command, *wanted],
            cwd=self.folder,
            env={"WIRESHARK_CONFIG_DIR": "wireshark", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.fixture(scope="module", params=["initiator", "responder"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("run") / "unix" / "test"
    canary = Canary()
    evidence = Evidence(folder, TEST, "unix", canary)
    with Bench(boards.find("unix"), seed=1, evidence=evidence) as bench:
        bench.start("builtin", request.param)
        # The peer's first message is lost once, the initiator's second arrives twice.
        number = 2 if request.param == "initiator" else 1
        bench.wire.add(drop(At(number)), duplicate(At(3)))
        outcome, theirs = bench.negotiate()
        assert outcome.established and theirs.established, outcome.reason
        evidence.timeline.add("harness", "done")
        leaks = evidence.settle()
    finds = evidence.write()
    finds += evidence.write_result({"outcome": "passed", "reason": ""})
    return Kept(folder, evidence, bench, canary, leaks, finds)


def test_everything_is_there(kept: Kept) -> None:
    assert kept.leaks == [] and kept.finds == []
    assert kept.result["files"] == [
        "capture.pcapng",
        "config.json",
        "timeline.jsonl",
        "timeline.txt",
        "wireshark/ikev1_decryption_table",
    ]
    shown = json.loads((kept.folder / "config.json").read_text())
    assert shown["peer"]["gw"]["psk"] == "(set)"


def test_timeline_has_all_sources_in_order(kept: Kept) -> None:
    lines = [
        json.loads(line) for line in (kept.folder / "timeline.jsonl").read_text().splitlines()
    ]
    times = [line["t"] for line in lines]
    assert times == sorted(times) and times[0] >= 0
    assert {line["source"] for line in lines} == {"serial", "udp", "harness", "agent", "peer"}
    # Message 5 passes the wire before either side can tell of message 6.
    told = [(line["source"], line["data"].get("number")) for line in lines]
    assert told.index(("udp", 5)) < told.index(("peer", 6))
    assert told.index(("udp", 5)) < len(told) - 1 - told[::-1].index(("agent", 6))
    assert len((kept.folder / "timeline.txt").read_text().splitlines()) == len(lines)


def test_the_record(kept: Kept) -> None:
    result = kept.result
    assert (result["test"], result["board"], result["outcome"]) == (TEST, "unix", "passed")
    assert result["facts"]["chip"] == "unix"
    assert len(result["facts"]["image"]) == 64
    assert result["wire_seeds"] == [1]
    (heap,) = result["heap"]
    assert heap["before"]["free"] > 0 and heap["after"]["free"] > 0
    (negotiation,) = result["negotiations"]
    assert negotiation["suite"] == "aes256-sha256-modp2048"
    passages = result["passages"]
    assert [p["number"] for p in passages] == [p.number for p in kept.bench.wire.passages]
    assert [len(p["delivered"]) for p in passages if p["number"] == 3] == [2]
    (lost,) = [p for p in passages if p["fate"] == "dropped"]
    assert lost["delivered"] == []
    assert passages[0]["payloads"][0] == "SA" and not passages[0]["encrypted"]
    first = next(p for p in passages if p["number"] == 5)
    assert first["payloads"] == ["ID"] and first["encrypted"]
    assert len({p["cookie"] for p in passages}) == 1


def test_wireshark_opens_it_decrypted(kept: Kept, require: Callable[[str], None]) -> None:
    require("tshark")
    rows = kept.tshark("ip.src", "isakmp.id.data.ipv4_addr", "isakmp.hash", "frame.comment")
    shown = {row[0]: (row[1], len(row[2])) for row in rows if row[1]}
    assert shown == {"192.0.2.1": ("10.9.0.2", 64), "192.0.2.2": ("10.9.0.1", 64)}
    comments = [row[3] for row in rows]
    assert any("dropped: message" in comment for comment in comments)
    assert any("ms later" in comment for comment in comments)
    assert [row[0] for row in rows if "duplicated" in row[3]] != []
    (kept.folder / "wireshark" / "ikev1_decryption_table").rename(kept.folder / "keys")
    try:
        assert not any(row[0] for row in kept.tshark("isakmp.id.data.ipv4_addr"))
    finally:
        (kept.folder / "keys").rename(kept.folder / "wireshark" / "ikev1_decryption_table")


def test_both_ends_are_in_the_capture(kept: Kept, require: Callable[[str], None]) -> None:
    require("tshark")
    fields = "frame.interface_name", "frame.packet_flags_direction", "frame.time_epoch"
    rows = kept.tshark(*fields)
    sent = [row for row in rows if int(row[1], 16) == 2]
    assert {row[0] for row in sent} == {"agent", "peer"}
    # The second arrival of message 3 is at the end that nobody sent it from.
    assert len(rows) - len(sent) == 1
    assert abs(float(rows[0][2]) - kept.result["began"]) < 60


@pytest.fixture
def quiet(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path / "test", TEST, "unix", Canary())


@pytest.mark.parametrize("spell", [str, lambda key: key.encode().hex()])
def test_a_leaked_key_is_found(quiet: Evidence, spell: Callable[[str], str]) -> None:
    quiet.timeline.add("serial", f"debug: psk={spell(quiet.psk())}")
    finds = quiet.write()
    assert {Path(find.where).name for find in finds} == {"timeline.txt", "timeline.jsonl"}
    assert not any(quiet.psk() in str(find) for find in finds)


def test_a_key_in_the_record_is_found(quiet: Evidence) -> None:
    assert quiet.write_result({"outcome": "failed", "reason": f"{quiet.psk()} is wrong"})


def test_a_configuration_on_its_way_is_not_shown(quiet: Evidence) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "config.put", "params": {"data": quiet.psk()}}
    quiet.line("out", json.dumps(call).encode())
    assert quiet.write() == []
    assert "config.put" in (quiet.folder / "timeline.txt").read_text()


def test_a_corrupted_message_is_at_both_ends(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "test", TEST, "unix", Canary())
    with Bench(boards.find("unix"), seed=1, evidence=evidence) as bench:
        bench.start("builtin", "initiator", forgiving=True)
        bench.wire.add(corrupt(At(1), offset=30))
        assert bench.negotiate()[0].established
    evidence.write()
    capture = (evidence.folder / "capture.pcapng").read_bytes()
    first = bench.wire.passages[0]
    assert first.data in capture and first.delivered[0][1] in capture
    assert first.data != first.delivered[0][1]

"""What passed over the wire, as files: a capture, and the folder that opens it decrypted.

    WIRESHARK_CONFIG_DIR=wireshark wireshark capture.pcapng

The ends of the capture are 192.0.2.1 (agent) and 192.0.2.2 (peer), port 500, or 4500 behind NAT:
Wireshark takes only these ports for IKE, and tells the sides of an exchange apart by their
addresses, which on one machine are the same. The real ones are in the interfaces' descriptions.
It decrypts a message the first time it sees it, so one that arrived as it was sent stands in the
capture once, at its sender's end, and the comment on it says when it arrived.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ikelet_hil import pcapng
from ikelet_hil.passage import TO_PEER, Passage
from ikelet_hil.pcapng import Address, Interface, Packet

AGENT, PEER = "192.0.2.1", "192.0.2.2"
CONFIG_FOLDER = "wireshark"
KEYLOG = "ikev1_decryption_table"
_AGENT_END, _PEER_END = 0, 1
_NON_ESP_MARKER, _KEEPALIVE = bytes(4), b"\xff"


def write(
    path: Path, test: str, ends: tuple[str, str], passages: Iterable[Passage], epoch: float
) -> None:
    """The capture of a test. `ends` say where agent and peer really were, `epoch` is what to add
    to time.monotonic() for the seconds since 1970."""
    interfaces = (
        Interface("agent", f"the agent's end, {ends[0]}"),
        Interface("peer", f"the peer's end, {ends[1]}"),
    )
    packets = (packet for passage in passages for packet in _packets(passage, epoch))
    pcapng.write(path, f"{test}\n\n{__doc__.split('    ')[0].strip()}", interfaces, packets)


def _packets(passage: Passage, epoch: float) -> Iterator[Packet]:
    to_peer = passage.direction == TO_PEER
    sender, receiver = (_AGENT_END, _PEER_END) if to_peer else (_PEER_END, _AGENT_END)
    source, destination = _addresses(to_peer, passage.data)
    unchanged = [when for when, data in passage.delivered if data == passage.data]
    if passage.sent:
        comment = _fate(passage, unchanged[0] if unchanged else None)
        yield Packet(passage.t + epoch, sender, True, source, destination, passage.data, comment)
    for when, data in passage.delivered:
        if not passage.sent or when not in unchanged[:1]:
            comment = f"{passage}, {_why(passage)}"
            yield Packet(when + epoch, receiver, False, source, destination, data, comment)


def _addresses(to_peer: bool, data: bytes) -> tuple[Address, Address]:
    behind_nat = data.startswith(_NON_ESP_MARKER) or data == _KEEPALIVE
    port = 4500 if behind_nat else 500
    here, there = (AGENT, PEER) if to_peer else (PEER, AGENT)
    return (here, port), (there, port)


def _fate(passage: Passage, arrived: float | None) -> str:
    told = [str(passage)]
    if passage.fate != "passed":
        told.append(_why(passage))
    if arrived is not None:
        told.append(f"arrived {(arrived - passage.t) * 1000:.2f} ms later")
    return ", ".join(told)


def _why(passage: Passage) -> str:
    """The fate and the rule that made it; most rules begin with the fate."""
    if passage.cause.startswith(passage.fate) or not passage.cause:
        return passage.cause or passage.fate
    return f"{passage.fate} ({passage.cause})"

"""Instructions of a Main Mode handshake on a 32-bit board, from QEMU's counter.

What is counted are the turns of the whole agent's loop, from the request `up` to the event
`established`, in which there was something to do: reading and answering the console, the relay
that stands in for a network here (JSON and base64), the engine, every event as JSON. Left out are
the modexps, and collections of the heap that happen to fall into the exchange (those that the
agent asks for itself are counted). Both agents share a heap, and on a fuller heap every allocation
takes a little longer. AES is software on this board. None of it depends on the machine.
"""

import json
from typing import Any

import counting
from ikelet import boards, build, config
from report import Figure, Report, Table, Tell

TITLE = "Instructions of a handshake on qemu-rv32"
LIMIT, AIM = 12_000_000, 6_000_000
SUITE = "aes256-sha256-modp2048"
TICK = 100  # instructions
# The kinds of on_board/twins.py.
_KINDS = {
    "feed": "console: lines read and answered, the relay's too",
    "send": "relay: datagrams out, as JSON and base64",
    "gc.mem_alloc": "heap: gc.mem_alloc()",
    "gc.mem_free": "heap: gc.mem_free()",
    "gc.collect": "heap: gc.collect()",
    "aes": "AES-CBC, in software here",
    "hash": "SHA-256 and the HAL around it",
    "hmac": "HMAC, without its hashes",
    "random": "HMAC-DRBG, without its hashes",
    "protocol": "parsing, building, states",
    "events": "events as JSON",
    "turn": "the rest of the loop",
    "modexp": "(modexp)",
}
_PSK = "0x" + "5ca1ab1e0ddba11" * 4  # the same bytes in every run; keeps no secret

# {kind: (ticks, calls, calls of other kinds within)}
Spent = dict[str, list[int]]
Counted = dict[str, Any]

_ADDRESSES = {"initiator": "10.9.0.2", "responder": "10.9.0.1"}
_OTHER = {"initiator": "responder", "responder": "initiator"}


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    return _report(counting.run("twins", tell, more=_folders(counting.board())))


def _folders(board: boards.Board) -> dict[str, bytes]:
    """A folder for each of the two agents."""
    schema = build.files(board)["agent/schema.json"]
    files = {}
    for role, given in _configurations().items():
        files[f"{role}/config.json"] = json.dumps(given.board).encode()
        files[f"{role}/agent/schema.json"] = schema
    return files


def _configurations() -> dict[str, config.Config]:
    return {
        role: config.check(
            {
                "device": {"name": role},
                "network": {"bind": address, "port": 500},
                "peer": {
                    "gw": {
                        "address": _ADDRESSES[_OTHER[role]],
                        "role": role,
                        "psk": _PSK,
                        "proposals": [SUITE],
                    }
                },
            }
        )
        for role, address in _ADDRESSES.items()
    }


def _report(counted: Counted) -> Report:
    report = Report(data={"ticks": counted})
    columns = [_column(counted, side) for side in range(2)]
    totals = [
        max(_without_modexp(side) for side in sides)
        for sides in zip(*counted["plain"], strict=True)
    ]
    relayed = [sum(column[kind][0] for kind in ("feed", "send")) for column in columns]
    for role, total, relay in zip(_ADDRESSES, totals, relayed, strict=True):
        report.figures += [
            Figure(f"instructions-{role}", f"instructions as {role}", total, "", LIMIT, AIM),
            Figure(f"instructions-{role}-udp", "the same without the relay", total - relay, ""),
        ]
    rows = [
        [text, *(f"{value:,}" for column in columns for value in column[kind])]
        for kind, text in _KINDS.items()
    ]
    heading = ["work", "initiator", "calls", "responder", "calls"]
    report.tables = [Table("instructions, by kind of work", heading, rows)]
    collection = counted["collection"] * TICK
    report.notes = [
        "whole turns of the agent's loop; without the modexps, and the turns without work",
        f"not counted: a collection of this heap, where one falls in: {collection:,}",
    ]
    return report


def _without_modexp(spent: Spent) -> int:
    return sum(counts[0] for kind, counts in spent.items() if kind != "modexp") * TICK


def _column(counted: Counted, side: int) -> dict[str, tuple[int, int]]:
    """{kind: (instructions, calls)} of one side, without what the counting took."""
    own, within = counted["cost"]
    spent: Spent = counted["profile"][side]
    unknown = set(spent) - set(_KINDS)
    if unknown:
        raise KeyError(f"no name for the kinds {unknown}")
    column = {}
    for kind in _KINDS:
        ticks, calls, inner = spent.get(kind, (0, 0, 0))
        column[kind] = round((ticks - own * calls - within * inner) * TICK), calls
    return column

"""The serial console in the face of noise: whatever came before, the next call is answered."""

import random
import time

import pytest

from ikelet.console import ConsoleError
from ikelet_hil.bench import Bench
from ikelet_hil.station import Station

CALL = b'{"jsonrpc":"2.0","id":"x","method":"counters"}'
SUITE = "aes256-sha256-modp1024"

NOISE = {
    # Without Ctrl-C, which in development mode is no noise.
    "random octets": bytes(random.Random(1).choices([*range(3), *range(4, 256)], k=2000)),
    "zeros": bytes(500),
    "no line at all": b"\n\r\n\n\r\r\n",
    "log lines": b"I (123) wifi: connected\r\nrst:0x1 (POWERON_RESET)\r\n" * 20,
    "an escape sequence": b"\x1b[2J\x1b]0;title\x07",
    "not UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}\n',
    "half a line": CALL[:20],
    "a line in two": CALL[:20] + b"\n" + CALL[20:],
    "open brackets": b"[" * 300 + b"{" * 300 + b"\n",
    "deep nesting": b'{"method":"status","params":' + b'{"a":' * 60 + b"1" + b"}" * 61 + b"\n",
    "no object": b'[1,2]\n"status"\n17\nnull\n',
    "no method": b'{"jsonrpc":"2.0","id":1}\n{"method":null}\n{"method":{}}\n{"method":[]}\n',
    "odd params": b'{"method":"up","params":"x"}\n{"method":"down","params":[1]}\n',
    "odd ids": b'{"method":"status","id":{}}\n{"method":"status","id":[1]}\n',
    "wrong values": b'{"method":"udp","params":{"path":1,"data":2}}\n'
    b'{"method":"config.put","params":{"offset":-1,"data":{}}}\n',
    "a line of 4097 octets": b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 4097 + b"\n",
    "a line without an end": b"y" * 20000,
}


def put(bench: Bench, data: bytes, pause: float = 0.3) -> None:
    """Write it to the serial line, no faster than the board can take it: an agent reads an octet
    at a time, an emulated one slowly. `pause`: in seconds, where the line has no room for more."""
    room = bench.board.serial_room
    for at in range(0, len(data), room or len(data)):
        bench.agent.console.link.write(data[at : at + (room or len(data))])
        time.sleep(pause if room else 0)


@pytest.mark.parametrize(
    "noise", [pytest.param(noise, id=name.replace(" ", "-")) for name, noise in NOISE.items()]
)
def test_noise(bench: Bench, noise: bytes) -> None:
    bench.start("builtin", "initiator", reuse=True, suite=SUITE)
    put(bench, noise + b"\n")
    assert bench.agent.status()["peers"][0]["state"] == "DOWN"
    put(bench, noise + b"\n")
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason


def test_flood(bench: Bench) -> None:
    """Many calls at once: each is answered, by its own number and in order."""
    lines: list[bytes] = []
    bench.start("builtin", "initiator", reuse=True, suite=SUITE)
    bench.agent.console.on_line = lambda _, line: lines.append(line)
    calls = [b'{"jsonrpc":"2.0","id":"n%d","method":"none"}\n' % number for number in range(50)]
    put(bench, b"".join(calls), 1.5)  # each is answered
    assert bench.agent.status()["peers"][0]["state"] == "DOWN"
    answers = [line for line in lines if b'"id": "n' in line or b'"id":"n' in line]
    assert len(answers) == len(calls)
    for number, answer in enumerate(answers):
        assert b'"n%d"' % number in answer and b"unknown method" in answer


def test_wrong_calls_are_refused(bench: Bench) -> None:
    bench.start("builtin", "initiator", reuse=True, suite=SUITE)
    for method, params in (
        ("none", {}),
        ("up", {"peer": "nobody"}),
        ("up", {}),
        ("down", {"peer": 17}),
        ("config.put", {"offset": 5, "data": "x"}),
        ("config.commit", {}),
    ):
        with pytest.raises(ConsoleError):
            bench.agent.call(method, params)
    assert bench.negotiate()[0].established


@pytest.mark.requires("power")
def test_power_lost_in_mid_line(bench: Bench, station: Station) -> None:
    """What was half said before is not mixed with what is said after."""
    bench.start("builtin", "responder", suite=SUITE)
    bench.agent.console.link.write(CALL[:20])
    station.power_cycle(bench.agent)
    assert bench.agent.status()["peers"][0]["state"] == "DOWN"
    assert bench.negotiate()[0].established

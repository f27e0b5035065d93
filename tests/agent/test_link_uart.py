"""Datagrams over the console: one line each, answered, refused when there is no room."""

import json
from binascii import a2b_base64, b2a_base64

from agent.console import Console
from agent.link_uart import Link

PATH = ["10.9.0.2", 500, "10.9.0.1", 500]


class Host:
    """The other end of the serial line."""

    def __init__(self):
        self.written = b""
        console = Console(self._write, {}, {}.get)
        self.link = Link("10.9.0.2", 500, console)
        self._console = console

    def _write(self, data):
        self.written += data

    def said(self):
        lines, self.written = self.written.split(b"\n"), b""
        return [json.loads(line.decode()) for line in lines if line]

    def give(self, datagram, path=PATH):
        data = b2a_base64(datagram).decode().strip()
        request = {"id": 1, "method": "udp", "params": {"path": path, "data": data}}
        self._console.feed(json.dumps(request).encode() + b"\n")
        (answer,) = self.said()
        return answer.get("result") or answer["error"]["message"]


def test_in_and_out():
    host = Host()
    assert host.link.receive() is None
    assert host.give(bytes(range(256))) == {"waiting": 1}
    assert host.link.receive() == (bytes(range(256)), ("10.9.0.2", 500, "10.9.0.1", 500))
    assert host.link.receive() is None
    host.link.send(tuple(PATH), b"\0answer\xff")
    (note,) = host.said()
    assert note["method"] == "udp" and note["params"]["path"] == PATH
    assert note["params"]["data"] == "AGFuc3dlcv8="
    for size in (0, 192, 193, 1000):
        datagram = bytes(range(250)) * 4
        host.link.send(tuple(PATH), datagram[:size])
        (note,) = host.said()
        assert a2b_base64(note["params"]["data"]) == datagram[:size]


def test_a_full_queue_is_said():
    host = Host()
    for number in range(6):
        assert host.give(b"%d" % number) == {"waiting": number + 1}
    assert host.give(b"7") == "busy"
    assert host.link.receive()[0] == b"0"
    assert host.give(b"7") == {"waiting": 6}


def test_a_long_datagram_keeps_its_length_for_the_core_to_refuse():
    host = Host()
    host.give(b"x" * 2900)
    assert len(host.link.receive()[0]) == 2049


def test_nonsense():
    host = Host()
    for params in (
        {},
        {"data": "AA=="},
        {"path": PATH},
        {"data": 7, "path": PATH},
        {"data": "AA==", "path": [1, 2, 3, 4]},
    ):
        request = {"id": 1, "method": "udp", "params": params}
        host._console.feed(json.dumps(request).encode() + b"\n")
        (answer,) = host.said()
        assert "error" in answer, params
    assert host.give(b"") == {"waiting": 0}
    assert host.link.empty_datagrams == 1
    assert host.link.receive() is None

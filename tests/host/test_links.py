"""Links: what comes through, and how each way of failing is told."""

import os
import socket
import threading
import tty
from collections.abc import Iterator

import pytest
import serial
from serial import rfc2217

from ikelet.links import Link, LinkError, open_link


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _url(listener: socket.socket) -> str:
    return f"socket://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def joined(listener: socket.socket) -> Iterator[tuple[Link, socket.socket]]:
    link = open_link(_url(listener))
    board, _ = listener.accept()
    with board:
        yield link, board
    link.close()


def test_both_directions(joined: tuple[Link, socket.socket]) -> None:
    link, board = joined
    board.sendall(b"\x00\xffup")
    assert link.read(5) == b"\x00\xffup"
    assert link.read(0) == b""
    link.write(b"down")
    assert board.recv(10) == b"down"


def test_other_side_ends(joined: tuple[Link, socket.socket]) -> None:
    link, board = joined
    board.close()
    with pytest.raises(LinkError, match="is gone: closed by the other side"):
        link.read(5)


def test_read_after_close(joined: tuple[Link, socket.socket]) -> None:
    link, _ = joined
    link.close()
    with pytest.raises(LinkError, match="is gone"):
        link.read(0.1)
    with pytest.raises(LinkError, match="is gone"):
        link.write(b"x")


def test_nobody_listens(listener: socket.socket) -> None:
    url = _url(listener)
    listener.close()
    with pytest.raises(LinkError, match=r"cannot open socket://.*: Connection refused"):
        open_link(url)


@pytest.mark.parametrize("url", ["socket://", "socket://host", "socket://host:port"])
def test_url_that_is_none(url: str) -> None:
    with pytest.raises(LinkError, match=f"cannot open {url}: "):
        open_link(url)


def test_device_that_is_none() -> None:
    with pytest.raises(LinkError, match="cannot open /dev/nowhere: there is no such device"):
        open_link("/dev/nowhere")


# -- RFC 2217: a serial port behind the network, with its baud rate and reset lines ---------------


class _Rfc2217Server:
    """pyserial's own server side, in front of a PTY."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._port = serial.Serial(os.ttyname(self._slave), timeout=0.05)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """What the PortManager sends to the client."""
        self._client.sendall(data)

    def _serve(self) -> None:
        self._client, _ = self._listener.accept()
        with self._client:
            manager = rfc2217.PortManager(self._port, self)
            self._client.settimeout(0.02)
            while not self._closed.is_set():
                try:
                    received = self._client.recv(1024)
                    if not received:
                        return
                    self._port.write(b"".join(manager.filter(received)))
                except TimeoutError:
                    pass
                if waiting := self._port.in_waiting:
                    self.write(b"".join(manager.escape(self._port.read(waiting))))

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._port.close()
        self._listener.close()
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def rfc2217_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Rfc2217Server]:
    # A PTY has no modem lines.
    for name in ("_update_dtr_state", "_update_rts_state"):
        monkeypatch.setattr(serial.Serial, name, lambda self: None)
    for name in ("cts", "dsr", "ri", "cd"):
        monkeypatch.setattr(serial.Serial, name, property(lambda self: False))
    server = _Rfc2217Server()
    yield server
    server.close()


def test_rfc2217(rfc2217_server: _Rfc2217Server) -> None:
    link = open_link(rfc2217_server.url)
    link.write(b"down \xff\x00")
    received = b""
    while len(received) < 7:
        received += os.read(rfc2217_server.master, 100)
    assert received == b"down \xff\x00"
    os.write(rfc2217_server.master, b"up \xff")
    received = b""
    while len(received) < 4:
        received += link.read(5)
    assert received == b"up \xff"
    link.close()

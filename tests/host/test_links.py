"""Links: what comes through, and how each way of failing is told."""

import socket
from collections.abc import Iterator

import pytest

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

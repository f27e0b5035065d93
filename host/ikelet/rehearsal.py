"""The board that a command is for: one at a port, or an emulated one that is blank."""

import contextlib
import time
from collections.abc import Iterator

from ikelet import boards, build, links
from ikelet.boards import Board, Restartable, Running
from ikelet.device import DEADLINE, Device
from ikelet.errors import MisuseError
from ikelet.links import Link


@contextlib.contextmanager
def reached(url: str | None, board: Board | None) -> Iterator[Device]:
    """The device at a port, to be changed, or without one a blank board for a rehearsal;
    MisuseError."""
    if url is not None:
        with Device(url, at_prompt=True) as device:
            yield device
    elif board is not None and board.kind != "serial":
        with blank(board) as device:
            yield device
    else:
        raise MisuseError("say where the board is: --port PORT")


@contextlib.contextmanager
def blank(board: Board) -> Iterator[Device]:
    """A board with the agent on it and nothing else; it is gone afterwards."""
    with (
        boards.runner(board).start(board, build.files(board)) as running,
        Device(
            running.url, deadline=DEADLINE * board.slowness, reopen=lambda: reopened(running)
        ) as device,
    ):
        yield device


def reopened(running: Running) -> Link:
    """The board's line after a reset; a process that ended with it is started anew."""
    deadline = time.monotonic() + 2
    while not running.ended() and time.monotonic() < deadline:
        time.sleep(0.02)
    if running.ended() and isinstance(running, Restartable):
        running.restart()
    return links.open_link(running.url)

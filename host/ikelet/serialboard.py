"""The runner of real boards: puts the agent's files on a board that is plugged in, and boots it.

A variable such as IKELET_PORT_ESP32_GENERIC tells which port the board is at.
"""

import os
from collections.abc import Mapping

from ikelet import ports
from ikelet.boards import Board
from ikelet.errors import IkeletError, MisuseError
from ikelet.prompt import install, prompt


def variable(board: Board) -> str:
    """The environment variable that tells a board's port."""
    return "IKELET_PORT_" + board.name.upper().replace("-", "_")


def where(board: Board) -> str:
    """The board's port; "" where nobody told."""
    return board.url or os.environ.get(variable(board), "")


def usable(board: Board) -> str:
    """Why the board cannot be used here; "" when it can."""
    url = where(board)
    if not url:
        found = " or ".join(name for name, _ in ports.present())
        if not found:
            return "plug it in: no USB serial port is here"
        return f"say where it is: --port {found}, or for `up` and the suites {variable(board)}"
    try:
        ports.check(url)
    except IkeletError as error:
        return str(error)
    return ""


def start(board: Board, files: Mapping[str, bytes]) -> "SerialBoard":
    """Put `files` on the board that is plugged in, and boot it."""
    why = usable(board)
    if why:
        raise MisuseError(why)
    url = where(board)
    with prompt(board, url) as repl:
        install(repl, files)
    return SerialBoard(board, url)


class SerialBoard:
    """A board that was started; stop() takes the configuration, keys and all, away again."""

    def __init__(self, board: Board, url: str) -> None:
        self.board = board
        self.url = url
        self._running = True

    def stop(self) -> None:
        if self._running:
            self._running = False
            with prompt(self.board, self.url) as repl:
                repl.run("import os\ntry:\n os.remove('/config.json')\nexcept OSError:\n pass\n")

    def ended(self) -> str:
        return ""

    def __enter__(self) -> "SerialBoard":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

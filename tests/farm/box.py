"""A board on a shelf: bare-metal MicroPython on qemu-rv32, with a switch for its power, behind a
serial line that stays where it is whatever becomes of the board."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from farm.loopback import Line, Switch
from ikelet import boards, build
from ikelet.emulators import rv32
from ikelet.emulators.rv32 import Rv32Board

TYPE = "qemu-rv32"


class Box(Line):
    """The board's line, where what nobody listens to is lost; `switch` is its power.

    The board's own socket stays open while clients of the line come and go: QEMU drops what it
    has not taken in yet when one hangs up, which a UART does not.
    """

    def __init__(self, board: Rv32Board) -> None:
        self._board = board
        self._uart: socket.socket | None = None
        self._clients: set[socket.socket] = set()
        self._plug_in()
        self.switch = Switch(self._powered)
        super().__init__(self._carry)

    def close(self) -> None:
        for server in (self, self.switch):
            server.shutdown()
            server.server_close()
        self._powered(False)

    def _powered(self, on: bool) -> None:
        if on and not self._uart:
            self._board.power_on(main=True)
            self._plug_in()
        elif not on and self._uart:
            self._board.power_off()
            self._uart = None

    def _plug_in(self) -> None:
        where = urlsplit(self._board.url)
        self._uart = socket.create_connection((where.hostname, where.port))
        threading.Thread(target=self._hear, args=(self._uart,), daemon=True).start()

    def _hear(self, uart: socket.socket) -> None:
        """To whoever listens, until the board has no power."""
        with uart, contextlib.suppress(ConnectionResetError):
            while received := uart.recv(4096):
                for client in list(self._clients):
                    with contextlib.suppress(OSError):
                        client.sendall(received)

    def _carry(self, client: socket.socket) -> None:
        self._clients.add(client)
        try:
            while received := client.recv(4096):
                if uart := self._uart:
                    with contextlib.suppress(OSError):
                        uart.sendall(received)
        finally:
            self._clients.discard(client)


@contextlib.contextmanager
def box() -> Iterator[Box]:
    """A board with the agent on it, as somebody flashed it before, but without a configuration."""
    kind = boards.find(TYPE)
    with rv32.start(kind, build.files(kind)) as board, contextlib.closing(Box(board)) as running:
        yield running

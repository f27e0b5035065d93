"""An emulated board as a real one is met: it is there before the harness and after it, behind a
URL that stays, with a power switch."""

import contextlib
import socket
import threading
from pathlib import Path

from ikelet import boards
from ikelet.emulators.qemu import QemuError
from ikelet.emulators.rv32 import Rv32Board


class Served:
    """A qemu-rv32 on a TCP port; the files `on` and `off` in `folder` are its power switch, and
    `switched` has when it was moved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.board = Rv32Board(boards.find("qemu-rv32"))
        self.board.power_on()
        self.switched: list[tuple[str, float]] = []
        self._tell_pid()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._closed = threading.Event()
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    def bench(self) -> str:
        """Its entry in bench.toml."""
        return (
            f'[board.desk]\ntype = "qemu-rv32"\nurl = "{self.url}"\n'
            f'[board.desk.power]\nkind = "command"\n'
            f'on = "touch {self.folder}/on"\noff = "touch {self.folder}/off"\n'
        )

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=30)
        self._listener.close()
        self.board.stop()

    def _tell_pid(self) -> None:
        """QEMU's process, for a suite that does it harm."""
        (self.folder / "pid").write_text(str(self.board.pid))

    def _serve(self) -> None:
        while not self._closed.is_set():
            self._switch()
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError, QemuError):
                    self._pass_on(client)

    def _switch(self) -> bool:
        """Follow the power switch; whether it was moved."""
        for name in ("off", "on"):
            moved = self.folder / name
            if moved.exists():
                # When it was moved, not when it is seen here.
                self.switched.append((name, moved.stat().st_mtime))
                moved.unlink()
                self.board.power_off()
                if name == "on":
                    self.board.power_on(main=True)
                    self._tell_pid()
                return True
        return False

    def _pass_on(self, client: socket.socket) -> None:
        host, _, port = self.board.url.removeprefix("socket://").partition(":")
        # A machine that is stopped takes no connection: the switch is to be followed all the same.
        with socket.create_connection((host, int(port)), timeout=0.5) as board:
            board.settimeout(0.02)
            client.settimeout(0.02)
            while not self._closed.is_set() and not self._switch():
                for source, sink in ((client, board), (board, client)):
                    with contextlib.suppress(TimeoutError):
                        data = source.recv(4096)
                        if not data:
                            return
                        sink.settimeout(10)
                        sink.sendall(data)
                        sink.settimeout(0.02)

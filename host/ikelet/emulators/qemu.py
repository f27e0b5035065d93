"""A QEMU process with one serial line on a TCP port and a reset button. Linux only."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from ikelet.errors import IkeletError
from ikelet.processes import die_with_parent


class QemuError(IkeletError):
    """QEMU did not start, or ended; the message carries what it said."""


class Qemu:
    """One running machine.

    The listening socket is made here and handed down, so that no port is chosen twice. QEMU waits
    for the first connection before the machine starts: nothing that it prints at boot is lost.
    One client at a time; what the machine prints while there is none is lost, as on a cable.
    """

    def __init__(
        self, command: Sequence[str], descriptors: Sequence[int] = (), port: int = 0
    ) -> None:
        """command: the program and its machine; descriptors: open files that it names; port: that
        of the serial line, 0 for any."""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- stop() closes it
        with socket.create_server(("127.0.0.1", port)) as listener:
            self.port: int = listener.getsockname()[1]
            self._monitor, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [*command, *_devices(listener.fileno(), theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=[listener.fileno(), theirs.fileno(), *descriptors],
                    preexec_fn=die_with_parent(),
                )
        self._monitor.settimeout(10)
        self._negotiated = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """What QEMU itself printed, not the machine: why it ended."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        own = [line for line in lines if "QEMU waiting for connection" not in line]
        return "; ".join(own) or "it gave no reason"

    def reset(self) -> None:
        """Presses the reset button: at any moment, whatever the machine is doing."""
        self._command("system_reset")

    def settle(self) -> None:
        """Returns once what the machine wrote so far is on its drives."""
        self._command("stop")
        self._command("cont")

    def _command(self, command: str) -> None:
        if not self._negotiated:
            self._execute("qmp_capabilities")
            self._negotiated = True
        self._execute(command)

    def _execute(self, command: str) -> None:
        buffer = b""
        self._send(command)
        while True:
            received = self._receive()
            *lines, buffer = (buffer + received).split(b"\n")
            for answer in map(json.loads, lines):
                if "error" in answer:
                    raise QemuError(f"QEMU refused {command}: {answer['error']['desc']}")
                if "return" in answer:
                    return

    def _send(self, command: str) -> None:
        try:
            self._monitor.sendall(json.dumps({"execute": command}).encode() + b"\n")
        except BrokenPipeError:
            raise QemuError(f"QEMU ended: {self.said()}") from None

    def _receive(self) -> bytes:
        received = self._monitor.recv(4096)
        if not received:
            raise QemuError(f"QEMU ended: {self.said()}")
        return received

    def stop(self) -> None:
        """Pulls the plug; idempotent."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()
        self._monitor.close()
        self._log.close()


def _devices(serial: int, monitor: int) -> list[str]:
    return [
        *("-display", "none", "-monitor", "none"),
        *("-chardev", f"socket,id=serial,fd={serial},server=on,wait=on,nodelay=on"),
        *("-serial", "chardev:serial"),
        *("-chardev", f"socket,id=monitor,fd={monitor}"),
        *("-mon", "chardev=monitor,mode=control"),
    ]

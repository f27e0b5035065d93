"""A lock per board that ends with its holder, however that ends, and tells who it is.

The lock is flock's, so that the kernel gives it back when a process is killed. The file's content
is the holder's: who he is and what he was doing. It is emptied when the board is given back in
order; what is still there when the lock is taken was left by a holder who died.
"""

import contextlib
import getpass
import hashlib
import importlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ikelet.errors import IkeletError

fcntl: ModuleType | None
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:  # Windows: a serial port opens once there, which is a lock of its own
    fcntl = None

_AGAIN = 0.2
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True)
class Holder:
    """Who holds a board: `since` as local time, `run` the test run's name, `doing` its phase."""

    pid: int
    user: str
    since: str
    run: str
    doing: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user}, since {self.since}, run {self.run}"


class BusyError(IkeletError):
    """Somebody else has the board."""

    def __init__(self, board: str, holder: Holder | None, waited: float) -> None:
        by = f"is in use by {holder}" if holder else "is in use"
        waiting = f"; waited {waited:g} s" if waited else "; --wait S waits for it"
        super().__init__(f"{board} {by}{waiting}")
        self.holder = holder


def folder() -> Path:
    """Where the locks are, the same for all users of this machine."""
    named = os.environ.get("IKELET_LOCKS")
    found = Path(named) if named else Path(tempfile.gettempdir()) / "ikelet-locks"
    if not found.is_dir():
        with contextlib.suppress(FileExistsError):
            found.mkdir(parents=True)
            found.chmod(0o1777)
    return found


class Lock:
    """A board's lock, held from its creation to release().

    `left` is what a holder who died was doing; None where the board was given back in order.
    """

    def __init__(
        self,
        board: str,
        run: str,
        wait: float = 0.0,
        waiting: Callable[[Holder | None], None] = lambda _: None,
    ) -> None:
        """`board` is its identity: the same however it is called. `waiting` is told whom for.
        BusyError after `wait` seconds."""
        self.board = board
        self._file = os.open(_path(board), _FLAGS, 0o666)
        try:
            with contextlib.suppress(OSError):  # another user's file, which has its mode already
                os.fchmod(self._file, 0o666)
            self._take(wait, waiting)
        except BaseException:
            os.close(self._file)
            raise
        self.left = self._read()
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        self.holder = Holder(os.getpid(), _user(), since, run)
        self.doing("")

    def doing(self, phase: str) -> None:
        """Keep what is being done, for whoever finds the lock after we were killed."""
        text = json.dumps(asdict(self.holder) | {"doing": phase}).encode()
        os.pwrite(self._file, text + b"\n", 0)
        os.ftruncate(self._file, len(text) + 1)

    def release(self) -> None:
        """Give the board back. May be called more than once."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _take(self, wait: float, waiting: Callable[[Holder | None], None]) -> None:
        if fcntl is None:
            return
        end = time.monotonic() + wait
        told = False
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise BusyError(self.board, self._read(), wait) from None
            if not told:
                waiting(self._read())
                told = True
            time.sleep(_AGAIN)

    def _read(self) -> Holder | None:
        try:
            found: dict[str, Any] = json.loads(os.pread(self._file, 4096, 0))
            return Holder(**found)
        except (ValueError, TypeError):
            return None


def _path(board: str) -> Path:
    readable = re.sub(r"[^A-Za-z0-9]+", "-", board).strip("-")[-40:]
    return folder() / f"{readable}-{hashlib.sha256(board.encode()).hexdigest()[:8]}.lock"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without this user's name
        return f"user {os.getuid()}"

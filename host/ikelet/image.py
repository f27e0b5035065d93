"""MicroPython images for the ESP32 family: is it one, for which chip, and what stands where.

The format: https://docs.espressif.com/projects/esptool/en/latest/esp32/advanced-topics/
firmware-image-format.html; a whole image is bootloader, partition table and application, as
micropython.org offers it (.bin, not .app-bin).
"""

import fnmatch
import hashlib
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ikelet import chips
from ikelet.boards import Board
from ikelet.build import cache_folder
from ikelet.errors import MisuseError

_MAGIC = 0xE9
_TABLE = 0x8000  # the partition table, from the flash's start
_TABLE_SIZE = 0x1000
_ENTRY = b"\xaa\x50"
_APPLICATION = 0
_LARGEST = 16 << 20


class ImageError(MisuseError):
    """The image cannot be had, or is not what the board needs."""


@dataclass(frozen=True)
class Image:
    """A whole image. `offset` is where it begins in flash."""

    path: Path
    content: bytes
    offset: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def code(self) -> list[tuple[int, bytes]]:
        """(address in flash, content) of bootloader, partition table and applications.

        What lies between belongs to the board: its NVS, which an image holds only as a gap.
        """
        parts = [(self.offset, self._cut(self.offset, _TABLE))]
        parts.append((_TABLE, self._cut(_TABLE, _TABLE + _TABLE_SIZE)))
        for kind, address, size in self._partitions():
            content = self._cut(address, address + size)
            if kind == _APPLICATION and content:
                parts.append((address, content))
        return parts

    def table(self) -> tuple[int, bytes]:
        """(address in flash, content) of the partition table."""
        return _TABLE, self._cut(_TABLE, _TABLE + _TABLE_SIZE)

    def _cut(self, start: int, end: int) -> bytes:
        return self.content[start - self.offset : end - self.offset]

    def _partitions(self) -> list[tuple[int, int, int]]:
        """(kind, address, size) of each partition."""
        table = self._cut(_TABLE, _TABLE + _TABLE_SIZE)
        found = []
        for start in range(0, len(table), 32):
            entry = table[start : start + 32]
            if not entry.startswith(_ENTRY):
                break
            address, size = (int.from_bytes(entry[at : at + 4], "little") for at in (4, 8))
            found.append((entry[2], address, size))
        return found


def find(board: Board, wanted: str | None) -> Path:
    """The image's file: a path, a URL with #sha256=HEX, a name that the board file pins, or, for
    None, the newest that it pins. What is downloaded is kept; ImageError."""
    pinned: list[dict[str, Any]] = board.tables["flash"].get("images", [])
    if wanted is None:
        if not pinned:
            pattern = board.tables["flash"]["image"]
            raise ImageError(
                f"no image is pinned for {board.name}: get {pattern} from micropython.org and "
                f"name it with --image"
            )
        return _downloaded(pinned[-1]["url"], pinned[-1]["sha256"])
    for entry in pinned:
        if wanted == entry["name"]:
            return _downloaded(entry["url"], entry["sha256"])
    if wanted.startswith(("http://", "https://")):
        url, _, fragment = wanted.partition("#")
        if not fragment.startswith("sha256="):
            raise ImageError(f"{url}: say which content it must have: {url}#sha256=HEX")
        return _downloaded(url, fragment.removeprefix("sha256=").lower())
    return Path(wanted)


def load(board: Board, path: Path) -> Image:
    """Read and check an image for a board; ImageError says what is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from error
    chip = chips.CHIPS[board.chip]
    if len(content) < 0x1000 or content[0] != _MAGIC:
        raise ImageError(f"{path} is no firmware image for the ESP32 family")
    found = int.from_bytes(content[12:14], "little")
    if found != chip.image_id:
        raise ImageError(
            f"{path} is for {chips.by_image(found)}, but {board.name} has {chip.title}"
        )
    image = Image(path, content, chip.offset)
    if not image.table()[1].startswith(_ENTRY):
        raise ImageError(
            f"{path} has no partition table at 0x{_TABLE:x}: take the whole image (.bin), "
            f"not an application alone (.app-bin)"
        )
    size = board.tables["flash"]["size"]
    if chip.offset + len(content) > size:
        raise ImageError(f"{path} is larger than the flash of {board.name}, {size} bytes")
    return image


def warning(board: Board, path: Path) -> str:
    """What is odd about an image's name; "" for nothing."""
    pattern: str = board.tables["flash"]["image"]
    if fnmatch.fnmatch(path.name, pattern):
        return ""
    return f"{path.name} is not named as {board.name}'s images are ({pattern})"


def _downloaded(url: str, sha256: str) -> Path:
    """The file behind a URL; from the cache where it was downloaded before."""
    name = Path(urllib.parse.urlsplit(url).path).name
    kept = cache_folder().parent / "images" / sha256[:16] / name
    if kept.is_file() and hashlib.sha256(kept.read_bytes()).hexdigest() == sha256:
        return kept
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            content: bytes = answer.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot download {url}: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ImageError(f"{url} has SHA-256 {found}, not {sha256}: refused")
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(kept)
    return kept

"""The content of an emulated ESP32's flash, and the cache of flash that holds loaded files."""

import hashlib
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from ikelet import build
from ikelet.boards import Board
from ikelet.errors import MisuseError
from ikelet.image import Image

_BLOCK = 4096  # of the board's file system
_BLOCKS = 6  # of a configuration at most: what the agent takes
_KEPT = 8  # loaded flash contents; one takes about 1.3 MB

# Of this process, by digest.
_contents: dict[str, bytes] = {}


class FlashError(MisuseError):
    """The configuration does not fit where it is to go."""


def factory(board: Board, image: Image) -> bytes:
    """The flash of a board that was given its image, and nothing else."""
    flash = bytearray(b"\xff" * board.tables["flash"]["size"])
    flash[image.offset : image.offset + len(image.content)] = image.content
    return bytes(flash)


def place(size: int) -> bytes:
    """A file that stands for a configuration of so many bytes in a loaded flash, until the board's
    own is put in its place. It fills whole blocks."""
    return b"".join(_parts(size))


def configured(flash: bytes, config: bytes) -> bytes:
    """The flash with a configuration in its place, filled up with spaces."""
    for part in _parts(len(config)):
        if flash.count(part) != 1:
            raise FlashError("the flash has no place for this configuration")
        flash = flash.replace(part, config[: len(part)].ljust(len(part)))
        config = config[len(part) :]
    return flash


def _parts(size: int) -> list[bytes]:
    """What each block of such a file holds. In littlefs block n begins with pointers to blocks
    before it, one more than 2 divides n; block 0 has none."""
    parts: list[bytes] = []
    while sum(map(len, parts)) < size or not parts:
        number = len(parts)
        if number == _BLOCKS:
            most = sum(map(len, parts))
            raise FlashError(f"a configuration of {size} bytes; {most} is the most here")
        pointers = (number & -number).bit_length()
        name = b"the place of config.json %d" % number
        parts.append(hashlib.shake_256(name).digest(_BLOCK - 4 * pointers))
    return parts


def kept(image: Image, files: Mapping[str, bytes]) -> bytes | None:
    """The flash of a board that `files` were loaded onto before, here or in another process."""
    key = _digest(image, files)
    if key not in _contents:
        path = _path(key)
        if not path.is_file():
            return None
        path.touch()
        _contents[key] = zlib.decompress(path.read_bytes())
    return _contents[key]


def keep(image: Image, files: Mapping[str, bytes], flash: bytes) -> None:
    """Keeps a loaded flash, so that nobody ever sees a part of the file, and drops the oldest."""
    key = _digest(image, files)
    _contents[key] = flash
    path = _path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(zlib.compress(flash, 3))
    partial.replace(path)
    found = sorted(path.parent.glob("*.z"), key=lambda there: there.stat().st_mtime)
    for old in found[:-_KEPT]:
        old.unlink(missing_ok=True)


def _path(key: str) -> Path:
    return build.cache_folder().parent / "flash" / f"{key}.z"


def _digest(image: Image, files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(image.content)
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()

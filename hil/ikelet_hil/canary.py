"""The pre-shared keys of a run, looked for in everything that the run leaves behind.

A key counts as found when 15 octets of it in a row stand anywhere in one of the usual spellings:
as they are, escaped, in hexadecimal with or without separators, as numbers, in base64 (so 0x and
0s too). Where it was found is told, the key never.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ikelet import psk

# Every WINDOW-th window of so many octets is looked for: 2 * WINDOW - 1 in a row hold one.
_WINDOW = 8
MINIMUM = 2 * _WINDOW - 1


@dataclass(frozen=True)
class Find:
    """A key in `where`, at an offset, in one of the spellings."""

    where: str
    offset: int
    spelling: str

    def __str__(self) -> str:
        return f"a pre-shared key ({self.spelling}) in {self.where} at octet {self.offset}"


class Canary:
    """Keys that must not be found. `text` is the first one, as a configuration spells it."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text or generate()
        self._keys: set[bytes] = set()
        self.watch(self.text)

    def watch(self, text: str) -> None:
        """One more key, in a configuration's spelling. Shorter ones than MINIMUM octets are too
        likely to be met by chance, and are left out."""
        key = psk.decoded(text)
        if len(key) >= MINIMUM and key not in self._keys:
            self._keys.add(key)
            self.__dict__.pop("_needles", None)

    def find_in(self, data: bytes, where: str) -> list[Find]:
        """The finds in some octets, at most one for each spelling."""
        lowered = data.lower()
        found: dict[str, Find] = {}
        for spelling, needle, any_case in self._needles:
            if spelling not in found:
                offset = (lowered if any_case else data).find(needle)
                if offset >= 0:
                    found[spelling] = Find(where, offset, spelling)
        return list(found.values())

    def find_below(self, folder: Path) -> list[Find]:
        """The finds in all files of a folder, their names included."""
        finds = []
        for path in sorted(path for path in folder.rglob("*") if not path.is_symlink()):
            name = str(path.relative_to(folder))
            finds += self.find_in(name.encode(), f"the name {path.parent}/...")
            if path.is_file():
                finds += self.find_in(path.read_bytes(), str(path))
        return finds

    @cached_property
    def _needles(self) -> list[tuple[str, bytes, bool]]:
        return [needle for key in sorted(self._keys) for needle in _spelled(key)]


def generate() -> str:
    """A new canary, in plain text: what is printed without care is found as well."""
    return psk.generate(form="text")


def _spelled(key: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """(spelling, octets to look for, whether in either case) of every window of a key."""
    for start in range(0, len(key) - _WINDOW + 1, _WINDOW):
        window = key[start : start + _WINDOW]
        yield "raw", window, False
        for separator in ("", ":", " ", "-", r"\x", ", 0x", ",0x"):
            digits = separator.join(f"{octet:02x}" for octet in window)
            yield "hexadecimal", digits.encode(), True
        for separator in (", ", ","):
            yield "numbers", separator.join(map(str, window)).encode(), False
        yield "UTF-16", b"\0".join(window[i : i + 1] for i in range(len(window))), False
        yield from (("base64", needle, False) for needle in _base64(window))


def _base64(window: bytes) -> Iterable[bytes]:
    """What base64 makes of the window wherever it begins, without the edges that depend on its
    neighbours."""
    for before in range(3):
        whole = (len(window) + before) // 3 * 3
        first = 4 if before else 0
        encoded = base64.b64encode((bytes(before) + window)[:whole])[first:]
        yield encoded
        yield encoded.replace(b"+", b"-").replace(b"/", b"_")

"""Tests that are known to fail on a board, with an owner, a reason and a day on which that ends.

    [[quarantine]]
    test = "hil/test_psk.py::test_suite*"  # a pattern of ids without the board
    board = "qemu-esp32"                   # or "*"
    owner = "jane"
    reason = "the emulated radio loses frames"
    until = 2026-12-31

They are skipped, by name, until that day; afterwards they run, and fail, again. With
--quarantine-verify only they run, to learn which can be let out.
"""

import datetime
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ikelet import tables
from ikelet.errors import MisuseError
from ikelet.tables import Rule

NAMES = ("quarantine.toml", "hil/quarantine.toml")
_RULES: dict[str, Rule] = {
    "test": tables.text("a pattern of test ids, without the board"),
    "board": tables.text('a board\'s name, or "*"'),
    "owner": tables.text("who sees to it"),
    "reason": tables.text("why it fails"),
    "until": (
        lambda value: type(value) is datetime.date,
        "a day, such as until = 2030-12-31",
    ),
}


class QuarantineError(MisuseError):
    """The file says what cannot be."""


@dataclass(frozen=True)
class Entry:
    """One [[quarantine]]."""

    test: str
    board: str
    owner: str
    reason: str
    until: datetime.date

    def covers(self, test: str, board: str) -> bool:
        # Brackets are parameters here, no set of characters.
        pattern = self.test.replace("[", "[[]")
        return fnmatchcase(test, pattern) and fnmatchcase(board, self.board)

    def __str__(self) -> str:
        return f"quarantined until {self.until} by {self.owner}: {self.reason}"


def locate(named: str | None, folder: Path) -> Path | None:
    """The file: `named`, or one of NAMES in `folder`; None where there is none."""
    if named:
        return Path(named)
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def load(path: Path | None) -> list[Entry]:
    """Read and check the file; QuarantineError names what is wrong."""
    if path is None:
        return []
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise QuarantineError(f"{path}: {error}") from error
    wrong = next(_errors(raw), "")
    if wrong:
        raise QuarantineError(f"{path}: {wrong}")
    return [Entry(**table) for table in raw.get("quarantine", [])]


def _errors(raw: dict[str, Any]) -> Iterator[str]:
    for name in raw:
        if name != "quarantine":
            yield f"{name} is unknown; write [[quarantine]]"
    entries = raw.get("quarantine", [])
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        yield "quarantine is a list of tables; write [[quarantine]]"
        return
    for number, table in enumerate(entries, 1):
        yield from tables.errors(f"quarantine {number}", table, _RULES, list(_RULES))


class Quarantine:
    """The entries as they bear on this run. `verify`: only those who are in it run."""

    def __init__(self, entries: list[Entry], verify: bool, today: datetime.date) -> None:
        self.entries = entries
        self.verify = verify
        self.expired = [entry for entry in entries if entry.until < today]

    def find(self, test: str, board: str) -> Entry | None:
        """The entry that covers a test; of those that have not expired, but for verify."""
        for entry in self.entries:
            if (self.verify or entry not in self.expired) and entry.covers(test, board):
                return entry
        return None

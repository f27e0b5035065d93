"""The result.json files of a run, read, put in order, and counted."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ikelet_hil.passage import TO_PEER

OUTCOMES = ("failed", "recovered", "passed", "xfailed", "skipped")
_RUNGS = ("process", "qemu", "serial")


@dataclass
class Record:
    """One test on one board: its last attempt. `folder` is relative to the run's."""

    folder: str
    raw: dict[str, Any]
    earlier: list[Record] = field(default_factory=list)

    @property
    def test(self) -> str:
        return str(self.raw["test"])

    @property
    def board(self) -> str:
        return str(self.raw["board"])

    @property
    def outcome(self) -> str:
        """One of OUTCOMES: a pass after the board was brought back is no plain one."""
        outcome = str(self.raw["outcome"])
        brought_back = self.earlier or self.raw["recoveries"]
        return "recovered" if outcome == "passed" and brought_back else outcome

    @property
    def seconds(self) -> float:
        return float(sum(self.raw["durations"].values()))

    @property
    def passages(self) -> list[dict[str, Any]]:
        passages: list[dict[str, Any]] = self.raw["passages"]
        return passages

    @property
    def recoveries(self) -> list[dict[str, Any]]:
        return [each for one in (*self.earlier, self) for each in one.raw["recoveries"]]

    @cached_property
    def handshakes(self) -> list[dict[str, Any]]:
        """{suite, role, ms} of every exchange that came to its end undisturbed: from message 1
        as it was sent to message 6 as it arrived."""
        suites = {
            (one.get("cookies") or {}).get("initiator"): one for one in self.raw["negotiations"]
        }
        found = []
        for cookie, passages in self._exchanges().items():
            numbers = [passage["number"] for passage in passages]
            plain = all(passage["fate"] == "passed" for passage in passages)
            if plain and numbers == [1, 2, 3, 4, 5, 6] and cookie in suites:
                ms = 1000 * (passages[5]["delivered"][0] - passages[0]["t"])
                role = "initiator" if passages[0]["direction"] == TO_PEER else "responder"
                found.append({"suite": suites[cookie]["suite"], "role": role, "ms": ms})
        return found

    def _exchanges(self) -> dict[str, list[dict[str, Any]]]:
        """The Main Mode messages by initiator's cookie."""
        found: dict[str, list[dict[str, Any]]] = {}
        for passage in self.passages:
            if passage["number"]:
                found.setdefault(passage.get("cookie", ""), []).append(passage)
        return found


@dataclass
class Run:
    """All records of a run: `rows` by test, then by board."""

    folder: Path
    described: dict[str, Any]
    records: list[Record]

    @cached_property
    def boards(self) -> list[str]:
        """By rung, then by name."""
        rungs = {
            record.board: record.raw["facts"]["rung"]
            for record in self.records
            if record.raw["facts"]
        }

        def key(board: str) -> tuple[int, str]:
            rung = rungs.get(board, "")
            return _RUNGS.index(rung) if rung in _RUNGS else len(_RUNGS), board

        return sorted({record.board for record in self.records}, key=key)

    @cached_property
    def rows(self) -> dict[str, dict[str, Record]]:
        """test: {board: record}; files and tests in the order in which they first ran."""
        files: dict[str, int] = {}
        for record in self.records:
            files.setdefault(record.test.partition("::")[0], len(files))
        found: dict[str, dict[str, Record]] = {}
        for record in sorted(self.records, key=lambda r: files[r.test.partition("::")[0]]):
            found.setdefault(record.test, {})[record.board] = record
        return found

    def of(self, board: str) -> list[Record]:
        """A board's records, as they ran."""
        return [record for record in self.records if record.board == board]

    def counts(self, board: str | None = None) -> Counter[str]:
        return Counter(r.outcome for r in self.records if board in (None, r.board))

    def facts(self, board: str) -> dict[str, Any]:
        """What is known of a board, from a test that it ran."""
        known: dict[str, Any] = {}
        for record in self.of(board):
            known |= record.raw["facts"]
        return known

    def why_not(self, board: str) -> str:
        """Why most of its skipped tests are; "" where none is."""
        reasons = Counter(r.raw["reason"] for r in self.of(board) if r.outcome == "skipped")
        return str(reasons.most_common(1)[0][0]) if reasons else ""

    def handshake_ms(self, board: str) -> float | None:
        """The median of its undisturbed handshakes, in milliseconds."""
        times = [each["ms"] for record in self.of(board) for each in record.handshakes]
        return statistics.median(times) if times else None

    @cached_property
    def seconds(self) -> float:
        """From the first test's beginning to the last one's end."""
        if not self.records:
            return 0.0
        ends = [record.raw["began"] + record.seconds for record in self.records]
        return float(max(ends) - self.records[0].raw["began"])


def load(folder: Path) -> Run:
    """Read a run's folder. A file that is no whole result, of a test that was interrupted, is
    left out."""
    attempts: dict[tuple[str, str], list[Record]] = {}
    for path in sorted(folder.glob("*/*/result.json")):
        try:
            raw = json.loads(path.read_text())
        except ValueError:
            continue
        record = Record(str(path.parent.relative_to(folder)), raw)
        attempts.setdefault((record.test, record.board), []).append(record)
    records = []
    for tried in attempts.values():
        *earlier, last = sorted(tried, key=lambda record: float(record.raw["began"]))
        last.earlier = earlier
        records.append(last)
    records.sort(key=lambda record: float(record.raw["began"]))
    described = folder / "run.json"
    return Run(folder, json.loads(described.read_text()) if described.exists() else {}, records)

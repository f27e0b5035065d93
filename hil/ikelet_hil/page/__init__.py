"""The page of a run: one HTML file that needs nothing else, made of the result.json files.

    python -m ikelet_hil.page build/hil/latest

makes it anew, with the metrics beside it.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ikelet_hil import metrics
from ikelet_hil.page import parity, plots, records, sequence
from ikelet_hil.page.records import OUTCOMES, Record, Run

_HERE = Path(__file__).parent
_STORY = 80  # lines of a timeline that the page shows of a test that did not just pass


def build(folder: Path) -> Path:
    """Write index.html and metrics.txt into a run's folder; the page's path."""
    run = records.load(folder)
    (folder / "metrics.txt").write_text(metrics.exposition(run))
    page = folder / "index.html"
    page.write_text(render(run), encoding="utf-8")
    return page


def render(run: Run) -> str:
    """The page's HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"duration": _duration, "kb": _kb, "slug": slug}
    return environment.get_template("page.html").render(
        run=run,
        outcomes=OUTCOMES,
        counts=run.counts(),
        verdict=_verdict(run),
        when=_when(run),
        style=Markup((_HERE / "page.css").read_text()),
        script=Markup((_HERE / "page.js").read_text()),
        groups=_groups(run),
        parities=parity.compare(run),
        latency=Markup(plots.latency(run)),
        heaps={board: Markup(plots.heap(run, board)) for board in run.boards},
        recoveries=_recoveries(run),
        rungs=_rungs(run),
        diagram=lambda record: Markup(sequence.diagram(record.passages, record.test)),
        story=lambda record: _story(run, record),
        limit=sequence.LIMIT,
    )


def slug(record: Record) -> str:
    """Names a record in the page's address."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "-", record.folder)


def _groups(run: Run) -> list[tuple[str, list[tuple[str, str, dict[str, Record]]]]]:
    """(file, [(test's id, its name in the file, {board: record})])."""
    found: dict[str, list[tuple[str, str, dict[str, Record]]]] = {}
    for test, row in run.rows.items():
        file, _, name = test.partition("::")
        found.setdefault(file, []).append((test, name, row))
    return list(found.items())


def _recoveries(run: Run) -> list[tuple[Record, dict[str, Any]]]:
    return [(record, each) for record in run.records for each in record.recoveries]


def _rungs(run: Run) -> list[tuple[str, str, int, int]]:
    """(board, rung, tried, helped)."""
    found: dict[tuple[str, str], list[bool]] = {}
    for record, each in _recoveries(run):
        found.setdefault((record.board, each["recovery"]), []).append(bool(each["ok"]))
    return [(*key, len(tries), sum(tries)) for key, tries in sorted(found.items())]


def _story(run: Run, record: Record) -> str:
    """The end of the timeline of a test that did not just pass."""
    path = run.folder / record.folder / "timeline.txt"
    if record.outcome in ("passed", "skipped") or not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8").splitlines()
    left_out = [f"… {len(lines) - _STORY} lines before"] if len(lines) > _STORY else []
    return "\n".join([*left_out, *lines[-_STORY:]])


def _verdict(run: Run) -> str:
    if run.described.get("interrupted"):
        return "interrupted"
    if not run.records:
        return "empty"
    return "failed" if run.counts()["failed"] or run.described.get("exit") else "passed"


def _when(run: Run) -> str:
    if not run.records:
        return ""
    began = datetime.datetime.fromtimestamp(run.records[0].raw["began"])
    return f"{began:%Y-%m-%d %H:%M}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"  # noqa: RUF001
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    if seconds >= 10:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _kb(octets: int) -> str:
    return f"{octets / 1024:.1f} KB"

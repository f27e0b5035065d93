"""The numbers of a run in the OpenMetrics text format, for a Prometheus or a dashboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

if TYPE_CHECKING:
    from ikelet_hil.page.records import Run

BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds of a handshake
_PREFIX = "ikelet_hil_"


def exposition(run: Run) -> str:
    """The whole file."""
    registry = CollectorRegistry()
    registry.register(_Collected(run))
    written: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return written.decode()


class _Collected(Collector):
    def __init__(self, run: Run) -> None:
        self._run = run

    def collect(self) -> Iterable[Metric]:
        run = self._run
        about = {key: str(run.described.get(key, "")) for key in ("run", "commit", "version")}
        yield InfoMetricFamily(f"{_PREFIX}run", "Which run this is.", about)
        yield GaugeMetricFamily(f"{_PREFIX}run_seconds", "Length of the run.", run.seconds)
        yield _tests(run)
        yield from _times(run)
        yield _handshakes(run)
        yield _heap(run)
        yield _datagrams(run)
        yield _recoveries(run)


def _tests(run: Run) -> Metric:
    found: dict[tuple[str, ...], int] = {
        (board, outcome): count
        for board in run.boards
        for outcome, count in run.counts(board).items()
    }
    return _counter("tests", "Tests by how they ended.", ["board", "outcome"], found)


def _times(run: Run) -> Iterator[Metric]:
    tests = GaugeMetricFamily(
        f"{_PREFIX}test_seconds", "Duration of a test.", labels=["board", "test"]
    )
    phases: Counter[tuple[str, ...]] = Counter()
    for record in run.records:
        tests.add_metric([record.board, record.test], record.seconds)
        for phase, seconds in record.raw["phases"].items():
            phases[record.board, phase] += seconds
    yield tests
    yield _counter("phase_seconds", "Time spent in each phase.", ["board", "phase"], phases)


def _handshakes(run: Run) -> Metric:
    family = HistogramMetricFamily(
        f"{_PREFIX}handshake_seconds",
        "Undisturbed handshakes, from message 1 sent to message 6 received.",
        labels=["board", "suite", "role"],
    )
    found: dict[tuple[str, str, str], list[float]] = {}
    for record in run.records:
        for each in record.handshakes:
            labels = record.board, each["suite"], each["role"]
            found.setdefault(labels, []).append(each["ms"] / 1000)
    for labels, times in sorted(found.items()):
        buckets = [(str(limit), float(sum(time <= limit for time in times))) for limit in BUCKETS]
        buckets.append(("+Inf", float(len(times))))
        family.add_metric(list(labels), buckets, sum(times))
    return family


def _heap(run: Run) -> Metric:
    family = GaugeMetricFamily(
        f"{_PREFIX}heap_bytes",
        "A board's heap before and after a test.",
        labels=["board", "test", "when", "what"],
    )
    for record in run.records:
        for heap in record.raw["heap"][-1:]:
            for when in ("before", "after"):
                for what in ("free", "used", "largest"):
                    if heap[when] and what in heap[when]:
                        labels = [record.board, record.test, when, what]
                        family.add_metric(labels, heap[when][what])
    return family


def _datagrams(run: Run) -> Metric:
    found: Counter[tuple[str, ...]] = Counter(
        (record.board, passage["direction"], passage["fate"])
        for record in run.records
        for passage in record.passages
    )
    what = "Datagrams on the wire by what became of them."
    return _counter("datagrams", what, ["board", "direction", "fate"], found)


def _recoveries(run: Run) -> Metric:
    found: Counter[tuple[str, ...]] = Counter(
        (record.board, each["recovery"], "yes" if each["ok"] else "no")
        for record in run.records
        for each in record.recoveries
    )
    what = "Rungs of the recovery ladder that were tried."
    return _counter("recoveries", what, ["board", "rung", "helped"], found)


def _counter(
    name: str, what: str, labels: list[str], found: Mapping[tuple[str, ...], float]
) -> Metric:
    """`found` has the count of each combination of the labels' values."""
    family = CounterMetricFamily(f"{_PREFIX}{name}", what, labels=labels)
    for values, count in sorted(found.items()):
        family.add_metric(values, count)
    return family

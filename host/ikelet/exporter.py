"""The status of boards for Prometheus: asked over their consoles, told over HTTP.

A thread for each board keeps its port open, because opening one may reset the board, and asks at
its own pace, however often somebody scrapes. A board that does not answer is `ikelet_up 0`. Names
are those of a run's metrics (hil/ikelet_hil/metrics.py), without their "hil_".
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from ikelet.device import DEADLINE, Device
from ikelet.errors import IkeletError

try:
    from termios import error as termios_error  # no OSError: a port that went away while opened
except ImportError:  # Windows
    termios_error = OSError  # type: ignore[assignment,misc]

Status = Mapping[str, Any]
Tell = Callable[[str], None]

_PREFIX = "ikelet_"
_STALE = 3  # times the interval, after which an answer says nothing about now


class Watched:
    """A board at a port. `status()` is its last answer, None where that is too old."""

    def __init__(self, url: str, every: float, tell: Tell) -> None:
        self.url = url
        self._every = every
        self._tell = tell
        self._answer: Status | None = None
        self._answered = 0.0
        self._trouble = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=url, daemon=True)
        self._thread.start()

    def status(self) -> Status | None:
        if time.monotonic() - self._answered > _STALE * self._every:
            return None
        return self._answer

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with Device(self.url, deadline=DEADLINE) as device:
                    self._follow(device)
            except (IkeletError, OSError, termios_error) as error:
                self._answer = None
                self._say(str(error))
            self._ended.wait(self._every)

    def _follow(self, device: Device) -> None:
        """Ask until it does not answer."""
        while not self._ended.is_set():
            # One that asks for a name may be deaf for a while, and opening its port may reset it.
            answer = device.call("status", timeout=DEADLINE)
            try:
                list(families({self.url: answer}))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise IkeletError(f"{self.url}: no status of an agent: {error!r}") from error
            self._answered = time.monotonic()
            self._answer = answer
            self._say("")
            while not device.console.notifications.empty():
                device.console.next(0)
            self._ended.wait(self._every)

    def _say(self, trouble: str) -> None:
        """What has changed, once."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(trouble or f"{self.url} answers")


@contextlib.contextmanager
def serving(
    urls: Iterable[str], address: tuple[str, int], every: float, tell: Tell
) -> Iterator[int]:
    """Serve http://ADDRESS/metrics about boards; yields the port. IkeletError."""
    watched = [Watched(url, every, tell) for url in urls]
    registry = CollectorRegistry()
    registry.register(_Boards(watched))
    try:
        try:
            server, thread = start_http_server(address[1], address[0], registry)
        except OSError as error:
            where = f"{address[0]} port {address[1]}"
            raise IkeletError(f"cannot listen on {where}: {error.strerror}") from error
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join(timeout=5)
    finally:
        for each in watched:
            each.stop()


class _Boards(Collector):
    def __init__(self, watched: list[Watched]) -> None:
        self._watched = watched

    def collect(self) -> Iterable[Metric]:
        return families({each.url: each.status() for each in self._watched})


def families(found: Mapping[str, Status | None]) -> Iterator[Metric]:
    """The metrics of boards by port; None: it does not answer."""
    up = GaugeMetricFamily(f"{_PREFIX}up", "Whether the board answers.", labels=["port"])
    for port, status in found.items():
        up.add_metric([port], status is not None)
    yield up
    answers = {port: status for port, status in found.items() if status is not None}
    about = ("device", "board", "version", "mode")
    info = InfoMetricFamily(f"{_PREFIX}device", "Which device is at a port.", labels=["port"])
    for port, status in answers.items():
        info.add_metric([port], {key: str(status.get(key, "")) for key in about})
    yield info
    for name, text, kind, labels, samples in _TABLE:
        family = kind(f"{_PREFIX}{name}", text, labels=["port", *labels])
        for port, status in answers.items():
            for values, value in samples(status):
                family.add_metric([port, *values], float(value))
        yield family


Samples = Iterator[tuple[list[str], float]]


def _plain(key: str, scale: float = 1) -> Callable[[Status], Samples]:
    def samples(status: Status) -> Samples:
        if key in status:
            yield [], status[key] * scale

    return samples


def _flat(key: str, *names: str) -> Callable[[Status], Samples]:
    """A table of numbers; only those of `names`, if any are given."""

    def samples(status: Status) -> Samples:
        for name, value in status.get(key, {}).items():
            if not names or name in names:
                yield [name], value

    return samples


def _peers(value: Callable[[Status], float | None], *keys: str) -> Callable[[Status], Samples]:
    """A number of each peer that has it, with other keys of the peer as labels."""

    def samples(status: Status) -> Samples:
        for peer in status.get("peers", ()):
            number = value(peer)
            if number is not None:
                yield [peer["name"], *(str(peer[key]) for key in keys)], number

    return samples


def _operations(status: Status) -> Samples:
    for operation, by_engine in status.get("engines", {}).items():
        for engine, count in by_engine.items():
            yield [operation, engine], count


def _engine_failures(status: Status) -> Samples:
    for where, by_reason in status.get("engine_failures", {}).items():
        engine, _, operation = where.partition(":")
        for why, count in by_reason.items():
            yield [operation, engine, why], count


def _certificate(status: Status) -> Samples:
    if "certificate" in status:
        yield [], status["certificate"]["expires"]


def _crashed(status: Status) -> Samples:
    yield [], bool(status.get("last_crash"))


# (name, what it is, kind, labels beside the port, where it stands in a status)
_TABLE: list[tuple[str, str, Any, list[str], Callable[[Status], Samples]]] = [
    ("uptime_seconds", "Since the board booted.", GaugeMetricFamily, [],
     _plain("uptime_ms", 0.001)),
    ("sa_established", "Whether the peer's phase 1 is up.", GaugeMetricFamily, ["peer"],
     _peers(lambda peer: peer["state"] == "ESTABLISHED")),
    ("sa_age_seconds", "Since the SA was established.", GaugeMetricFamily, ["peer"],
     _peers(lambda peer: peer.get("age_s"))),
    ("last_failure_age_seconds", "Since the last exchange failed, until one succeeds.",
     GaugeMetricFamily, ["peer", "code"], _peers(lambda peer: peer.get("failed_s"), "code")),
    ("drops", "Dropped datagrams by reason.", CounterMetricFamily, ["reason"], _flat("drops")),
    ("send_failures", "Datagrams that could not be sent.", CounterMetricFamily, [],
     _plain("send_failures")),
    ("operations", "Cryptographic operations by engine.", CounterMetricFamily,
     ["operation", "engine"], _operations),
    ("engine_failures", "Failures of engines.", CounterMetricFamily,
     ["operation", "engine", "why"], _engine_failures),
    ("heap_bytes", "The board's heap after a collection.", GaugeMetricFamily, ["what"],
     _flat("heap", "free", "used")),
    ("certificate_expiry_timestamp_seconds", "When the device's certificate expires.",
     GaugeMetricFamily, [], _certificate),
    ("crashed", "Whether the last boot followed a crash.", GaugeMetricFamily, [], _crashed),
]  # fmt: skip

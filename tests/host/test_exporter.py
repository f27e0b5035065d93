"""`ikelet exporter`: what Prometheus reads of boards that answer, and of those that do not."""

import json
import os
import time
import tty
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ikelet import boards, build, config, demo, exporter
from ikelet.cli_exporter import exporter as command
from ikelet.errors import IkeletError
from ikelet.unixboard import UnixBoard
from ikelet_hil.canary import Canary
from ikelet_hil.capabilities import require
from status_sample import STATUS

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """(name, labels): value, by Prometheus' own reader."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def exposed(found: dict[str, Any]) -> Samples:
    class Found(Collector):
        def collect(self) -> Any:
            return exporter.families(found)

    registry = CollectorRegistry()
    registry.register(Found())
    return parsed(generate_latest(registry).decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"ikelet_{name}", tuple(sorted(labels.items()))]


def test_everything_of_a_status() -> None:
    samples = exposed({"a": STATUS, "b": None})
    assert value(samples, "up", port="a") == 1
    assert value(samples, "up", port="b") == 0
    assert {dict(labels)["port"] for (name, labels) in samples if name != "ikelet_up"} == {"a"}
    about = {"device": "branch-17", "board": "esp32-generic", "version": "0.1.0"}
    assert value(samples, "device_info", port="a", mode="production", **about) == 1
    assert value(samples, "uptime_seconds", port="a") == 3 * 86400 + 4 * 3600 + 59
    assert value(samples, "sa_established", port="a", peer="hq") == 1
    assert value(samples, "sa_established", port="a", peer="backup") == 0
    assert value(samples, "sa_age_seconds", port="a", peer="hq") == 7265
    failed = {"peer": "backup", "code": "no-answer"}
    assert value(samples, "last_failure_age_seconds", port="a", **failed) == 240
    assert value(samples, "drops_total", port="a", reason="bad-hash") == 12
    assert value(samples, "send_failures_total", port="a") == 2
    assert value(samples, "operations_total", port="a", operation="modexp", engine="mpi") == 12
    broken = {"operation": "modexp", "engine": "mpi", "why": "timeout"}
    assert value(samples, "engine_failures_total", port="a", **broken) == 1
    assert value(samples, "heap_bytes", port="a", what="free") == 61440
    assert value(samples, "heap_bytes", port="a", what="used") == 79872
    assert value(samples, "certificate_expiry_timestamp_seconds", port="a") == 1800000000
    assert value(samples, "crashed", port="a") == 1


def test_an_agent_that_cannot_run() -> None:
    stopped = {"version": "1", "board": "unix", "mode": "stopped", "uptime_ms": 1, "reason": '"\\'}
    samples = exposed({"a": stopped})
    assert value(samples, "up", port="a") == 1
    assert value(samples, "device_info", port="a", device="", board="unix", version="1",
                 mode="stopped") == 1  # fmt: skip


@pytest.fixture
def silent() -> Iterator[str]:
    """A port with nobody behind it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def fetched(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def until(good: Callable[[Samples], bool], port: int) -> Samples:
    deadline = time.monotonic() + 60
    while not good(samples := parsed(fetched(port))):
        assert time.monotonic() < deadline, samples
        time.sleep(0.1)
    return samples


def test_boards(silent: str) -> None:
    require("micropython")
    canary = Canary()
    network = {"bind": "127.0.0.1", "port": demo.free_port()}
    peer = {"address": "127.0.0.9", "psk": canary.text, "role": "responder"}
    given = config.check({"device": {"name": "t"}, "network": network, "peer": {"hq": peer}})
    board = boards.find("unix")
    files = build.files(board) | {"config.json": json.dumps(given.board).encode()}
    told: list[str] = []
    with UnixBoard(board, files) as running:
        urls = [running.url, silent, "/dev/nowhere"]
        with exporter.serving(urls, ("127.0.0.1", 0), 1.0, told.append) as port:
            samples = until(lambda found: value(found, "up", port=running.url) == 1, port)
            assert value(samples, "sa_established", port=running.url, peer="hq") == 0
            assert value(samples, "heap_bytes", port=running.url, what="free") > 0
            assert value(samples, "up", port=silent) == value(samples, "up", port=urls[2]) == 0
            assert not canary.find_in(fetched(port).encode(), "metrics")

            running.power_cycle()  # its line is another one now: the board at the old one is gone
            samples = until(lambda found: value(found, "up", port=urls[0]) == 0, port)
            assert ("ikelet_uptime_seconds", (("port", urls[0]),)) not in samples
    assert any(line.startswith(urls[0]) for line in told)
    assert any("no port /dev/nowhere" in line for line in told)
    assert len(told) == len(set(told)), "each change once"


def test_a_port_that_is_taken() -> None:
    with (
        exporter.serving([], ("127.0.0.1", 0), 1.0, print) as port,
        pytest.raises(IkeletError, match=rf"cannot listen on 127\.0\.0\.1 port {port}: .*in use"),
        exporter.serving([], ("127.0.0.1", port), 1.0, print),
    ):
        pass


@pytest.mark.parametrize("listen", ["9633", ":", ":x", ":65536", "host"])
def test_wrong_addresses(listen: str) -> None:
    result = CliRunner().invoke(
        command, ["--port", "x", "--listen", listen], standalone_mode=False
    )
    assert isinstance(result.exception, click.BadParameter)
    assert ":9633" in str(result.exception)

"""Runs of the harness in a process of their own, on suites that are made for the occasion."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ikelet_hil.capabilities import require

# What every such suite begins with.
HEAD = '''
import os, signal, time
import pytest
from ikelet import config
from ikelet.demo import free_port


def configuration():
    return config.check({
        "device": {"name": "bench", "development": True},
        "network": {"bind": "127.0.0.1", "port": free_port()},
        "peer": {"gw": {"address": "127.0.0.1", "port": 9, "role": "responder",
                        "psk": "Wm5Vb0RhZ1ZoTnlFQ2tR", "local_id": "10.9.0.2",
                        "remote_id": "10.9.0.1"}},
    })


@pytest.fixture
def agent(station):
    with station.start(configuration()) as agent:
        yield agent


def first_time(name):
    """Whether this is the first call with this name in this run."""
    path = os.path.join(os.environ["HARNESS"], name)
    if os.path.exists(path):
        return False
    open(path, "w").close()
    return True
'''


@dataclass
class Outcome:
    """How a run ended. `tests` has a test's outcome by its id, `reports` all that was reported."""

    code: int
    said: str
    tests: dict[str, str]
    reports: list[dict[str, Any]]


class Harness:
    """A folder with suites in which pytest is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
        self.environment = os.environ | {
            "HARNESS": str(folder),
            "IKELET_LOCKS": str(folder / "locks"),
            "PYTHONPATH": str(Path(__file__).parent),
            "IKELET_REQUIRE": "",
        }
        for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
            self.environment.pop(name, None)

    def suite(self, text: str, name: str = "test_suite.py") -> None:
        (self.folder / name).write_text(HEAD + text)

    def command(self, *arguments: str) -> list[str]:
        line = [sys.executable, "-m", "pytest", "-p", "reporting", "--tb=short", "-rA"]
        return [*line, "-o", "faulthandler_timeout=280", *arguments]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process: "subprocess.Popen[str]", timeout: float = 300) -> Outcome:
        try:
            said, _ = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        path = self.folder / "reports.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        reports = [json.loads(line) for line in lines]
        tests: dict[str, str] = {}
        for report in reports:
            tests.setdefault(report["id"], report["outcome"])
            if report["outcome"] != "passed":
                tests[report["id"]] = report["outcome"]
        return Outcome(process.returncode, said, tests, reports)

    def run(self, *arguments: str, timeout: float = 300) -> Outcome:
        return self.finish(self.start(*arguments), timeout)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    require("micropython")
    require("mpy-cross")
    return Harness(tmp_path)

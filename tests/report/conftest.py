"""A real run of some tests on the board `unix`, whose reports are looked at."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@dataclass
class RunOf:
    """A finished run of pytest: its folder (None if it made none), output and exit code."""

    folder: Path | None
    output: str
    code: int
    junit: Path


def run_pytest(base: Path, source: str, *options: str) -> RunOf:
    """Run a file of tests on the board `unix`, as somebody outside of the project would."""
    base.mkdir(parents=True, exist_ok=True)
    (base / "test_sample.py").write_text(source)
    (base / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "test_sample.py", "-p", "no:cacheprovider"]
    command += ["--board", "unix", "--evidence", "runs", "--junitxml", "junit.xml", *options]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "IKELET_"))}
    done = subprocess.run(command, cwd=base, env=kept, capture_output=True, text=True, timeout=110)
    latest = base / "runs" / "latest"
    folder = latest.resolve() if latest.exists() else None
    return RunOf(folder, done.stdout + done.stderr, done.returncode, base / "junit.xml")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> RunOf:
    """One run, by a worker of xdist."""
    source = (HERE / "hil_sample.py").read_text()
    return run_pytest(tmp_path_factory.mktemp("sample"), source, "-n", "1")


@pytest.fixture(scope="session")
def shown(sample: RunOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that run with a second board, which was brought back once and failed once.

    Its records are those of the first board, changed where they differ.
    """
    from ikelet_hil import page

    assert sample.folder, sample.output
    folder = tmp_path_factory.mktemp("shown") / "run"
    shutil.copytree(sample.folder, folder)
    shutil.copytree(folder / "unix", folder / "other")
    for path in (folder / "other").glob("*/result.json"):
        record: dict[str, Any] = json.loads(path.read_text())
        record["board"] = "other"
        record["facts"] |= {"rung": "serial", "chip": "esp32", "title": "another board"}
        if record["test"].endswith("test_plain[initiator]"):
            tell = {"t": 0.1, "text": "recovery: power helped", "recovery": "power"}
            record["recoveries"] = [tell | {"ok": True, "seconds": 2.5}]
        if record["test"].endswith("test_plain[responder]"):
            record |= {"outcome": "failed", "reason": "AssertionError: here only"}
        path.write_text(json.dumps(record))
    page.build(folder)
    return folder

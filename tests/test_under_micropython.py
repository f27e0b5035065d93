"""The tests of what runs on the board, again, under the interpreter that boards run.

Each file is run once, in one process, its functions reported one by one. A file may ask for more
than the default with a line such as `# micropython: heapsize=512k deadline=120`.
"""

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ikelet_hil.capabilities import require

TESTS = Path(__file__).parent
FIRMWARE = TESTS.parent / "firmware"
RUNNER = TESTS / "run_on_micropython.py"
AREAS = ("agent", "core", "hal", "mpi", "certificates")
ASKS = re.compile(r"^# micropython:(.*)$", re.MULTILINE)
DEFAULTS = {"heapsize": "256k", "deadline": "60"}


@dataclass
class Run:
    """What one file's run said: the tests that passed, the output of each, and how it ended."""

    passed: set[str]
    output: dict[str, str]
    ending: str


def _files() -> Iterator[Path]:
    for area in AREAS:
        for path in sorted((TESTS / area).glob("test_*.py")):
            if not path.name.startswith("test_cpython_"):
                yield path


def _cases() -> Iterator[Any]:
    for path in _files():
        file = path.relative_to(TESTS).as_posix()
        for node in ast.parse(path.read_text(), str(path)).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield pytest.param(
                    path,
                    node.name,
                    id=f"{file}::{node.name}",
                    # One worker a file: the file's process then runs once.
                    marks=[pytest.mark.xdist_group(f"micropython-{file}"), pytest.mark.timeout(0)],
                )


def _asked(path: Path) -> dict[str, str]:
    asked = dict(DEFAULTS)
    for line in ASKS.findall(path.read_text()):
        for word in line.split():
            key, _, value = word.partition("=")
            if key not in DEFAULTS:
                raise ValueError(f"{path}: unknown setting {key!r}; known: {', '.join(DEFAULTS)}")
            asked[key] = value
    return asked


@functools.cache
def _run(path: Path) -> Run:
    from ikelet import unixboard

    asked = _asked(path)
    command = [unixboard.interpreter(), "-X", f"heapsize={asked['heapsize']}", RUNNER, path]
    try:
        process = subprocess.run(
            [str(part) for part in [*command, FIRMWARE, TESTS]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=float(asked["deadline"]),
            cwd=TESTS.parent,
        )
        raw, ending = process.stdout, f"exit code {process.returncode}"
    except subprocess.TimeoutExpired as error:
        raw, ending = error.stdout or b"", f"no end within {asked['deadline']} s"
    return _parse(raw.decode(errors="replace"), ending)


def _parse(text: str, ending: str) -> Run:
    run = Run(set(), {"": ""}, ending)
    current = ""
    for line in text.splitlines():
        word, _, name = line.partition(" ")
        if word == "BEGIN":
            current = name
            run.output[current] = ""
        elif word in ("PASS", "FAIL") and name == current:
            if word == "PASS":
                run.passed.add(name)
            run.ending, current = ending, ""
        else:
            run.output[current] += line + "\n"
    if current:
        run.ending = f"{ending}, in the middle of {current}"
    return run


@pytest.mark.parametrize(("path", "name"), list(_cases()))
def test(path: Path, name: str) -> None:
    require("micropython")
    run = _run(path)
    if name in run.passed:
        return
    if name in run.output:
        pytest.fail(f"{path.name} ({run.ending}):\n{run.output[name]}", pytrace=False)
    pytest.fail(f"{path.name} never reached it: {run.ending}\n{run.output['']}", pytrace=False)

"""The workflows, as far as a machine without GitHub runs them: their commands, their downloads.

`make lint` checks their form.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ikelet_hil.capabilities import require

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: path for path in (GITHUB / "workflows").glob("*.yml")}
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")


def workflow(name: str) -> dict[str, Any]:
    # YAML 1.1, which PyYAML reads, takes the key `on` for a truth.
    loaded = yaml.safe_load(WORKFLOWS[name].read_text())
    return {"on" if key is True else key: value for key, value in loaded.items()}


def steps(name: str, job: str) -> dict[str, dict[str, Any]]:
    """The steps with commands, by their names; those without a name by their command."""
    of_job = workflow(name)["jobs"][job]["steps"]
    return {step.get("name", step["run"]): step for step in of_job if "run" in step}


def filled(text: str, values: dict[str, Any]) -> str:
    """`${{ ... }}` put in place; KeyError of what is not among `values`."""
    return EXPRESSION.sub(lambda found: str(values[found[1].strip()]), text)


def run(
    step: dict[str, Any], values: dict[str, Any], folder: Path, **more: str
) -> "subprocess.CompletedProcess[str]":
    """A step as a runner does it: in bash, with the step's own variables."""
    own = {key: filled(text, values) for key, text in step.get("env", {}).items()}
    script = step["run"].replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=os.environ | {"PYTEST_ADDOPTS": "", "IKELET_REQUIRE": ""} | own | more,
        capture_output=True,
        text=True,
        timeout=100,
    )


# What `${{ matrix.* }}` is in the jobs of the emulated ESP32s, by board.
ESP32 = {
    entry["board"]: {f"matrix.{key}": value for key, value in entry.items()}
    for entry in workflow("ci")["jobs"]["esp32"]["strategy"]["matrix"]["include"]
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with .github/fetch, and pins of things that lie beside it; a sudo that only tells
    what it was asked for."""
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "fetch").write_text((GITHUB / "fetch").read_text())
    (tmp_path / ".github" / "fetch").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sudo").write_text('#!/bin/sh\necho "$*" >>asked\n')
    (tmp_path / "bin" / "sudo").chmod(0o755)
    return tmp_path


def pin(checkout: Path, name: str, content: Path, checksum: str = "") -> None:
    found = checksum or hashlib.sha256(content.read_bytes()).hexdigest()
    with open(checkout / ".github" / "pins.txt", "a") as pins:
        pins.write(f"{name} {found} file://{content}\n")


def fetch(checkout: Path, name: str) -> "subprocess.CompletedProcess[str]":
    line = [checkout / ".github" / "fetch", name, "downloads"]
    return subprocess.run(line, cwd=checkout, capture_output=True, text=True, timeout=60)


# -- downloads ------------------------------------------------------------------------------------


def test_a_download_is_checked_and_kept(checkout: Path) -> None:
    original = checkout / "image.bin"
    original.write_bytes(b"image")
    pin(checkout, "image", original)
    for _ in range(2):
        done = fetch(checkout, "image")
        assert (done.returncode, done.stdout) == (0, "downloads/image.bin\n"), done.stderr
        original.unlink(missing_ok=True)  # the second time it is there already


def test_a_wrong_download_is_refused_and_forgotten(checkout: Path) -> None:
    original = checkout / "image.bin"
    original.write_bytes(b"image")
    pin(checkout, "image", original)
    original.write_bytes(b"something else")
    done = fetch(checkout, "image")
    assert (done.returncode, done.stdout) == (1, "")
    assert "image.bin has SHA-256 " in done.stderr
    assert "but .github/pins.txt says " in done.stderr
    original.write_bytes(b"image")
    assert fetch(checkout, "image").returncode == 0


def test_what_is_kept_is_checked_again(checkout: Path) -> None:
    original = checkout / "image.bin"
    original.write_bytes(b"image")
    pin(checkout, "image", original)
    assert fetch(checkout, "image").returncode == 0
    (checkout / "downloads" / "image.bin").write_bytes(b"changed in the cache")
    assert fetch(checkout, "image").returncode == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("images", "images is not in .github/pins.txt"),
        ("image", "image has no checksum in .github/pins.txt"),
        ("absent", "Couldn't open file"),
    ],
)
def test_what_cannot_be_had(checkout: Path, name: str, said: str) -> None:
    pin(checkout, "image", checkout / "image.bin", "unknown")
    pin(checkout, "absent", checkout / "absent.bin", "0" * 64)
    done = fetch(checkout, name)
    assert (done.returncode, done.stdout) == (int(name != "absent") or 37, "")
    assert said in done.stderr


def test_pins() -> None:
    """Each thing that a job downloads is pinned, once."""
    lines = [line.split(" ") for line in (GITHUB / "pins.txt").read_text().splitlines()]
    pins = [line for line in lines if line[0] != "#"]
    for name, checksum, address in pins:
        assert re.fullmatch(r"[0-9a-f]{64}|unknown", checksum), name
        assert address.startswith("https://")
    wanted = {values[f"matrix.{key}"] for values in ESP32.values() for key in ("qemu", "image")}
    assert sorted(name for name, *_ in pins) == sorted(wanted)


# -- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORKFLOWS)
def test_commands_are_bash(name: str) -> None:
    for job in workflow(name)["jobs"]:
        for step in steps(name, job).values():
            script = EXPRESSION.sub("x", step["run"])
            done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
            assert not done.stderr, script


@pytest.mark.parametrize("name", WORKFLOWS)
def test_expressions_name_what_there_is(name: str) -> None:
    """A misspelt one is empty text to GitHub."""
    whole = workflow(name)
    inputs = (whole["on"].get("workflow_dispatch") or {}).get("inputs", {})
    for job in whole["jobs"].values():
        given = job.get("strategy", {}).get("matrix", {})
        keys = set(given) | {key for entry in given.get("include", []) for key in entry}
        known = {f"matrix.{key}" for key in keys} | {f"env.{key}" for key in job.get("env", {})}
        known |= {f"inputs.{key}" for key in inputs}
        used = set(re.findall(r"\b(?:matrix|inputs|env)\.\w+", " ".join(expressions(job))))
        assert used <= known
    assert set(re.findall(r"\binputs\.\w+", WORKFLOWS[name].read_text())) == {
        f"inputs.{key}" for key in inputs
    }


def expressions(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in expressions(each)]
    if isinstance(value, list):
        return [text for each in value for text in expressions(each)]
    return EXPRESSION.findall(value) if isinstance(value, str) else []


@pytest.mark.parametrize("emulator", ESP32)
def test_the_emulator_is_put_in_place(checkout: Path, emulator: str) -> None:
    """The step that downloads, with stand-ins: the variables it sets name what there is."""
    values = ESP32[emulator]
    program = checkout / "qemu" / "bin" / values["matrix.program"]
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho a machine\n")
    program.chmod(0o755)
    with tarfile.open(checkout / "emulator.tar.xz", "w:xz") as archive:
        archive.add(checkout / "qemu", "qemu")
    (checkout / "image.bin").write_bytes(b"image")
    pin(checkout, values["matrix.qemu"], checkout / "emulator.tar.xz")
    pin(checkout, values["matrix.image"], checkout / "image.bin")
    step = steps("ci", "esp32")["Emulator and image, checked"]
    more = {"GITHUB_ENV": str(checkout / "env"), "PATH": f"{checkout}/bin:{os.environ['PATH']}"}
    done = run(step, values, checkout, **more)
    assert done.returncode == 0, done.stderr
    lines = (checkout / "env").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    qemu, image = values["matrix.variables"].split()
    assert list(found) == [qemu, image]
    assert subprocess.check_output([found[qemu]], text=True) == "a machine\n"
    assert Path(found[image]).read_bytes() == b"image"
    table = (ROOT / "boards" / f"{emulator}.toml").read_text()
    assert f'"{qemu}"' in table and f'"{image}"' in table
    assert "apt-get -qq install -y" in (checkout / "asked").read_text()
    (checkout / "downloads" / "image.bin").write_bytes(b"another")
    assert run(step, values, checkout, **more).returncode == 1


@pytest.mark.parametrize("emulator", ESP32)
def test_the_suites_of_an_emulator_are_found(emulator: str) -> None:
    step = steps("ci", "esp32")["The suites against the built-in gateway"]
    done = run(step, ESP32[emulator], ROOT, PYTEST_ADDOPTS="--collect-only -q")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    found = [line for line in done.stdout.splitlines() if "::" in line]
    for file in ("hil/test_psk.py", "hil/test_network.py", "tests/emulators/test_esp32.py"):
        assert any(line.startswith(file) for line in found), file
    assert any(f"test_suite[{emulator}-" in line for line in found)


def test_the_suites_of_a_bench_run(tmp_path: Path) -> None:
    """A process a board, and one test of one's own choice."""
    require("micropython")
    step = dict(steps("hil", "hil")["Suites"])
    step["run"] = step["run"].replace("pytest hil ", f"pytest {ROOT}/hil --rootdir {ROOT} ")
    inputs = {"inputs.tests": "test_nobody_there", "inputs.arguments": "-p no:cacheprovider"}
    done = run(step, inputs, tmp_path, BOARDS="unix unix#2", PYTEST_ADDOPTS="--evidence kept")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "2 workers" in done.stdout
    assert "2 passed" in done.stdout
    assert (tmp_path / "kept" / "latest" / "index.html").is_file()

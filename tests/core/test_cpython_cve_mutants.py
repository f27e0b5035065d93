"""Each test of test_cve.py fails once the check that it stands on is taken away."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cve_mutants import MUTANTS

TESTS = Path(__file__).resolve().parents[1]
FIRMWARE = TESTS.parent / "firmware"
RUN = """
import sys
sys.path[:0] = {path!r}
import test_cve
test_cve.test_{name}()
"""


def test_every_test_has_a_mutant() -> None:
    source = Path(__file__).with_name("test_cve.py").read_text()
    tests = set(re.findall(r"^def test_(\w+)", source, re.MULTILINE))
    assert {mutant[0] for mutant in MUTANTS} == tests


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant[0] for mutant in MUTANTS])
def test_mutant_is_killed(mutant: tuple[str, str, str, str], tmp_path: Path) -> None:
    name, file, check, without = mutant
    for package in ("ike", "hal", "pki"):
        if (FIRMWARE / package).exists():
            shutil.copytree(FIRMWARE / package, tmp_path / package)
    source = (tmp_path / "ike" / file).read_text()
    assert check in source, f"{file} has changed: declare the mutant anew"
    (tmp_path / "ike" / file).write_text(source.replace(check, without, 1))
    path = [str(tmp_path), str(TESTS), str(TESTS / "cpython"), str(TESTS / "core")]
    script = RUN.format(path=path, name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1, "the mutant lives"

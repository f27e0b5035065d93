"""What the mutants change is there: the run itself takes minutes, and is not in `make test`."""

import ast
from pathlib import Path

import pytest

from mutants.table import MUTANTS, Mutant

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_mutant_changes_one_place(mutant: Mutant) -> None:
    whole = (FIRMWARE / mutant.file).read_text()
    assert whole.count(mutant.old) == 1, "what it changes has changed: declare the mutant anew"
    ast.parse(whole.replace(mutant.old, mutant.new))
    assert mutant.core or mutant.hil

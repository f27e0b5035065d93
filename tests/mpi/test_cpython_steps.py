"""Takes each step out of the driver, one at a time: the scenarios must notice every one.

A step is a statement of `hal/mpi.py` inside a function, or one operand of an `and` or `or`.
"""

import ast
import copy
from pathlib import Path

import pytest

from hal import mpi
from mpi import scenarios

SOURCE = Path(mpi.__file__).read_text()
TREE = ast.parse(SOURCE)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _mutants() -> list[tuple[str, ast.Module]]:
    """(what is left out, the module without it) for each step."""
    found = []

    def note(node: ast.AST, change) -> None:
        text = " ".join((ast.get_source_segment(SOURCE, node) or "").split())
        found.append((f"{node.lineno}: {text[:60]}", change()))

    def without(body: list, index: int):
        def change() -> ast.Module:
            kept = body[index]
            body[index] = ast.copy_location(ast.Pass(), kept)
            tree = copy.deepcopy(TREE)
            body[index] = kept
            return tree

        return change

    for function in ast.walk(TREE):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            for name in ("body", "orelse", "finalbody", "values"):
                body = getattr(node, name, None)
                if not isinstance(body, list):
                    continue
                for index, part in enumerate(body):
                    if name == "values":
                        neutral = ast.Constant(isinstance(node.op, ast.And))
                        note(part, lambda b=body, i=index, n=neutral: _replaced(b, i, n))
                    elif not (_is_docstring(part) or isinstance(part, ast.Pass)):
                        note(part, without(body, index))
    return found


def _replaced(body: list, index: int, node: ast.expr) -> ast.Module:
    kept = body[index]
    body[index] = ast.copy_location(node, kept)
    tree = copy.deepcopy(TREE)
    body[index] = kept
    return tree


def _engine(tree: ast.Module):
    space = {"__name__": "hal.mpi"}
    exec(compile(tree, "mpi.py", "exec"), space)
    return space["Engine"]


MUTANTS = _mutants()


def test_the_whole_driver_passes() -> None:
    scenarios.all_of_them(_engine(TREE))


def test_there_are_steps_to_take_out() -> None:
    texts = " ".join(text for text, _ in MUTANTS)
    for step in ("_CONSTANT_TIME", "_SEARCH_POS", "_INTERRUPT_ENABLE", "_M_PRIME", "self._reset"):
        assert step in texts
    assert len(MUTANTS) > 100


@pytest.mark.parametrize("tree", [tree for _, tree in MUTANTS], ids=[text for text, _ in MUTANTS])
def test_without(tree: ast.Module) -> None:
    with pytest.raises(Exception):  # noqa: B017 - whatever way it shows
        scenarios.all_of_them(_engine(tree))

"""Fewer names in what a board is given: what the code does stays."""

import ast
from collections.abc import Mapping

import pytest

from ikelet import resources, shrink

NUMBERS = """
from micropython import const
ONE, TWO = 1, 2
LIMIT = const(300)
_OWN = 7
TEXT = "text"
MIXED, OTHER = 5, "other"
changed = 9
TWICE = 1
TWICE = 2
def own():
    return ONE + _OWN + LIMIT, TEXT
"""
USER = """
import numbers_ as n
from numbers_ import LIMIT, own
from numbers_ import TWO as DOS
def use():
    import numbers_
    return n.ONE, LIMIT, DOS, numbers_.TEXT, n.MIXED, n.TWICE
"""


def test_constants_are_numbers_that_nothing_changes() -> None:
    found = shrink.constants({"numbers_": NUMBERS})
    assert found == {"numbers_": {"ONE": 1, "TWO": 2, "LIMIT": 300, "_OWN": 7}}


def test_numbers_take_the_place_of_constants() -> None:
    known = shrink.constants({"numbers_": NUMBERS, "user": USER})
    own = shrink.folded("numbers_", NUMBERS, known)
    assert "LIMIT" not in own and "ONE" not in own and "_OWN" not in own
    assert "return (1 + 7 + 300, TEXT)" in own
    user = shrink.folded("user", USER, known)
    assert "return (1, 300, 2, numbers_.TEXT, n.MIXED, n.TWICE)" in user
    assert "from numbers_ import own" in user and "DOS" not in user


def sources() -> dict[str, str]:
    root = resources.firmware()
    found = {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        found[name.removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


FIRMWARE = sources()
KNOWN = shrink.constants(FIRMWARE)


@pytest.mark.parametrize("module", FIRMWARE)
def test_no_module_of_the_firmware_asks_for_a_name_that_went(module: str) -> None:
    tree = ast.parse(shrink.folded(module, FIRMWARE[module], KNOWN))
    gone = {name for names in KNOWN.values() for name in names}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {one.name for node in imports for one in node.names}
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    read |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not (imported | read) & gone - names_of_others(tree)


def names_of_others(tree: ast.AST) -> set[str]:
    """What is taken from modules that are not the firmware's own, or made here."""
    others = {
        one.asname or one.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and (getattr(node, "module", None) or node.names[0].name) not in FIRMWARE
        for one in node.names
    }
    found = set(others)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in others | {"self"}:
            found.add(node.attr)
    return found


def test_variables_are_renamed_and_nothing_else() -> None:
    source = """
def first(width, key):
    total = width
    for step in range(key):
        total += step * helper(width)
    return total
def helper(width):
    return width + 1
"""
    renamed = shrink.anonymous(source)
    for name in ("width", "total", "step"):
        assert name not in renamed
    outcomes = []
    for text in (source, renamed):
        scope: Mapping[str, object] = {}
        exec(text, scope)  # type: ignore[arg-type]
        outcomes.append(scope["first"](3, 5))  # type: ignore[operator]
    assert outcomes[0] == outcomes[1] == 43


def test_machine_code_brings_few_names() -> None:
    renamed = ast.parse(shrink.anonymous(FIRMWARE["hal.limbs"]))
    names = {node.id for node in ast.walk(renamed) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(renamed) if isinstance(node, ast.arg)}
    assert names <= set(shrink._KNOWN) | {"int", "micropython", "ptr8", "ptr16", "ptr32"}

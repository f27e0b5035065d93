"""The tests of what runs on the board, once more on a 32-bit board with 138 KB of heap.

They travel as .mpy files over the serial line, beside the firmware. One board runs one file.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import test_under_micropython as under
from ikelet import boards, build
from ikelet.emulators.rawrepl import BoardError, ReplError
from ikelet.emulators.rv32 import Rv32Board
from ikelet_hil.capabilities import require

BOARD = boards.find("qemu-rv32")
DEADLINE = 120  # seconds for one file

# What this board lacks for a whole area or file.
LACKS = {
    "mpi": "an accelerator, and the time to model one",
    "agent/test_enroll.py": "heap for two configurations of certificates, and a source of seeds",
    "agent/test_inet6.py": "sockets",
    "agent/test_link_udp.py": "sockets",
    "agent/test_provisioning.py": "a JSON reader that refuses what is cut off",
    "agent/test_room.py": "ESP-IDF's heap beside its own",
    "agent/test_run.py": "sockets",
    "agent/test_syslog.py": "a calendar: host/test_syslog.py has its messages, without times",
    "agent/test_upkeep.py": "sockets",
    "core/test_fragments.py": "heap for messages of every size in every order",
    "core/test_fuzz_corpus.py": "the files of the corpus",
    "certificates/test_signature.py": "the time: hal/test_ecdsa.py and test_rsa.py do it there",
}

VECTORS = {"certificates": "pki.jsonl"}
TWO_AGENTS = re.compile(r"^from pair import .*\b(Pair|make_engine)\b", re.MULTILINE)

RUN = """
import gc, sys
sys.path[:] = ["/tests/{area}", "/", "/tests", ".frozen"]
module = __import__("{module}")
for name in sorted(n for n in dir(module) if n.startswith("test_")):
    gc.collect()
    print("BEGIN", name)
    try:
        getattr(module, name)()
    except Exception as error:
        sys.print_exception(error)
        print("FAIL", name)
    else:
        print("PASS", name)
"""


def _cases() -> Iterator[Any]:
    for case in under._cases():
        path, name = case.values
        file = path.relative_to(under.TESTS).as_posix()
        marks = [pytest.mark.xdist_group(f"rv32-{file}"), pytest.mark.timeout(0)]
        lack = LACKS.get(file) or LACKS.get(path.parent.name)
        if TWO_AGENTS.search(path.read_text()):
            lack = "heap for two agents and their tests"
        if lack:
            marks.append(pytest.mark.skip(reason=f"qemu-rv32 lacks {lack}"))
        yield pytest.param(path, name, id=case.id, marks=marks)


def _files(path: Path) -> dict[str, bytes]:
    """The firmware, one test file, and what it needs."""
    files = build.files(BOARD, names=True)
    for source in _sources(path, set()):
        name = f"tests/{source.relative_to(under.TESTS).as_posix()}"
        # Level 0: the others leave assert out.
        files[name.removesuffix("py") + "mpy"] = build.compiled(name, source.read_bytes(), level=0)
    vectors = "vectors/" + VECTORS.get(path.parent.name, "ikev1.json")
    return files | {f"tests/{vectors}": (under.TESTS / vectors).read_bytes()}


def _sources(path: Path, seen: set[Path]) -> set[Path]:
    """A file of the tests, and those that it imports, whatever the level."""
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            helper = under.TESTS / f"{name.replace('.', '/')}.py"
            if helper.exists() and helper not in seen:
                _sources(helper, seen)
    return seen


@functools.cache
def _run(path: Path) -> under.Run:
    code = RUN.format(area=path.parent.name, module=path.stem)
    with Rv32Board(BOARD) as board:
        board.power_on()
        board.load(_files(path))
        try:
            with board.repl() as repl:
                return under._parse(repl.run(code, DEADLINE), "the end of the file")
        except BoardError as error:
            return under._parse(error.traceback, "exception")
        except ReplError as error:
            return under._parse("", str(error))


@pytest.mark.parametrize(("path", "name"), list(_cases()))
def test(path: Path, name: str) -> None:
    require("qemu-rv32")
    run = _run(path)
    if name in run.passed:
        return
    if name in run.output:
        pytest.fail(f"{path.name} ({run.ending}):\n{run.output[name]}", pytrace=False)
    pytest.fail(f"{path.name} never reached it: {run.ending}\n{run.output['']}", pytrace=False)

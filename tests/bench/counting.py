"""A program of on_board/ on qemu-rv32, where each instruction is counted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ikelet import boards, build
from ikelet.emulators.rv32 import Rv32Board
from report import Tell, UnavailableError

NAME = "qemu-rv32"
_PROGRAMS = Path(__file__).with_name("on_board")


def board() -> boards.Board:
    """The board; UnavailableError where it cannot be emulated here."""
    found = boards.find(NAME)
    why = boards.usable(found)
    if why:
        raise UnavailableError(why)
    return found


def run(
    program: str,
    tell: Tell,
    *,
    call: str = "main()",
    names: bool = False,
    more: Mapping[str, bytes] | None = None,
) -> Any:
    """What a call of a program's function prints, a JSON text, as a value.

    `names`: the firmware keeps the names of its constants; `more`: {path: content}, further files.
    """
    found = board()
    tell("loading the board")
    files = build.files(found, names=names) | dict(more or {})
    files[f"{program}.mpy"] = build.compiled(
        f"{program}.py", (_PROGRAMS / f"{program}.py").read_bytes()
    )
    with Rv32Board(found, count_instructions=True, entropy_seed=1) as running:
        running.power_on(timeout=60)
        running.load(files)
        tell("counting")
        with running.repl(30) as repl:
            printed = repl.run(f"import {program}\n{program}.{call}\n", 500)
    return json.loads(printed)

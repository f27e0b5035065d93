"""Instructions of one exponentiation on the ESP32's accelerator, counted by the emulator.

What is counted is the whole driver: power up, operands in, two runs that must agree, the result
out, everything wiped and off. An emulated accelerator computes at once; on silicon the time that
it takes comes on top.
"""

import json
from pathlib import Path
from typing import Any

from ikelet import boards, build
from report import Figure, Report, Table, Tell, UnavailableError

TITLE = "Instructions of an exponentiation on qemu-esp32"
LIMIT = 100_000
SHIFT = 4  # an instruction takes 2^4 nanoseconds of the emulator's time

_PROGRAM = Path(__file__).with_name("on_board") / "exponentiations.py"


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    board = boards.find("qemu-esp32")
    why = boards.usable(board)
    if why:
        raise UnavailableError(why)
    if f"shift={SHIFT}" not in board.tables["emulator"]["arguments"]:
        raise ValueError("the board file lets the emulator count in another unit")
    from ikelet.emulators import esp32

    tell("loading the board")
    files = build.files(board)
    files["exponentiations.mpy"] = build.compiled("exponentiations.py", _PROGRAM.read_bytes())
    with esp32.at_prompt(board, files) as running, running.repl() as repl:
        tell("exponentiations")
        repl.run("import sys\nsys.path.append('/')\nimport exponentiations\n")
        printed = repl.run(f"exponentiations.main({board.chip!r})\n", 600)
    return _report(json.loads(printed))


def _report(counted: dict[str, Any]) -> Report:
    per_instruction = counted["per_microsecond"] * (1 << SHIFT) / 1000
    report = Report(data={"cycles": counted})
    rows = []
    for engine, group, method, cycles in counted["found"]:
        instructions = round(cycles / per_instruction)
        rows.append([group, engine, method, f"{instructions:,}"])
        if engine == "mpi" and group == "modp2048":
            what = f"instructions of {group} on the accelerator"
            report.figures.append(
                Figure(f"instructions-mpi-{group}", what, instructions, "", LIMIT)
            )
    columns = ["group", "engine", "method", "instructions"]
    report.tables = [Table("an exponent of 256 bits", columns, rows)]
    report.notes = ["the least of 20, both runs of each counted; software: once"]
    return report

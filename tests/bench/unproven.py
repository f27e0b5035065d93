"""Instructions of one message before its sender has proven anything, from QEMU's counter.

The engine of a responder with one peer, on a 32-bit board: reading the datagram from the network
and telling the host of it are not in it. AES is software on this board.
"""

import json
from pathlib import Path

from ikelet import boards, build
from ikelet.emulators.rv32 import INSTRUCTIONS_PER_TICK, Rv32Board
from report import Figure, Report, Table, Tell, UnavailableError

TITLE = "A message from somebody unproven, on qemu-rv32"
LIMIT = 6_000_000
_PROGRAM = Path(__file__).with_name("on_board") / "unproven.py"


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    board = boards.find("qemu-rv32")
    why = boards.usable(board)
    if why:
        raise UnavailableError(why)
    tell("loading the board")
    files = build.files(board, names=True)
    files["unproven.mpy"] = build.compiled("unproven.py", _PROGRAM.read_bytes())
    with Rv32Board(board, count_instructions=True, entropy_seed=1) as running:
        running.power_on(timeout=60)
        running.load(files)
        tell("messages")
        with running.repl(30) as repl:
            printed = repl.run("import unproven\nunproven.main()\n", 300)
    ticks = sorted(json.loads(printed).items(), key=lambda entry: entry[1])
    spent = {what: count * INSTRUCTIONS_PER_TICK for what, count in ticks}
    most = max(spent.values())
    rows = [[what, f"{instructions:,}"] for what, instructions in spent.items()]
    return Report(
        figures=[Figure("unproven-most", "instructions of the dearest message", most, "", LIMIT)],
        tables=[Table("instructions, without modexps", ["message", "instructions"], rows)],
        data={"instructions": spent},
    )

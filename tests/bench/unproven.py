"""Instructions of one message before its sender has proven anything, from QEMU's counter.

The engine of a responder with one peer, on a 32-bit board: reading the datagram from the network
and telling the host of it are not in it. AES is software on this board.
"""

import counting
from ikelet.emulators.rv32 import INSTRUCTIONS_PER_TICK
from report import Figure, Report, Table, Tell

TITLE = "A message from somebody unproven, on qemu-rv32"
LIMIT = 6_000_000


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    printed = counting.run("unproven", tell, names=True)
    ticks = sorted(printed.items(), key=lambda entry: entry[1])
    spent = {what: count * INSTRUCTIONS_PER_TICK for what, count in ticks}
    most = max(spent.values())
    rows = [[what, f"{instructions:,}"] for what, instructions in spent.items()]
    return Report(
        figures=[Figure("unproven-most", "instructions of the dearest message", most, "", LIMIT)],
        tables=[Table("instructions, without modexps", ["message", "instructions"], rows)],
        data={"instructions": spent},
    )

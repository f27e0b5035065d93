"""Instructions of public-key operations on a 32-bit board, from QEMU's counter.

Curves run in machine code that the board compiles itself; the same on big integers, as on an
interpreter without an emitter, stands beside. RSA's modexps are counted apart: an ESP32 has an
accelerator for them. A key pair and a shared secret are one scalar multiplication each.
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

import counting
from ikelet.emulators.rv32 import INSTRUCTIONS_PER_TICK
from report import Figure, Report, Table, Tell

TITLE = "Public-key operations on qemu-rv32"
# name: (what, limit, aim)
FIGURES = {
    "ecdh ecp256": ("P-256 scalar multiplication", 60_000_000, 30_000_000),
    "ecdh curve25519": ("x25519", 40_000_000, 20_000_000),
}


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    keys = {bits: _rsa_key(bits) for bits in (2048,)}
    return _report(counting.run("public_keys", tell, call=f"main({keys!r})"))


def _rsa_key(bits: int) -> list[bytes]:
    key = rsa.generate_private_key(65537, bits).private_numbers()
    numbers = [key.public_numbers.n, 65537, key.p, key.q, key.dmp1, key.dmq1, key.iqmp]
    return [f"{number:0{(number.bit_length() + 7) // 8 * 2}x}".encode() for number in numbers]


def _report(measured: dict[str, Any]) -> Report:
    report = Report(data=measured)
    counted, plain = measured["counted"], measured["plain"]
    for name, (what, limit, aim) in FIGURES.items():
        instructions = counted[name][0] * INSTRUCTIONS_PER_TICK
        report.figures.append(
            Figure(name.replace(" ", "-"), f"instructions of {what}", instructions, "", limit, aim)
        )
    rows = []
    for name, (own, modexp, modexps) in sorted(counted.items()):
        without = plain.get(name, [0])[0]
        row = [own, modexp, without]
        shown = [f"{ticks * INSTRUCTIONS_PER_TICK:,}" if ticks else "" for ticks in row]
        rows.append([name, *shown, str(modexps or "")])
    heading = ["operation", "instructions", "its modexps", "without machine code", "modexps"]
    report.tables = [Table("instructions", heading, rows)]
    kept = ", ".join(f"{what} {size:,}" for what, size in measured["kept"].items())
    report.notes = [f"heap that modules keep, in bytes: {kept}"]
    return report

"""Programs over a prime field, and the machine that runs them here.

A program is text, five characters and a space a step: "a=b*c", "a=b+c", "a=b-c", and, with a digit
for the operator, "a=b2c" for b + 2 c, "a=b3c" for b + 3 c. Registers are single letters.
"""

import gc

_OPERATORS = {"*": 1, "-": 3, "+": 5, "2": 6, "3": 7}

_kind = None


def machine(prime, names, texts, entries=0, width=0):
    """A machine over the field of `prime` (hal.curves) with a register for each of the names.

    run(i) runs the program texts[i]. Beside the registers it keeps a table of so many entries (16
    or none), each of so many registers. hal.field and hal.field_plain say what else it does.
    """
    if hasattr(gc, "mem_free"):
        gc.collect()  # so that its buffers, some kilobytes each, find room in one piece
    programs = [_assembled(text, names) for text in texts]
    return kind()(prime, len(names), entries, width, programs)


def kind():
    """The class of machine that this interpreter can run: in machine code if it has an emitter."""
    global _kind
    if _kind is None:
        try:
            from hal.field import Machine
        except (ImportError, SyntaxError, NameError):  # no emitter: no types for it either
            from hal.field_plain import Machine  # type: ignore[assignment]
        _kind = Machine
    return _kind


def _assembled(text, names):
    """Bytes, four a step: operator, then the registers' numbers: target, both operands."""
    out = bytearray()
    for i in range(0, len(text), 6):
        out.append(_OPERATORS[text[i + 3]])
        for at in (i, i + 2, i + 4):
            out.append(names.index(text[at]))
    return out

"""Answers vectors by the HAL, under MicroPython, and says how many agreed.

    micropython answer_vectors.py FIRMWARE VECTORS ENGINE,ENGINE...

VECTORS has a JSON list a line: [operation, arguments, answer], bytes in hex.
"""

import json
import sys
from binascii import unhexlify

sys.path.insert(0, sys.argv[1])

import hal

_NAMES = ("hash", "hmac")  # their first argument is a name


def _argument(op, i, value):
    if isinstance(value, bool) or (i == 0 and op in _NAMES):
        return value
    return unhexlify(value)


def main(path, engines):
    board = hal.select({"engines": engines.split(",")})
    agreed = 0
    with open(path) as lines:
        for line in lines:
            op, arguments, expected = json.loads(line)
            arguments = [_argument(op, i, value) for i, value in enumerate(arguments)]
            if getattr(board, op)(*arguments) != unhexlify(expected):
                print(op, "disagrees:", line)
                return 1
            agreed += 1
    print(json.dumps({"agreed": agreed, "failures": board.failures}))
    return 0


sys.exit(main(*sys.argv[2:]))

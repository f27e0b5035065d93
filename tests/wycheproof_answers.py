"""Wycheproof's vectors by the HAL; run by CPython's tests, and as a program under MicroPython:

    micropython wycheproof_answers.py FIRMWARE VECTORS

VECTORS has a JSON list a line: see tests/vectors/wycheproof/README.md. Prints a JSON object: how
many of which kind and result went as they must, and the first that did not.
"""

import json
import sys
from binascii import unhexlify

# Where we are stricter than an "acceptable" result has to be, by flag.
REFUSED = {
    "CompressedPoint": "a KE payload has both coordinates (RFC 5903 section 6)",
    "ZeroSharedSecret": "refused as RFC 7748 section 6.1 suggests",
    "MissingNull": "the encoding is rebuilt, and there is one",
}


def expected(result, flags):
    """Whether a vector is to be taken."""
    return result == "valid" or (result == "acceptable" and not [f for f in flags if f in REFUSED])


def taken(hal, errors, row):
    """Whether the HAL takes the vector; a secret must be the right one, too."""
    kind, what = row[:2]
    if kind == "ecdh":
        private, public, secret = [unhexlify(x) for x in row[6:]]
        if what != "curve25519" and public[:1] == b"\4":
            public = public[1:]
        try:
            found = hal.ecdh(what, private, public)
        except errors:
            return False
        if found != secret:
            raise ValueError("another secret")
        return True
    name = row[6]
    fields = [unhexlify(x) for x in row[7:]]
    if kind == "ecdsa":
        public, message, signature = fields
        return hal.ecdsa_verify(what, public[1:], hal.hash(name, message), signature)
    n, e, message, signature = fields
    return hal.rsa_verify((n, e), hal.hash(name, message), signature, name)


def main(path):
    import hal as package
    from hal import Hal, mbed, software

    hal = Hal([mbed.Engine(), software.Engine()])
    right = {}
    with open(path) as lines:
        for line in lines:
            row = json.loads(line)
            if taken(hal, package.PublicKeyError, row) != expected(row[3], row[5]):
                print(json.dumps({"wrong": row}))
                return 1
            key = " ".join((row[0], row[1], row[3]))
            right[key] = right.get(key, 0) + 1
    print(json.dumps({"right": right, "failures": hal.failures}))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    sys.exit(main(sys.argv[2]))

"""Modular exponentiation on MicroPython's big integers."""


def modexp(base, exponent, modulus):
    result = pow(*(int.from_bytes(x, "big") for x in (base, exponent, modulus)))
    return bytearray(result.to_bytes(len(modulus), "big"))

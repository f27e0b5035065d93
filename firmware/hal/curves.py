"""The elliptic curves of Main Mode's groups as data, by strongSwan's names.

SP 800-186 section 3.2.1 (RFC 5903 section 3) and RFC 7748 section 4.1. Primes in the notation of
hal.field; the numbers of a curve are one string, parsed only when it is used.
"""

# y^2 = x^3 - 3x + b. name: (bytes of a coordinate, prime, b | x and y of the generator | order)
_WEIERSTRASS = {
    "ecp256": (
        32,
        (1, ((96, 1), (192, 1), (224, -1), (256, 1))),
        (
            b"5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"
            b"6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            b"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
            b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
        ),
    ),
    "ecp384": (
        48,
        (1, ((32, 1), (96, -1), (128, -1), (384, 1))),
        (
            b"b3312fa7e23ee7e4988e056be3f82d19181d9c6efe814112"
            b"0314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef"
            b"aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b98"
            b"59f741e082542a385502f25dbf55296c3a545e3872760ab7"
            b"3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147c"
            b"e9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"
            b"ffffffffffffffffffffffffffffffffffffffffffffffff"
            b"c7634d81f4372ddf581a0db248b0a77aecec196accc52973"
        ),
    ),
    "ecp521": (
        66,
        (1, ((521, 1),)),
        (
            b"0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109"
            b"e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00"
            b"00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3d"
            b"baa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66"
            b"011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e66"
            b"2c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650"
            b"01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            b"fa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"
        ),
    ),
}

# Curve25519, and (A - 2) / 4.
CURVE25519 = (19, ((255, 1),))
A24 = 121665


def value(prime):
    """The number that a prime is."""
    low, terms = prime
    return sum([sign << bit for bit, sign in terms]) - low


def weierstrass(curve):
    """[bytes of a coordinate, prime, b, x and y of the generator, its order] of an ECP curve."""
    if curve not in _WEIERSTRASS:
        raise ValueError("unknown curve")
    size, prime, text = _WEIERSTRASS[curve]
    numbers = [int(text[i : i + 2 * size], 16) for i in range(0, 8 * size, 2 * size)]
    return [size, prime] + numbers

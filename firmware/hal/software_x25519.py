"""X25519 (RFC 7748 section 5) in software: the Montgomery ladder, on hal.machine."""

from hal import curves
from hal.machine import machine
from hal.modular import inverse

# X Z and U W are x_2 z_2 and x_3 z_3, x is x_1, a is a24; the rest as there.
_NAMES = "XZUWxaABCD"
_STEP = (
    "A=X+Z B=X-Z C=U+W D=U-W D=D*A C=C*B U=D+C U=U*U W=D-C W=W*W W=x*W A=A*A B=B*B X=A*B "
    "B=A-B C=a*B C=A+C Z=B*C"
)


def multiply(scalar, u, mask):
    """X25519(scalar, u), all 32 bytes, little-endian; where u is None, the base point, 9.

    A scalar of another length is taken as it is, not clamped: for known answers that are quicker.
    The mask is random bytes: they do not change the result.
    """
    k = bytearray(scalar)
    if len(k) == 32:  # decodeScalar25519
        k[0] &= 248
        k[31] = k[31] & 127 | 64
    m = machine(curves.CURVE25519, _NAMES, (_STEP,))
    x = 9 if u is None else (int.from_bytes(u, "little") & (1 << 255) - 1) % m.p
    scale = int.from_bytes(mask, "little") % m.p or 1
    for i, number in enumerate((scale, 0, x * scale % m.p, scale, x, curves.A24)):
        m.put(i, number)
    swapped = 0
    for i in range(8 * len(k) - 1, -1, -1):
        bit = k[i >> 3] >> (i & 7) & 1
        m.swap(swapped ^ bit)
        swapped = bit
        m.run(0)
    m.swap(swapped)
    x, z = m.get(0), m.get(1)
    m.wipe()
    k[:] = bytes(len(k))
    return (x * inverse(z, m.p) % m.p).to_bytes(32, "little")

"""Elliptic curves y^2 = x^3 - 3x + b in software: scalar multiplication (hal.curves, hal.machine).

The steps are the same for every scalar. Additions are complete: right for any two points of the
curve, equal ones and the point at infinity (0 : 1 : 0) too, so that none is told apart. A fixed
window of four bits takes its entry from a table of all sixteen, read as a whole, and coordinates
are multiplied by a random number first. docs/side-channels.md says how far that goes.
"""

from micropython import const

from hal import EngineError, curves
from hal.machine import machine
from hal.modular import inverse

# X Y Z, U V W two points in homogeneous coordinates, B the curve's b, a ... g scratch.
_NAMES = const("XYZUVWBabcdefg")
_SECOND = const(3)
_B = const(6)

# X Y Z becomes the sum of both points, for a = -3: algorithm 4 of Renes, Costello and Batina,
# "Complete addition formulas for prime order elliptic curves" (2016).
_ADDITION = (
    "a=X*U b=Y*V c=Z*W d=X+Y e=U+V d=d*e e=a+b d=d-e e=Y+Z f=V+W e=e*f f=b+c e=e-f f=X+Z "
    "g=U+W X=f*g Y=a+c Y=X-Y Z=B*c X=Y-Z X=X2X Z=b-X X=b+X Y=B*Y c=c2c Y=Y-c Y=Y-a Y=Y2Y "
    "a=a2a a=a-c b=e*Y c=a*Y Y=X*Z Y=Y+c X=d*X X=X-b Z=e*Z b=d*a Z=Z+b"
)
# X Y Z becomes sixteen times itself, in Jacobian coordinates meanwhile ("dbl-2001-b" of the
# Explicit-Formulas Database): cheaper than algorithm 6, but not for the point at infinity.
_TO_JACOBIAN = const("X=X*Z a=Z*Z Y=Y*a ")
_JACOBIAN_DOUBLING = (
    "a=Z*Z b=Y*Y c=X*b d=X-a e=X+a d=d*e d=d2d Z=Y*Z Z=Z+Z X=d*d c=c3c X=X-c X=X-c c=c-X Y=d*c "
    "b=b*b b=b+b b=b3b Y=Y-b "
)
_TO_HOMOGENEOUS = const("a=Z*Z X=X*Z Z=Z*a")

# X Y Z becomes its double, whichever it is: algorithm 6, with Y * Z taken first.
_DOUBLING = (
    "a=X*X b=Y*Y c=Z*Z d=X*Y e=Y*Z d=d+d Z=X*Z Z=Z+Z Y=B*c Y=Y-Z Y=Y2Y X=b-Y Y=b+Y Y=X*Y "
    "X=X*d c=c2c Z=B*Z Z=Z-c Z=Z-a Z=Z2Z a=a2a a=a-c a=a*Z Y=Y+a e=e+e Z=e*Z X=X-Z Z=e*b "
    "Z=Z3Z"
)
_ADD = const(0)
_DOUBLE = const(1)


def multiply(curve, scalar, point, mask):
    """scalar * point, as x || y: fixed width, big-endian; where point is None, the generator.

    The scalar is from 1 to the order - 1, the point on the curve. The mask is random bytes: they
    do not change the result. A shorter scalar than the order is for known answers that are
    quicker: its digits are not hidden.
    """
    parameters = curves.weierstrass(curve)
    sixteenfold = _TO_JACOBIAN + 4 * _JACOBIAN_DOUBLING + _TO_HOMOGENEOUS
    m = _machine(parameters, sixteenfold)
    scale = int.from_bytes(mask, "big") % m.p or 1
    _put(m, _coordinates(parameters, point), scale)
    m.put(0, 0)
    m.put(1, 1)
    m.put(2, 0)
    for entry in range(16):
        m.keep(entry, 0)
        m.run(_ADD)
    digits = _digits(scalar, parameters)
    m.pick(next(digits), 0)
    for digit in digits:
        m.run(_DOUBLE)  # four times in one program
        m.pick(digit, _SECOND)
        m.run(_ADD)
    return _affine(m, parameters)


def combine(curve, u, v, point):
    """u * generator + v * point, as x || y, or None for infinity; all of them public.

    The scalars are big-endian, of the same length; the point is on the curve.
    """
    parameters = curves.weierstrass(curve)
    m = _machine(parameters, _DOUBLING)
    # Entry i + 4 j is i * generator + j * point.
    m.put(1, 1)
    m.keep(0, 0)
    for entry, there in ((1, None), (4, point)):
        _put(m, _coordinates(parameters, there), 1)
        m.keep(entry, _SECOND)
    for entry in range(2, 16):
        step = 1 if entry & 3 else 4
        if entry != 4:
            m.pick(entry - step, 0)
            m.pick(step, _SECOND)
            m.run(_ADD)
            m.keep(entry, 0)
    m.pick(0, 0)
    for i in range(len(u)):
        for shift in (6, 4, 2, 0):
            m.run(_DOUBLE)
            m.run(_DOUBLE)
            m.pick(u[i] >> shift & 3 | (v[i] >> shift & 3) << 2, _SECOND)
            m.run(_ADD)
    return _affine(m, parameters)


def _machine(parameters, doubling):
    m = machine(parameters[1], _NAMES, (_ADDITION, doubling), 16, 3)
    m.put(_B, parameters[2])
    return m


def _coordinates(parameters, point):
    size = parameters[0]
    if point is None:
        return parameters[3], parameters[4]
    return int.from_bytes(point[:size], "big"), int.from_bytes(point[size:], "big")


def _put(m, point, scale):
    """Set the second point, its coordinates multiplied by `scale`."""
    m.put(_SECOND, point[0] * scale % m.p)
    m.put(_SECOND + 1, point[1] * scale % m.p)
    m.put(_SECOND + 2, scale)


def _digits(scalar, parameters):
    """The digits, of four bits, of an equivalent of the scalar, from the first that is not 0.

    As many multiples of the order n are added as give the number a bit more than n has, rounded up
    to whole digits: then the first digit is 1, and no leading part is a multiple of n, so that the
    point at infinity does not come up on the way.
    """
    n = parameters[5]
    k = int.from_bytes(scalar, "big")
    size = len(scalar)
    if size == parameters[0]:
        end = 1 << (524 if size == 66 else 8 * size)
        k += (end + n - 1 - k) // n * n
        size += 1
    begun = False
    for byte in k.to_bytes(size, "big"):
        for digit in (byte >> 4, byte & 15):
            begun = begun or digit
            if begun:
                yield digit


def _affine(m, parameters):
    """The machine's first point as x || y, None at infinity; the machine is wiped."""
    size = parameters[0]
    p = m.p
    x, y, z = m.get(0), m.get(1), m.get(2)
    m.wipe()
    if not z:
        return None
    z = inverse(z, p)
    x = x * z % p
    y = y * z % p
    # A fault leads off the curve.
    if (y * y - x * x * x + 3 * x - parameters[2]) % p:
        raise EngineError("wrong-result")
    return x.to_bytes(size, "big") + y.to_bytes(size, "big")

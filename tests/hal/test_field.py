"""The field's machines, in machine code where there is an emitter, against plain integers."""

import os

from hal import curves, field_plain, machine

PRIMES = [curves.weierstrass(curve)[1] for curve in ("ecp256", "ecp384", "ecp521")]
PRIMES.append(curves.CURVE25519)
KINDS = [field_plain.Machine]
if machine.kind() is not field_plain.Machine:
    KINDS.append(machine.kind())

NAMES = "abcdef"
TEXTS = ("c=a*b", "c=a+b", "c=a-b", "c=a2b", "c=a3b", "a=a*a", "a=a-a", "b=b3b")


def machines(prime):
    programs = [machine._assembled(text, NAMES) for text in TEXTS]
    return [kind(prime, len(NAMES), 16, 2, programs) for kind in KINDS]


def model(p, text, numbers):
    """One step on a dict of integers."""
    a, b = numbers[text[2]], numbers[text[4]]
    if text[3] == "*":
        numbers[text[0]] = a * b % p
    else:
        numbers[text[0]] = (a + {"+": 1, "-": -1, "2": 2, "3": 3}[text[3]] * b) % p


ROUNDS = 60


def random_number(p):
    number = int.from_bytes(os.urandom(68), "big")
    kind = number & 7
    number >>= 3
    if kind == 0:  # few bits
        return number % p % 1000
    if kind == 1:  # nearly the prime
        return p - 1 - number % 1000
    if kind == 2:  # long runs of ones
        return p >> 1 + number % 500
    return number % p


def test_numbers_come_back():
    for prime in PRIMES:
        for m in machines(prime):
            for number in (0, 1, 2, m.p - 1, m.p - 2, m.p >> 1, (1 << 200) - 1):
                m.put(3, number)
                assert m.get(3) == number


def test_single_steps():
    for prime in PRIMES:
        for m in machines(prime):
            p = m.p
            edges = [0, 1, p - 1, p - 2, p >> 1, 8191, 8192, (1 << 250) - 1]
            pairs = [(a, b) for a in edges for b in edges]
            pairs += [(random_number(p), random_number(p)) for _ in range(ROUNDS)]
            for a, b in pairs:
                for i, text in enumerate(TEXTS[:5]):
                    numbers = {"a": a, "b": b}
                    model(p, text, numbers)
                    m.put(0, a)
                    m.put(1, b)
                    m.run(i)
                    assert m.get(2) == numbers["c"], (prime, text, a, b)
                    assert (m.get(0), m.get(1)) == (a, b)


def test_long_programs():
    # Results that are never read in between: whatever is left unreduced has to stay in bounds.
    for prime in PRIMES:
        for _ in range(ROUNDS // 3):
            steps = []
            for byte in os.urandom(40):
                at = byte % 4 * 4 + (byte >> 2) % 4
                operator = "*+-23"[byte % 5]
                steps.append(NAMES[at % 6] + "=" + NAMES[byte % 6] + operator + NAMES[at % 5])
            text = " ".join(steps)
            start = [random_number(curves.value(prime)) for _ in NAMES]
            for kind in KINDS:
                m = kind(prime, len(NAMES), 0, 0, [machine._assembled(text, NAMES)])
                numbers = {}
                for i, name in enumerate(NAMES):
                    m.put(i, start[i])
                    numbers[name] = start[i]
                m.run(0)
                for step in steps:
                    model(m.p, step, numbers)
                for i, name in enumerate(NAMES):
                    assert m.get(i) == numbers[name], (prime, text, start)


def test_the_extremes_of_what_is_left_unreduced():
    # Tripling and quadrupling again and again, then the longest product.
    for prime in PRIMES:
        for m in machines(prime):
            for start in (m.p - 1, m.p >> 1, 1, random_number(m.p)):
                m.put(0, start)
                m.put(1, start)
                expected = start
                for _ in range(20):
                    m.run(7)  # b = 4 b
                    expected = expected * 4 % m.p
                m.run(0)
                assert m.get(2) == start * expected % m.p


def test_table():
    for m in machines(PRIMES[0]):
        for entry in range(16):
            m.put(0, entry + 100)
            m.put(1, entry + 200)
            m.keep(entry, 0)
        for entry in range(16):
            m.pick(entry, 3)
            assert (m.get(3), m.get(4)) == (entry + 100, entry + 200)
        assert (m.get(0), m.get(1)) == (115, 215)


def test_swap():
    for m in machines(PRIMES[3]):
        for i in range(6):
            m.put(i, i)
        m.swap(0)
        assert [m.get(i) for i in range(6)] == [0, 1, 2, 3, 4, 5]
        m.swap(1)
        assert [m.get(i) for i in range(6)] == [2, 3, 0, 1, 4, 5]


def test_wiping_leaves_nothing():
    plain, *compiled = machines(PRIMES[0])
    plain.put(0, 12345)
    plain.wipe()
    assert not plain._registers
    for m in compiled:
        m.put(0, 12345)
        m.keep(3, 0)
        m.wipe()
        assert not any(m._mem) and not any(m._table)

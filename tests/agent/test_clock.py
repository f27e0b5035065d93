"""Milliseconds that survive the wrap of the port's ticks."""

from agent.clock import Clock


def test_it_starts_at_zero_and_counts():
    ticks = [12345]
    clock = Clock(lambda: ticks[0])
    assert clock() == 0
    ticks[0] += 7
    assert clock() == 7


def test_it_goes_on_across_the_wrap():
    ticks = [(1 << 30) - 5]
    clock = Clock(lambda: ticks[0])
    ticks[0] = 10
    assert clock() == 15
    for _ in range(5):
        ticks[0] = (ticks[0] + (1 << 29)) % (1 << 30)
        clock()
    assert clock() == 15 + 5 * (1 << 29)

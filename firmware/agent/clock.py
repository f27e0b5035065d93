"""Milliseconds that never run backwards, from a port's wrapping ticks."""

_PERIOD = 1 << 30  # MicroPython's ticks wrap here, on every port


class Clock:
    """Call it for the milliseconds since it was made. It must be called once in 6 days."""

    def __init__(self, ticks_ms):
        self._ticks = ticks_ms
        self._last = ticks_ms()
        self._total = 0

    def __call__(self):
        ticks = self._ticks()
        self._total += (ticks - self._last) % _PERIOD
        self._last = ticks
        return self._total

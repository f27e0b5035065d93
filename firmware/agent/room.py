"""Memory that MicroPython's heap and the network share, on a board with an interface of its own.

MicroPython's heap grows out of ESP-IDF's: whenever a piece finds no room in it, it doubles, or
takes all that is left in one piece. Then nothing remains for what is received: it is dropped, and
the agent is deaf. So the heap has its share from the beginning, and what it takes beyond that is
given back as soon as nothing is in it. Where that does not help, the agent begins anew.
"""

import gc

from esp32 import HEAP_DATA, idf_heap_info
from micropython import const

_HEAP = const(73728)  # beside the first 56 KB or so: the agent, an exchange, gaps between them
_NETWORK = const(24576)  # of drivers and lwIP, for datagrams in flight: 9 KB were seen
_LEAST = const(4096)  # of that, for two datagrams
_EVERY_MS = const(10000)
_PATIENCE = const(6)  # times in a row


class Starved(Exception):
    """The network has no memory any more."""


def largest():
    """Bytes in one piece that ESP-IDF's heap has left. MicroPython counts them as free too."""
    return max(region[2] for region in idf_heap_info(HEAP_DATA))


class Room:
    """To be made after the network's driver is on, before the agent is loaded."""

    def __init__(self):
        # MicroPython gives a region back once no more than its first 16 bytes are in use: these
        # stay.
        self._kept = [None] * max(0, min(_HEAP, largest() - _NETWORK) // 4)
        self._kept.clear()
        self._kept.extend([None] * 16)
        self._share = self._size()
        self._due = 0
        self._starved = 0

    def run(self, now):
        if now < self._due:
            return
        self._due = now + _EVERY_MS
        if self._grown():
            gc.collect()
        # A flood of datagrams takes memory as well, but only for as long as it lasts.
        if largest() >= _LEAST or not self._grown():
            self._starved = 0
            return
        self._starved += 1
        if self._starved >= _PATIENCE:
            raise Starved("the heap has taken the network's memory")

    def deadline(self):
        return self._due

    def heap_free(self):
        """Bytes that are free in MicroPython's heap, without those that it could take."""
        return gc.mem_free() - largest()

    def _grown(self):
        return self._size() >= self._share + _LEAST // 2

    def _size(self):
        return gc.mem_alloc() + self.heap_free()

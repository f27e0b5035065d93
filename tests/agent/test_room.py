"""The heap keeps to its share, and what it takes of the network's memory comes back, or the agent
begins anew."""

import sys


class Memory:
    """ESP-IDF's heap in one piece, and MicroPython's, which has grown out of it by `taken`."""

    HEAP_DATA = 4

    def __init__(self):
        self.left = 100_000
        self.used = 20_000
        self.size = 56_000
        self.taken = 0
        self.in_use = False  # whether anything is left in what was taken
        self.collections = 0

    def idf_heap_info(self, kind):
        assert kind == self.HEAP_DATA
        return [(200_000, 4, 0, 4), (120_000, self.left + 300, self.left, 1000)]

    def mem_alloc(self):
        return self.used

    def mem_free(self):
        return self.size + self.taken - self.used + self.left

    def collect(self):
        self.collections += 1
        if not self.in_use:
            self.left += self.taken
            self.taken = 0

    def take(self, size):
        self.left -= size
        self.taken += size


memory = Memory()
real = sys.modules.get("esp32")
sys.modules["esp32"] = memory

from agent import room  # noqa: E402

if real is None:
    del sys.modules["esp32"]
room.gc = memory
room.idf_heap_info = lambda kind: memory.idf_heap_info(kind)


def made():
    memory.__init__()
    found = room.Room()
    assert memory.collections == 0
    return found


def turns(found, seconds, start=0):
    """The exception of a turn a second, or None."""
    for second in range(start, start + seconds):
        now = 1000 * second
        if now >= found.deadline():
            try:
                found.run(now)
            except room.Starved as starved:
                return starved


def test_its_own_share_is_not_growth():
    found = made()
    assert turns(found, 3600) is None
    assert memory.collections == 0
    assert found.heap_free() == 36_000


def test_what_nothing_is_left_in_is_given_back():
    found = made()
    memory.take(99_000)
    assert turns(found, 11) is None
    assert memory.left == 100_000
    assert turns(found, 3600, 11) is None


def test_a_heap_that_keeps_the_networks_memory_ends_the_agent():
    found = made()
    memory.in_use = True
    memory.take(97_000)
    assert turns(found, 50) is None
    assert str(turns(found, 11, 50)) == "the heap has taken the network's memory"


def test_growth_that_leaves_enough_is_no_matter():
    found = made()
    memory.in_use = True
    memory.take(90_000)
    assert turns(found, 3600) is None


def test_a_flood_takes_memory_for_as_long_as_it_lasts():
    found = made()
    memory.left = 500
    assert turns(found, 3600) is None
    memory.left = 100_000
    memory.in_use = True
    memory.take(97_000)
    assert turns(found, 50, 3600) is None
    memory.left += 5_000  # the network has given some back itself
    assert turns(found, 3600, 3650) is None

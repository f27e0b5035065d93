"""The board's side of the copies: hal/copy32.py in viper, and hal/memory.py with and without it.

Under MicroPython viper is the real thing, on real memory. Under CPython a stand-in does what it
does with pointers, on ctypes, so that the same code runs there as well. `mem32` is a stand-in
under both: on a desk the system would forbid it.
"""

import sys

import hal

MICROPYTHON = sys.implementation.name == "micropython"
TOP = 0x3FFFFFFF


class Machine:
    """What hal.memory takes from `machine`."""

    interrupts = True
    watched = None
    seen = []

    @classmethod
    def disable_irq(cls):
        before, cls.interrupts = cls.interrupts, False
        return before

    @classmethod
    def enable_irq(cls, state):
        if cls.watched:
            cls.seen.append((cls.interrupts, cls.watched.number()))
        cls.interrupts = state


if MICROPYTHON:
    from uctypes import addressof, bytearray_at
else:
    import builtins
    import ctypes
    import time

    import micropython

    def addressof(buffer):
        return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))

    def bytearray_at(address, size):
        return memoryview((ctypes.c_char * size).from_address(address)).cast("B")

    class Pointer:
        """A ptr8 or ptr32, of an address or of a buffer: stores cut off what does not fit."""

        def __init__(self, kind, target):
            # Read-only bytes have no address for ctypes: a copy has.
            self.kept = bytearray(target) if isinstance(target, bytes) else target
            self.address = target if isinstance(target, int) else addressof(self.kept)
            self.kind = kind

        def _at(self, index):
            return self.kind.from_address(self.address + index * ctypes.sizeof(self.kind))

        def __int__(self):
            return self.address

        def __getitem__(self, index):
            return self._at(index).value

        def __setitem__(self, index, value):
            self._at(index).value = value

    def viper(function):
        """Casts the arguments to what their annotations say."""
        kinds = list(function.__annotations__.values())
        return lambda *given: function(*[kind(one) for kind, one in zip(kinds, given)])

    def uint(value):
        return int(value) & 0xFFFFFFFF

    class Uctypes:
        addressof = staticmethod(addressof)

    builtins.uint = uint
    builtins.ptr8 = lambda target: Pointer(ctypes.c_uint8, target)
    builtins.ptr32 = lambda target: Pointer(ctypes.c_uint32, target)


class Mem32:
    def __getitem__(self, address):
        value = int.from_bytes(bytes(bytearray_at(address, 4)), "little")
        assert not Machine.watched or address != Machine.watched.address or not Machine.interrupts
        return value - (1 << 32) if value >> 31 else value  # signed, as on the boards

    def __setitem__(self, address, value):
        bytearray_at(address, 4)[:] = value.to_bytes(4, "little")


Machine.mem32 = Mem32()


def _forget():
    for name in ("memory", "copy32"):
        sys.modules.pop("hal." + name, None)
        if hasattr(hal, name):
            delattr(hal, name)


def _memory(with_viper):
    """A fresh hal.memory, with the viper copies or without; nothing of it stays behind."""
    before = dict(sys.modules)
    sys.modules["machine"] = Machine
    if not MICROPYTHON:
        sys.modules["uctypes"] = Uctypes
        micropython.viper, plain = viper, micropython.viper
        time.ticks_ms = lambda: time.monotonic_ns() // 1000000 & TOP
    _forget()
    if not with_viper:
        hal.copy32 = None
    try:
        from hal import memory
    finally:
        _forget()
        for name in ("machine", "uctypes"):
            if name in before:
                sys.modules[name] = before[name]
            else:
                sys.modules.pop(name, None)
        if not MICROPYTHON:
            micropython.viper = plain
            del time.ticks_ms
    assert memory.tables == with_viper
    return memory


class Block:
    """Words in RAM that play the accelerator's block, between guards."""

    def __init__(self, words):
        self.ram = bytearray(b"\xa5" * (4 * words + 8))
        self.address = addressof(self.ram) + 4

    def number(self):
        assert self.ram[:4] == self.ram[-4:] == b"\xa5" * 4
        return int.from_bytes(self.ram[4:-4], "little")


def _pattern(size, start):
    return bytearray((start + 73 * i) & 0xFF for i in range(size))


def test_reverse():
    for viper in (True, False):
        memory = _memory(viper)
        for size in (0, 1, 3, 4, 5, 32, 255, 256):
            data = _pattern(size, 0x81)
            out = bytearray(b"\xa5" * (size + 4))
            memory.reverse(out, bytes(data), size)
            assert out == bytes(reversed(data)) + b"\xa5" * 4
        out = bytearray(2)
        memory.reverse(out, b"\1\2\3", 2)
        assert out == b"\2\1"


def test_move_and_differs():
    for viper in (True, False):
        memory = _memory(viper)
        for words in (1, 4, 7, 64):
            block = Block(words)
            data = _pattern(4 * words, 0x81)
            memory.move(block.address, data, words)
            assert block.number() == int.from_bytes(data, "little")
            back = bytearray(4 * words)
            memory.move(back, block.address, words)
            assert back == data
            assert not memory.differs(block.address, back, words)
            for i in (0, 4 * words - 1):
                back[i] ^= 0x80
                assert memory.differs(block.address, back, words)
                back[i] ^= 0x80


def test_move_of_immutable_bytes():
    for viper in (True, False):
        block = Block(2)
        _memory(viper).move(block.address, b"\1\2\0\0\0\0\0\0", 2)
        assert block.number() == 0x0201


def test_zero():
    for viper in (True, False):
        memory = _memory(viper)
        block = Block(5)
        memory.zero(block.address, 5)
        assert block.number() == 0
        secret = _pattern(16, 0x81)
        memory.zero(secret, 3)
        assert secret == bytes(12) + _pattern(16, 0x81)[12:]


def test_read_and_write():
    for viper in (True, False):
        memory = _memory(viper)
        block = Block(1)
        for value in (0, 1, 0x80000000, 0xFFFFFFFF):
            memory.write(block.address, value)
            assert memory.read(block.address) == value == block.number()


def test_change_with_interrupts_off():
    for viper in (True, False):
        memory = _memory(viper)
        block = Block(1)
        for before, off, on, after in (
            (0x80000000, 0, 8, 0x80000008),
            (0xFFFFFFFF, 0x124000, 0, 0xFFEDBFFF),
            (0x00000000, 0x124000, 0x200000, 0x200000),
            (0xA5A5A5A5, 0xFF, 0x0F, 0xA5A5A50F),
        ):
            memory.write(block.address, before)
            Machine.watched = block
            Machine.seen.clear()
            memory.change([(block.address, off, on)])
            # Done when the interrupts come back, and not by one who had them on.
            assert Machine.seen == [(False, after)]
            assert Machine.interrupts
            assert block.number() == after


def test_changes_one_after_the_other():
    for viper in (True, False):
        memory = _memory(viper)
        one, other = Block(1), Block(1)
        memory.change([(one.address, 0, 4), (one.address, 0x21, 0), (other.address, 0, 1)])
        assert one.number() == 0xA5A5A584
        assert other.number() == 0xA5A5A5A5


def test_clock():
    memory = _memory(True)
    assert 0 <= memory.ticks() - memory.ticks() + 1 & TOP <= 1


def test_tables():
    memory = _memory(True)
    words = 6
    table = bytearray(16 * words)
    numbers = []
    for entry in range(4):
        data = _pattern(4 * words, 40 * entry + 0x80)
        numbers.append(int.from_bytes(data, "little"))
        block = Block(words)
        memory.move(block.address, data, words)
        memory.keep(table, entry, block.address, words)
    for entry in range(4):
        block = Block(words)
        memory.pick(block.address, table, entry, words)
        assert block.number() == numbers[entry]
        other = Block(words)
        memory.move(other.address, block.address, words)
        assert other.number() == numbers[entry]

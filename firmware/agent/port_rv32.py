"""What the agent asks of a port, on the bare-metal board qemu-rv32.

The board's module `virt` has the serial line and the clock; there is neither time nor select.
"""

import virt  # type: ignore[import-not-found]  # the board has it

ticks_ms = virt.ticks_ms
write_serial = virt.write
reset = virt.reset


_buffer = bytearray(256)
_view = memoryview(_buffer)
_interruptible = False


def take_serial():
    """Ctrl-C on the serial line is a byte like any other, as it is at first."""


def leave_serial():
    """Ctrl-C interrupts."""
    global _interruptible
    _interruptible = True


def read_serial():
    """What has come over the serial line; b"" where nothing has. Valid until the next call."""
    count = virt.readinto(_buffer)
    if not count:
        return b""
    if _interruptible and _buffer.find(b"\x03", 0, count) >= 0:
        raise KeyboardInterrupt  # no interrupt handler does it here
    return _view[:count]


def wait(ms, _sockets=()):
    """Sleep until the serial line has something, at most `ms`."""
    virt.wait(ms)

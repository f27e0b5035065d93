"""What the agent asks of a port, on MicroPython's unix port and on the ESP32 family.

A port has ticks_ms(), read_serial(), write_serial(data), wait(ms, sockets), take_serial(),
leave_serial() and reset(). Here the serial line is the interpreter's standard input and output.
"""

import select
import sys
import time

import machine
import micropython

ticks_ms = time.ticks_ms

_poll = select.poll()
_poll.register(sys.stdin, select.POLLIN)
_watched = []


def read_serial():
    """What has come over the serial line; b"" where nothing has."""
    data = bytearray()
    while len(data) < 512 and _serial_ready():
        byte = sys.stdin.buffer.read(1)
        if not byte:
            raise SystemExit  # the line is gone for good: the terminal was closed
        data.extend(byte)
    return data


def _serial_ready():
    return any(found[0] is sys.stdin for found in _poll.ipoll(0))


def write_serial(data):
    """Write the whole of `data`."""
    sys.stdout.buffer.write(data)


def wait(ms, sockets=()):
    """Wait until the serial line or one of the sockets has something, at most `ms`."""
    for socket in sockets:
        if socket not in _watched:
            _watched.append(socket)
            _poll.register(socket, select.POLLIN)
    _poll.poll(ms)


def forget(sockets):
    """Sockets that will be closed: wait for them no longer."""
    for socket in sockets:
        if socket in _watched:
            _watched.remove(socket)
            _poll.unregister(socket)


def take_serial():
    """Ctrl-C on the serial line is a byte like any other from now on."""
    micropython.kbd_intr(-1)


def leave_serial():
    """Ctrl-C interrupts."""
    micropython.kbd_intr(3)


def reset():
    """Start the device anew; on unix, end the process."""
    if hasattr(machine, "reset"):
        machine.reset()
    raise SystemExit

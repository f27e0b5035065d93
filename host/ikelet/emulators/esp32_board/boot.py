"""boot.py of the emulated ESP32: the file system once more, with more of it in RAM.

Each access to flash makes the emulator translate the program anew, which takes it some 20 ms,
whatever the size. Silicon has no need of this. The RAM is what stock firmware keeps for the
Bluetooth controller, which the agent never starts: none of the heap.
"""

import os

import uctypes
import vfs
from flashbdev import bdev

_BLOCK = 4096
_BLUETOOTH = 0x3FFB0000
_ERASE = 6  # ioctl
_SLOTS = 6  # a folder's two blocks, its parent's, a file's


class Cached:
    """A block device: the flash, with the blocks last read in RAM."""

    def __init__(self):
        # [number of the block, content], the latest last
        self._slots = [
            [None, uctypes.bytearray_at(_BLUETOOTH + _BLOCK * slot, _BLOCK)]
            for slot in range(_SLOTS)
        ]

    def readblocks(self, number, buffer, offset=0):
        buffer[:] = memoryview(self._block(number))[offset : offset + len(buffer)]

    def writeblocks(self, number, buffer, offset=0):
        self._forget(number)
        return bdev.writeblocks(number, buffer, offset)

    def ioctl(self, operation, argument):
        if operation == _ERASE:
            self._forget(argument)
        return bdev.ioctl(operation, argument)

    def _block(self, number):
        slots = self._slots
        for i in range(_SLOTS):
            if slots[i][0] == number:
                slots.append(slots.pop(i))
                return slots[-1][1]
        self._forget(slots[0][0])
        bdev.readblocks(number, slots[0][1], 0)
        slots[0][0] = number
        slots.append(slots.pop(0))
        return slots[-1][1]

    def _forget(self, number):
        for slot in self._slots:
            if slot[0] == number:
                slot[0] = None


vfs.umount("/")
vfs.mount(vfs.VfsLfs2(Cached(), readsize=32, progsize=512), "/")
os.chdir("/")

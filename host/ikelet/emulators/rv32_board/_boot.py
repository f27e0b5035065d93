"""Frozen into the firmware: mounts the flash at /, formatting it the first time."""

import uctypes
import vfs

_FLASH = 0x80800000
_SIZE = 0x100000
_BLOCK = 4096


class Flash:
    """The block device under LittleFS: RAM that neither the heap nor a reset touches."""

    def __init__(self):
        self._memory = memoryview(uctypes.bytearray_at(_FLASH, _SIZE))

    def readblocks(self, block, buffer, offset=0):
        start = block * _BLOCK + offset
        buffer[:] = self._memory[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        start = block * _BLOCK + offset
        self._memory[start : start + len(buffer)] = buffer

    def ioctl(self, op, argument):
        if op == 4:
            return _SIZE // _BLOCK
        if op == 5:
            return _BLOCK
        if op == 6:  # erase: the next write programs whole pages
            return 0


def _mount():
    flash = Flash()
    try:
        system = vfs.VfsLfs2(flash)
    except OSError:
        vfs.VfsLfs2.mkfs(flash)
        system = vfs.VfsLfs2(flash)
    vfs.mount(system, "/")


_mount()

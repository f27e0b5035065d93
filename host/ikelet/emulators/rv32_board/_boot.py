"""Frozen into the firmware: mounts the flash at /, formatting it the first time."""

import vfs
import virt


def _mount():
    try:
        system = vfs.VfsLfs2(virt)
    except OSError:
        vfs.VfsLfs2.mkfs(virt)
        system = vfs.VfsLfs2(virt)
    vfs.mount(system, "/")


_mount()

"""Modules that are loaded for a while: the heap has no room for all of them at once.

Whoever needs one imports it within a function, so that nothing else keeps it.
"""

import gc
import sys

# hal.limbs is none of them: the ESP32 never frees machine code before its next start.
PUBLIC_KEYS = (
    "hal.ecdh",
    "hal.ecdsa",
    "hal.rsa",
    "hal.modular",
    "hal.curves",
    "hal.machine",
    "hal.field",
    "hal.field_plain",
    "hal.software_ec",
    "hal.software_x25519",
)


def unload(*names):
    """Free modules, by name, or all of a package by its name and a dot: "pki.". Needs no piece of
    memory to speak of: it is called where that is short."""
    for name in names:
        if name[-1] != ".":
            _unload(name)
            continue
        while True:
            for other in sys.modules:
                if other.startswith(name):
                    break
            else:
                break
            _unload(other)
    gc.collect()


def _unload(name):
    if sys.modules.pop(name, None):
        package, _, module = name.partition(".")
        if module and hasattr(sys.modules[package], module):
            delattr(sys.modules[package], module)

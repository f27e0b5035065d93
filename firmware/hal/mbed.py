"""Engine over `cryptolib` and `hashlib`, which MicroPython builds on mbedTLS or its own C code.

On the ESP32 family mbedTLS hands AES and SHA to the accelerators. Which operations there are is
a matter of the build: bare-metal ports lack cryptolib, and some hashes.
"""

import hashlib

from hal import EngineError

try:
    import cryptolib
except ImportError:
    cryptolib = None

_CBC = 2  # cryptolib's mode number


class Engine:
    name = "mbed"

    def can(self, op, what):
        """AES-CBC with 128 and 256-bit keys, and the hashes this build has."""
        if op == "aes_cbc":
            return cryptolib is not None and what != 192
        return op == "hash" and hasattr(hashlib, what)

    def aes_cbc(self, key, iv, data, encrypt):
        try:
            cipher = cryptolib.aes(key, _CBC, iv)
            return cipher.encrypt(data) if encrypt else cipher.decrypt(data)
        except (OSError, ValueError) as error:
            raise EngineError("failed") from error

    def hash(self, name, *parts):
        state = getattr(hashlib, name)()
        try:
            for part in parts:
                state.update(part)
        finally:
            # Always: on the ESP32 an unfinished hash keeps the accelerator locked.
            digest = state.digest()
        return digest

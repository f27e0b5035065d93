"""HMAC-DRBG with SHA-256 (NIST SP 800-90A rev. 1, section 10.1.2): security strength 256 bits."""

from micropython import const

from hal import HalError, wipe

_MAX_REQUEST = const(65536)  # bytes; 2^19 bits, table 2


class Drbg:
    """Instantiated from `seed`: entropy input, nonce, personalization string, all in a row.

    `hmac` is called as hmac("sha256", key, *parts) and gives a bytearray.
    """

    def __init__(self, hmac, seed):
        self._hmac = hmac
        self._key = bytearray(32)
        self._v = bytearray(b"\1" * 32)
        self.reseed(seed)

    def reseed(self, seed):
        """Add fresh entropy; `requests` counts from 0 again."""
        self._update(seed)
        self.requests = 0

    def generate(self, n):
        """n bytes, as a bytearray."""
        if n > _MAX_REQUEST:
            raise HalError("too many random bytes at once")
        out = bytearray(n)
        for start in range(0, n, 32):
            self._next()
            out[start : start + 32] = self._v[: min(32, n - start)]
        self._update(b"")
        self.requests += 1
        return out

    # HMAC_DRBG_Update, 10.1.2.2: K = HMAC(K, V || 0x00 || data), V = HMAC(K, V); with data,
    # once more with 0x01.
    def _update(self, data):
        for mark in (b"\0", b"\1") if data else (b"\0",):
            key = self._hmac("sha256", self._key, self._v, mark, data)
            wipe(self._key)
            self._key = key
            self._next()

    def _next(self):
        v = self._hmac("sha256", self._key, self._v)
        wipe(self._v)
        self._v = v

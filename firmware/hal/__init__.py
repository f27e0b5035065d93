"""Cryptographic operations by engine: hardware where it proves itself, software otherwise.

The caller names the operation; `Hal` picks the first engine, in the board's order of preference,
that can do it and has given the known answers for it. An engine that answers wrongly is struck
off; one that fails at run time is passed over for that call. Both are counted and reported.

An engine is an object with `name`, `can(op, what)` and a method per operation:

    op        what                    arguments
    modexp    bits of the modulus     base, exponent, modulus (big-endian)
    aes_cbc   bits of the key         key, iv, data, encrypt
    des3_cbc  None                    key, iv, data, encrypt
    hash      "md5" ... "sha512"      name, *parts
    random    None                    number of bytes
    ec        curve                   curve, scalar, point or None, random mask: the multiple
    ec_sum    curve                   curve, u, v, point: u * generator + v * point, or None

Its methods raise `EngineError` when they could not, or did wrongly.
"""

from micropython import const

_MAX_FAILURES = const(3)  # run-time failures in a row after which an engine is retired
_STRUCK_OFF = const(-1)

_BLOCK_SIZE = {"md5": 64, "sha1": 64, "sha256": 64, "sha384": 128, "sha512": 128}


class EngineError(Exception):
    """An engine could not do an operation, or did it wrongly.

    `code` is one of "timeout", "wrong-result", "unsupported", "powered-down", "stuck", "failed".
    """

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class HalError(Exception):
    """No engine can do the operation, or the random source refused."""


class PublicKeyError(Exception):
    """A peer's public key is refused.

    `code` is "length", "range", "off-curve", "zero-secret" (curves), "size", "even", "exponent"
    (RSA).
    """

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def wipe(buffer):
    """Zero a bytearray, or a writable memoryview of bytes, in place. Needs no memory, the lack of
    which may be what made somebody give up."""
    try:
        buffer[:] = bytes(len(buffer))
    except MemoryError:
        for i in range(len(buffer)):
            buffer[i] = 0


def equal(a, b):
    """True if two bytes-likes are equal; the time depends on their lengths only."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0


class Hal:
    """The operations, over `engines` in order of preference.

    `on_event` is called with a dict whenever an engine fails:
    {"event": "engine", "engine": "mpi", "op": "modexp", "what": 2048, "why": "timeout"}.
    It may be set later; failures are counted in any case.

    `counts` is {op: {engine: operations done}}, `failures` {"engine:op": {why: times}}.
    """

    def __init__(self, engines, on_event=None):
        self._engines = engines
        # (engine name, op, what) -> failures in a row, or _STRUCK_OFF; absent until proven.
        self._standing = {}
        self.on_event = on_event
        self.counts = {}
        self.failures = {}

    def modexp(self, base, exponent, modulus):
        """base ** exponent mod modulus, as a bytearray of the modulus' length.

        All are big-endian bytes-likes; the modulus is odd, its top bit set, the base not longer.
        The time may depend on the exponent's length, so give secrets a fixed one.
        """
        if not modulus or not modulus[0] & 0x80 or not modulus[-1] & 1:
            raise ValueError("modulus must be odd with its top bit set")
        if not exponent or not base or len(base) > len(modulus):
            raise ValueError("base or exponent length")
        return self._run("modexp", len(modulus) * 8, base, exponent, modulus)

    def aes_cbc(self, key, iv, data, encrypt):
        """AES-CBC (SP 800-38A) of whole 16-byte blocks; key of 16, 24 or 32 bytes."""
        if len(key) not in (16, 24, 32) or len(iv) != 16 or len(data) % 16:
            raise ValueError("AES-CBC key, iv or data length")
        return self._run("aes_cbc", len(key) * 8, key, iv, data, encrypt)

    def des3_cbc(self, key, iv, data, encrypt):
        """Three-key triple DES in CBC mode (SP 800-67) of 8-byte blocks; key of 24 bytes."""
        if len(key) != 24 or len(iv) != 8 or len(data) % 8:
            raise ValueError("3DES-CBC key, iv or data length")
        return self._run("des3_cbc", None, key, iv, data, encrypt)

    def hash(self, name, *parts):
        """The digest of the parts one after the other, as bytes."""
        if name not in _BLOCK_SIZE:
            raise ValueError("unknown hash")
        return self._run("hash", name, name, *parts)

    def hmac(self, name, key, *parts):
        """HMAC (RFC 2104) of the parts one after the other, as a bytearray."""
        if name not in _BLOCK_SIZE:
            raise ValueError("unknown hash")
        size = _BLOCK_SIZE[name]
        if len(key) > size:
            key = self.hash(name, key)
        # H(K xor opad, H(K xor ipad, text))
        pad = _pad(key, b"\x36" * size)
        inner = self.hash(name, pad, *parts)
        wipe(pad)
        pad = _pad(key, b"\x5c" * size)
        outer = bytearray(self.hash(name, pad, inner))
        wipe(pad)
        return outer

    def random(self, n):
        """n random bytes, as a bytearray.

        There is no falling back to a lesser source: if the preferred one refuses, HalError.
        """
        return self._run("random", None, n)

    # Public keys, by modules that are loaded when first used (see modules.py) and tell the rest.
    # Curves are "ecp256", "ecp384", "ecp521" and "curve25519". A public value is x || y, a secret
    # x alone, of fixed width and big-endian; with curve25519 all are RFC 7748's 32 bytes.

    def ec_pair(self, curve):
        """(private bytearray, public bytes) for ECDH or ECDSA."""
        from hal import ecdh

        return ecdh.pair(self, curve)

    def ec_public(self, curve, private):
        """The public value of a private key; ValueError if that is out of range."""
        from hal import ecdh

        return ecdh.public(self, curve, private)

    def ec_check(self, curve, public):
        """PublicKeyError unless this is a public value of the curve."""
        from hal import ecdh

        ecdh.check(curve, public)

    def ecdh(self, curve, private, public):
        """The shared secret, a bytearray; PublicKeyError if the peer's value is refused."""
        from hal import ecdh

        return ecdh.shared(self, curve, private, public)

    def ecdsa_sign(self, curve, private, digest):
        """r || s of fixed width, as bytes."""
        from hal import ecdsa

        return ecdsa.sign(self, curve, private, digest)

    def ecdsa_verify(self, curve, public, digest, signature):
        """True if r || s, of fixed width, is a signature of the digest."""
        from hal import ecdsa

        return ecdsa.verify(self, curve, public, digest, signature)

    def rsa_sign(self, key, data, hash_name=None):
        """PKCS#1 v1.5 by (n, e, p, q, dp, dq, qinv); with DigestInfo if a hash is named."""
        from hal import rsa

        return rsa.sign(self, key, data, hash_name)

    def rsa_verify(self, public, data, signature, hash_name=None):
        """True if that is what the holder of the public key (n, e) signs."""
        from hal import rsa

        return rsa.verify(self, public, data, signature, hash_name)

    def rsa_check(self, public):
        """PublicKeyError unless (n, e) is a key to be trusted."""
        from hal import rsa

        rsa.check(public)

    def prove(self, op, what, every=True):
        """Run the known answers for (op, what): {engine name: "ok" or a code}.

        Of every engine, or only until one has passed: the others are then proven before they are
        first needed, and their modules take no memory until then.
        """
        verdicts = {}
        for engine in self._engines:
            if engine.can(op, what):
                self._standing.pop((engine.name, op, what), None)
                verdicts[engine.name] = self._prove(engine, op, what) or "ok"
                if verdicts[engine.name] == "ok" and not every:
                    break
        return verdicts

    def _prove(self, engine, op, what):
        from hal import selftest

        # No reference stays in the package: whoever needs the memory may unload the module.
        globals().pop("selftest", None)
        try:
            selftest.check(engine, op, what)
        except MemoryError:
            # Not the engine's fault: the next call tries again.
            self._report(engine.name, op, what, "no-memory")
            return "no-memory"
        except EngineError as error:
            self._standing[engine.name, op, what] = _STRUCK_OFF
            self._report(engine.name, op, what, error.code)
            return error.code
        self._standing[engine.name, op, what] = 0
        return None

    def _run(self, op, what, *arguments):
        for engine in self._engines:
            if not engine.can(op, what):
                continue
            place = engine.name, op, what
            if place not in self._standing:
                self._prove(engine, op, what)
            if self._standing.get(place, _STRUCK_OFF) != _STRUCK_OFF:
                try:
                    result = getattr(engine, op)(*arguments)
                except EngineError as error:
                    self._failed(place, error.code)
                else:
                    self._standing[place] = 0
                    _count(self.counts, op, engine.name)
                    return result
            if op == "random":
                break
        raise HalError("no engine for %s/%s" % (op, what))

    def _failed(self, place, why):
        name, op, what = place
        self._standing[place] += 1
        self._report(name, op, what, why)
        if self._standing[place] == _MAX_FAILURES:
            self._standing[place] = _STRUCK_OFF
            self._report(name, op, what, "retired")

    def _report(self, engine, op, what, why):
        _count(self.failures, engine + ":" + op, why)
        if self.on_event:
            self.on_event(
                {"event": "engine", "engine": engine, "op": op, "what": what, "why": why}
            )


def _pad(key, filling):
    """The key, extended with zeros, XOR a block of the same byte; a bytearray, to be wiped."""
    pad = bytearray(filling)
    for i in range(len(key)):
        pad[i] ^= key[i]
    return pad


def _count(table, row, column):
    counters = table.setdefault(row, {})
    counters[column] = counters.get(column, 0) + 1


def select(board, on_event=None):
    """The Hal of a board, by its data: {"chip": "esp32", "engines": ["mpi", "mbed", "software"]}.

    Random bytes come from a generator that the board's own source seeds, or, where it has none,
    `board["entropy"]`: bytes that the host gave it for this boot (see hal.entropy).
    An engine that is named but cannot be had is left out, counted and reported.
    """
    hal = Hal([], on_event)
    for name in board.get("engines", ("mbed", "software")):
        try:
            hal._engines.append(_engine(name, board.get("chip")))
        except EngineError as error:
            hal._report(name, "select", board.get("chip"), error.code)

    from hal import entropy

    try:  # last, because it may hash at once; first in the order, because it is preferred
        given = board.get("entropy"), board.get("chip"), board.get("radio", True)
        hal._engines.insert(0, entropy.engine(hal.hmac, *given))
    except HalError:
        hal._report("drbg", "select", board.get("chip"), "no-source")
    return hal


def _engine(name, chip):
    if name == "software":
        from hal import software

        return software.Engine()
    if name == "mbed":
        from hal import mbed

        return mbed.Engine()
    if name == "mpi":
        from hal import mpi

        return mpi.Engine(chip)
    raise ValueError("unknown engine " + name)

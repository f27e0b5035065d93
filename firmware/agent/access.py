"""The password with which a board in production may be provisioned. Loaded for a call alone.

As in SCRAM (RFC 5802, section 3) neither side ever says it: the host proves that it knows it for
a challenge of the board, which keeps no more than what checks such proofs:

    ClientKey := HMAC(PBKDF2(password, salt, iterations), "Client Key")
    StoredKey := SHA-256(ClientKey)
    proof     := ClientKey XOR HMAC(StoredKey, "ikelet provision" || challenge)

The host does the iterations. Every proof counts as wrong until it was found right, in flash, so
that a reset at any moment forgets nothing; from the second on they cost more and more time.
"""

from binascii import hexlify, unhexlify

from micropython import const

import hal as _hal
from agent import store
from agent.console import Refused
from agent.methods import OPEN_MS
from modules import unload

_FRESH_MS = const(60000)  # a challenge is good for so long
_MAX_WAIT_S = const(3600)
_MANY = const(13)  # as many as cost the most
_PURPOSE = const(b"ikelet provision")


def auth(agent, params):
    """See _auth; what it needed is let go of."""
    try:
        return _auth(agent, params)
    finally:
        unload("agent.store")


def _auth(agent, params):
    """Without params a challenge: {"challenge", "salt", "iterations"}, hex; a {"proof"} for it
    opens the board for a while. Refused says how long to wait after wrong ones."""
    if agent.verifier is None:
        raise Refused("this board has no password")
    secrets = store.secrets_of(agent.path)
    now = agent.clock()
    failures = _count(secrets.read(store.FAILURES))
    left = agent.failed_at + _wait_ms(failures) - now
    if left > 0:
        _stay(agent, now + left)
        raise Refused("after %d wrong passwords in a row wait %d s" % (failures, -(-left // 1000)))
    iterations, salt, stored = agent.verifier.split("$")
    hal = agent.hal or _hal.select(agent.board, agent.event)
    if "proof" not in params:
        agent.challenge = bytes(hal.random(16)), now + _FRESH_MS
        challenge = hexlify(agent.challenge[0]).decode()
        return {"challenge": challenge, "salt": salt, "iterations": int(iterations)}
    if agent.challenge is None or now > agent.challenge[1]:
        raise Refused("ask for a challenge first")
    challenge, _ = agent.challenge
    agent.challenge = None  # for one proof
    try:
        secrets.write(store.FAILURES, b"%d" % (failures + 1))
    except OSError:
        raise Refused("the board's flash cannot be written")
    agent.failed_at = now
    if not _proves(hal, params["proof"], unhexlify(stored), challenge):
        seconds = _wait_ms(failures + 1) // 1000
        _stay(agent, now + seconds * 1000)
        raise Refused("wrong password; the next one in %d s" % seconds)
    secrets.remove(store.FAILURES)
    agent.failed_at = 0
    agent.open_until = now + OPEN_MS
    return {"ok": True}


def _stay(agent, until):
    """A board without a network would begin anew, and the wait with it."""
    if agent.anew_at:
        agent.anew_at = max(agent.anew_at, until + _FRESH_MS)


def _count(kept):
    """How many wrong ones in a row flash knows of. What was cut off while it was written counts as
    many: else that would be the way to have it forgotten."""
    try:
        return 0 if kept is None else int(kept)
    except ValueError:
        return _MANY


def _wait_ms(failures):
    """How long to wait after so many: 1 s, then twice as long each time, at most an hour."""
    return min(1 << min(failures - 1, 12), _MAX_WAIT_S) * 1000 if failures else 0


def _proves(hal, proof, stored, challenge):
    try:
        proof = unhexlify(proof)
    except (TypeError, ValueError):
        return False
    signature = hal.hmac("sha256", stored, _PURPOSE, challenge)
    if len(proof) != len(signature):
        return False
    for i in range(len(proof)):
        signature[i] ^= proof[i]
    right = _hal.equal(hal.hash("sha256", signature), stored)
    _hal.wipe(signature)
    return right

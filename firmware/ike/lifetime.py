"""What becomes of established SAs: renewal ahead of expiry, and which of two stays.

IKEv1 has no rekeying of phase 1: a new one is made beside the old one, and then the old one goes.
Who initiated an exchange deletes what it replaces, once it is established; who responded waits a
while for that, because the last message may be lost. Where both sides initiate at once, both SAs
come to be, and both sides see that neither began after the other was established: the one whose
initiator's cookie is the smaller stays, on either side. Loaded with the first SA that ends so.
"""

import struct

from micropython import const

from ike import rivals

GRACE_MS = const(30000)  # how long a responder keeps what was replaced
_BACKOFF_MS = const(2000)
MAX_BACKOFF_MS = const(300000)


def draw(hal, below):
    """A random number below `below`."""
    return struct.unpack("!I", hal.random(4))[0] % below if below > 0 else 0


def backoff(hal, failures):
    """Milliseconds until the next attempt after so many failures in a row: doubling to 5 minutes,
    each time between half of that and all of it, so that a thousand branches come one by one."""
    most = min(_BACKOFF_MS << min(failures, 10), MAX_BACKOFF_MS)
    return most // 2 + draw(hal, most // 2)


def limit(sa):
    """The bytes that an SA may protect, by the smaller of both sides' wishes; None: no limit."""
    wishes = [kilobytes for kilobytes in (sa.lives[1], sa.peer.lives[1]) if kilobytes]
    return min(wishes) * 1024 if wishes else None


def spend(sa, size):
    """So many bytes were protected: renew when four fifths of them are used up, then end."""
    few = limit(sa) // 5
    enough = sa.left > few
    sa.left -= size
    now = sa.engine.clock()
    if enough and sa.left <= few and sa.renew_at is not None:
        sa.renew_at = now
    if sa.left <= 0 and sa.state == "ESTABLISHED":
        sa.expires = min(sa.expires, now)


def renew(engine, sa, now):
    """Begin the next phase 1 beside an SA; and again before it ends, where that does not work."""
    sa.renew_at = now + (sa.expires - now) // 3 + 1000
    if not any(
        other.peer is sa.peer and other.initiator and other.state != "ESTABLISHED"
        for other in engine.sas
    ):
        engine.begin(sa.peer, now)


def replace(engine, sa, now):
    """A new SA is established: what becomes of the peer's others."""
    for other in list(engine.sas):
        if other is sa or other.peer is not sa.peer:
            continue
        if sa.identity and other.identity and sa.identity != other.identity:
            continue  # another of those that one configured peer stands for
        if other.state == "ESTABLISHED":
            _settle(engine, sa, other, now)
        elif other.state in ("MAIN_I1", "MAIN_I2") and not other.spare:
            lines = rivals.others(other)
            if all(line.state != "MAIN_I3" for line in lines):
                engine.give_up(other)  # the peer was faster, and does not know of ours yet


def _settle(engine, new, old, now):
    stays, goes = new, old
    # Neither knew of the other when it began: both sides see this, whichever ends first.
    if new.started < old.established and old.cky_i < new.cky_i:
        stays, goes = old, new
    if new.first_contact and stays is new:
        engine.deleted(goes, "initial-contact")  # the peer has nothing of it any more
    elif stays.initiator:
        engine.delete(goes, "replaced")
    else:
        goes.renew_at = None
        goes.expires = min(goes.expires, now + GRACE_MS)

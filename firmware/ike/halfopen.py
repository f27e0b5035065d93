"""Message 1, from whoever sends it: a fixed table of half-open exchanges, and what is answered.

What a first message can cost before its sender has shown that he receives our packets (message 3
carries our cookie): a look at the table, three hashes, at most 64 transforms parsed, and one of
the places that his address has. Every configured peer has its own, so that a flood in the name of
one leaves the others alone. No Diffie-Hellman, no timer that sends, never more bytes out than in.

When the places are taken, one of the exchanges that wait for message 3 makes room, drawn by lot,
so that no order of sending is safe or lost. It is not lost either: our cookie holds what was
chosen, and a MAC of that, the peer's address, his cookie and the minute. A message 3 whose cookie
proves to be ours brings its exchange back.

Which offer the peer's was, its HASH will tell: it is over the offer, and those that came are
remembered, once however often they came. So the most that spoofed first messages can do is to send
many different ones before the peer's first; and what a peer was once authenticated with stays
remembered.

Who reads the wire can go on with exchanges of his own. Half of the places are for those that went
on; where they are taken, the oldest makes room once it is stale. Until then message 3 is not
answered, and its sender repeats it: message 4 would have him go on without us.

Of different first messages with one cookie, only one is answered at first, unless the initiator
takes several: others give up when another message 2 comes.
"""

import struct

from micropython import const

from ike import policy, rivals, wire
from ike import registry as R
from ike.sa import Sa
from ike.wire import Drop

PLACES = const(16)  # half-open exchanges that others began, in the whole agent ...
RESERVED = const(4)  # ... but for every peer at least these
_LEAST = const(2)  # and for one address, or those that went on, no fewer
FIRSTS = const(16)  # different first messages remembered, ...
FIRSTS_BYTES = const(4096)  # ... and their size, where it is not the only one
_MINUTE_MS = const(60000)
ANOTHER_MS = const(5000)  # how long the first offer under a cookie is the only one answered
_LEFT = const(64)  # exchanges that were given up: a second or two of an attack
_LEFT_BYTES = const(10)  # of each: a part of its cookie, what was offered, when
# In the first byte of a cookie, below the number of the suite: what message 1 announced.
_FLAGS = const(((1, "dpd"), (2, "natt"), (4, "fragmentation")))
_ASKED = const(8)  # ... and whether it asked for a certificate
MAX_TOLD = const(8)  # exchanges in a second whose first messages are events: a serial line is slow


class First:
    """A first message that came from a peer's address, without its cookie."""

    def __init__(self, peer, content, tag, now):
        self.peer = peer
        self.content = content
        self.tag = tag
        self.since = now  # None: the peer is authenticated by it


def receive(engine, header, datagram, path, now):
    """Message 1, as responder: a new SA, unless it repeats one or is refused."""
    peer = engine.peer_at(path)
    if peer.role == "initiator":
        raise Drop("not-responder")
    if header.encrypted:
        raise Drop("unexpected-encrypted")
    digest = engine.digest(datagram)
    content = bytes(memoryview(datagram)[8 : header.length])
    tag = engine.digest(content)[:4]
    begun = False
    for sa in engine.sas:
        same = sa.path[2:] == path[2:] or (sa.natt and sa.path[2] == path[2])
        if not sa.initiator and sa.cky_i == header.cky_i and same:
            if sa.replay.is_duplicate(digest):
                sa.repeat(now)
                raise Drop("duplicate")
            if sa.state == "ESTABLISHED":
                raise Drop("old-message")
            begun = begun or now - sa.started < ANOTHER_MS
    if (begun or _is_left(engine, header.cky_i, tag, now)) and not _takes_several(content):
        policy.select(peer, offer_in(content))
        _remember(engine, First(peer, content, tag, now), now)
        raise Drop("another-offer")
    leave = _may_leave(engine, peer, path)
    if leave and not engine.left:  # now, while nothing has happened yet
        engine.left = bytearray(_LEFT * _LEFT_BYTES)
    sa = Sa(engine, peer, path, False, header.cky_i, wire.ZERO_COOKIE, now)
    new = First(peer, content, tag, now)
    try:
        tell = _is_told(engine, now)
        engine.quietly(True, tell, _begin, sa, new, header, datagram, digest, now)
    except Drop as drop:
        from ike import seldom

        seldom.answer_error(engine, header, drop.args[0], len(datagram), path, now)
        raise
    if sa in engine.sas:  # else there was no memory for message 2
        replace(engine, leave, sa)
    sa.first = _remember(engine, new, now)


def _begin(sa, first, header, datagram, digest, now):
    sa.first = first
    sa.engine.sas.append(sa)
    try:
        sa.receive(header, datagram, digest, now)
    except Exception:
        sa.engine.sas.remove(sa)
        raise


def _is_told(engine, now):
    """Whether the first messages of one more exchange are events."""
    if now - engine.told[0] >= 1000:
        engine.told = [now, 0]
    engine.told[1] += 1
    return engine.told[1] <= MAX_TOLD


def revive(engine, header, path, now):
    """The SA that a message 3 belongs to, where its place was taken meanwhile; Drop where the
    cookie is none of ours, or nothing is remembered that the peer's HASH can be over."""
    peer = engine.peer_at(path)
    choice = header.cky_r[:2]
    minute = now // _MINUTE_MS
    if minute & 1 != choice[1] >> 7:
        minute -= 1
    known = [first for first in engine.firsts if first.peer is peer]
    if _cookie(engine, path, header.cky_i, choice, minute) != header.cky_r or not known:
        raise Drop("unknown-cookie")
    leave = _may_leave(engine, peer, path)
    sa = None
    for first in known:
        if sa is None and is_alike(first, header.cky_r):
            sa = _begin_again(engine, first, path, header, minute, now)
    if sa is None:
        # A signature is tried with what authenticated the peer before only.
        if peer.credentials and all(first.since is not None for first in known):
            raise Drop("unknown-cookie")
        sa = _begin_without(Sa(engine, peer, path, False, header.cky_i, header.cky_r, now))
    replace(engine, leave, sa)
    return sa


def is_alike(first, cky_r):
    """Whether a cookie of ours may be the answer to a message 1: one of 128 is."""
    return first.tag[0] & 127 == cky_r[1] & 127


def _begin_again(engine, first, path, header, minute, now):
    """The SA of a message 1 that is remembered, None where it was another that was answered with
    this cookie. Its message 2 has been sent, and reported."""
    sa = Sa(engine, first.peer, path, False, header.cky_i, header.cky_r, now)
    datagram = header.cky_i + first.content
    again = wire.Header(datagram, False)
    digest = engine.digest(datagram)
    try:
        engine.quietly(False, False, _begin, sa, first, again, datagram, digest, now)
    except Drop:
        return None
    if sa not in engine.sas:
        raise MemoryError  # that there was not enough of for message 2
    if _choice(sa, minute) == header.cky_r[:2]:
        return sa
    engine.sas.remove(sa)
    return None


def _begin_without(sa):
    """Do without message 1: of the offers that are remembered the peer's HASH chooses one."""
    choice = sa.cky_r[0]
    sa.suite = sa.peer.suites[choice >> 4]
    sa.capable = {name for bit, name in _FLAGS if choice & bit}
    sa.asked = bool(choice & _ASKED)
    sa.engine.sas.append(sa)
    sa.enter("MAIN_R1")
    return sa


def keep(engine, sa):
    """The peer is authenticated: his first message stays remembered, in place of the last one; of
    the exchanges under his cookie this is the one."""
    for other in list(engine.sas):
        if other.cky_i == sa.cky_i and not other.initiator and other.state != "ESTABLISHED":
            engine.abandoned(other)
    engine.firsts = [
        first
        for first in engine.firsts
        if first.peer is not sa.first.peer or first.since is not None or first is sa.first
    ]
    sa.first.since = None
    if sa.first not in engine.firsts:
        engine.firsts.append(sa.first)
    sa.first = None


def offer_in(content):
    """The SA payload's body of a message 1 without its cookie."""
    found = _payloads(content)
    if not found or found[0][0] != R.SA:
        raise Drop("sa-not-first")
    return found[0][1]


def _takes_several(content):
    """Whether the initiator of a message 1 goes on with several answers."""
    return any(kind == R.VID and body == R.SEVERAL for kind, body, _ in _payloads(content))


def _payloads(content):
    return wire.payloads(memoryview(content)[20:], content[8])


def _remember(engine, new, now):
    """A First, or the one that is known of the same content; remembered where there is room."""
    size = len(new.content)
    for first in engine.firsts:
        if first.tag == new.tag and first.peer is new.peer:
            return first
        if first.content == new.content:  # many branches, one kind of gateway
            new.content = first.content
        size += len(first.content)
    if len(engine.firsts) >= FIRSTS or size > FIRSTS_BYTES:
        engine.firsts = [
            f for f in engine.firsts if f.since is None or now - f.since < 2 * _MINUTE_MS
        ]
        size = sum([len(f.content) for f in engine.firsts]) + len(new.content)
    if len(engine.firsts) < FIRSTS and (size <= FIRSTS_BYTES or not engine.firsts):
        engine.firsts.append(new)
    return new


def cookie(sa):
    """Our cookie for an exchange whose message 1 has just been read."""
    minute = sa.started // _MINUTE_MS
    choice = _choice(sa, minute)
    others = [other.cky_r[:2] for other in sa.engine.sas if other.cky_i == sa.cky_i]
    while choice in others:  # another offer, which by chance has the same bits
        choice = bytes([choice[0], choice[1] & 128 | choice[1] + 1 & 127])
    return _cookie(sa.engine, sa.path, sa.cky_i, choice, minute)


def _choice(sa, minute):
    """The two bytes of our cookie in clear: what is needed to go on with message 3, a bit of the
    minute, and seven by which message 1 is found again. A peer has at most 16 suites."""
    flags = _ASKED * sa.asked + sum([bit for bit, name in _FLAGS if name in sa.capable])
    chosen = sa.peer.suites.index(sa.suite) << 4 | flags
    return bytes([chosen, (minute & 1) << 7 | sa.first.tag[0] & 127])


def _cookie(engine, path, cky_i, choice, minute):
    """choice | hash(secret, addresses, ports, the other's cookie, choice, time): unforgeable,
    tied to the parties (RFC 2408 section 2.5.3)."""
    text = "%s %d %s %d %d" % (path + (minute,))
    mac = engine.hal.hash("sha256", engine.cookie_secret, cky_i, choice, text.encode())
    return choice + mac[:6]


def _may_leave(engine, peer, path):
    """The exchanges of which one makes room for one more of a peer's, none where there is a place;
    Drop where none may be taken. Every exchange has exactly one line in MAIN_R1, a spare once it
    went on."""
    crowd = _crowd(engine, peer, path, _places(engine))
    waiting = [sa for sa in crowd if not sa.spare]
    return waiting if waiting or not crowd else _oldest(crowd)


def may_leave_for(sa):
    """The same for one that is about to go on, of those that went on."""
    places = max(_LEAST, _places(sa.engine) // 2)
    crowd = _crowd(sa.engine, sa.peer, sa.path, places, True)
    return _oldest(crowd) if crowd else ()


def _places(engine):
    """How many half-open exchanges a peer may have."""
    return max(RESERVED, PLACES // len(engine.peers))


def _crowd(engine, peer, path, places, went_on=False):
    """A peer's half-open exchanges where there are so many, or only those that `went_on`; else
    none. Nobody has more than half of the places of a peer that may be anywhere."""
    found = [
        sa
        for sa in engine.sas
        if sa.peer is peer and sa.state == "MAIN_R1" and (sa.spare or not went_on)
    ]
    if peer.address != path[2]:
        same = [sa for sa in found if sa.path[2] == path[2]]
        if len(same) >= max(_LEAST, places // 2):
            return same
    return found if len(found) >= places else ()


def _oldest(crowd):
    oldest = crowd[0]
    for sa in crowd:
        if sa.started < oldest.started:
            oldest = sa
    if not oldest.is_stale(oldest.engine.clock()):
        raise Drop("too-many-half-open")
    return (oldest,)


def replace(engine, leave, sa):
    """End one of the exchanges that may make room, once the one it makes room for has begun: by a
    byte of our cookie, which nobody can guess."""
    if leave:
        leaves = leave[sa.cky_r[2] % len(leave)]
        engine.drops.count("half-open-replaced")
        rivals.discard(leaves)
        engine.abandoned(leaves)


def left(engine, sa):
    """An exchange is given up: remember for a while what was answered under its cookie."""
    if not engine.left:
        return
    entry = struct.pack("!4s4sH", sa.cky_i[4:], sa.first.tag, _seconds(sa.started))
    at = engine.left_at % _LEFT * _LEFT_BYTES
    engine.left[at : at + _LEFT_BYTES] = entry
    engine.left_at += 1


def _is_left(engine, cky_i, tag, now):
    """Whether another offer was answered under a cookie, by an exchange that was given up."""
    for at in range(0, len(engine.left), _LEFT_BYTES):
        cookie, other, when = struct.unpack_from("!4s4sH", engine.left, at)
        age = _seconds(now) - when & 0xFFFF
        if cookie == cky_i[4:] and other != tag and age < ANOTHER_MS // 1000:
            return True
    return False


def _seconds(now):
    return now // 1000 & 0xFFFF

"""Message 1, from whoever sends it: a fixed table of half-open exchanges, and what is answered.

What a first message can cost before its sender has shown that he receives our packets (message 3
carries our cookie): a look at the table, three hashes, at most 64 transforms parsed, and one of
the places that his address has. Every configured peer has its own, so that a flood in the name of
one leaves the others alone. No Diffie-Hellman, no timer that sends, never more bytes out than in.

When the places are taken, one of the exchanges that wait for message 3 makes room, drawn by lot,
so that no order of sending is safe or lost. It is not lost either: our cookie is a MAC of the
peer's address, his cookie, the minute and what he sent, and what was sent is remembered, once
however often it came. A message 3 whose cookie proves to be ours brings its exchange back. So the
most that spoofed first messages can do is to send many different ones before the peer's first;
and what a peer was once authenticated with stays remembered. Where all went on, as those of
somebody who reads the wire do, the oldest makes room once it is stale.

Of different first messages with one cookie, only one is answered at first, unless the initiator
takes several: others give up when another message 2 comes. Should the peer's own be another, its
HASH will tell: it is over the offer, and all are remembered.
"""

import struct

from micropython import const

from ike import policy, rivals, wire
from ike import registry as R
from ike.sa import Sa
from ike.wire import Drop

PLACES = const(16)  # half-open exchanges that others began, in the whole agent ...
RESERVED = const(4)  # ... but for every peer at least these
FIRSTS = const(16)  # different first messages remembered, ...
FIRSTS_BYTES = const(4096)  # ... and their size, where it is not the only one
_MINUTE_MS = const(60000)
ANOTHER_MS = const(5000)  # how long the first offer under a cookie is the only one answered
MAX_TOLD = const(8)  # exchanges in a second whose first messages are events: a serial line is slow


class First:
    """A first message that came from a peer's address, without its cookie."""

    def __init__(self, peer, content, tag, now):
        self.peer = peer
        self.content = content
        self.tag = tag
        self.since = now  # None: the peer is authenticated by it
        self.answered = None, 0  # the cookie under which it was answered last, and when


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
        if not sa.initiator and sa.cky_i == header.cky_i and sa.path[2:] == path[2:]:
            if sa.replay.is_duplicate(digest):
                sa.repeat(now)
                raise Drop("duplicate")
            if sa.state == "ESTABLISHED":
                raise Drop("old-message")
            begun = begun or now - sa.started < ANOTHER_MS
    for first in engine.firsts:  # its exchange may have made room for another
        cookie, when = first.answered
        if cookie == header.cky_i and first.tag != tag and now - when < ANOTHER_MS:
            begun = True
    if begun and not _takes_several(content):
        policy.select(peer, offer_in(content))
        _remember(engine, peer, content, tag, now)
        raise Drop("another-offer")
    cky_r = _cookie(engine, path, header.cky_i, tag, now // _MINUTE_MS)
    sa = Sa(engine, peer, path, False, header.cky_i, cky_r, now)
    leaves = _leaves(engine, peer, path, cky_r[2])
    try:
        tell = _is_told(engine, now)
        engine.quietly(True, tell, _begin, engine, sa, header, datagram, digest, now)
    except Drop as drop:
        from ike import seldom

        seldom.answer_error(engine, header, drop.args[0], len(datagram), path, now)
        raise
    _replace(engine, leaves)
    first = sa.first = _remember(engine, peer, content, tag, now)
    first.answered = header.cky_i, now


def _begin(engine, sa, header, datagram, digest, now):
    engine.sas.append(sa)
    try:
        sa.receive(header, datagram, digest, now)
    except Exception:
        engine.sas.remove(sa)
        raise


def _is_told(engine, now):
    """Whether the first messages of one more exchange are events."""
    if now - engine.told[0] >= 1000:
        engine.told = [now, 0]
    engine.told[1] += 1
    return engine.told[1] <= MAX_TOLD


def revive(engine, header, path, now):
    """The SA that a message 3 belongs to, where its place was taken meanwhile; Drop."""
    for first in engine.firsts:
        if first.tag[0] != header.cky_r[0] or first.peer is not engine.peer_at(path):
            continue
        minute = now // _MINUTE_MS
        if minute & 255 != header.cky_r[1]:
            minute -= 1
        if _cookie(engine, path, header.cky_i, first.tag, minute) == header.cky_r:
            leaves = _leaves(engine, first.peer, path, header.cky_r[2])
            sa = Sa(engine, first.peer, path, False, header.cky_i, header.cky_r, now)
            datagram = header.cky_i + first.content
            again = wire.Header(datagram, False)
            # Message 2 has been sent, and reported.
            digest = engine.digest(datagram)
            engine.quietly(False, False, _begin, engine, sa, again, datagram, digest, now)
            _replace(engine, leaves)
            sa.first = first
            return sa
    raise Drop("unknown-cookie")


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


def _remember(engine, peer, content, tag, now):
    """The First of a message's content, new or known; remembered where there is room."""
    size = len(content)
    for first in engine.firsts:
        if first.tag == tag and first.peer is peer:
            return first
        size += len(first.content)
    first = First(peer, content, tag, now)
    if len(engine.firsts) >= FIRSTS or size > FIRSTS_BYTES:
        engine.firsts = [
            f for f in engine.firsts if f.since is None or now - f.since < 2 * _MINUTE_MS
        ]
        size = sum([len(f.content) for f in engine.firsts]) + len(content)
    if len(engine.firsts) < FIRSTS and (size <= FIRSTS_BYTES or not engine.firsts):
        engine.firsts.append(first)
    return first


def _cookie(engine, path, cky_i, tag, minute):
    """hash(secret, addresses, ports, the other's cookie, time): unforgeable, tied to the parties
    (RFC 2408 section 2.5.3). Its first two bytes say what to verify it with."""
    text = "%s %d %s %d %d" % (path + (minute,))
    mac = engine.hal.hash("sha256", engine.cookie_secret, cky_i, tag, text.encode())
    return struct.pack("BB", tag[0], minute & 255) + mac[:6]


def _leaves(engine, peer, path, lot):
    """The exchange that makes room for one more of a peer's, None where there is a place; Drop
    where none may be taken. Nobody has more than half of the places of a peer that may be
    anywhere. Every exchange has exactly one line in MAIN_R1, a spare once it went on. `lot`: a
    byte of our cookie, which nobody can guess."""
    exchanges = [sa for sa in engine.sas if sa.peer is peer and sa.state == "MAIN_R1"]
    places = max(RESERVED, PLACES // len(engine.peers))
    if peer.address != path[2]:
        same = [sa for sa in exchanges if sa.path[2] == path[2]]
        if len(same) >= places // 2:
            exchanges, places = same, 0
    if len(exchanges) < places:
        return None
    waiting = [sa for sa in exchanges if not sa.spare]
    if waiting:
        return waiting[lot % len(waiting)]
    oldest = exchanges[0]
    for sa in exchanges:
        if sa.started < oldest.started:
            oldest = sa
    if not oldest.is_stale(engine.clock()):
        raise Drop("too-many-half-open")
    return oldest


def _replace(engine, leaves):
    """End the exchange that makes room, once the one it makes room for has begun."""
    if leaves:
        engine.drops.count("half-open-replaced")
        rivals.discard(leaves)
        engine.abandoned(leaves)

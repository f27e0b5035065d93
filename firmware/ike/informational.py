"""Informational exchanges (RFC 2409 section 5.7): delete and notify, believed under HASH(1)."""

import struct

from micropython import const

import hal as _hal
from ike import keys, rivals, wire
from ike import registry as R
from ike.wire import Drop

_DPD = (36136, 36137)  # R-U-THERE and its ACK (RFC 3706 section 5.3)
_FIRST_CONTACT = const(24578)  # INITIAL-CONTACT (RFC 2407 section 4.6.3.3)
_FIRST_ERROR = const(1)  # RFC 2408 section 3.14.1
_LAST_ERROR = const(16383)
_MAX_TOLD = const(16)  # messages in an SA's life, beside those of dead peer detection


def receive(engine, lines, header, datagram):
    """One message of an informational exchange. `lines`: the SAs whose cookies it carries."""
    if not header.encrypted:
        from ike import notifies

        notifies.in_clear(engine, lines, header, datagram)
        raise Drop("unauthenticated-informational")
    if not lines:
        raise Drop("unknown-cookie")
    if header.msgid == 0:
        raise Drop("bad-message-id")
    why = Drop("unexpected-encrypted")
    for sa in lines:
        if sa.skeyid_a is not None and sa.iv is not None:
            try:
                found = _authenticated(engine, sa, header, datagram)
            except Drop as drop:
                why = drop
            else:
                if not sa.peer.credentials:  # only a pre-shared key makes SKEYID the peer's own
                    rivals.settle(sa)
                _act(engine, sa, header, found)
                return
    raise why


def _act(engine, sa, header, found):
    """What the peer says under protection."""
    if any(kind == R.D and _names(sa, body) for kind, body in found):
        engine.deleted(sa, "peer")
        return
    new = False
    for kind, body in found:
        number = kind == R.N and number_of(body)
        if number in _DPD and sa.state == "ESTABLISHED" and "dpd" in sa.peer.capable:
            from ike import dpd

            new = dpd.of(sa).notified(number, body) or new
            continue
        if not new:
            _once(sa, header.msgid)
            new = True
        if kind == R.D:
            engine.drops.count("delete-of-unknown-sa")
        elif kind == R.N:
            _notified(engine, sa, number)
            if sa.state == "DEAD":
                return
    if new and sa.state == "ESTABLISHED":
        sa.heard(engine.clock())
        _spend(sa, header.length)


def _once(sa, msgid):
    """Drop a message that came before: what is authentic says neither when it was sent nor, as
    both sides have the same keys, by whom. A peer has little to say that is not dead peer
    detection, which has numbers: so all of it is remembered, and no more than that is heard."""
    if msgid in sa.told:
        raise Drop("replayed")
    if len(sa.told) == _MAX_TOLD:
        raise Drop("too-many-informationals")
    sa.told += (msgid,)


def _authenticated(engine, sa, header, datagram):
    """[(type, body)] behind the HASH(1) payload of an encrypted informational message."""
    iv = keys.exchange_iv(engine.hal, sa.suite, sa.iv, header.msgid)
    chain, _ = sa.decrypt(memoryview(datagram)[wire.HEADER : header.length], iv)
    found = sa.payloads(chain, header.first, True)
    if not found or found[0][0] != R.HASH:
        raise Drop("missing-payload")
    start = 4 + len(found[0][1])
    size = sum([len(whole) for _, _, whole in found[1:]])
    expected = keys.informational_hash(
        engine.hal, sa.suite, sa.skeyid_a, header.msgid, chain[start : start + size]
    )
    if not _hal.equal(expected, found[0][1]):
        raise Drop("bad-hash")
    return [(kind, body) for kind, body, _ in found[1:]]


def _notified(engine, sa, number):
    """An authenticated notify: an error during the exchange ends it, the rest is reported."""
    from ike import notifies

    name = notifies.name(number)
    engine.event("notify", peer=sa.peer.name, type=name, authenticated=True)
    if sa.state != "ESTABLISHED" and _FIRST_ERROR <= number <= _LAST_ERROR:
        sa.fail("refused", "the peer refused message 5: " + name)


def number_of(body):
    """The type of a notify payload (RFC 2408 section 3.14)."""
    if len(body) < 8 or 8 + body[5] > len(body):
        raise Drop("bad-notify")
    return body[6] << 8 | body[7]


def _names(sa, body):
    """Whether a delete payload names this SA by its cookies (RFC 2408 section 3.15)."""
    if len(body) < 8:
        raise Drop("bad-delete")
    _, protocol, spi_size, count = struct.unpack("!IBBH", body[:8])
    if len(body) != 8 + spi_size * count:
        raise Drop("bad-delete")
    if protocol != 1 or spi_size != 16:
        return False
    ours = sa.cky_i + sa.cky_r
    return any(body[8 + 16 * i : 24 + 16 * i] == ours for i in range(count))


def notify_body(number, spi=b""):
    """The body of a notify payload about the ISAKMP SA (RFC 2408 section 3.14)."""
    return struct.pack("!IBBH", 1, 1, len(spi), number) + spi


def first_contact(sa):
    """The body of INITIAL-CONTACT about an SA."""
    return notify_body(_FIRST_CONTACT, sa.cky_i + sa.cky_r)


def notify(engine, sa, number, data=b""):
    """Send a notify under the SA's protection."""
    _send(engine, sa, R.N, notify_body(number, sa.cky_i + sa.cky_r) + data)


def delete(engine, sa):
    """Tell the peer that the SA is gone (RFC 2408 section 3.15)."""
    spi = sa.cky_i + sa.cky_r
    _send(engine, sa, R.D, struct.pack("!IBBH", 1, 1, 16, 1) + spi)


def _send(engine, sa, kind, body):
    hal = engine.hal
    msgid = struct.unpack("!I", hal.random(4))[0] or 1
    content = wire.chain([(kind, body)])
    digest = keys.informational_hash(hal, sa.suite, sa.skeyid_a, msgid, content)
    plain = wire.chain([(R.HASH, digest), (kind, body)], R.CIPHERS[sa.suite.cipher][3])
    iv = keys.exchange_iv(hal, sa.suite, sa.iv, msgid)
    ciphertext, _ = keys.crypt(hal, sa.suite, sa.ka, iv, plain, True)
    engine.transmit(
        sa, wire.message(sa.cky_i, sa.cky_r, R.HASH, R.INFORMATIONAL, True, msgid, ciphertext)
    )
    _spend(sa, len(ciphertext))


def _spend(sa, size):
    if sa.left is not None:
        from ike import lifetime

        lifetime.spend(sa, size)

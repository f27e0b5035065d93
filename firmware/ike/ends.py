"""What HASH leaves uncovered in messages 5 and 6 (RFC 2409 section 5), and so their ends.

HASH is over the identity and what went before. What stands beside it, and padding that may be
anything, can be damaged or added on the way unnoticed; and a message's last block is the IV of
all that follows: with a wrong one, two peers no longer understand each other. So a message is
taken at once only where its end is known to be the peer's: HASH or SIG, INITIAL-CONTACT (its SPI
must be our cookies), vendor IDs that we know, zeros. Any other is taken when the same comes again
later: a peer repeats what is not answered, and a copy without doubt may come before that.

One doubt is left: of a message that somebody cut short by a whole block of padding, which charon
has where there is nothing to pad, nothing tells that it was longer. It is taken at once, because
most have none; and should the peer's own come after it, it is known by its beginning and by zeros
in the block that it has more: only who has the key can encrypt these.
Loaded with the first message that leaves a doubt at first sight.
"""

from micropython import const

from ike import informational, keys, wire
from ike import registry as R
from ike.wire import Drop

HOLD_MS = const(1000)  # how much later a doubtful message must come again
MAX_HELD = const(8)  # the first that come: who makes doubtful ones needs the peer's own for that
_SURE = const(4)  # bytes of the last block: damage passes one time in 2^32


def check(sa, content, found, digest, now):
    """Whether a message that is authenticated has INITIAL-CONTACT; Drop where it, or its last
    block, may not be the peer's. `content`: its plaintext, `found`: its payloads."""
    first = informational.first_contact(sa)
    block = len(content) - sa.block()
    contact = doubt = False
    sure = at = 0
    for kind, body, whole in found:
        known = kind in (R.HASH, R.SIG)
        if kind == R.N:
            known = bytes(body) == first
            contact = contact or known
            doubt = doubt or not known
        elif kind == R.VID:
            known = bytes(body) in R.VENDOR_IDS.values()
        at += len(whole)
        if known and at > block:
            sure += at - max(at - len(whole), block)
    if not any(content[at:]):
        sure += len(content) - at
    if doubt or sure < _SURE:
        _hold(sa, digest, now)
    return contact


def _hold(sa, digest, now):
    """Let a doubtful message pass that came before, long enough ago; Drop."""
    for known, since in sa.held:
        if known == digest and now - since >= HOLD_MS:
            return
    if len(sa.held) < MAX_HELD and digest not in [known for known, _ in sa.held]:
        sa.held += ((digest, now),)
    raise Drop("doubtful-end")


def complete(sa, header, datagram, digest):
    """Where a message is what authenticated the peer, with the block of padding that was missing:
    its last block is the IV, and message 6 is encrypted anew."""
    size, known = sa.taken
    content = memoryview(datagram)[wire.HEADER : header.length]
    if len(content) != size + sa.block() or sa.engine.digest(content[:size]) != known:
        return
    before = bytes(content[size - sa.block() : size])
    padding, last = sa.decrypt(content[size:], before)
    if any(padding):
        return
    sent = sa.sent
    if not sa.initiator:
        plain, _ = sa.decrypt(memoryview(sent)[wire.HEADER :], before)
        again, last = keys.crypt(sa.engine.hal, sa.suite, sa.ka, last, plain, True)
        sent = sent[: wire.HEADER] + again
    # All of it or nothing: an engine may have failed on the way here.
    sa.taken, sa.iv, sa.sent = None, last, sent
    sa.replay.accept(digest)
    sa.follow()
    if not sa.initiator:
        sa.engine.transmit(sa, sent)

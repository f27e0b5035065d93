"""What a responder seldom has to do about a message 1: loaded when it does."""

from micropython import const

from hal import equal
from ike import halfopen, informational, policy, wire
from ike import registry as R

_NOTIFY_INTERVAL_MS = const(1000)


def vouches(sa, body, digest):
    """Whether HASH_I is over another message 1 than the one that began the exchange; what we have
    chosen must be what we would choose of that."""
    from ike.mainmode import proof_hash

    began = sa.sai_b
    for first in sa.engine.firsts:
        if first.peer is sa.peer:
            sa.sai_b = bytes(halfopen.offer_in(first.content))
            suite, lifetime, _ = policy.select(sa.peer, sa.sai_b)
            if suite is sa.suite and equal(proof_hash(sa, True, body), digest):
                sa.lifetime = lifetime
                return True
    sa.sai_b = began
    return False


def answer_error(engine, header, reason, size, path, now):
    """Tell a configured peer why its message 1 was refused: never more bytes than came (RFC 2408
    section 5), and only where nothing was dropped for a second, nor an exchange has this cookie.
    Whoever damages a peer's own message 1 would else have us tell him to give up, and some do.
    """
    from ike import notifies

    number = notifies.ANSWERS.get(reason)
    last = engine.last_drop
    if number is None or (last is not None and now - last < _NOTIFY_INTERVAL_MS):
        return
    if any(sa.cky_i == header.cky_i for sa in engine.sas):
        return
    chain = wire.chain([(R.N, informational.notify_body(number))])
    answer = wire.message(header.cky_i, header.cky_r, R.N, R.INFORMATIONAL, False, 0, chain)
    if len(answer) <= size:
        engine.send(path, answer)

"""What seldom has to be done, mostly by a responder: about a message 1, a peer that is refused,
or without memory. Loaded when it has."""

from micropython import const

from ike import informational, policy, rivals, wire
from ike import registry as R

_NOTIFY_INTERVAL_MS = const(1000)
_SOON_MS = const(100)  # when what there was no memory for is tried again, where others made room,
_LATER_MS = const(500)  # ... or did not


def vouches(sa, is_proved, only_known):
    """Whether HASH_I is over another message 1 than the one that began the exchange: is_proved()
    says so of the SA as it then is. What we have chosen must be what we would choose of that.
    `only_known`: of what has authenticated the peer before, or what our cookie may answer, because
    each try costs much."""
    from ike import halfopen

    before = sa.sai_b, sa.lives, sa.first
    proved = False
    try:
        for first in sa.engine.firsts:
            if first.peer is not sa.peer or first is before[2]:
                continue
            alike = halfopen.is_alike(first, sa.cky_r)
            if only_known and first.since is not None and not alike:
                continue
            sa.sai_b = bytes(halfopen.offer_in(first.content))
            suite, sa.lives, _ = policy.select(sa.peer, sa.sai_b)
            sa.first = first
            proved = suite is sa.suite and is_proved()
            if proved:
                break
    finally:
        if not proved:
            sa.sai_b, sa.lives, sa.first = before
    return proved


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


def refuse(sa, code, number, reason):
    """End an exchange with a peer that proved its key and is refused all the same."""
    engine = sa.engine
    rivals.settle(sa)
    engine.tell(informational.notify, sa, number)
    if sa.initiator:  # the responder has an SA already
        engine.tell(informational.delete, sa)
    sa.fail(code, reason)


def put_off(line, now):
    """A line whose shared secret could not be made, or a rival that could not be unfolded: others
    make room, and it is tried again until its time is up. Where there are none, what they would be
    folded with is not loaded: it takes memory."""
    engine = line.engine
    line.hint = "its shared secret could not be made"
    line.derive_at = now + _LATER_MS
    waiting = [sa for sa in engine.sas if sa.state == "MAIN_R1" and not sa.spare]
    if waiting or rivals.number(engine) > 1:
        from ike import folded

        if folded.ease(engine):
            line.derive_at = now + _SOON_MS

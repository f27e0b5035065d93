"""Rivals that are no lines yet: what a spare keeps of them, and which of them there is room for.

Of another message 3 or 4 only what it brought is kept; see ike/rivals.py for what a rival is. They
are the first that come, and each exchange has its share: an attacker who begins exchanges of his
own leaves the others theirs. Loaded with the first rival.
"""

from micropython import const

from ike import rivals
from ike.exchange import HALF_OPEN_MS
from ike.wire import Drop

MAX_RIVALS = const(32)  # in the agent
_DIGEST = const(32)
_SETTING = ("sent", "capable", "asked", "natt", "path")  # what the message told, and its answer


def fold(spare, header, datagram, digest, now):
    """Another message 3 or 4: what it leads to is tried, and of that the spare keeps what differs,
    as ((reply, capable, asked, natt, path), digest | public value | nonce)."""
    engine = spare.engine
    for setting, brought in spare.folded:
        if brought[:_DIGEST] == digest:
            if not spare.initiator and spare.replay.may_answer(now):
                engine.transmit(spare, setting[0])
            raise Drop("duplicate")
    room(spare)
    line = rivals.another(spare)
    line.rival = True
    engine.process(line, header, datagram, digest, now)
    setting = tuple([getattr(line, name) for name in _SETTING])
    for known, _ in spare.folded:
        if known == setting:
            setting = known
    theirs = line.g_xr + line.nr_b if line.initiator else line.g_xi + line.ni_b
    if not spare.folded:
        spare.derive_at = None
    spare.folded += ((setting, digest + theirs),)
    if spare.initiator:
        rivals.patient(spare)


def unfold(spare):
    """Make a line of the rival whose turn it is, and say when it is the next one's."""
    now = spare.engine.clock()
    spare.derive_at = None
    rivals.schedule(spare, now)
    setting, brought = spare.folded[0]
    line = rivals.another(spare)
    line.rival = True
    for name, value in zip(_SETTING, setting):
        setattr(line, name, value)
    end = _DIGEST + len(spare.g_xi or spare.g_xr)
    value, nonce = brought[_DIGEST:end], brought[end:]
    line.replay.accept(brought[:_DIGEST])
    if line.initiator:
        line.g_xr, line.nr_b = value, nonce
        line.enter("MAIN_I3")
    else:
        line.g_xi, line.ni_b = value, nonce
        line.expires = now + HALF_OPEN_MS
        line.enter("MAIN_R2")
    spare.engine.sas.append(line)
    spare.folded = spare.folded[1:]
    return line


def room(line):
    """See to it that there is room for one more rival of a line's exchange; Drop."""
    if rivals.number(line.engine) >= MAX_RIVALS:
        _make_room(line.engine, bytes(line.cky_i))


def _make_room(engine, cookie=None):
    """Forget the last rival of the exchange that has the most; Drop where the exchange with a
    cookie would then have more."""
    held = {}
    for sa in engine.sas:
        cky_i = bytes(sa.cky_i)
        held[cky_i] = held.get(cky_i, 0) + len(sa.folded) + sa.rival
    most = max(held, key=held.get)
    if cookie and held[most] <= held[cookie] + 1:
        raise Drop("too-many-rivals")
    last = [sa for sa in engine.sas if sa.cky_i == most and (sa.folded or sa.rival)][-1]
    if last.folded:
        last.folded = last.folded[:-1]
    else:
        engine.abandoned(last)


def halve(engine):
    """Memory is short: forget half of the rivals."""
    for _ in range((rivals.number(engine) + 1) // 2):
        _make_room(engine)


def put_off(line, now):
    """A responder's rival whose shared secret could not be made: the others make room, and it is
    tried again until its time is up."""
    line.derive_at = None
    rivals.schedule(line, now)
    if rivals.number(line.engine) > 1:
        halve(line.engine)

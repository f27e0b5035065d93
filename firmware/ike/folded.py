"""Rivals that are no lines yet: what a spare keeps of them, and which of them there is room for.

Of another message 3 or 4 only what it brought is kept; see ike/rivals.py for what a rival is. They
are the first that come, and each exchange has its share: an attacker who begins exchanges of his
own leaves the others theirs. A responder's whose shared secret was made are lines, for a message 5
that may still come, but only so many, and fewer where memory is short: the others are folded
again, without it, and have their turn when the next message 5 fits no line. Loaded with the first
rival.
"""

from micropython import const

from ike import rivals, wire
from ike.wire import Drop

MAX_RIVALS = const(48)  # in the agent; of these ...
MAX_LINES = const(16)  # ... a responder's lines, which take four times the memory
MAX_FIFTHS = const(16)  # messages 5 that are kept in an exchange: the first that come, ...
_FIFTH_BYTES = const(256)  # ... of so many bytes at most: with a pre-shared key it has fewer
_ENOUGH = const(4)  # lines: with so many fewer it is worth another try
_DIGEST = const(32)
_SETTING = ("sent", "capable", "asked", "natt", "path")  # what the message told, and its answer


def fold(spare, header, datagram, digest, now):
    """Another message 3 or 4: what it leads to is tried, and of that the spare keeps what differs,
    as ((reply, capable, asked, natt, path), digest | public value | nonce, since when)."""
    engine = spare.engine
    for setting, brought, _ in spare.folded:
        if brought[:_DIGEST] == digest:
            if not spare.initiator and spare.replay.may_answer(now):
                engine.transmit(spare, setting[0])
            raise Drop("duplicate")
    room(spare)
    line = rivals.another(spare)
    line.rival = True
    # What answers it is sent once it is kept, not before: its sender need not repeat it then.
    engine.quietly(False, True, engine.process, line, header, datagram, digest, now)
    setting = tuple([getattr(line, name) for name in _SETTING])
    for known, _, _ in spare.folded:
        if known == setting:
            setting = known
    theirs = line.g_xr + line.nr_b if line.initiator else line.g_xi + line.ni_b
    if not spare.folded:
        spare.derive_at = None
    spare.folded += ((setting, digest + theirs, now),)
    if spare.initiator:
        rivals.patient(spare)
    else:
        engine.transmit(spare, line.sent)


def unfold(spare):
    """Make a line of the rival whose turn it is, and say when it is the next one's."""
    now = spare.engine.clock()
    if not spare.initiator:
        _fold_lines(spare.engine, MAX_LINES - 1)
    turn = spare.turn
    setting, brought, since = spare.folded[turn]
    line = rivals.another(spare)
    line.rival = True
    line.since = since
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
        line.expires = spare.expires
        line.enter("MAIN_R2")
    rest = spare.folded[:turn] + spare.folded[turn + 1 :]
    spare.engine.sas.append(line)
    spare.folded = rest
    rivals.next_turn(spare, now)
    return line


def keep(spare, datagram):
    """A message 5 fits no line so far: the lines that come are to be given it at once. Its sender
    repeats it, but who knows when."""
    if spare.initiator:
        return
    known = [kept for kept, _ in spare.fifths]
    if len(known) < MAX_FIFTHS and len(datagram) <= _FIFTH_BYTES and datagram not in known:
        spare.fifths += ((bytes(datagram), spare.engine.came),)


def try_kept(spare, line, now):
    """Give a line that has its keys the messages 5 that came before it."""
    engine = line.engine
    for datagram, engine.came in spare.fifths:
        header = wire.Header(datagram, engine.strict)
        try:
            engine.process(line, header, datagram, engine.digest_of(header, datagram), now)
            return
        except Drop:
            pass


def _lines(engine):
    """A responder's lines that are rivals with keys, and nothing else that would be lost."""
    rival = [sa for sa in engine.sas if sa.rival and not sa.initiator and sa.skeyid]
    return [sa for sa in rival if not sa.held and not sa.refusal]


def _fold_lines(engine, most):
    """Leave so many lines: fold the first of the exchange that has the most again. How many were
    folded."""
    count = 0
    lines = _lines(engine)
    while len(lines) > most:
        held = [len([other for other in lines if other.cky_i == sa.cky_i]) for sa in lines]
        _fold_again(lines.pop(held.index(max(held))))
        count += 1
    return count


def _fold_again(line):
    """Back to what the line was unfolded from; it has had its turn."""
    for spare in rivals.others(line):
        if spare.spare:
            setting = tuple([getattr(line, name) for name in _SETTING])
            rival = setting, line.replay.digest + line.g_xi + line.ni_b, line.since
            turn = spare.turn
            spare.folded = spare.folded[:turn] + (rival,) + spare.folded[turn:]
            spare.turn += 1
    line.engine.sas.remove(line)
    line.discard()


def room(line):
    """See to it that there is room for one more rival of a line's exchange; Drop."""
    if rivals.number(line.engine) >= MAX_RIVALS:
        _make_room(line.engine, line.cky_i)


def _make_room(engine, cky_i=None):
    """Forget the rival that came last of the exchange that has the most, of those that hardly go
    on any more before the others; Drop where the exchange with a cookie would then have more. It
    takes hardly any memory."""
    now = engine.clock()
    stale, most, crowd = False, 0, None
    for sa in engine.sas:
        if sa.folded or sa.rival:
            held = _held(engine, sa.cky_i)
            old = sa.is_stale(now) and sa.cky_i != cky_i
            if (old, held) > (stale, most):
                stale, most, crowd = old, held, sa.cky_i
    if cky_i and not stale and most <= _held(engine, cky_i) + 1:
        raise Drop("too-many-rivals")
    last, latest, at = None, (0, False), 0
    for sa in engine.sas:
        if sa.cky_i == crowd and sa.rival and (sa.since, False) >= latest:
            last, latest = sa, (sa.since, False)
        for number, rival in enumerate(sa.folded if sa.cky_i == crowd else ()):
            if (rival[2], True) >= latest:
                last, latest, at = sa, (rival[2], True), number
    if latest[1]:
        last.folded = last.folded[:at] + last.folded[at + 1 :]
        last.turn -= at < last.turn
        if last.folded or any(not sa.spare or sa.folded for sa in rivals.others(last)):
            return  # else nothing of the exchange is left, but what has no timer
    engine.abandoned(last)
    if rivals.ended(last) and last.initiator:
        engine.unreached(last.peer.name, "no-memory", "its exchange made room for others")


def _held(engine, cky_i):
    """How many rivals an exchange has."""
    return sum(len(sa.folded) + sa.rival for sa in engine.sas if sa.cky_i == cky_i)


def relieve(engine):
    """Memory is short: let go what nobody has authenticated; where there is nothing else, half of
    the exchanges that others began, those that did not go on before the others, never the first.
    """
    if not ease(engine):
        found = [sa for sa in engine.sas if sa.state == "MAIN_R1" and sa.spare]  # one each
        found += [sa for sa in engine.sas if sa.state == "MAIN_R1" and not sa.spare]
        for sa in found[max(1, len(found) // 2) :]:
            rivals.discard(sa)
            engine.abandoned(sa)


def ease(engine):
    """Let go what costs nobody anything: fragments, which are sent again with all of the message,
    exchanges that message 3 brings back, lines that can be unfolded again. Where that is little,
    messages 5, which their senders repeat. Where there are none, half of the rivals, those that
    came last of the exchanges that have the most. False where there was nothing."""
    had = count = 0
    for sa in engine.sas:
        if sa.reassembly:  # not counted: anybody can have it there all the time
            sa.reassembly = None
            had = 1
    if engine.left:  # else another offer could be answered under the cookie
        for sa in list(engine.sas):
            if sa.state == "MAIN_R1" and not sa.spare and sa.first in engine.firsts:
                engine.abandoned(sa)
                count += 1
    try:
        count += _fold_lines(engine, len(_lines(engine)) // 2)
    except MemoryError:
        pass  # it takes some, too
    if count >= _ENOUGH:
        return True
    keeping = [sa for sa in engine.sas if sa.fifths]
    for sa in keeping:
        sa.fifths = ()
    many = rivals.number(engine)
    if not keeping and many > 1:
        for _ in range((many + 1) // 2):
            _make_room(engine)
    return bool(had or keeping or count or many > 1)

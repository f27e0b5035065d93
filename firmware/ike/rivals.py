"""Spoofed messages 2, 3 and 4: nothing in clear can be believed, so it takes nothing away.

Whoever reads the wire can answer before the peer does. So a state that waits for a message in
clear goes on waiting, as a *spare* copy beside the state that the message leads to; another
message of the same number makes a *rival*. Head, rivals and spares are the lines of one exchange;
the first that is authenticated ends the others.

- The lines share what is ours: private exponent, public value, nonce. Message 3, or 4, is the
  same for all, and only the shared secret costs a Diffie-Hellman for each. The first message
  that comes has its own at once; a rival's waits: the responder's until a message 5 fits no line
  so far, the initiator's until its first line has waited for message 6; then one every 100 ms.
- A message 2 makes a rival of the spare, and a new spare. Of a message 3 or 4 the spare keeps only
  what it brought: the rival is *folded*, until its Diffie-Hellman is due (ike/folded.py).
- An initiator's spares have no timers, and take nothing more once the first line has ended: with
  a message now and then an exchange would never end. A responder's ends the exchange. When a line
  repeats its message for the second time, the messages before are repeated too: what answered them
  may not have been the peer, and the peer's answer lost. A rival does that once, and without
  message 1.
- There are so many rivals and no more: the first that come, and each exchange has its share. An
  attacker who places more, all well-formed and each another, before the peer's own single message
  arrives, costs that attempt.
"""

from micropython import const

from ike import wire
from ike.exchange import HALF_OPEN_MS, Replay
from ike.wire import Drop

MAX_ANSWERS = const(24)  # messages 2 in one exchange
_PATIENCE_MS = const(200)  # how long message 6 may take before a rival's message 5 is made
_TOO_MANY = const("too-many-rivals")
_LATE = const(5)  # the retransmission from which message 1 is repeated whatever came since
INTERVAL_MS = const(100)  # from one rival's Diffie-Hellman to the next
# What a copy of a line does not have of it.
_OWN = (
    "replay",
    "retransmitter",
    "spare",
    "rival",
    "folded",
    "turn",
    "fifths",
    "since",
    "forks",
    "derive_at",
)


def receive(engine, lines, header, datagram, digest, now):
    """Give a message to the first of an exchange's lines that takes it; Drop where none does."""
    why = None
    for line in lines:
        asked = line.state == "MAIN_I1"
        if asked:  # the responder's cookie is taken only with a valid answer
            line.cky_r = header.cky_r
        try:
            if line.spare and line.initiator and all(sa.spare or sa.rival for sa in others(line)):
                raise Drop("old-message")
            if line.spare and not asked and not header.encrypted:
                from ike import folded

                folded.fold(line, header, datagram, digest, now)
            else:
                engine.process(line, header, datagram, digest, now)
            return
        except Drop as drop:
            if why is None or drop.args[0] in (_TOO_MANY, "duplicate"):
                why = drop
        finally:
            if asked and line.state == "MAIN_I1":
                line.cky_r = wire.ZERO_COOKIE
    raise why


def number(engine):
    """How many rivals there are."""
    return sum(len(sa.folded) + sa.rival for sa in engine.sas)


def another(line):
    """A line that is as this one, but for its timers and its part in the exchange."""
    copy = object.__new__(type(line))
    for name, value in line.__dict__.items():
        if name not in _OWN:
            setattr(copy, name, value)
    copy.replay = Replay(line.replay.digest)
    copy.reassembly = copy.expires = None
    return copy


def spare(line):
    """A copy of a line that a message in clear is about to move on, among the engine's SAs; None
    where the line is none of them, but a rival to be folded."""
    engine = line.engine
    if line not in engine.sas:
        return None
    if line.spare:
        if line.forks == MAX_ANSWERS:
            raise Drop(_TOO_MANY)
        from ike import folded

        folded.room(line)
    copy = another(line)
    copy.spare = True
    if line.state == "MAIN_I1":
        copy.cky_r = wire.ZERO_COOKIE
    if not line.initiator:
        copy.expires = engine.clock() + HALF_OPEN_MS
    if line.spare:
        copy.forks = line.forks + 1
        line.since = engine.clock()
        line.rival = False  # so that it takes no memory to change it once the copy is there
    engine.sas.append(copy)
    if line.spare:
        line.spare = False
        line.rival = True
        line.derive_at = None
    return copy


def undo(line, copy):
    """The message moved nothing: the line is again what it was, without what was the peer's.
    Takes no memory."""
    line.engine.sas.remove(copy)
    ours = line.initiator
    for name in ("g_xr", "nr_b", "natt", "path") if ours else ("g_xi", "ni_b", "natt", "path"):
        if getattr(line, name) is not getattr(copy, name):
            setattr(line, name, getattr(copy, name))
    if line.x is None and copy.x is not None:  # the shared secret was made already
        line.x = copy.x
        for name in ("skeyid", "skeyid_d", "skeyid_a", "ka"):
            line.forget(name)
    if copy.forks:
        line.spare = True
        line.rival = False


def share(line, copy):
    """Leave with the spare what this side made for the whole exchange."""
    if copy.x is None:
        copy.x = line.x
        if line.initiator:
            copy.suite, copy.g_xi, copy.ni_b = line.suite, line.g_xi, line.ni_b
        else:
            copy.g_xr, copy.nr_b = line.g_xr, line.nr_b


def others(line):
    """The other lines of an exchange."""
    return [
        sa
        for sa in line.engine.sas
        if sa is not line
        and sa.cky_i == line.cky_i
        and sa.initiator == line.initiator
        and sa.state != "ESTABLISHED"
        and (line.initiator or sa.cky_r == line.cky_r)
    ]


def settle(line):
    """A line is authenticated: its rivals were not the peer's."""
    for sa in others(line):
        for _ in range(len(sa.folded) + (not sa.spare)):
            line.engine.drops.count("spoofed")
    discard(line)
    line.rival = False


def discard(line):
    """Forget the other lines of an exchange."""
    for sa in others(line):
        line.engine.sas.remove(sa)
        sa.discard()


def ended(line):
    """A line ended without success: True where it was the exchange's last, whose spares go too."""
    rest = others(line)
    if any(not sa.spare for sa in rest):
        return False
    now = line.engine.clock()
    for sa in rest:
        if sa.folded and (line.initiator or now < line.expires):
            try_all(sa, now)
            return False
    discard(line)
    return True


def try_all(spare, now):
    """See to the shared secrets of a spare's rivals, again where all had their turn."""
    if not spare.is_underived():
        spare.turn = 0
    schedule(spare, now)


def schedule(line, now, patience=0):
    """Say when a rival's Diffie-Hellman is due, once it is needed."""
    if line.derive_at is None:
        line.derive_at = now + patience


def next_turn(spare, now):
    """The same for the rival of a spare whose turn it is. An initiator's have it in the order in
    which they came, whichever message 2 they belong to. A responder's exchanges have it by turns:
    nobody can say when a message 5 comes, and somebody else's exchange must not always be first.
    """
    spare.derive_at = None
    if len(spare.folded) > spare.turn:
        since = spare.folded[spare.turn][2]
        spare.derive_at = since + _PATIENCE_MS if spare.initiator else now


def patient(line):
    """Schedule an initiator's rival that has its message 4."""
    schedule(line, line.engine.clock(), _PATIENCE_MS)


def repeat_before(line, attempt):
    """Send the messages before a line's last one again.

    Message 1 only where there is no message 4 yet, or hardly any hope left: a responder that is
    past it may take it for an error, and give up. A rival does not: each answer would be one more.
    """
    lines = others(line)
    past = attempt < _LATE and any(sa.state == "MAIN_I3" for sa in lines + [line]) or line.rival
    for sa in lines:
        ours = sa.cky_r in (line.cky_r, wire.ZERO_COOKIE) and not (past and sa.state == "MAIN_I1")
        if sa.spare and sa.sent and ours:
            line.engine.transmit(sa, sa.sent)

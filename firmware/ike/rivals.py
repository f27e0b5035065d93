"""Spoofed messages 2, 3 and 4: nothing in clear can be believed, so it takes nothing away.

Whoever reads the wire can answer before the peer does. So a state that waits for a message in
clear goes on waiting, as a *spare* copy beside the state that the message leads to; another
message of the same number makes a *rival* of the spare, and a new spare. Head, rivals and spares
are the lines of one exchange; the first that is authenticated ends the others.

- The lines share what is ours: private exponent, public value, nonce. Message 3, or 4, is the
  same for all, and only the shared secret costs a Diffie-Hellman for each. The first message
  that comes has its own at once; a rival's waits: the responder's until a message 5 fits no line
  so far, the initiator's until its first line has waited for message 6; then one every 100 ms.
- Spares have no timers. When a line repeats its message for the second time, the messages before
  are repeated too: what answered them may not have been the peer, and the peer's answer lost.
- There are so many rivals and no more, in an exchange and in the agent: the first that come. An
  attacker who places more, all well-formed and each another, before the peer's own single message
  arrives, costs that attempt.
"""

from micropython import const

from ike import wire
from ike.exchange import Replay, Retransmitter
from ike.wire import Drop

MAX_RIVALS = const(32)  # in the agent
MAX_ANSWERS = const(24)  # messages 2 in one exchange
_PATIENCE_MS = const(200)  # how long message 6 may take before a rival's message 5 is made
_TOO_MANY = const("too-many-rivals")
_LATE = const(5)  # the retransmission from which message 1 is repeated whatever came since
_INTERVAL_MS = const(100)  # from one rival's Diffie-Hellman to the next


def receive(engine, lines, header, datagram, digest, now):
    """Give a message to the first of an exchange's lines that takes it; Drop where none does."""
    why = None
    for line in lines:
        asked = line.state == "MAIN_I1"
        if asked:  # the responder's cookie is taken only with a valid answer
            line.cky_r = header.cky_r
        try:
            engine.process(line, header, datagram, digest, now)
            return
        except Drop as drop:
            if why is None or drop.args[0] == _TOO_MANY:
                why = drop
        finally:
            if asked and line.state == "MAIN_I1":
                line.cky_r = wire.ZERO_COOKIE
    raise why


def spare(line):
    """A copy of a line that a message in clear is about to move on, among the engine's SAs."""
    engine = line.engine
    if line.spare:
        most = MAX_ANSWERS if line.state == "MAIN_I1" else MAX_RIVALS
        if line.forks == most or len([sa for sa in engine.sas if sa.rival]) >= MAX_RIVALS:
            raise Drop(_TOO_MANY)
    copy = object.__new__(type(line))
    for name, value in line.__dict__.items():
        setattr(copy, name, value)
    copy.replay = Replay(line.replay.digest)
    copy.retransmitter = Retransmitter(line.peer.retransmit)
    copy.reassembly = None
    copy.expires = None
    copy.spare = True
    copy.rival = False
    if line.state == "MAIN_I1":
        copy.cky_r = wire.ZERO_COOKIE
    if line.spare:
        copy.forks = line.forks + 1
        line.spare = False
        line.rival = True
        line.derive_at = None
    engine.sas.append(copy)
    return copy


def undo(line, copy):
    """The message moved nothing: the line is again what it was."""
    line.engine.sas.remove(copy)
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
        if not sa.spare:
            line.engine.drops.count("spoofed")
    discard(line)
    line.rival = False


def discard(line):
    """Forget the other lines of an exchange."""
    for sa in others(line):
        line.engine.sas.remove(sa)
        sa.discard()


def relieve(engine):
    """Memory is short: forget the rivals that came last, half of them; where there are none, of
    the exchanges that others began. Never the first."""
    found = [sa for sa in engine.sas if sa.rival]
    if len(found) < 2:
        found = [sa for sa in engine.sas if not sa.initiator and sa.state != "ESTABLISHED"]
    for sa in found[max(1, len(found) // 2) :]:
        engine.abandoned(sa)


def ended(line):
    """A line ended without success: True where it was the exchange's last, whose spares go too."""
    if any(not sa.spare for sa in others(line)):
        return False
    discard(line)
    return True


def schedule(line, now, patience=0):
    """Say when a rival's Diffie-Hellman is due, once it is needed."""
    if line.derive_at is None:
        engine = line.engine
        line.derive_at = max(now + patience, engine.rival_due)
        engine.rival_due = line.derive_at + _INTERVAL_MS


def patient(line):
    """Schedule an initiator's rival that has its message 4."""
    schedule(line, line.engine.clock(), _PATIENCE_MS)


def repeat_before(line, attempt):
    """Send the messages before a line's last one again.

    Message 1 only where there is no message 4 yet, or hardly any hope left: a responder that is
    past it may take it for an error, and give up.
    """
    lines = others(line)
    past = attempt < _LATE and any(sa.state == "MAIN_I3" for sa in lines + [line])
    for sa in lines:
        ours = sa.cky_r in (line.cky_r, wire.ZERO_COOKIE) and not (past and sa.state == "MAIN_I1")
        if sa.spare and sa.sent and ours:
            line.engine.transmit(sa, sa.sent)

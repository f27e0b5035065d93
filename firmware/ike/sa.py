"""An ISAKMP SA: its state and secrets, its timers, and what protects its messages.

How it comes to be is Main Mode's part (ike/mainmode.py), which is loaded for an exchange; this
module is all that an established SA needs.
"""

from binascii import hexlify

import hal as _hal
from ike import keys, wire
from ike import registry as R
from ike.exchange import HALF_OPEN_MS, STALE_MS, Replay
from ike.wire import Drop

# state: the secrets that exist in it; leaving for a state without one wipes it. A spare holds x
# too, in whatever state it waits: it is wiped with the last line of the exchange that has it.
SECRETS = {
    "START": (),
    "MAIN_I1": (),
    "MAIN_R1": (),
    "MAIN_I2": ("x",),
    "MAIN_R2": ("x", "skeyid", "skeyid_d", "skeyid_a", "ka"),
    "MAIN_I3": ("x", "skeyid", "skeyid_d", "skeyid_a", "ka"),
    "ESTABLISHED": ("skeyid_d", "skeyid_a", "ka"),
    "DEAD": (),
}
_ALL_SECRETS = ("x", "skeyid", "skeyid_d", "skeyid_a", "ka")
_OVER = ("ESTABLISHED", "DEAD")
_EXCHANGE = ("sai_b", "ni_b", "nr_b", "g_xi", "g_xr", "retransmitter")  # for an exchange only


class Sa:
    """An ISAKMP SA from its first message to its end.

    `engine` lends it: hal, clock(), key_pair(group), transmit(sa, datagram), event(name, **data).
    `path` is (local address, local port, remote address, remote port). Times in ms.
    """

    held = ()  # ((digest, time),) of messages that may be the peer's, see ike/ends.py
    state = "START"
    established = None  # since when
    sent = None  # the last message, for retransmission
    identity = None  # the peer's, which its certificate bears out
    hint = ""  # why the last datagram was of no use, for the reason of a failure
    iv = None
    modexp_ms = 0
    spare = rival = False  # see ike/rivals.py, also for the next six
    folded = ()  # a spare's rivals that are no lines ...
    turn = 0  # ... how many of them were, since a message 5 came that fitted no line ...
    fifths = ()  # ... and those messages, each with its path
    since = 0  # when a rival's message came
    forks = 0  # how often a spare has become a rival
    derive_at = 0  # when the shared secret may be made; None: not yet needed
    first_contact = False  # whether the peer says that he has no other SA with us
    renew_at = None  # when to begin the next phase 1
    left = None  # bytes that may still be protected; None: no limit
    told = ()  # the message IDs of what came under its protection, see ike/informational.py
    dpd = None  # what was asked and answered, see ike/dpd.py
    dpd_due = None  # when to ask whether the peer lives
    natt = None  # what is behind a NAT: "us", "peer"; None: nobody looked
    keepalive_at = None
    first = None  # as responder: what message 1 is remembered by, see ike/halfopen.py
    capable = set()  # what the peer's vendor IDs announce, by registry.VENDOR_IDS; never changed
    asked = False  # for a certificate of ours
    retransmitter = None  # of what an initiator has sent
    last = None  # the last ciphertext block of the message in hand
    taken = None  # (size, digest) of what authenticated the peer, where its end may be missing
    refusal: tuple = None  # see refuse_later
    sai_b = ni_b = nr_b = g_xi = g_xr = None
    x = skeyid = skeyid_d = skeyid_a = ka = None

    def __init__(self, engine, peer, path, initiator, cky_i, cky_r, now):
        self.engine = engine
        self.peer = peer
        self.path = path
        self.initiator = initiator
        self.cky_i = cky_i
        self.cky_r = cky_r
        self.lives = peer.lives
        self.started = now
        self.expires = None if initiator else now + HALF_OPEN_MS
        self.replay = Replay()
        self.suite = None
        self.reassembly = None

    # --- the single writer of the state -------------------------------------------------------

    def enter(self, state):
        kept = SECRETS[state]
        for name in _ALL_SECRETS:
            if name not in kept:
                self.forget(name)
        self.reassembly = None
        if state in _OVER:
            for name in _EXCHANGE:
                if getattr(self, name) is not None:
                    setattr(self, name, None)
        self.state = state

    def forget(self, name):
        """Wipe a secret, unless another line of the exchange needs it."""
        secret = getattr(self, name)
        if secret is None:
            return
        setattr(self, name, None)
        for sa in self.engine.sas:
            if getattr(sa, name) is secret:
                return
        _hal.wipe(secret)

    # --- what the engine calls ----------------------------------------------------------------

    def initiate(self):
        """Send message 1."""
        _main_mode().initiate(self)

    def receive(self, header, datagram, digest, now):
        """One message of the exchange, its header checked and its cookies found to be ours."""
        if self.state in _OVER:
            if self.taken and header.encrypted:
                from ike import ends

                ends.complete(self, header, datagram, digest)
            raise Drop("already-established")
        _main_mode().receive(self, header, datagram, digest, now)

    def derive_late(self):
        """The shared secret when it suits the engine: a responder's, or a rival's."""
        _main_mode().derive_late(self)

    def follow(self):
        """The peer is where this message came from, fresh and authenticated: a NAT between us may
        have forgotten its mapping."""
        if self.natt:
            self.path = self.engine.came

    def heard(self, now):
        """Something authentic came from the peer of an established SA."""
        if self.both("dpd"):
            self.dpd_due = now + self.peer.dpd * 1000
        if self.dpd:
            self.dpd.tries = 0

    def both(self, capability):
        return capability in self.capable and capability in self.peer.capable

    def is_settled(self):
        """Whether no message of the exchange comes again any more."""
        since = self.established
        return since is not None and self.engine.clock() - since >= HALF_OPEN_MS

    def refuse_later(self, code, number, reason):
        """The message in hand is dropped for a certificate that anyone may have damaged on its
        way: say so to the peer when no better one comes in time."""
        self.refusal = code, number, reason, self.last

    def payloads(self, content, first, encrypted):
        """The payloads of a message; where a plaintext makes no chain, the keys differ."""
        if not encrypted:
            return wire.payloads(content, first)
        try:
            return wire.payloads(content, first, self.block())
        except Drop:
            raise Drop("undecipherable")

    def repeat(self, now):
        """The last request came again: repeat the reply, a bounded number of times."""
        if not self.initiator and self.sent and self.replay.may_answer(now):
            self.engine.transmit(self, self.sent)

    def wants_derive(self, now):
        due = self.derive_at is not None and now >= self.derive_at
        return due and self.is_underived()

    def is_underived(self):
        waits = self.state in ("MAIN_R2", "MAIN_I3") and self.x is not None
        return waits or len(self.folded) > self.turn

    def is_stale(self, now):
        """Whether this is an exchange that another began so long ago that he hardly goes on."""
        return not self.initiator and now - self.started >= STALE_MS

    def decrypt(self, content, iv):
        """(plaintext as a memoryview, last ciphertext block)."""
        if not len(content) or len(content) % self.block():
            raise Drop("bad-ciphertext-length")
        plain, last = keys.crypt(self.engine.hal, self.suite, self.ka, iv, content, False)
        return memoryview(plain), last

    def tick(self, now):
        """Timers: retransmission, the end of a half-open exchange, the end of the lifetime."""
        again = self.retransmitter and self.retransmitter.expired(now)
        if again:
            _main_mode().retransmit(self, self.retransmitter.attempt)
        elif again is False or (self.expires is not None and now >= self.expires):
            if self.state == "ESTABLISHED":
                self.engine.delete(self, "lifetime")
            else:
                _main_mode().give_up(self)
        elif self.state == "ESTABLISHED":
            if self.reassembly and self.is_settled():
                self.reassembly = None
            if self.renew_at is not None and now >= self.renew_at:
                self.engine.renew(self, now)
            if self.dpd_due is not None and now >= self.dpd_due:
                self.engine.ask(self, now)
            if self.natt and (self.keepalive_at is None or now >= self.keepalive_at):
                from ike import natt

                natt.keep_alive(self, now)

    def cookies(self):
        """{"initiator", "responder"}: the cookies in hex."""
        return {
            "initiator": hexlify(self.cky_i).decode(),
            "responder": hexlify(self.cky_r).decode(),
        }

    def deadline(self):
        """The time of the next tick that matters, or None."""
        due = self.retransmitter and self.retransmitter.due
        times = [self.expires if due is None else due, self.renew_at, self.keepalive_at]
        times.append(self.dpd_due)
        if self.derive_at and self.is_underived():
            times.append(max(self.derive_at, self.engine.rival_due))
        times = [due for due in times if due is not None]
        return min(times) if times else None

    def fail(self, code, reason):
        """End the exchange without an SA. MemoryError: it goes on until its timer comes again."""
        self.engine.failed(self, code, reason)

    def discard(self):
        """Forget the SA and its secrets."""
        self.enter("DEAD")

    def block(self):
        """The length of the cipher's blocks."""
        return R.CIPHERS[self.suite.cipher][3]


def _main_mode():
    from ike import mainmode

    return mainmode

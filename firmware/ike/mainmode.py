"""Main Mode, initiator and responder: one table of transitions, one handler a row.

The rules (RFC 2409 section 5):

- An exchange is six messages; odd ones are the initiator's. A state waits for exactly one
  message; anything else is dropped, counted, and changes nothing.
- Messages 1 to 4 go in clear, 5 and 6 encrypted. The other kind is refused in every state.
- A handler checks everything it was given before it changes anything. It returns the payloads of
  the reply, or None. Only after it returned does the IV advance and the state change, and only
  `_enter` writes the state: it wipes every secret that the new state has no use for.
- What fails on the way to an authenticated peer costs the sender nothing but a counter: the
  exchange ends by its timer. A peer that proved the key and is still wrong ends it at once.
- Messages 2, 3 and 4 may be anybody's. The state that waited for one goes on waiting beside the
  state that it leads to, until a line of the exchange is authenticated: see ike/rivals.py.
"""

from binascii import hexlify

from micropython import const

import hal as _hal
from ike import groups, keys, policy, rivals, wire
from ike import registry as R
from ike.exchange import HALF_OPEN_MS, Refused, Replay, Retransmitter
from ike.wire import Drop

# state: (message it waits for, encrypted, handler, next state)
TRANSITIONS = {
    "START": (1, False, "sa_offer", "MAIN_R1"),
    "MAIN_I1": (2, False, "sa_answer", "MAIN_I2"),
    "MAIN_R1": (3, False, "ke_offer", "MAIN_R2"),
    "MAIN_I2": (4, False, "ke_answer", "MAIN_I3"),
    "MAIN_R2": (5, True, "id_offer", "ESTABLISHED"),
    "MAIN_I3": (6, True, "id_answer", "ESTABLISHED"),
}

# message: (payloads it must carry, once each; payloads it may carry)
PAYLOADS = {
    1: ((R.SA,), (R.VID, R.CERTREQ, R.N)),
    2: ((R.SA,), (R.VID, R.CERTREQ, R.N)),
    3: ((R.KE, R.NONCE), (R.NAT_D, R.VID, R.CERTREQ, R.N)),
    4: ((R.KE, R.NONCE), (R.NAT_D, R.VID, R.CERTREQ, R.N)),
    5: ((R.ID, R.HASH), (R.VID, R.N)),
    6: ((R.ID, R.HASH), (R.VID, R.N)),
}

# The same of the last two messages, where signatures authenticate (section 5.1)
SIGNED_PAYLOADS = {
    5: ((R.ID, R.SIG), (R.CERT, R.CERTREQ, R.VID, R.N)),
    6: ((R.ID, R.SIG), (R.CERT, R.CERTREQ, R.VID, R.N)),
}

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

_NONCE_BYTES = const(32)
_MAY_BE_LARGE = ("MAIN_R2", "MAIN_I3", "ESTABLISHED")  # the next message, or its repetition
_GIVEN_UP = {
    "MAIN_I1": ("no-answer", "no answer to message 1"),
    "MAIN_I2": ("no-answer", "no answer to message 3"),
    "MAIN_I3": ("no-answer", "no valid answer to message 5: do the pre-shared keys differ?"),
    "MAIN_R2": ("timeout", "no valid message 5 came: do the pre-shared keys differ?"),
}


class Sa:
    """An ISAKMP SA from its first message to its end.

    `engine` lends it: hal, clock(), key_pair(group), transmit(sa, datagram), event(name, **data).
    `path` is (local address, local port, remote address, remote port). Times in ms.
    """

    held = ()  # ((digest, time),) of messages that may be the peer's, see ike/ends.py

    def __init__(self, engine, peer, path, initiator, cky_i, cky_r, now):
        self.engine = engine
        self.peer = peer
        self.path = path
        self.initiator = initiator
        self.cky_i = cky_i
        self.cky_r = cky_r
        self.state = "START"
        self.suite = None
        self.lifetime = peer.lifetime
        self.started = now
        self.established = None
        self.expires = None if initiator else now + HALF_OPEN_MS
        self.retransmitter = Retransmitter(peer.retransmit)
        self.replay = Replay()
        self.sent = None  # the last message, for retransmission
        self.capable = set()  # what the peer's vendor IDs announce, by registry.VENDOR_IDS
        self.asked = False  # for a certificate of ours
        self.reassembly = None
        self.refusal = None  # see refuse_later
        self._last = None  # the last ciphertext block of the message in hand
        self.hint = ""  # why the last datagram was of no use, for the reason of a failure
        self.iv = None
        self.modexp_ms = 0
        self.spare = self.rival = False  # see ike/rivals.py, also for the next two
        self.forks = 0  # how often a spare has become a rival
        self.derive_at = 0  # when the shared secret may be made; None: not yet needed
        self.first_contact = False  # whether the peer says that he has no other SA with us
        self.renew_at = None  # when to begin the next phase 1
        self.dpd = None
        self.natt = None  # what is behind a NAT: "us", "peer"; None: nobody looked
        self.keepalive_at = None
        self.first = None  # as responder: what message 1 is remembered by, see ike/halfopen.py
        self._forget_exchange()
        for name in _ALL_SECRETS:
            setattr(self, name, None)

    def _forget_exchange(self):
        self.sai_b = self.ni_b = self.nr_b = self.g_xi = self.g_xr = None

    # --- the single writer of the state -------------------------------------------------------

    def _enter(self, state):
        kept = SECRETS[state]
        for name in _ALL_SECRETS:
            if name not in kept:
                self._forget(name)
        self.reassembly = None
        if state in ("ESTABLISHED", "DEAD"):
            self._forget_exchange()
            self.retransmitter.stop()
        self.state = state

    def _forget(self, name):
        """Wipe a secret, unless another line of the exchange needs it."""
        secret = getattr(self, name)
        setattr(self, name, None)
        if secret is not None and not any(getattr(sa, name) is secret for sa in self.engine.sas):
            _hal.wipe(secret)

    # --- what the engine calls ----------------------------------------------------------------

    def initiate(self):
        """Send message 1."""
        self.sai_b = policy.offer_body(self.peer)
        self._enter("MAIN_I1")
        count = len(self.peer.suites)
        offered = "%d suite%s offered" % (count, "" if count == 1 else "s")
        self._send(1, [(R.SA, self.sai_b)], offered)

    def receive(self, header, datagram, digest, now):
        """One message of the exchange, its header checked and its cookies found to be ours."""
        row = TRANSITIONS.get(self.state)
        if row is None:
            raise Drop("already-established")
        number, encrypted, handler, following = row
        if header.encrypted != encrypted:
            if encrypted:
                raise Drop("unexpected-clear")
            raise Drop("unexpected-encrypted")
        content = memoryview(datagram)[wire.HEADER : header.length]
        if encrypted:
            if self.rival and self.x is not None:
                rivals.schedule(self, now)
                raise Drop("not-derived-yet")
            self.derive()
            content, self._last = self.decrypt(content, self.iv)
        found = self.payloads(content, header.first, encrypted)
        parts = _sort(found, number, self.peer.credentials)
        spare = rivals.spare(self) if 1 < number < 5 else None
        before = self.capable, self.asked
        self._learn(found)
        try:
            reply, carries, answer = getattr(self, "_handle_" + handler)(parts)
        except Refused:
            # Authentic all the same: the notify about it is encrypted after it.
            self._take(content, found, digest, now)
            raise
        except Exception:
            self.capable, self.asked = before
            if spare:
                rivals.undo(self, spare)
            raise
        if encrypted:
            self._take(content, found, digest, now)
            self.follow()
        if spare:
            rivals.share(self, spare)
            if number > 2 and self._both("natt"):
                from ike import natt

                natt.detect(self, found)
        self.replay.accept(digest)
        self.hint = ""
        names = [R.PAYLOAD_NAMES.get(kind, str(kind)) for kind, _, _ in found]
        self._report("in", number, header.length, names, carries)
        self._enter(following)
        if not self.initiator:
            self.expires = self.engine.clock() + HALF_OPEN_MS
        if reply and not self._send_or_fail(number + 1, reply, answer):
            return
        if following == "ESTABLISHED":
            self._established(now)

    def _take(self, content, found, digest, now):
        """The IV advances, once an authenticated message is the peer's to its end; Drop."""
        from ike import ends

        self.first_contact = ends.check(self, content, found, digest, now)
        self.iv = self._last

    def follow(self):
        """The peer is where this message came from, fresh and authenticated: a NAT between us may
        have forgotten its mapping."""
        if self.natt:
            self.path = self.engine.came

    def _both(self, capability):
        return capability in self.capable and capability in self.peer.capable

    def _learn(self, found):
        """Take note of the vendor IDs that we know, all others mean nothing; and of whether the
        peer asks for a certificate of ours."""
        credentials = self.peer.credentials
        for kind, body, _ in found:
            if kind == R.VID:
                for name, begins in R.VENDOR_IDS.items():
                    if bytes(body[: len(begins)]) == begins:
                        self.capable = self.capable | {name}
            elif kind == R.CERTREQ and credentials and credentials.answers(body):
                self.asked = True

    def reassemble(self, header, datagram):
        """The whole message where this fragment completes one, else None."""
        if "fragmentation" not in self.peer.capable or self.state not in _MAY_BE_LARGE:
            raise Drop("unexpected-fragment")
        if self.reassembly is None:
            from ike import fragments

            self.reassembly = fragments.Reassembly()
        return self.reassembly.add(memoryview(datagram)[wire.HEADER : header.length])

    def refuse_later(self, code, number, reason):
        """The message in hand is dropped for a certificate that anyone may have damaged on its
        way: say so to the peer when no better one comes in time."""
        self.refusal = code, number, reason, self._last

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

    def derive(self):
        """SKEYID and its family, once both public values and nonces are known. Idempotent.

        The responder does it after message 4 is on its way, while the peer does the same.
        """
        if self.x is None or self.g_xi is None or self.g_xr is None:
            return
        hal = self.engine.hal
        suite = self.suite
        began = self.engine.clock()
        theirs = self.g_xr if self.initiator else self.g_xi
        g_xy = groups.shared(hal, suite.group, self.x, theirs)
        self.modexp_ms = self.engine.clock() - began
        if self.peer.credentials:
            skeyid = keys.skeyid_signature(hal, suite, self.ni_b, self.nr_b, g_xy)
        else:
            skeyid = keys.skeyid_psk(hal, suite, self.peer.psk, self.ni_b, self.nr_b)
        skeyid_d, skeyid_a, skeyid_e = keys.skeyid_family(
            hal, suite, skeyid, g_xy, self.cky_i, self.cky_r
        )
        ka = keys.cipher_key(hal, suite, skeyid_e)
        iv = keys.phase1_iv(hal, suite, self.g_xi, self.g_xr)
        for secret in (g_xy, skeyid_e):
            _hal.wipe(secret)
        # All of it or nothing: an engine may have failed on the way here.
        self._forget("x")
        self.skeyid, self.skeyid_d, self.skeyid_a, self.ka, self.iv = (
            skeyid,
            skeyid_d,
            skeyid_a,
            ka,
            iv,
        )

    def wants_derive(self, now):
        due = self.derive_at is not None and now >= self.derive_at
        return due and self._is_underived()

    def _is_underived(self):
        return self.state in ("MAIN_R2", "MAIN_I3") and self.x is not None

    def derive_late(self):
        """The shared secret when it suits the engine: a responder's, or a rival's."""
        self.derive()
        if self.initiator:
            self._send_or_fail(5, self._fifth(), self._id_text(self.peer.local_id, True))

    def decrypt(self, content, iv):
        """(plaintext as a memoryview, last ciphertext block)."""
        if not len(content) or len(content) % self.block():
            raise Drop("bad-ciphertext-length")
        plain, last = keys.crypt(self.engine.hal, self.suite, self.ka, iv, content, False)
        return memoryview(plain), last

    def tick(self, now):
        """Timers: retransmission, the end of a half-open exchange, the end of the lifetime."""
        again = self.retransmitter.expired(now)
        if again:
            attempt = self.retransmitter.attempt
            number = TRANSITIONS[self.state][0] - 1
            self.engine.transmit(self, self.sent)
            self.engine.event("retransmit", peer=self.peer.name, number=number, attempt=attempt)
            if attempt > 1:
                rivals.repeat_before(self)
        elif again is False or (self.expires is not None and now >= self.expires):
            self._give_up()
        elif self.state == "ESTABLISHED":
            if self.renew_at is not None and now >= self.renew_at:
                self.engine.renew(self, now)
            if self.dpd:
                self.dpd.tick(now)
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
        due = self.retransmitter.due
        times = [self.expires if due is None else due, self.renew_at, self.keepalive_at]
        if self.dpd:
            times.append(self.dpd.due)
        if self.derive_at and self._is_underived():
            times.append(self.derive_at)
        times = [due for due in times if due is not None]
        return min(times) if times else None

    def fail(self, code, reason):
        """End the exchange without an SA."""
        self._enter("DEAD")
        self.engine.failed(self, code, reason)

    def discard(self):
        """Forget the SA and its secrets."""
        self._enter("DEAD")

    # --- messages 1 and 2: the SA -------------------------------------------------------------
    # A handler returns (payloads of the reply, what came in, what goes out): texts for people.

    def _handle_sa_offer(self, parts):
        body = parts[R.SA]
        self.suite, self.lifetime, answer = policy.select(self.peer, body)
        self.sai_b = bytes(body)
        chosen = self.suite.name
        return [(R.SA, answer)], "an offer of %d suites" % body[15], "chosen: " + chosen

    def _handle_sa_answer(self, parts):
        suite, self.lifetime = policy.accept(self.peer, parts[R.SA])
        if self.x is None or suite.group != self.suite.group:
            self.x, self.g_xi = self.engine.key_pair(suite.group)
        self.suite = suite
        self.ni_b = self.ni_b or bytes(self.engine.hal.random(_NONCE_BYTES))
        reply, carries = _ke_payloads("g^xi", self.g_xi, "Ni", self.ni_b)
        return reply, "chosen: " + self.suite.name, carries

    # --- messages 3 and 4: Diffie-Hellman and nonces -------------------------------------------

    def _public_value(self, parts):
        """The peer's public value and nonce, checked (RFC 2409 section 5; RFC 2631 2.1.5)."""
        value = bytes(parts[R.KE])
        nonce = bytes(parts[R.NONCE])
        groups.check(self.engine.hal, self.suite.group, value)
        if value in (self.g_xi, self.g_xr):
            raise Drop("reflected")
        if not 8 <= len(nonce) <= 256:
            raise Drop("bad-nonce-length")
        return value, nonce

    def _handle_ke_offer(self, parts):
        value, nonce = self._public_value(parts)
        if self.x is None:
            self.x, self.g_xr = self.engine.key_pair(self.suite.group)
        self.g_xi, self.ni_b = value, nonce
        self.nr_b = self.nr_b or bytes(self.engine.hal.random(_NONCE_BYTES))
        reply, carries = _ke_payloads("g^xr", self.g_xr, "Nr", self.nr_b)
        if self.peer.credentials:
            reply += self.peer.credentials.requests()
        return reply, _ke_text("g^xi", value, "Ni", nonce), carries

    def _handle_ke_answer(self, parts):
        self.g_xr, self.nr_b = self._public_value(parts)
        received = _ke_text("g^xr", self.g_xr, "Nr", self.nr_b)
        if self.rival:
            rivals.patient(self)
            return None, received, ""
        self.derive()
        return self._fifth(), received, self._id_text(self.peer.local_id, True)

    def _fifth(self):
        """Message 5; the first to a peer since we began says so, as all he has of us is void."""
        reply = self._proof(True)
        if self.peer.name not in self.engine.contacted:
            from ike import ends

            reply = ends.announce(self, reply)
        return reply

    # --- messages 5 and 6: who it is -----------------------------------------------------------

    def hash(self, initiators, id_b, name=None):
        """HASH_I or HASH_R over an identity; `name`: another hash than the suite's."""
        function = keys.hash_i if initiators else keys.hash_r
        return function(
            self.engine.hal,
            name or self.suite.hash,
            self.skeyid,
            self.g_xi,
            self.g_xr,
            self.cky_i,
            self.cky_r,
            self.sai_b,
            id_b,
        )

    def _proof(self, initiators):
        """The payloads that authenticate us: identity, and HASH or signature."""
        if self.peer.credentials:
            return self.peer.credentials.prove(self, initiators)
        body = self.peer.local_id
        return [(R.ID, body), (R.HASH, self.hash(initiators, body))]

    def _authenticate(self, parts, initiators):
        """The peer's identity, once it is proven; one that is not the configured one then ends
        the exchange."""
        body = parts[R.ID]
        if self.peer.credentials:
            self.peer.credentials.authenticate(self, parts, initiators)
            return bytes(body)
        if not _hal.equal(self.hash(initiators, body), parts[R.HASH]):
            raise Drop("bad-hash")
        if not policy.same_identity(body, self.peer.remote_id):
            raise Refused(
                "wrong-identity",
                R.INVALID_ID_INFORMATION,
                "the peer proved the key, but its identity is %s and remote_id is %s"
                % tuple([policy.describe_identity(i) for i in (body, self.peer.remote_id)]),
            )
        return bytes(body)

    def _handle_id_offer(self, parts):
        theirs = self._authenticate(parts, True)
        ours = self._id_text(self.peer.local_id, False)
        return self._proof(False), self._id_text(theirs, True), ours

    def _handle_id_answer(self, parts):
        theirs = self._authenticate(parts, False)
        return None, self._id_text(theirs, False), ""

    def _id_text(self, body, initiators):
        proof = "SIG_" if self.peer.credentials else "HASH_"
        return "ID %s, %s" % (policy.describe_identity(body), proof + "RI"[initiators])

    # --- sending and reporting -----------------------------------------------------------------

    def block(self):
        """The length of the cipher's blocks."""
        return R.CIPHERS[self.suite.cipher][3]

    def _send(self, number, bodies, carries):
        if number < 3:  # message 2 announces what 1 did: it must not be longer
            bodies = bodies + [
                (R.VID, R.VENDOR_IDS[name])
                for name in self.peer.capable
                if self.initiator or name in self.capable
            ]
        # Message 4 tells where 3 did: it must not be longer.
        elif number < 5 and self._both("natt") and (self.initiator or self.natt is not None):
            from ike import natt

            bodies = bodies + natt.payloads(self)
        content = wire.chain(bodies, self.block() if number > 4 else 1)
        if number > 4:
            content, self.iv = keys.crypt(
                self.engine.hal, self.suite, self.ka, self.iv, content, True
            )
        self.sent = wire.message(
            self.cky_i, self.cky_r, bodies[0][0], R.ID_PROT, number > 4, 0, content
        )
        names = [R.PAYLOAD_NAMES[kind] for kind, _ in bodies]
        self._report("out", number, len(self.sent), names, carries)
        self.engine.transmit(self, self.sent)
        if self.initiator:
            # Diffie-Hellman may have taken longer than the timeout: the clock, not `now`.
            self.retransmitter.sent(self.engine.clock())

    def _send_or_fail(self, number, bodies, carries):
        """Whether it was sent; if not, there is no way back into the state before."""
        try:
            self._send(number, bodies, carries)
        except (_hal.HalError, MemoryError) as error:
            self.fail("no-crypto-engine", "message %d cannot be made: %r" % (number, error))
            return False
        return True

    def _report(self, direction, number, size, names, carries):
        self.engine.event(
            "message",
            peer=self.peer.name,
            direction=direction,
            number=number,
            bytes=size,
            payloads=names,
            carries=carries,
        )

    def _established(self, now):
        self.established = now
        self.expires = now + min(self.lifetime, self.peer.lifetime) * 1000
        if self.initiator:
            self.sent = None
        self.engine.established(self)

    def _give_up(self):
        if self.state == "ESTABLISHED":
            self.engine.expired(self)
            return
        if self.state == "MAIN_R1":  # anyone can send a message 1: no failure of the peer's
            self.engine.abandoned(self)
            return
        if self.refusal:
            code, number, reason, self.iv = self.refusal
            self.engine.refuse(self, code, number, reason)
            return
        code, reason = _GIVEN_UP[self.state]
        if self.peer.credentials:
            reason = reason.split(": do the")[0]
        self.fail(code, reason + (" (%s)" % self.hint if self.hint else ""))


def _sort(found, number, signed):
    """{type: body} of a message's payloads: what it must carry once, what it may carry at all;
    of certificates a list."""
    required, optional = signed and SIGNED_PAYLOADS.get(number) or PAYLOADS[number]
    parts = {R.CERT: []}
    for index, (kind, body, _) in enumerate(found):
        if kind in required:
            if kind in parts:
                raise Drop("repeated-payload")
            if kind == R.SA and index:  # the SA payload comes first (RFC 2409 section 5)
                raise Drop("sa-not-first")
            parts[kind] = body
        elif kind not in optional and kind < R.PRIVATE:
            raise Drop("unexpected-payload")
        elif kind == R.CERT:
            parts[kind].append(body)
    if len(parts) != len(required) + 1:
        raise Drop("missing-payload")
    return parts


def _ke_text(public_name, public, nonce_name, nonce):
    return "%s %d bytes, %s %d bytes" % (public_name, len(public), nonce_name, len(nonce))


def _ke_payloads(public_name, public, nonce_name, nonce):
    text = _ke_text(public_name, public, nonce_name, nonce)
    return [(R.KE, public), (R.NONCE, nonce)], text

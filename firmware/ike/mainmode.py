"""Main Mode, initiator and responder: one table of transitions, one handler a row.

The rules (RFC 2409 section 5):

- An exchange is six messages; odd ones are the initiator's. A state waits for exactly one
  message; anything else is dropped, counted, and changes nothing.
- Messages 1 to 4 go in clear, 5 and 6 encrypted. The other kind is refused in every state.
- A handler checks everything it was given before it changes anything. It returns the payloads of
  the reply, or None. Only after it returned does the IV advance and the state change, and only
  `Sa.enter` writes the state: it wipes every secret that the new state has no use for.
- What fails on the way to an authenticated peer costs the sender nothing but a counter: the
  exchange ends by its timer. A peer that proved the key and is still wrong ends it at once.
- Messages 2, 3 and 4 may be anybody's. The state that waited for one goes on waiting beside the
  state that it leads to, until a line of the exchange is authenticated: see ike/rivals.py.
"""

from micropython import const

import hal as _hal
from ike import groups, informational, keys, policy, rivals, wire
from ike import registry as R
from ike.exchange import HALF_OPEN_MS, Refused, Retransmitter
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

# message: (payloads it must carry, once each; payloads it may carry); see also certs.PAYLOADS
PAYLOADS = {
    1: ((R.SA,), (R.VID, R.CERTREQ, R.N)),
    2: ((R.SA,), (R.VID, R.CERTREQ, R.N)),
    3: ((R.KE, R.NONCE), (R.NAT_D, R.VID, R.CERTREQ, R.N)),
    4: ((R.KE, R.NONCE), (R.NAT_D, R.VID, R.CERTREQ, R.N)),
    5: ((R.ID, R.HASH), (R.VID, R.N)),
    6: ((R.ID, R.HASH), (R.VID, R.N)),
}

_NONCE_BYTES = const(32)
_GIVEN_UP = {
    "MAIN_I1": ("no-answer", "no answer to message 1"),
    "MAIN_I2": ("no-answer", "no answer to message 3"),
    "MAIN_I3": ("no-answer", "no valid answer to message 5: do the pre-shared keys differ?"),
    "MAIN_R2": ("timeout", "no valid message 5 came: do the pre-shared keys differ?"),
}


def initiate(sa):
    """Send message 1."""
    sa.sai_b = policy.offer_body(sa.peer)
    sa.enter("MAIN_I1")
    count = len(sa.peer.suites)
    offered = "%d suite%s offered" % (count, "" if count == 1 else "s")
    _send(sa, 1, [(R.SA, sa.sai_b)], offered)


def receive(sa, header, datagram, digest, now):
    """One message of the exchange, its header checked and its cookies found to be ours."""
    number, encrypted, handler, following = TRANSITIONS[sa.state]
    if header.encrypted != encrypted:
        if encrypted:
            raise Drop("unexpected-clear")
        if sa.folded:
            from ike import folded

            folded.keep(sa, datagram)
            rivals.try_all(sa, now)
            raise Drop("not-derived-yet")
        raise Drop("unexpected-encrypted")
    content = whole = memoryview(datagram)[wire.HEADER : header.length]
    if encrypted:
        if sa.rival and sa.x is not None:
            rivals.schedule(sa, now)
            raise Drop("not-derived-yet")
        derive(sa)
        content, sa.last = sa.decrypt(content, sa.iv)
    found = sa.payloads(content, header.first, encrypted)
    parts = _sort(found, number, sa.peer.credentials)
    leave = ()
    if number == 3 and not (sa.spare or sa.rival):
        leave = sa.engine.halfopen.may_leave_for(sa)
    before = sa.capable, sa.asked
    spare = rivals.spare(sa) if 1 < number < 5 else None
    try:
        _learn(sa, found)
        reply, carries, answer = globals()["_handle_" + handler](sa, parts)
        if encrypted:
            _check_end(sa, content, found, digest, now)
            sa.taken = None
            if sum([len(payload) for _, _, payload in found]) == len(content):
                sa.taken = len(content), sa.engine.digest(whole)
            rivals.settle(sa)  # what is to come finds their memory
        if spare:
            rivals.share(sa, spare)
        if 2 < number < 5 and sa.both("natt"):
            from ike import natt

            natt.detect(sa, found)
        names = [R.PAYLOAD_NAMES.get(kind, str(kind)) for kind, _, _ in found]
        _report(sa, "in", number, header.length, names, carries)
        sa.hint = ""
        if encrypted:
            expires = now + min(sa.lives[0], sa.peer.lives[0]) * 1000
            sa.established = now
            sa.engine.watch(sa, now, expires)
            sa.expires = expires
    except Refused:
        # Authentic all the same: the notify about it is encrypted after it.
        _check_end(sa, content, found, digest, now)
        sa.iv = sa.last
        raise
    except Exception:  # where memory is short: nothing here may take any
        if spare:
            rivals.undo(sa, spare)
        if sa.capable is not before[0] or sa.asked is not before[1]:
            sa.capable, sa.asked = before
        raise
    # From here on nothing takes memory until the message is taken: it is not a duplicate before.
    sa.enter(following)
    if encrypted:
        sa.iv = sa.last
        sa.follow()
    sa.replay.accept(digest)
    if not reply:  # a rival's message 5 comes later, and its timer with it
        sa.retransmitter = None
    if not (sa.initiator or encrypted):
        sa.expires = sa.engine.clock() + HALF_OPEN_MS
    if reply and not _send_or_fail(sa, number + 1, reply, answer):
        return
    if leave:
        sa.engine.halfopen.replace(sa.engine, leave, sa)
    if following == "ESTABLISHED":
        if sa.initiator:
            sa.sent = None
        sa.engine.established(sa)


def _check_end(sa, content, found, digest, now):
    """Drop where an authenticated message may not be the peer's to its end.

    Most leave no doubt: nothing but zeros behind HASH, no notify but INITIAL-CONTACT.
    """
    first = informational.first_contact(sa)
    notifies = [bytes(body) == first for kind, body, _ in found if kind == R.N]
    size = sum([len(whole) for _, _, whole in found])
    if found[-1][0] in (R.HASH, R.SIG) and all(notifies) and not any(content[size:]):
        sa.first_contact = bool(notifies)
    else:
        from ike import ends

        sa.first_contact = ends.check(sa, content, found, digest, now)


def _learn(sa, found):
    """Take note of the vendor IDs that we know, all others mean nothing; and of whether the
    peer asks for a certificate of ours."""
    credentials = sa.peer.credentials
    for kind, body, _ in found:
        if kind == R.VID:
            for name, begins in R.VENDOR_IDS.items():
                if bytes(body[: len(begins)]) == begins:
                    sa.capable = sa.capable | {name}
        elif kind == R.CERTREQ and credentials and credentials.answers(body):
            sa.asked = True


def derive(sa):
    """SKEYID and its family, once both public values and nonces are known. Idempotent.

    The responder does it after message 4 is on its way, while the peer does the same.
    """
    if sa.x is None or sa.g_xi is None or sa.g_xr is None:
        return
    hal = sa.engine.hal
    suite = sa.suite
    began = sa.engine.clock()
    theirs = sa.g_xr if sa.initiator else sa.g_xi
    g_xy = groups.shared(hal, suite.group, sa.x, theirs)
    sa.modexp_ms = sa.engine.clock() - began
    if sa.peer.credentials:
        skeyid = keys.skeyid_signature(hal, suite, sa.ni_b, sa.nr_b, g_xy)
    else:
        skeyid = keys.skeyid_psk(hal, suite, sa.peer.psk, sa.ni_b, sa.nr_b)
    skeyid_d, skeyid_a, skeyid_e = keys.skeyid_family(hal, suite, skeyid, g_xy, sa.cky_i, sa.cky_r)
    ka = keys.cipher_key(hal, suite, skeyid_e)
    iv = keys.phase1_iv(hal, suite, sa.g_xi, sa.g_xr)
    for secret in (g_xy, skeyid_e):
        _hal.wipe(secret)
    # All of it or nothing: an engine may have failed on the way here, and memory ends anywhere
    # until x is gone, from which all of it can be made again.
    sa.skeyid, sa.skeyid_d, sa.skeyid_a, sa.ka, sa.iv = (
        skeyid,
        skeyid_d,
        skeyid_a,
        ka,
        iv,
    )
    sa.forget("x")


def derive_late(sa):
    """The shared secret when it suits the engine: a responder's, or a rival's."""
    derive(sa)
    if sa.initiator:
        _send_or_fail(sa, 5, _fifth(sa), _id_text(sa, sa.peer.local_id, True))


# --- messages 1 and 2: the SA -----------------------------------------------------------------
# A handler returns (payloads of the reply, what came in, what goes out): texts for people.


def _handle_sa_offer(sa, parts):
    body = parts[R.SA]
    sa.suite, sa.lives, answer = policy.select(sa.peer, body)
    sa.sai_b = bytes(body)
    if sa.cky_r == wire.ZERO_COOKIE:  # else it was answered before
        sa.cky_r = sa.engine.halfopen.cookie(sa)
    chosen = sa.suite.name
    return [(R.SA, answer)], "an offer of %d suites" % body[15], "chosen: " + chosen


def _handle_sa_answer(sa, parts):
    suite, sa.lives = policy.accept(sa.peer, parts[R.SA])
    if sa.x is None or suite.group != sa.suite.group:
        x, sa.g_xi = sa.engine.key_pair(suite.group)
        sa.ni_b = sa.ni_b or bytes(sa.engine.hal.random(_NONCE_BYTES))
        sa.suite = suite
        sa.x = x  # last, as what is asked for above: memory may end before
    sa.suite = suite
    reply, carries = _ke_payloads("g^xi", sa.g_xi, "Ni", sa.ni_b)
    return reply, "chosen: " + sa.suite.name, carries


# --- messages 3 and 4: Diffie-Hellman and nonces ----------------------------------------------


def _public_value(sa, parts):
    """The peer's public value and nonce, checked (RFC 2409 section 5; RFC 2631 2.1.5)."""
    value = bytes(parts[R.KE])
    nonce = bytes(parts[R.NONCE])
    groups.check(sa.engine.hal, sa.suite.group, value)
    if value in (sa.g_xi, sa.g_xr):
        raise Drop("reflected")
    if not 8 <= len(nonce) <= 256:
        raise Drop("bad-nonce-length")
    return value, nonce


def _handle_ke_offer(sa, parts):
    value, nonce = _public_value(sa, parts)
    if sa.x is None:
        x, sa.g_xr = sa.engine.key_pair(sa.suite.group)
        sa.nr_b = bytes(sa.engine.hal.random(_NONCE_BYTES))
        sa.x = x  # last, as what is asked for above: memory may end before
    sa.g_xi, sa.ni_b = value, nonce
    reply, carries = _ke_payloads("g^xr", sa.g_xr, "Nr", sa.nr_b)
    if sa.peer.credentials:
        reply += sa.peer.credentials.requests()
    return reply, _ke_text("g^xi", value, "Ni", nonce), carries


def _handle_ke_answer(sa, parts):
    sa.g_xr, sa.nr_b = _public_value(sa, parts)
    received = _ke_text("g^xr", sa.g_xr, "Nr", sa.nr_b)
    if sa.rival:
        rivals.patient(sa)
        return None, received, ""
    derive(sa)
    return _fifth(sa), received, _id_text(sa, sa.peer.local_id, True)


def _fifth(sa):
    """Message 5; the first to a peer since we began says so, as all he has of us is void. Before
    HASH, so that it leaves no doubt at any peer's (see ike/ends.py)."""
    reply = _proof(sa, True)
    if sa.peer.name not in sa.engine.contacted:
        reply.insert(-1, (R.N, informational.first_contact(sa)))
    return reply


# --- messages 5 and 6: who it is --------------------------------------------------------------


def proof_hash(sa, initiators, id_b, name=None):
    """HASH_I or HASH_R over an identity; `name`: another hash than the suite's."""
    function = keys.hash_i if initiators else keys.hash_r
    return function(
        sa.engine.hal,
        name or sa.suite.hash,
        sa.skeyid,
        sa.g_xi,
        sa.g_xr,
        sa.cky_i,
        sa.cky_r,
        sa.sai_b,
        id_b,
    )


def _proof(sa, initiators):
    """The payloads that authenticate us: identity, and HASH or signature."""
    if sa.peer.credentials:
        return sa.peer.credentials.prove(sa, initiators)
    body = sa.peer.local_id
    return [(R.ID, body), (R.HASH, proof_hash(sa, initiators, body))]


def is_over_an_offer(sa, is_proved, initiators, only_known=False):
    """Whether what the peer proves is_proved(), over the offer that began the exchange or over
    one that may be his; see seldom.vouches for `only_known`."""
    if sa.sai_b and is_proved():
        return True
    if not initiators:
        return False
    from ike import seldom

    return seldom.vouches(sa, is_proved, only_known)


def _authenticate(sa, parts, initiators):
    """The peer's identity, once it is proven; one that is not the configured one then ends
    the exchange."""
    body = parts[R.ID]
    if sa.peer.credentials:
        sa.peer.credentials.authenticate(sa, parts, initiators)
        return bytes(body)

    def is_proved():
        return _hal.equal(proof_hash(sa, initiators, body), parts[R.HASH])

    if not is_over_an_offer(sa, is_proved, initiators):
        raise Drop("bad-hash")
    if not policy.same_identity(body, sa.peer.remote_id):
        raise Refused(
            "wrong-identity",
            R.INVALID_ID_INFORMATION,
            "the peer proved the key, but its identity is %s and remote_id is %s"
            % tuple([policy.describe_identity(i) for i in (body, sa.peer.remote_id)]),
        )
    return bytes(body)


def _handle_id_offer(sa, parts):
    theirs = _authenticate(sa, parts, True)
    ours = _id_text(sa, sa.peer.local_id, False)
    return _proof(sa, False), _id_text(sa, theirs, True), ours


def _handle_id_answer(sa, parts):
    theirs = _authenticate(sa, parts, False)
    return None, _id_text(sa, theirs, False), ""


def _id_text(sa, body, initiators):
    proof = "SIG_" if sa.peer.credentials else "HASH_"
    return "ID %s, %s" % (policy.describe_identity(body), proof + "RI"[initiators])


# --- sending and reporting --------------------------------------------------------------------


def _send(sa, number, bodies, carries):
    if number < 3:  # message 2 announces what 1 did: it must not be longer
        bodies = bodies + [
            (R.VID, R.VENDOR_IDS[name])
            for name in sa.peer.capable
            if sa.initiator or name in sa.capable
        ]
        if sa.initiator:
            bodies.append((R.VID, R.SEVERAL))
    # Message 4 tells where 3 did: it must not be longer.
    elif number < 5 and sa.both("natt") and (sa.initiator or sa.natt is not None):
        from ike import natt

        bodies = bodies + natt.payloads(sa)
    content = wire.chain(bodies, sa.block() if number > 4 else 1)
    if number > 4:
        content, sa.iv = keys.crypt(sa.engine.hal, sa.suite, sa.ka, sa.iv, content, True)
    sa.sent = wire.message(sa.cky_i, sa.cky_r, bodies[0][0], R.ID_PROT, number > 4, 0, content)
    names = [R.PAYLOAD_NAMES[kind] for kind, _ in bodies]
    _report(sa, "out", number, len(sa.sent), names, carries)
    sa.engine.transmit(sa, sa.sent)
    if sa.initiator:
        # Diffie-Hellman may have taken longer than the timeout: the clock, not `now`.
        sa.retransmitter = sa.retransmitter or Retransmitter(sa.peer.retransmit)
        sa.retransmitter.sent(sa.engine.clock())


def _send_or_fail(sa, number, bodies, carries):
    """Whether it was sent; if not, there is no way back into the state before."""
    try:
        _send(sa, number, bodies, carries)
    except (_hal.HalError, MemoryError) as error:
        if sa not in sa.engine.sas:  # a rival: as if its message had not come
            raise
        sa.fail("no-crypto-engine", "message %d cannot be made: %r" % (number, error))
        return False
    return True


def _report(sa, direction, number, size, names, carries):
    sa.engine.event(
        "message",
        peer=sa.peer.name,
        direction=direction,
        number=number,
        bytes=size,
        payloads=names,
        carries=carries,
    )


def retransmit(sa, attempt):
    """Send the initiator's last message again."""
    number = TRANSITIONS[sa.state][0] - 1
    sa.engine.transmit(sa, sa.sent)
    sa.engine.event("retransmit", peer=sa.peer.name, number=number, attempt=attempt)
    # A rival does so once: with keys that differ, each answer would make another, and so on.
    if attempt == 2 or (attempt > 2 and not sa.rival):
        rivals.repeat_before(sa, attempt)


def give_up(sa):
    """The time of an exchange is up."""
    # Anyone can send a message 1; and a peer that is up has given up what he began: no failures.
    up = sa.engine.find(sa.peer.name)
    is_up = up and up.established and up.established >= sa.started and up.path[2] == sa.path[2]
    if sa.state == "MAIN_R1" or (sa.state == "MAIN_R2" and is_up and not sa.refusal):
        if not sa.spare:
            rivals.discard(sa)
        sa.engine.abandoned(sa)
        return
    if sa.refusal:
        code, number, reason, sa.iv = sa.refusal
        sa.engine.refuse(sa, code, number, reason)
        return
    code, reason = _GIVEN_UP[sa.state]
    if sa.peer.credentials:
        reason = reason.split(": do the")[0]
    sa.fail(code, reason + (" (%s)" % sa.hint if sa.hint else ""))


def _sort(found, number, signed):
    """{type: body} of a message's payloads: what it must carry once, what it may carry at all;
    of certificates a list."""
    required, optional = signed and signed.payloads.get(number) or PAYLOADS[number]
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

# micropython: heapsize=512k deadline=120
"""Main Mode's table: every state of both roles is shown every message, and reacts as it says.

The exchange is scripted: with the same random numbers it has the same bytes in every run, so that
each state can be shown the genuine messages of its own past and future.
"""

import struct

from ike import informational, keys, mainmode, wire
from ike import registry as R
from ike.sa import SECRETS
from pair import INITIATOR, PSK, RESPONDER, SUITE, Pair, Scripted, changed

# Which message brings a side into a state, counted from 1; 0: nothing received yet.
STATES = {
    "i": (("MAIN_I1", 0), ("MAIN_I2", 2), ("MAIN_I3", 4), ("ESTABLISHED", 6)),
    "r": (("", 0), ("MAIN_R1", 1), ("MAIN_R2", 3), ("ESTABLISHED", 5)),
}


def scripted():
    pair = Pair({"crypto": Scripted(b"i")}, {"crypto": Scripted(b"r")})
    pair.i.initiate("gw", 0)
    return pair


def run_to(side, number):
    """A pair in which `side` has just processed message `number`; the next waits."""
    pair = scripted()
    pair.settle(number)
    engine = pair.i if side == "i" else pair.r
    while engine.poll(0):
        pass
    return pair


def alphabet():
    """{name: datagram}: the six genuine messages of the scripted exchange, and others."""
    pair = scripted()
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    letters = {}
    for index, (_, datagram) in enumerate(pair.log):
        letters[index + 1] = datagram
    pair.r.terminate("gw")
    letters["delete to i"] = pair.collect("r")[0]
    pair = run_to("i", 6)
    pair.i.terminate("gw")
    letters["delete to r"] = pair.collect("i")[-1]
    cookies = letters[6][:16]
    body = informational.notify_body(14)
    clear = wire.chain([(R.N, body)])
    letters["clear notify"] = header(cookies, R.N, 5, 0, clear)
    spi = struct.pack("!IBBH", 1, 1, 16, 1) + cookies
    letters["clear delete"] = header(cookies, R.D, 5, 0, wire.chain([(R.D, spi)]))
    letters["quick mode"] = header(cookies, R.HASH, 32, 1, bytes(64))
    letters["aggressive"] = header(cookies, R.SA, 4, 0, bytes(64), 0)
    letters["garbage 5/6"] = header(cookies, R.ID, 2, 1, bytes(64), 0)
    letters["bad length"] = letters[3] + b"\0"
    letters["corrupt 5"] = changed(letters[5], 40, letters[5][40] ^ 1)
    letters["corrupt 6"] = changed(letters[6], 40, letters[6][40] ^ 1)
    letters["another 2"] = changed(letters[2], 8, letters[2][8] ^ 1)
    letters["another 3"] = changed(letters[3], 99, letters[3][99] ^ 1)
    letters["another 4"] = changed(letters[4], 99, letters[4][99] ^ 1)
    letters["not our cookie"] = changed(letters[4], 8, letters[4][8] ^ 1)
    return letters


def header(cookies, first, exchange, flags, content, msgid=7):
    head = struct.pack("!BBBBII", first, 0x10, exchange, flags, msgid, 28 + len(content))
    return cookies + head + content


def react(side, number, datagram):
    """(state before, state after, reasons counted, sent) when `side` is shown a datagram."""
    pair = run_to(side, number)
    engine = pair.i if side == "i" else pair.r
    index = 0 if side == "i" else 1
    before = pair.states()[index]
    counted = dict(engine.drops.by_reason)
    pair.give(side, datagram)
    reasons = [
        reason
        for reason, total in engine.drops.by_reason.items()
        if total != counted.get(reason, 0)
    ]
    return before, pair.states()[index], reasons, pair.collect(side)


# What each state makes of each letter: the next state, or the reason for which it is dropped; a
# "+" behind it: something is sent. The columns are the states of STATES, in their order; where
# all are alike, one stands for all.
_CLEAR = "unauthenticated-informational"
_SOON = "unexpected-encrypted"
_NOISE = "undecipherable"
_DONE = "already-established"
_NEW = "unknown-cookie"
TABLE = {
    "i": {
        1: ("not-responder",),
        2: ("MAIN_I2+", "duplicate", "duplicate", _DONE),
        3: ("unexpected-payload", "reflected", "unexpected-clear", _DONE),
        4: ("unexpected-payload", "MAIN_I3+", "duplicate", _DONE),
        5: (_SOON, _SOON, _NOISE, _DONE),
        6: (_SOON, _SOON, "ESTABLISHED", "duplicate"),
        "delete to i": (_SOON, _SOON, _NOISE, ""),
        "delete to r": (_SOON, _SOON, _NOISE, ""),
        "clear notify": (_CLEAR,),
        "clear delete": (_CLEAR,),
        "quick mode": ("unsupported-exchange",),
        "aggressive": ("unsupported-exchange",),
        "garbage 5/6": (_SOON, _SOON, _NOISE, _DONE),
        "bad length": ("length-mismatch",),
        "corrupt 5": (_SOON, _SOON, _NOISE, _DONE),
        "corrupt 6": (_SOON, _SOON, _NOISE, _DONE),
        # What may be the peer's as well as anybody's makes a rival, beside the state there is;
        # an initiator's does its Diffie-Hellman, and sends, later.
        "another 2": ("MAIN_I2+", "MAIN_I2+", "MAIN_I3+", _NEW),
        "another 3": ("unexpected-payload", "MAIN_I3+", "MAIN_I3", _DONE),
        "another 4": ("unexpected-payload", "MAIN_I3+", "MAIN_I3", _DONE),
        "not our cookie": ("unexpected-payload", "unexpected-payload", "unexpected-payload", _NEW),
    },
    "r": {
        1: ("MAIN_R1+", "duplicate+", "duplicate+", "old-message"),
        2: (_NEW, "unexpected-payload", "unexpected-clear", _DONE),
        3: (_NEW, "MAIN_R2+", "duplicate+", _DONE),
        4: (_NEW, "MAIN_R2+", "unexpected-clear", _DONE),  # has the form of a message 3
        5: (_NEW, _SOON, "ESTABLISHED+", "duplicate+"),
        6: (_NEW, _SOON, _NOISE, _DONE),
        "delete to i": (_NEW, _SOON, _NOISE, ""),
        "delete to r": (_NEW, _SOON, _NOISE, ""),
        "clear notify": (_CLEAR,),
        "clear delete": (_CLEAR,),
        "quick mode": ("unsupported-exchange",),
        "aggressive": ("unsupported-exchange",),
        "garbage 5/6": (_NEW, _SOON, _NOISE, _DONE),
        "bad length": ("length-mismatch",),
        "corrupt 5": (_NEW, _SOON, _NOISE, _DONE),
        "corrupt 6": (_NEW, _SOON, _NOISE, _DONE),
        "another 2": (_NEW,),
        "another 3": (_NEW, "MAIN_R2+", "MAIN_R2+", _DONE),
        "another 4": (_NEW, "MAIN_R2+", "MAIN_R2+", _DONE),
        "not our cookie": (_NEW,),
    },
}


def check_table(side):
    letters = alphabet()
    assert set(letters) == set(TABLE[side])
    for name, row in TABLE[side].items():
        for column, (state, number) in enumerate(STATES[side]):
            expected = row[column if len(row) > 1 else 0]
            before, after, reasons, sent = react(side, number, letters[name])
            assert before == state
            seen = (reasons[0] if reasons else after) + ("+" if sent else "")
            assert seen == expected, (side, state, name, seen)
            assert len(reasons) <= 1
            if reasons:
                assert after == before, (side, state, name, after)


def test_every_state_of_the_initiator_and_every_message():
    check_table("i")


def test_every_state_of_the_responder_and_every_message():
    check_table("r")


def test_what_is_dropped_costs_the_exchange_nothing():
    """Every letter that a state drops is shown to it; then the exchange goes on to its end."""
    letters = alphabet()
    for side in ("i", "r"):
        for column, (_, number) in enumerate(STATES[side][:-1]):
            pair = scripted()
            pair.settle(number)
            for name, row in TABLE[side].items():
                reaction = row[column if len(row) > 1 else 0]
                if "MAIN" in reaction or "ESTABLISHED" in reaction or not reaction:
                    continue
                pair.give(side, letters[name])
            pair.settle()
            assert pair.states() == ("ESTABLISHED", "ESTABLISHED"), (side, number)


def test_the_table_names_every_state_and_handler():
    waiting = set(mainmode.TRANSITIONS) - {"START"}
    assert waiting | {"START", "ESTABLISHED", "DEAD"} == set(SECRETS)
    for number, encrypted, handler, following in mainmode.TRANSITIONS.values():
        assert encrypted == (number > 4)
        assert hasattr(mainmode, "_handle_" + handler)
        assert following in SECRETS
        assert number in mainmode.PAYLOADS


def test_secrets_live_in_the_states_that_need_them():
    names = ("x", "skeyid", "skeyid_d", "skeyid_a", "ka")
    for side in ("i", "r"):
        for state, number in STATES[side]:
            pair = run_to(side, number)
            engine = pair.i if side == "i" else pair.r
            if not engine.sas:
                continue
            sa = engine.sas[0]
            held = [name for name in names if getattr(sa, name) is not None]
            assert set(held) <= set(SECRETS[state]), (state, held)
            if state in ("MAIN_R2", "MAIN_I3"):  # which have x until SKEYID is there
                held.insert(0, "x")
            assert held == list(SECRETS[state]), (state, held)


def test_leaving_a_state_wipes_its_secrets():
    pair = run_to("i", 4)
    sa = pair.i.sas[0]
    kept = [sa.skeyid, sa.skeyid_d, sa.skeyid_a, sa.ka]
    assert all(any(secret) for secret in kept)
    pair.settle()
    assert sa.state == "ESTABLISHED"
    assert not any(kept[0])
    assert any(kept[1]) and any(kept[2]) and any(kept[3])
    pair.i.terminate("gw")
    assert not any(any(secret) for secret in kept)


def test_the_private_exponent_is_wiped_once_used():
    pair = run_to("i", 2)
    x = pair.i.sas[0].x
    assert len(x) == 32 and any(x)
    pair.settle()
    assert not any(x)


def test_the_iv_advances_only_after_every_check():
    pair = run_to("r", 3)
    sa = pair.r.sas[0]
    letters = alphabet()
    iv = bytes(sa.iv)
    for at in (28, 44, 60, 75):
        pair.give("r", changed(letters[5], at, letters[5][at] ^ 0x80))
        assert bytes(sa.iv) == iv
    pair.give("r", letters[5])
    assert sa.state == "ESTABLISHED" and bytes(sa.iv) != iv


def test_hash_is_verified_over_the_identity_too():
    """A message 5 that decrypts well, with one bit of its HASH or of its ID turned."""
    letters = alphabet()
    for at in (4, 8, 11, 40 + 4, 40 + 4 + 31):
        pair = run_to("r", 3)
        sa = pair.r.sas[0]
        plain, _ = keys.crypt(pair.r.hal, sa.suite, sa.ka, sa.iv, letters[5][28:], False)
        plain = changed(plain, at, plain[at] ^ 1)
        forged, _ = keys.crypt(pair.r.hal, sa.suite, sa.ka, sa.iv, plain, True)
        pair.give("r", letters[5][:28] + forged)
        assert pair.states()[1] == "MAIN_R2"
        assert pair.r.drops.by_reason == {"bad-hash": 1}, (at, pair.r.drops.by_reason)
        assert pair.collect("r") == []


def test_hash_omitted_empty_or_short():
    letters = alphabet()
    for bodies, reason in (
        (lambda body: [(R.ID, body)], "missing-payload"),
        (lambda body: [(R.ID, body), (R.HASH, b"")], "bad-hash"),
        (lambda body: [(R.ID, body), (R.HASH, bytes(31))], "bad-hash"),
        (
            lambda body: [(R.ID, body), (R.HASH, bytes(32)), (R.HASH, bytes(32))],
            "repeated-payload",
        ),
        (lambda body: [(R.ID, body), (R.ID, body), (R.HASH, bytes(32))], "repeated-payload"),
        (lambda body: [(R.HASH, bytes(32))], "missing-payload"),
        (lambda body: [(R.ID, body), (R.HASH, bytes(32)), (R.KE, b"k")], "unexpected-payload"),
        (lambda body: [(R.ID, b"\1"), (R.HASH, bytes(32))], "bad-hash"),
    ):
        pair = run_to("r", 3)
        sa = pair.r.sas[0]
        chain = wire.chain(bodies(pair.i.peers[0].local_id), 16)
        forged, _ = keys.crypt(pair.r.hal, sa.suite, sa.ka, sa.iv, chain, True)
        first = R.ID if bodies(b"")[0][0] == R.ID else R.HASH
        pair.give("r", wire.message(sa.cky_i, sa.cky_r, first, 2, True, 0, forged))
        assert pair.r.drops.by_reason == {reason: 1}, (reason, pair.r.drops.by_reason)
        pair.give("r", letters[5])
        assert pair.states()[1] == "ESTABLISHED"


def key_exchange(pair, side, ke, nonce):
    """Give a side a message of KE and nonce, and say why it was dropped."""
    sa = (pair.i if side == "i" else pair.r).sas[0]
    chain = wire.chain([(kind, body) for kind, body in ((R.KE, ke), (R.NONCE, nonce)) if body])
    first = R.KE if ke else R.NONCE
    pair.give(side, wire.message(sa.cky_i, sa.cky_r, first, 2, False, 0, chain))
    engine = pair.i if side == "i" else pair.r
    reasons = list(engine.drops.by_reason)
    return reasons[0] if reasons else None


def test_key_exchange_values():
    from ike.groups import prime

    p = int.from_bytes(prime("modp2048"), "big")
    nonce = bytes(32)

    def number(value):
        return value.to_bytes(256, "big")

    for side, message in (("i", 2), ("r", 1)):
        for ke, given, reason in (
            (number(0), nonce, "bad-ke-value"),
            (number(1), nonce, "bad-ke-value"),
            (number(p - 1), nonce, "bad-ke-value"),
            (number(p), nonce, "bad-ke-value"),
            (number(p + 1), nonce, "bad-ke-value"),
            (b"\xff" * 256, nonce, "bad-ke-value"),
            (bytes(255), nonce, "bad-ke-length"),
            (bytes(257), nonce, "bad-ke-length"),
            (b"\2", nonce, "bad-ke-length"),
            (None, nonce, "missing-payload"),
            (number(2), None, "missing-payload"),
            (number(2), bytes(7), "bad-nonce-length"),
            (number(2), bytes(257), "bad-nonce-length"),
            (number(2), bytes(8), None),
            (number(p - 2), bytes(256), None),
        ):
            pair = run_to(side, message)
            before = pair.states()
            assert key_exchange(pair, side, ke, given) == reason, (side, reason)
            if reason:
                assert pair.states() == before
                if side == "r":  # no Diffie-Hellman for what is malformed
                    assert "modexp" not in pair.r.hal.counts


def test_the_responder_answers_before_it_computes():
    """Message 4 leaves before the shared secret is made, so that both sides work at once."""
    pair = scripted()
    pair.settle(3)
    assert [side for side, _ in pair.log] == ["i", "r", "i", "r"]
    assert pair.r.sas[0].x is not None and pair.r.sas[0].skeyid is None
    assert pair.r.poll(0)
    assert pair.r.sas[0].x is None and pair.r.sas[0].skeyid is not None


def test_no_diffie_hellman_before_message_3():
    pair = run_to("r", 1)
    assert "modexp" not in pair.r.hal.counts


def test_both_sides_hold_the_same_keys():
    pair = run_to("i", 6)
    ours, theirs = pair.i.sas[0], pair.r.sas[0]
    for name in ("skeyid_d", "skeyid_a", "ka", "iv", "cky_i", "cky_r"):
        assert bytes(getattr(ours, name)) == bytes(getattr(theirs, name)), name


def test_vendor_ids_are_ignored():
    pair = scripted()
    sa = pair.i.sas[0]
    chain = wire.chain([(R.SA, sa.sai_b), (R.VID, b"anyone"), (R.VID, b"")])
    pair.give("r", wire.message(sa.cky_i, bytes(8), R.SA, 2, False, 0, chain))
    assert pair.states()[1] == "MAIN_R1"
    assert pair.r.drops.by_reason == {}


def test_the_scripted_exchange_is_what_it_says():
    assert INITIATOR[0] != RESPONDER[0] and PSK
    pair = run_to("i", 6)
    assert pair.last("i", "established")["suite"] == SUITE


def test_vendor_ids_of_capabilities():
    pair = Pair()
    pair.i.peers[0].capable = ("fragmentation",)
    pair.connect()
    assert pair.r.sas[0].capable == {"fragmentation"}
    assert pair.i.sas[0].capable == set()


def test_vendor_id_with_flags_behind_it():
    pair = Pair()
    pair.i.peers[0].capable = pair.r.peers[0].capable = ("fragmentation",)
    known = R.VENDOR_IDS["fragmentation"]
    R.VENDOR_IDS["fragmentation"] = known + bytes(4)
    try:
        pair.i.initiate("gw", 0)
        pair.settle(1)
    finally:
        R.VENDOR_IDS["fragmentation"] = known
    pair.settle()
    assert pair.i.sas[0].capable == {"fragmentation"}

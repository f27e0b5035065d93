# micropython: heapsize=512k deadline=180
"""The SA table: first messages, duplicates, timers, notifies, deletes, limits, and named drops."""

import struct

from cheap import CheapHal
from ike import engine as engine_module
from ike import exchange, halfopen, mainmode, policy, seldom, wire
from ike import registry as R
from malformed import ARGUABLE, MALFORMED, SA, TOLERATED, of_parts, sa_body, with_attribute
from pair import INITIATOR, PSK, RESPONDER, Pair, changed, make_engine, make_hal


def first_message():
    """A valid message 1, the SA alone, and the pair whose responder has not seen it."""
    pair = Pair()
    pair.i.initiate("gw", 0)
    message = pair.collect("i")[0]
    return pair, of_parts(message, [(SA, sa_body(message))])


def test_malformed_first_messages():
    for name, make, reason, notify in MALFORMED:
        pair, message = first_message()
        message = make(message)
        pair.give("r", message)
        assert pair.r.sas == [], name
        assert pair.r.drops.by_reason == {reason: 1}, (name, pair.r.drops.by_reason)
        assert pair.last("r", "drop") is None
        answers = pair.collect("r")
        assert pair.last("r", "drop")["reason"] == reason
        if notify is None:
            assert answers == [], name
        else:
            check_notify(answers, notify, message)


def check_notify(answers, notify, message):
    """One clear notify of that type, not longer than what provoked it."""
    assert len(answers) == 1
    answer = answers[0]
    header = wire.Header(answer)
    assert len(answer) <= len(message)
    assert (header.cky_i, header.exchange, header.encrypted) == (
        bytes(message[:8]),
        R.INFORMATIONAL,
        False,
    )
    ((kind, body, _),) = wire.payloads(memoryview(answer)[28:], header.first)
    assert kind == R.N
    assert struct.unpack("!IBBH", body) == (1, 1, 0, notify)


def test_tolerated_first_messages():
    for name, make in TOLERATED:
        pair, message = first_message()
        pair.give("r", make(message))
        assert pair.states()[1] == "MAIN_R1", name
        assert pair.r.drops.by_reason == {}


def test_the_strict_switch():
    for name, make, _, _ in MALFORMED:
        pair, message = first_message()
        pair.r = make_engine(RESPONDER, INITIATOR, "responder", pair.clock, strict=False)
        pair.give("r", make(message))
        assert bool(pair.r.sas) == (name in ARGUABLE), name
    pair, message = first_message()
    pair.r = make_engine(RESPONDER, INITIATOR, "responder", pair.clock, strict=False)
    pair.give("r", message + b"behind the message")
    assert pair.states()[1] == "MAIN_R1"


def test_truncated_to_every_length():
    _, message = first_message()
    for size in range(len(message)):
        pair = Pair()
        pair.give("r", message[:size])
        assert pair.r.sas == [] and sum(pair.r.drops.by_reason.values()) == 1
        pair.give("r", message[:24] + struct.pack("!I", size) + message[28:size])
        assert pair.r.sas == [] and sum(pair.r.drops.by_reason.values()) == 2


def test_error_notifies_are_limited():
    pair, message = first_message()
    message = with_attribute(message, 4, 2)
    for _ in range(3):
        for _ in range(10):
            pair.give("r", message)
        assert len(pair.collect("r")) == 1
        pair.clock.now += 1000
    assert pair.r.drops.by_reason == {"no-proposal-chosen": 30}


def test_unknown_peer_and_wrong_path():
    pair, message = first_message()
    pair.r.receive(message, RESPONDER + ("10.9.0.77", 500), 0)
    assert pair.r.drops.by_reason == {"unknown-peer": 1}
    assert pair.collect("r") == []
    pair.settle(1)
    answer = pair.pending[0][1]
    pair.i.receive(answer, INITIATOR + ("10.9.0.77", 500), 0)
    pair.i.receive(answer, INITIATOR + (RESPONDER[0], 501), 0)
    assert pair.i.drops.by_reason == {"wrong-path": 2}
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_an_established_pair_and_its_events():
    pair = Pair()
    pair.connect()
    for side, role in (("i", "initiator"), ("r", "responder")):
        done = pair.last(side, "established")
        assert (done["role"], done["suite"], done["auth"]) == (
            role,
            "aes256-sha256-modp2048",
            "psk",
        )
        assert done["lifetime"] == 28800
        messages = [event for event in pair.events[side] if event["event"] == "message"]
        assert [event["number"] for event in messages] == [1, 2, 3, 4, 5, 6]
        assert [event["bytes"] for event in messages] == [len(d) for _, d in pair.log]
        assert messages[0]["payloads"] == ["SA", "VID"] and messages[5]["payloads"] == [
            "ID",
            "HASH",
        ]
    assert pair.last("i", "established")["cookies"] == pair.last("r", "established")["cookies"]
    assert pair.i.drops.by_reason == {} and pair.r.drops.by_reason == {}


def test_no_secret_in_any_event():
    pair = Pair()
    pair.connect()
    sa = pair.i.sas[0]
    text = repr(pair.events).lower()
    from binascii import hexlify

    for secret in (PSK, sa.skeyid_d, sa.skeyid_a, sa.ka):
        assert hexlify(bytes(secret)).decode() not in text
        assert repr(bytes(secret))[2:-1].lower() not in text


def test_all_suites_in_memory():
    for cipher in ("aes128", "aes192", "aes256", "3des"):
        pair = joined("%s-sha256-modp1024" % cipher)
        assert pair.states() == ("ESTABLISHED", "ESTABLISHED"), cipher
    for name in ("md5", "sha1", "sha256", "sha384", "sha512"):
        pair = joined("aes256-%s-modp1024" % name)
        assert pair.states() == ("ESTABLISHED", "ESTABLISHED"), name


def joined(proposal):
    values = {"proposals": [proposal], "legacy": True}
    pair = Pair(values, values)
    pair.connect()
    return pair


def test_every_group_in_memory():
    for group in ("modp1536", "modp2048", "modp3072", "modp4096"):
        pair = joined("aes128-sha256-" + group)
        assert pair.last("r", "established")["suite"] == "aes128-sha256-" + group


def test_wrong_psk():
    pair = Pair({}, {"psk": b"another key than the initiator's"})
    pair.connect()
    assert pair.states() == ("MAIN_I3", "MAIN_R2")
    assert pair.r.drops.by_reason == {"undecipherable": 1}
    assert len(pair.log) == 5  # a corrupt message 5 is met by silence
    pass_time(pair, 60000)
    assert pair.states() == ("", "")
    for side in ("i", "r"):
        assert "pre-shared keys differ" in pair.last(side, "failed")["reason"]
    assert pair.i.last_failure["gw"][0] == "no-answer"


def test_a_wrong_psk_is_told_though_the_gateway_answers_all_the_time():
    """It begins anew whenever a message is repeated after its own exchange has ended."""
    for preset, most in (("fast", 25000), ("strongswan", 270000)):
        values = {"retransmit": preset, "crypto": CheapHal(b"i")}
        pair = Pair(values, {"psk": b"another key", "crypto": CheapHal(b"r")})
        pair.connect()
        while pair.i.sas and pair.clock.now < 2 * most:
            pair.clock.now += 500
            pair.settle()
        pair.collect("i")
        failed = pair.last("i", "failed")
        assert failed["t_ms"] < most and "pre-shared keys differ" in failed["reason"], preset


def pass_time(pair, until, step=100):
    """Let the clock run, delivering nothing."""
    while pair.clock.now < until:
        pair.clock.now += step
        pair.i.poll(pair.clock.now)
        pair.r.poll(pair.clock.now)
        pair.collect("i")
        pair.collect("r")
        pair.pending = []


def test_no_common_proposal():
    pair = Pair({"proposals": ["aes128-sha256-modp3072"]})
    pair.connect()
    assert pair.states() == ("MAIN_I1", "")
    assert pair.r.drops.by_reason == {"no-proposal-chosen": 1}
    hint = pair.last("i", "notify")
    assert hint["type"] == "NO-PROPOSAL-CHOSEN" and hint["authenticated"] is False
    pass_time(pair, 30000)
    assert "NO-PROPOSAL-CHOSEN, not authenticated" in pair.last("i", "failed")["reason"]


def test_wrong_identity_is_told_under_protection():
    for ours, theirs in (({"local_id": "10.9.0.99"}, {}), ({}, {"local_id": "10.9.0.99"})):
        pair = Pair(ours, theirs)
        pair.connect()
        failed = [
            event for side in "ir" for event in pair.events[side] if event["event"] == "failed"
        ]
        assert "wrong-identity" in [event["code"] for event in failed]
        assert any("10.9.0.99" in event["reason"] for event in failed)
        if ours:  # the responder refused message 5 and the initiator believes it
            assert pair.states() == ("", "")
            assert pair.last("i", "notify")["authenticated"] is True
            assert "INVALID-ID-INFORMATION" in pair.last("i", "failed")["reason"]
        else:  # the initiator refused message 6: the responder's SA goes with its delete
            assert pair.states() == ("", "")
            assert pair.last("r", "deleted")["by"] == "peer"


def test_delete_ends_the_peers_sa_too():
    for side in ("i", "r"):
        pair = Pair()
        pair.connect()
        engine = pair.i if side == "i" else pair.r
        assert engine.terminate("gw") == 1
        pair.settle()
        assert pair.states() == ("", "")
        other = "r" if side == "i" else "i"
        assert pair.last(other, "deleted")["by"] == "peer"
        assert pair.last(side, "deleted")["by"] == "us"


def test_a_delete_of_something_else_changes_nothing():
    from ike import informational

    pair = Pair()
    pair.connect()
    sa = pair.r.sas[0]
    for body in (
        struct.pack("!IBBH", 1, 1, 16, 1) + b"x" * 16,
        struct.pack("!IBBH", 1, 3, 4, 1) + b"spi!",
        struct.pack("!IBBH", 1, 1, 16, 0),
    ):
        informational._send(pair.r, sa, R.D, body)
        pair.settle()
        assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.i.drops.by_reason == {"delete-of-unknown-sa": 3}
    informational._send(pair.r, sa, R.D, struct.pack("!IBBH", 1, 1, 16, 2) + b"x" * 16)
    pair.settle()
    assert pair.i.drops.by_reason["bad-delete"] == 1


def test_informational_needs_its_hash():
    from ike import informational

    pair = Pair()
    pair.connect()
    sa = pair.r.sas[0]
    informational.delete(pair.r, sa)
    message = pair.collect("r")[0]
    pair.pending = []
    for at in range(28, len(message), 7):
        pair.give("i", changed(message, at, message[at] ^ 1))
    pair.give("i", changed(message, 23, message[23] ^ 1))  # the message id is part of the hash
    assert pair.states()[0] == "ESTABLISHED"
    assert set(pair.i.drops.by_reason) <= {"bad-hash", "undecipherable", "missing-payload"}
    pair.give("i", message)
    assert pair.states()[0] == ""


def test_duplicates_are_answered_at_most_twice():
    pair = Pair()
    pair.i.initiate("gw", 0)
    first = pair.collect("i")[0]
    replies = []
    for _ in range(6):
        pair.give("r", first)
        replies += pair.collect("r")
    assert len(pair.r.sas) == 1
    assert len(replies) == 1 + exchange.MAX_REPLAYS
    assert len({bytes(reply) for reply in replies}) == 1
    assert pair.r.drops.by_reason == {"duplicate": 5}


def test_a_duplicate_never_starts_a_second_diffie_hellman():
    pair = Pair()
    pair.i.initiate("gw", 0)
    pair.settle(3)
    third = pair.log[2][1]
    for _ in range(5):
        pair.give("r", third)
    while pair.r.poll(0):
        pair.give("r", third)
    assert pair.r.hal.counts["modexp"] == {"software": 2}
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_the_same_cookie_with_another_offer():
    pair = Pair()
    pair.i.initiate("gw", 0)
    pair.collect("i")
    message = pair.pending.pop(0)[1]
    pair.give("r", message)
    pair.give("r", with_attribute(message[:-20], 12, 3600) + message[-20:])
    assert len(pair.r.sas) == 2  # either may be the peer's, who takes several answers
    assert pair.r.drops.by_reason == {}
    assert pair.r.sas[0].cky_r != pair.r.sas[1].cky_r
    pair.pending = pair.pending[::-1]
    pair.settle()
    assert pair.states()[0] == "ESTABLISHED"
    assert "ESTABLISHED" in [sa.state for sa in pair.r.sas]


def test_every_loss_recovers():
    """Each of the six messages lost once, at the first time it is sent."""
    for lost in range(1, 7):
        pair = Pair()
        pair.i.initiate("gw", 0)
        number = 0
        for _ in range(200):
            pair.clock.now += 100
            for engine in (pair.i, pair.r):
                while engine.poll(pair.clock.now):
                    pass
            pair.collect("i")
            pair.collect("r")
            while pair.pending:
                number += 1
                if number == lost:
                    pair.pending.pop(0)
                else:
                    pair.settle(1)
        assert pair.states() == ("ESTABLISHED", "ESTABLISHED"), lost
        assert pair.last("i", "retransmit") is not None


def test_retransmission_presets():
    """strongSwan's schedule: 4 s, then 1.8 times as long each time, five tries; and a fast one."""
    for preset, times in (
        ("strongswan", (4000, 11200, 24160, 47488, 89478)),
        ("fast", (500, 1300, 2580, 4628, 7904, 13145)),
    ):
        pair = Pair({"retransmit": preset})
        pair.i.initiate("gw", 0)
        first = pair.collect("i")[0]
        pair.pending = []
        for time in times:
            assert pair.i.deadline() == time, (preset, pair.i.deadline())
            pair.clock.now = time - 1
            pair.i.poll(time - 1)
            assert pair.collect("i") == []
            pair.clock.now = time
            pair.i.poll(time)
            assert pair.collect("i") == [first]
        pair.i.poll(pair.i.deadline())
        pair.collect("i")
        assert pair.states()[0] == ""
        assert pair.last("i", "failed")["code"] == "no-answer"


def test_a_responder_never_retransmits_on_a_timer():
    for number in (1, 3, 5):
        pair = Pair()
        pair.i.initiate("gw", 0)
        pair.settle(number)
        before = len([side for side, _ in pair.log if side == "r"])
        pair.pending = []
        for second in range(1, 60):
            pair.clock.now = second * 1000
            pair.r.poll(pair.clock.now)
            pair.collect("r")
        assert len([side for side, _ in pair.log if side == "r"]) == before


def test_half_open_exchanges_end():
    pair, message = first_message()
    pair.give("r", message)
    assert pair.r.deadline() == exchange.HALF_OPEN_MS
    pair.r.poll(exchange.HALF_OPEN_MS - 1)
    assert len(pair.r.sas) == 1
    pair.r.poll(exchange.HALF_OPEN_MS)
    assert pair.r.sas == []


def test_half_open_exchanges_are_few():
    pair, message = first_message()
    limit = halfopen.PLACES
    for number in range(40):
        path = RESPONDER + (INITIATOR[0], 500 + number)  # whatever port they come from
        pair.r.receive(changed(message, 0, number + 1), path, 0)
        assert len(pair.r.sas) == min(limit, number + 1)
    assert pair.r.drops.by_reason == {"half-open-replaced": 40 - limit}
    assert pair.last("r", "failed") is None
    assert pair.r.last_failure == {}


def test_an_honest_exchange_gets_in_beside_spoofed_ones():
    """Places are taken from exchanges that went no further than message 2, the oldest first."""
    pair, message = first_message()
    for number in range(20):
        pair.give("r", changed(message, 0, number + 1))
    pair.settle()
    assert pair.states()[0] == "ESTABLISHED"
    assert pair.last("r", "established") is not None
    for number in range(20):
        pair.give("r", changed(message, 1, number + 1))
    assert "ESTABLISHED" in [sa.state for sa in pair.r.sas]


def test_a_stray_first_message_is_no_failure_of_the_peer():
    pair, message = first_message()
    pair.give("r", message)
    pass_time(pair, exchange.HALF_OPEN_MS + 1000)
    assert pair.r.sas == []
    assert pair.last("r", "failed") is None
    assert pair.r.last_failure == {}


def test_an_engine_that_fails_in_mid_derivation_leaves_nothing_half_made():
    from hal import HalError

    for side, number in (("i", 4), ("r", 5)):
        pair = Pair()
        pair.i.initiate("gw", 0)
        pair.settle(number - 1)
        engine = pair.i if side == "i" else pair.r
        working = engine.hal

        class Failing:
            calls = 0

            def __getattr__(self, name, working=working):
                if name == "hmac":
                    Failing.calls += 1
                    if Failing.calls == 2:
                        raise HalError("gone")
                return getattr(working, name)

        engine.hal = Failing()
        sa = engine.sas[0]
        pair.settle(1)
        while not Failing.calls:
            engine.poll(0)
        assert sa.ka is None and sa.skeyid is None
        engine.hal = working


def test_a_delete_for_which_there_was_no_memory_is_sent_by_the_next_try():
    from ike import informational

    pair = Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})
    pair.connect()

    def fail(*_):
        raise MemoryError

    crypt, informational.keys.crypt = informational.keys.crypt, fail
    try:
        pair.i.terminate("gw")
    except MemoryError:
        pass
    else:
        raise AssertionError("the console would not try again")
    finally:
        informational.keys.crypt = crypt
    assert pair.i.find("gw") and pair.i.drops.by_reason == {"informational-not-sent": 1}
    assert pair.i.terminate("gw") == 1
    pair.settle()
    assert pair.states() == ("", "")


def test_a_source_that_fails_does_not_get_out_of_timers_and_wishes():
    from hal import HalError

    class Failing:
        def __getattr__(self, name):
            raise HalError("gone")

    pair = Pair({"lifetime": 60}, {})
    pair.connect()
    working, pair.i.hal = pair.i.hal, Failing()
    pair.i.poll(60000)
    assert pair.i.sas == []
    assert pair.i.drops.by_reason == {"informational-not-sent": 1}
    assert pair.last("r", "established") is not None
    assert pair.i.prepare()
    assert not pair.i.prepare()
    pair.i.hal = working


def test_what_ends_an_exchange_is_told_even_when_the_queue_is_full():
    pair = Pair()
    pair.i.initiate("gw", 0)
    pair.settle(5)
    for _ in range(100):
        pair.i.event("filler")
    pair.give("i", pair.pending[0][1])
    names = [event["event"] for event in pair.i.take_events()]
    assert "established" in names


def test_a_clear_informational_makes_one_event():
    from ike import informational

    pair, _ = first_message()
    body = informational.notify_body(14)
    chain = wire.chain([(R.N, body)] * 30)
    cookies = pair.i.sas[0].cky_i
    pair.give("i", wire.message(cookies, b"whatever", R.N, R.INFORMATIONAL, False, 0, chain))
    pair.collect("i")
    assert len([e for e in pair.events["i"] if e["event"] == "notify"]) == 1


def test_the_lifetime_ends_the_sa():
    pair = Pair({"lifetime": 60}, {})
    pair.connect()
    assert pair.last("r", "established")["lifetime"] == 60
    pair.i.sas[0].renew_at = None
    assert pair.i.deadline() == 60000
    pair.i.poll(60000)
    pair.settle()
    assert pair.states() == ("", "")
    assert pair.last("i", "deleted")["by"] == "lifetime"


def test_cookies_are_tied_to_the_parties_and_unique():
    pair = Pair()
    path = INITIATOR + RESPONDER
    made = [bytes(pair.i.cookie(path, 0)) for _ in range(50)]
    assert len(set(made)) == 50
    assert all(len(cookie) == 8 for cookie in made)


def test_a_key_pair_made_ahead_is_used_once():
    pair = Pair()
    assert pair.i.prepare() and not pair.i.prepare()
    assert pair.r.prepare()
    assert pair.i.hal.counts["modexp"] == {"software": 1}
    pair.connect()
    assert pair.i.hal.counts["modexp"] == {"software": 2}
    first = pair.log[2][1][32:288]
    assert not pair.i.prepare()  # not beside a live SA's work
    pair.i.terminate("gw")
    pair.settle()
    assert pair.i.prepare()
    pair.connect()
    second = [d for side, d in pair.log if side == "i" and len(d) == len(pair.log[2][1])][-1]
    assert second[32:288] != first


def test_misuse_is_told():
    pair = Pair()
    for function in (pair.i.terminate, lambda name: pair.i.initiate(name, 0)):
        try:
            function("nobody")
        except engine_module.Misuse as error:
            assert "nobody" in str(error)
        else:
            raise AssertionError("accepted")


def test_initiate_twice_is_one_exchange():
    pair = Pair()
    pair.i.initiate("gw", 0)
    pair.i.initiate("gw", 0)
    assert len(pair.i.sas) == 1
    pair.settle()
    pair.i.initiate("gw", 0)
    assert len(pair.i.sas) == 1


def test_a_peer_is_found_by_its_address():
    peers = [
        policy.Peer("a", "10.0.0.1", PSK, "10.9.0.1", "10.0.0.1", ["aes256-sha256-modp2048"]),
        policy.Peer(
            "b", "10.0.0.1", PSK, "10.9.0.1", "10.0.0.1", ["aes256-sha256-modp2048"], port=501
        ),
    ]
    engine = engine_module.Engine(make_hal(), peers, RESPONDER, lambda: 0)
    for port, name in ((500, "a"), (501, "b"), (9999, "a")):
        assert engine.peer_at(RESPONDER + ("10.0.0.1", port)).name == name


def test_events_are_bounded():
    pair = Pair()
    for number in range(500):
        pair.r.receive(b"x" * (number % 27), RESPONDER + INITIATOR, 0)
        pair.r.event("filler")
    assert len(pair.r.take_events()) == engine_module._MAX_EVENTS
    assert pair.r.drops.by_reason == {"too-short": 500}


def test_an_engine_that_fails_costs_one_exchange_at_most():
    """Neither a HAL without engines nor a full heap gets out of receive() or poll()."""
    from hal import HalError

    for error, reason in ((HalError("none"), "no-crypto-engine"), (MemoryError(), "no-memory")):

        class Failing:
            def __getattr__(self, name, error=error):
                raise error

        pair, message = first_message()
        working, pair.r.hal = pair.r.hal, Failing()
        pair.give("r", message)
        assert pair.r.drops.by_reason == {reason: 1}
        pair.r.hal = working
        pair.settle(0)
        pair.pending = [("i", message)]
        pair.settle(3)
        pair.r.hal = Failing()
        assert pair.r.poll(0)
        if reason == "no-memory":  # there may be some later
            for pair.clock.now in range(0, 300, 50):
                pair.settle()
            assert pair.states() == ("MAIN_I3", "MAIN_R2")
            pair.r.hal = working
            for pair.clock.now in range(300, 3000, 50):
                pair.settle()
            assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
            continue
        assert pair.r.sas == []
        pair.collect("r")
        assert pair.last("r", "failed")["code"] == "no-crypto-engine"


class NoMemory:
    """While it lasts, a function of a module finds none."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.works = getattr(module, name)

    def __enter__(self):
        setattr(self.module, self.name, self.fail)

    def __exit__(self, *error):
        setattr(self.module, self.name, self.works)

    def fail(self, *arguments):
        raise MemoryError


def test_a_message_for_which_there_was_no_memory_counts_when_it_comes_again():
    """Whatever was done of it already: it is no duplicate, and the IV is what it was."""
    for number in (2, 3, 4, 5, 6):
        pair = Pair()
        pair.i.initiate("gw", 0)
        pair.settle(number - 1)
        while not pair.pending:
            pair.settle(0)
        side, message = pair.pending.pop(0)
        victim = "r" if side == "i" else "i"
        with NoMemory(mainmode, "_report"):
            pair.give(victim, message)
        assert (pair.r if side == "i" else pair.i).drops.by_reason == {"no-memory": 1}
        pair.pending = [(side, message)]
        pair.settle()
        assert pair.states() == ("ESTABLISHED", "ESTABLISHED"), number


def test_a_peer_that_is_refused_without_memory_to_tell_it():
    """The reason is told all the same, and at once."""
    for ours, theirs, side in (
        ({"local_id": "10.9.0.99"}, {}, "r"),
        ({}, {"local_id": "10.9.0.99"}, "i"),
    ):
        pair = Pair(ours, theirs)
        with NoMemory(seldom, "refuse"):
            pair.connect()
        assert pair.last(side, "failed")["code"] == "wrong-identity"
        assert pair.states()["ir".index(side)] == ""


def test_a_message_5_for_which_there_was_no_memory():
    """The shared secret is made again, with another message 4 too."""
    pair = Pair()
    pair.i.initiate("gw", 0)
    pair.settle(3)
    fourth = pair.pending.pop()[1]
    with NoMemory(mainmode, "_fifth"):
        pair.give("i", changed(fourth, 99, fourth[99] ^ 1))
    waiting = [sa for sa in pair.i.sas if not sa.spare]
    assert [(sa.state, sa.skeyid) for sa in waiting] == [("MAIN_I2", None)]
    pair.give("i", fourth)
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_a_message_1_for_which_there_was_no_memory():
    pair = Pair()
    with NoMemory(mainmode, "initiate"):
        try:
            pair.i.initiate("gw", 0)
            raise AssertionError("it had memory")
        except MemoryError:
            pass
    assert pair.i.sas == []
    pair.i.initiate("gw", 0)
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_message_4_counts_when_it_comes_again_after_a_lack_of_memory():
    """What failed in its middle has left nothing of it: it is no reflection of itself."""
    pair = Pair()
    pair.i.initiate("gw", 0)
    pair.settle(3)
    fourth = pair.pending.pop()[1]

    class Starved:
        def __init__(self, working):
            self._working = working

        def __getattr__(self, name):
            if name == "modexp":
                raise MemoryError()
            return getattr(self._working, name)

    working, pair.i.hal = pair.i.hal, Starved(pair.i.hal)
    pair.give("i", fourth)
    assert pair.i.drops.by_reason == {"no-memory": 1}
    pair.i.hal = working
    pair.give("i", fourth)
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_timers_of_all_run_once_whoever_ends_meanwhile():
    """Without a copy of the table: where memory is in pieces there may be none for that, and then
    no half-open exchange would ever end."""
    engine = Pair().r
    ticked = []

    class Line:
        state = "MAIN_R1"
        initiator = spare = rival = False

        def __init__(self, name, ends=()):
            self.name, self.ends = name, ends

        def tick(self, now):
            ticked.append(self.name)
            engine.sas = [sa for sa in engine.sas if sa.name not in self.ends]

        def wants_derive(self, now):
            return False

    for ends, expected in (
        ({}, "abcd"),
        ({"b": "b"}, "abcd"),
        ({"c": "a"}, "abcd"),
        ({"a": "ab"}, "acd"),
        ({"b": "c"}, "abd"),
        ({"d": "abcd"}, "abcd"),
    ):
        engine.sas = [Line(name, ends.get(name, ())) for name in "abcd"]
        ticked.clear()
        engine.poll(0)
        assert "".join(ticked) == expected, ends

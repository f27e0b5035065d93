# micropython: heapsize=2m deadline=120
"""What a message costs, changes and is answered before its sender has proven anything."""

import struct

from attacker import Attacker, Dice, other
from cheap import CheapHal
from ike import informational, wire
from ike import registry as R
from malformed import MALFORMED, SA, of_parts, sa_body
from pair import RESPONDER, SUITE, Pair

# Operations of the HAL for one message at most. Hmac: SKEYID and what follows, HASH, and HASH of
# the answer; modexp: the public value and the shared secret, once for an exchange.
LIMIT = {"hash": 5, "hmac": 12, "modexp": 2}
STATES = range(7)  # so many honest messages were delivered before


def begun(number):
    pair = Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})
    pair.i.initiate("gw", 0)
    pair.settle(number)
    while pair.i.poll(0) or pair.r.poll(0):
        pass
    for side in "ir":
        pair.collect(side)
    return pair


def first_message():
    pair = begun(0)
    message = pair.log[0][1]
    return pair, of_parts(message, [(SA, sa_body(message))])


def test_work_is_bounded():
    """Whatever comes, in every state: some hashes, one decryption a line of the exchange, and the
    exponentiations that the exchange needs once, where the message moves it on."""
    most = {}
    for number in STATES:
        for seed in range(3):
            pair = begun(number)
            attacker = Attacker(Dice(seed + 7), SUITE)
            for side, datagram in pair.log:
                attacker.saw(side, datagram)
            for _ in range(60):
                side, datagram = attacker.packet()
                engine = pair.i if side == "i" else pair.r
                before, lines = dict(engine.hal.done), len(engine.sas)
                pair.give(side, bytes(datagram))
                for kind, done in engine.hal.done.items():
                    spent = done - before.get(kind, 0)
                    most[kind] = max(most.get(kind, 0), spent)
                    assert spent <= LIMIT.get(kind, lines + 1), (number, seed, kind, spent)
    assert set(most) >= {"hash", "modexp", "cipher"}


def test_first_messages_cost_no_exponentiation():
    pair, message = first_message()
    messages = [make(message) for _, make, _, _ in MALFORMED] + [message]
    for datagram in messages:
        before = dict(pair.r.hal.done)
        pair.give("r", datagram)
        spent = {kind: done - before.get(kind, 0) for kind, done in pair.r.hal.done.items()}
        assert spent.get("hash", 0) <= 3, spent
        assert not any(spent[kind] for kind in spent if kind not in ("hash", "random")), spent


def test_no_answer_is_longer_than_what_provoked_it():
    for size in range(28, 60):
        pair, message = first_message()
        message = message[:24] + struct.pack("!I", size) + message[28:size]
        pair.give("r", message)
        assert all(len(answer) <= size for answer in pair.collect("r")), size
    for _, make, _, _ in MALFORMED:
        pair, message = first_message()
        message = make(message)
        pair.give("r", message)
        assert all(len(answer) <= len(message) for answer in pair.collect("r"))


def content(engine):
    """What an engine holds, but for counters and hints."""
    return [
        [(name, repr(value)) for name, value in sorted(sa.__dict__.items()) if name != "hint"]
        for sa in engine.sas
    ]


def test_unauthenticated_notifies_change_nothing_but_a_counter():
    for number in STATES:
        pair = begun(number)
        attacker = Attacker(Dice(number + 1), SUITE)
        for side, datagram in pair.log:
            attacker.saw(side, datagram)
        for side in "ir":
            engine = pair.i if side == "i" else pair.r
            before, drops = content(engine), sum(engine.drops.by_reason.values())
            sent = [d for s, d in pair.log if s == other(side)] or [pair.log[0][1]]
            cookies = sent[-1][:16]
            for code in range(1, 40):
                body = informational.notify_body(code, cookies)
                for kind in (R.N, R.D):
                    message = wire.message(
                        cookies[:8], cookies[8:], kind, 5, False, code, wire.chain([(kind, body)])
                    )
                    pair.give(side, message)
            for kind in ("clear_notify", "clear_delete", "garbage_informational"):
                for _ in range(20):
                    _, datagram = getattr(attacker, "kind_" + kind)()
                    pair.give(side, datagram)
            assert content(engine) == before, (number, side)
            assert sum(engine.drops.by_reason.values()) == drops + 2 * 39 + 60
            assert pair.collect(side) == []


def test_replies_are_repeated_twice_a_second_at_most():
    for number in (1, 3, 5):
        pair = begun(number)
        request = pair.log[number - 1][1]
        before = len(pair.log)
        for _ in range(50):
            pair.give("r", request)
        assert len(pair.collect("r")) == 2, number
        assert len(pair.log) == before + 2
        assert pair.r.local == RESPONDER

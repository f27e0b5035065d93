# micropython: heapsize=2m deadline=180
"""No clear or corrupt packet costs an honest exchange, up to the limits that rivals.py names."""

import struct

from cheap import CheapHal
from ike import folded, fragments, halfopen, mainmode, rivals, wire
from ike import registry as R
from ike.exchange import STALE_MS
from pair import INITIATOR, RESPONDER, SUITE, Pair, changed
from spoofing import Run


def started(number):
    """A pair with cheap crypto, `number` messages delivered, the next one waiting."""
    pair = Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})
    pair.i.initiate("gw", 0)
    pair.settle(number)
    return pair


def finish(pair, until=20000):
    """Let time pass until both sides are established; True where they are, with the same keys."""
    while pair.clock.now < until:
        pair.settle()
        found = [[sa for sa in e.sas if sa.state == "ESTABLISHED"] for e in (pair.i, pair.r)]
        if found[0] and found[1]:
            return found[0][0].ka == found[1][0].ka
        pair.clock.now += 50
    return False


def another(message, at=99):
    return changed(message, at, message[at] ^ 1)


def test_one_spoofed_message_2_3_or_4_before_the_peers():
    for number in (2, 3, 4):
        pair = started(number - 1)
        side, honest = pair.pending[0]
        at = 8 if number == 2 else 99
        pair.give("r" if side == "i" else "i", another(honest, at))
        assert finish(pair), number
        victim = pair.i if number != 3 else pair.r
        assert victim.drops.by_reason["spoofed"] == 1, (number, victim.drops.by_reason)
        assert not any(sa.rival or sa.spare or sa.folded for sa in pair.i.sas + pair.r.sas)


def test_spoofed_ones_after_the_peers_cost_nothing_but_a_line():
    for number in (2, 3, 4):
        pair = started(number)
        honest = pair.log[number - 1][1]
        victim = "r" if number == 3 else "i"
        for flip in range(1, 9):
            pair.give(victim, changed(honest, 8 if number == 2 else 99, flip))
        done = dict(pair.i.hal.done), dict(pair.r.hal.done)
        pair.settle()
        assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
        # The peers' own Diffie-Hellman, and none for a rival.
        assert pair.i.hal.done["modexp"] == 2 and pair.r.hal.done["modexp"] == 2, done


def test_a_weaker_suite_chosen_in_the_peers_name():
    """Message 2 with the peer's cookies and another of the offered suites."""
    suites = {"proposals": [SUITE, "aes128-sha256-modp3072"]}
    pair = Pair(
        dict(suites, crypto=CheapHal(b"i")), {"crypto": CheapHal(b"r"), "proposals": [SUITE]}
    )
    pair.i.initiate("gw", 0)
    pair.settle(1)
    weaker = pair.i.peers[0].suites[1]
    body = wire.sa_body((wire.transform(2, weaker.attributes(1, (28800, 0)), False),))
    cookies = pair.pending[0][1][:16]
    chain = wire.chain([(R.SA, body)])
    pair.give("i", wire.message(cookies[:8], cookies[8:], R.SA, 2, False, 0, chain))
    assert finish(pair)
    assert pair.last("i", "established")["suite"] == SUITE


def test_rivals_have_their_diffie_hellman_late_and_never_twice():
    pair = started(2)
    honest = pair.pending[0][1]
    spoofed = [changed(honest, 99, flip) for flip in range(1, 20) if flip != honest[99]]
    for datagram in spoofed + spoofed:
        pair.give("r", datagram)
    for _ in range(50):
        pair.r.poll(pair.clock.now)
    assert pair.r.hal.done["modexp"] == 2  # ours, and the first line's
    assert pair.r.drops.by_reason["duplicate"] == len(spoofed)
    assert finish(pair)
    assert pair.r.hal.done["modexp"] <= 2 + len(spoofed)
    assert pair.r.drops.by_reason["spoofed"] == len(spoofed)


def test_a_rivals_diffie_hellman_takes_its_time():
    """However many message 4 come, the initiator makes one shared secret every 100 ms."""
    pair = started(3)
    honest = pair.pending.pop(0)[1]
    for flip in range(1, 20):
        pair.give("i", changed(honest, 99, honest[99] ^ flip))
    pair.collect("i")
    before = pair.i.hal.done["modexp"]
    for pair.clock.now in range(0, 1001, 10):
        while pair.i.poll(pair.clock.now):
            pass
    assert 5 <= pair.i.hal.done["modexp"] - before <= 9
    assert pair.i.deadline() <= 1100


def test_rivals_wait_while_datagrams_do():
    """But not for ever, and the exchange's first line does not."""
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    for flip in range(1, 20):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    before = pair.r.hal.done["modexp"]
    pair.r.poll(0, True)
    assert pair.r.hal.done["modexp"] - before == 1
    fifth = wire.message(honest[:8], honest[8:16], R.ID, R.ID_PROT, True, 0, bytes(64))
    pair.give("r", fifth)  # fits none: the rivals are needed
    for busy, least, most in ((True, 4, 6), (False, 9, 12)):
        before = pair.r.hal.done["modexp"]
        began = pair.clock.now
        for pair.clock.now in range(began, began + 2001 // (1 if busy else 2), 10):
            pair.r.poll(pair.clock.now, busy)
        assert least <= pair.r.hal.done["modexp"] - before <= most, busy


def test_an_initiators_rivals_have_their_turn_in_the_order_they_came():
    """The peer's message 4 comes soon, others to whatever message 2 come after it."""
    pair = started(1)
    second = pair.pending.pop(0)[1]
    pair.give("i", second)
    third = pair.collect("i")[0]
    pair.pending = []
    pair.give("r", third)
    fourth = pair.collect("r")[0]
    pair.pending = []
    forks = []
    for flip in range(1, 5):
        forks.append(changed(second, 8, second[8] ^ flip))
        pair.give("i", forks[-1])
    for flip in range(1, 4):
        pair.give("i", changed(fourth, 99, fourth[99] ^ flip))
    pair.clock.now = 10
    pair.give("i", fourth)
    pair.clock.now = 20
    for fork in forks:
        for flip in range(1, 5):
            pair.give("i", bytes(fork[:16]) + bytes(changed(fourth, 99, fourth[99] ^ flip))[16:])
    assert rivals.number(pair.i) > 16
    before = pair.i.hal.done["modexp"]
    while pair.states()[0] != "ESTABLISHED" and pair.clock.now < 5000:
        pair.clock.now += 10
        pair.settle()
    assert pair.i.hal.done["modexp"] - before == 3
    assert pair.clock.now <= 700


def test_the_number_of_rivals_is_bounded():
    for number, victim in ((2, "i"), (3, "r"), (4, "i")):
        pair = started(number - 1)
        honest = pair.pending[0][1]
        engine = pair.i if victim == "i" else pair.r
        for value in range(200):
            pair.give(victim, changed(honest, 8 if number == 2 else 99, value))
        most = rivals.MAX_ANSWERS if number == 2 else folded.MAX_RIVALS
        assert rivals.number(engine) == most
        assert engine.drops.by_reason["too-many-rivals"] == 200 - most - 1
        pair.clock.now = 400000
        while engine.poll(pair.clock.now):
            pass
        for _ in range(folded.MAX_RIVALS + 10):
            pair.clock.now += 100000
            while engine.poll(pair.clock.now):
                pass
        assert engine.sas == []  # and it ends by its timers


def beside_a_rival():
    """A pair whose responder has the peer's message 3 as a rival, and a message 5 that fits no
    line so far."""
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    pair.give("r", changed(honest, 99, honest[99] ^ 1))
    pair.r.poll(0)
    pair.pending = [("i", honest)]
    pair.settle(3)
    return pair


def beside_exchanges(number, messages):
    """An exchange whose message 3 is on its way, beside others that an attacker began, with so
    many messages 3 in each: (pair, the others' cookies, that message 3)."""
    pair = started(0)
    first = pair.pending.pop(0)[1]
    for flip in range(1, number + 1):
        pair.give("r", changed(first, 1, first[1] ^ flip))
    cookies = [bytes(sa.cky_i) + bytes(sa.cky_r) for sa in pair.r.sas]
    pair.collect("r")
    pair.pending = [("i", first)]
    pair.settle(2)
    third = pair.pending.pop(0)[1]
    for value in range(messages):
        for cookie in cookies:
            pair.give("r", cookie + bytes(changed(third, 99, value))[16:])
    return pair, cookies, third


def test_rivals_of_other_exchanges_leave_an_exchange_its_share():
    """All the rivals that there may be, in exchanges of the attacker's; derived ones or not."""
    for derived in (False, True):
        pair, cookies, third = beside_exchanges(3, 60)
        assert rivals.number(pair.r) == folded.MAX_RIVALS
        if derived:
            for cookie in cookies:
                pair.give("r", wire.message(cookie[:8], cookie[8:], R.ID, 2, True, 0, bytes(64)))
            for pair.clock.now in range(0, 5000, 50):
                pair.r.poll(pair.clock.now)
            assert not any(sa.is_underived() for sa in pair.r.sas)
            lines = [sa for sa in pair.r.sas if sa.rival]
            assert [sa.state for sa in lines] == ["MAIN_R2"] * folded.MAX_LINES
        for flip in range(1, 5):
            pair.give("r", changed(third, 99, third[99] ^ flip))
        pair.collect("r")
        pair.pending = [("i", third)]
        assert finish(pair), derived
        assert "too-many-rivals" in pair.r.drops.by_reason


def test_a_rival_that_was_folded_again_has_its_turn_again():
    """The peer's message 5 comes late, and there are no lines but so many."""
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    pair.give("r", changed(honest, 99, honest[99] ^ 1))
    pair.give("r", honest)
    for flip in range(2, 2 * folded.MAX_LINES):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    for number in range(3):
        noise = bytes([number]) * 64
        pair.give("r", wire.message(honest[:8], honest[8:16], R.ID, R.ID_PROT, True, 0, noise))
        for _ in range(120):
            pair.clock.now += 50
            pair.r.poll(pair.clock.now)
        spare = next(sa for sa in pair.r.sas if sa.spare)
        assert rivals.number(pair.r) == 2 * folded.MAX_LINES - 1
        assert len(spare.folded) == spare.turn == folded.MAX_LINES - 1
    theirs = [brought for _, brought, _ in spare.folded if bytes(honest[32:288]) in brought]
    assert len(theirs) == 1
    pair.collect("r")
    pair.pending = []
    for _ in range(180):
        pair.clock.now += 50
        pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert rivals.number(pair.r) == 0


def test_a_message_5_that_came_before_its_line_is_kept():
    """The peer need not repeat it in the moment in which its rival is a line."""
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    for flip in range(1, 4):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    pair.give("r", honest)
    for flip in range(4, 2 * folded.MAX_LINES):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    pair.r.poll(0)
    pair.give("i", pair.collect("r")[0])
    fifth = pair.collect("i")[-1]
    pair.pending = []
    for number in range(2):
        noise = bytes([number]) * 64
        pair.give("r", wire.message(honest[:8], honest[8:16], R.ID, R.ID_PROT, True, 0, noise))
    pair.give("r", fifth)
    assert pair.states()[1] == "MAIN_R2"
    for pair.clock.now in range(0, 5000, 50):
        pair.r.poll(pair.clock.now)
    assert [sa.state for sa in pair.r.sas] == ["ESTABLISHED"]
    pair.settle()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.r.sas[0].ka == pair.i.sas[0].ka


def test_so_many_messages_5_are_kept():
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    for flip in range(1, 4):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    for number in range(30):
        for size in (64, 512):
            noise = bytes([number]) * size
            cookies = honest[:8], honest[8:16]
            pair.give("r", wire.message(*cookies, R.ID, R.ID_PROT, True, 0, noise))
    spare = next(sa for sa in pair.r.sas if sa.spare)
    assert [len(kept) for kept, _ in spare.fifths] == [28 + 64] * folded.MAX_FIFTHS
    pair.collect("r")
    pair.pending = []


def test_an_exchange_ends_though_all_its_rivals_are_folded():
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    for flip in range(1, 2 * folded.MAX_LINES):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    noise = bytes(64)
    pair.give("r", wire.message(honest[:8], honest[8:16], R.ID, R.ID_PROT, True, 0, noise))
    for pair.clock.now in range(0, 70000, 50):
        pair.r.poll(pair.clock.now)
    assert pair.r.sas == []


def test_exchanges_end_though_their_only_lines_were_folded_again():
    pair, cookies, _ = beside_exchanges(7, 3)
    for began in (0, 20000, 29000):
        for number, cookie in enumerate(cookies):
            noise = bytes([began // 1000 + number]) * 64
            pair.give("r", wire.message(cookie[:8], cookie[8:], R.ID, 2, True, 0, noise))
        for pair.clock.now in range(began, began + 6000, 50):
            pair.r.poll(pair.clock.now)
    for pair.clock.now in range(35000, 70000, 500):
        pair.r.poll(pair.clock.now)
    assert pair.r.sas == []


def test_a_rival_for_which_there_is_no_memory_stays_folded():
    pair = beside_a_rival()
    spare = next(sa for sa in pair.r.sas if sa.spare)
    before, another = spare.folded, rivals.another

    def fail(line):
        raise MemoryError

    rivals.another = fail
    try:
        for pair.clock.now in range(0, 300, 50):
            pair.r.poll(pair.clock.now)
    finally:
        rivals.another = another
    assert spare.folded == before and len(before) == 1
    assert finish(pair)


def test_of_folded_rivals_the_latest_makes_room():
    """Though it was folded again, and stands before others."""
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    for flip in range(1, 6):
        pair.clock.now = flip
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    spare = next(sa for sa in pair.r.sas if sa.spare)
    spare.folded = spare.folded[2:] + spare.folded[:2]
    spare.turn = 2
    folded._make_room(pair.r)
    assert [rival[2] for rival in spare.folded] == [4, 2, 3] and spare.turn == 1
    folded._make_room(pair.r)
    assert [rival[2] for rival in spare.folded] == [2, 3] and spare.turn == 0
    pair.collect("r")
    pair.pending = []


def test_rivals_of_stale_exchanges_make_room_first():
    """However few each of them has: enough for the peer's own message 3 behind some others."""
    for age in (0, STALE_MS):
        pair, _, third = beside_exchanges(7, 9)
        assert rivals.number(pair.r) == folded.MAX_RIVALS
        for sa in pair.r.sas:
            if sa.cky_i != third[:8]:
                sa.started -= age
        for flip in range(1, 10):
            pair.give("r", changed(third, 99, third[99] ^ flip))
        pair.give("r", third)
        theirs = [
            brought for sa in pair.r.sas if sa.cky_i == third[:8] for _, brought, _ in sa.folded
        ]
        assert len(theirs) == (9 if age else 6)
        assert any(bytes(third[32:288]) in brought for brought in theirs) == bool(age)
        assert rivals.number(pair.r) == folded.MAX_RIVALS


def test_of_an_exchanges_rivals_those_that_came_first_stay():
    """Though their turn has come, and they are lines already."""
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    pair.give("r", changed(honest, 99, honest[99] ^ 1))
    pair.give("r", honest)
    for flip in range(2, 10):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    pair.collect("r")
    noise = bytes(64)
    pair.give("r", wire.message(honest[:8], honest[8:16], R.ID, R.ID_PROT, True, 0, noise))
    while pair.r.poll(0):  # it fits no line
        pass
    assert [sa.g_xi for sa in pair.r.sas if sa.rival] == [honest[32:288]]
    while rivals.number(pair.r) > 1:
        folded.relieve(pair.r)
    left = [brought[32:288] for sa in pair.r.sas for _, brought, _ in sa.folded]
    assert left == [honest[32:288]]
    assert finish(pair)


def test_of_our_own_exchanges_lines_those_that_came_first_stay():
    """The peer's line waits for message 6, others came after it."""
    pair = started(1)
    second = pair.pending.pop(0)[1]
    pair.give("i", second)
    pair.give("r", pair.collect("i")[0])
    fourth = pair.collect("r")[0]
    pair.pending = []
    pair.give("i", changed(fourth, 99, fourth[99] ^ 1))
    pair.clock.now = 1
    pair.give("i", fourth)
    pair.clock.now = 2
    for flip in range(2, 9):
        pair.give("i", changed(fourth, 99, fourth[99] ^ flip))
        pair.give("i", changed(second, 8, second[8] ^ flip))
    for _ in range(60):
        pair.clock.now += 10
        pair.i.poll(pair.clock.now)
    pair.collect("i")
    pair.pending = []
    lines = [sa for sa in pair.i.sas if sa.rival and sa.g_xr == pair.r.sas[0].g_xr]
    assert len(lines) == 1 and lines[0].state == "MAIN_I3"
    while rivals.number(pair.i) > 1:
        folded.relieve(pair.i)
    assert lines[0] in pair.i.sas
    assert finish(pair)


def test_rivals_make_room_where_memory_is_short():
    pair = started(3)
    honest = pair.pending[0][1]
    for flip in range(1, 17):
        pair.give("i", changed(honest, 99, honest[99] ^ flip))
    before = next(sa for sa in pair.i.sas if sa.folded).folded
    assert len(before) == 15 == rivals.number(pair.i)
    folded.relieve(pair.i)
    assert [sa.folded for sa in pair.i.sas if sa.folded] == [before[:7]]
    assert finish(pair)
    pair = started(1)
    first = pair.log[0][1]
    for number in range(1, 9):
        pair.give("r", changed(first, 1, first[1] ^ number))
    for _ in range(9):
        folded.relieve(pair.r)
    assert [bytes(sa.cky_i) for sa in pair.r.sas] == [bytes(first[:8])]


def test_fragments_do_not_keep_memory_from_the_exchanges():
    """Anybody can send one, now and then."""
    pair = started(3)
    honest = pair.pending[0][1]
    for flip in range(1, 17):
        pair.give("i", changed(honest, 99, honest[99] ^ flip))
    head = next(sa for sa in pair.i.sas if not sa.spare)
    for _ in range(5):
        head.reassembly = fragments.Reassembly()
        folded.relieve(pair.i)
    assert rivals.number(pair.i) < 2
    folded.relieve(pair.i)
    assert head.reassembly is None  # but they go, too
    assert finish(pair)


def test_where_memory_is_short_what_comes_back_goes_first():
    """The peer's message 3 came behind some others, and other exchanges have fewer."""
    pair, cookies, third = beside_exchanges(4, 4)
    for flip in range(1, 6):
        pair.give("r", changed(third, 99, third[99] ^ flip))
    pair.collect("r")
    pair.pending = [("i", third)]
    pair.settle(1)
    first = pair.log[0][1]
    for flip in range(100, 130):
        pair.give("r", changed(first, 2, first[2] ^ flip))
    for cookie in cookies:
        pair.give("r", wire.message(cookie[:8], cookie[8:], R.ID, 2, True, 0, bytes(64)))
    for pair.clock.now in range(0, 5000, 50):
        pair.r.poll(pair.clock.now)
    many = rivals.number(pair.r)
    assert many == 4 * 3 + 5

    def held():
        waiting = len([sa for sa in pair.r.sas if sa.state == "MAIN_R1" and not sa.spare])
        lines = len([sa for sa in pair.r.sas if sa.rival])
        return waiting, lines, sum([len(sa.fifths) for sa in pair.r.sas]), rivals.number(pair.r)

    found = [held()]
    for _ in range(5):
        folded.relieve(pair.r)
        found.append(held())
    waiting = halfopen.PLACES - len(cookies) - 1
    assert found == [
        (waiting, 12, 4, many),
        (0, 6, 4, many),
        (0, 3, 0, many),
        (0, 1, 0, many // 2),
        (0, 0, 0, many // 4),
        (0, 0, 0, many // 8),
    ], found
    assert finish(pair)


def test_a_rival_waits_where_there_is_no_memory_for_its_secret():
    pair = beside_a_rival()
    modexp = pair.r.hal.modexp

    def fail(*_):
        raise MemoryError

    pair.r.hal.modexp = fail
    for pair.clock.now in range(50, 2000, 50):
        pair.settle()
    assert [sa.state for sa in pair.r.sas if sa.rival] == ["MAIN_R2"]
    pair.r.hal.modexp = modexp
    assert finish(pair)
    assert not [e for e in pair.events["r"] if e["event"] == "failed"]


def test_a_rival_for_which_there_is_no_memory_is_not_answered():
    """Else its sender, who may be the peer, would go on, and not repeat it."""
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    pair.give("r", changed(honest, 99, honest[99] ^ 1))
    pair.collect("r")
    spare = next(sa for sa in pair.r.sas if sa.spare)

    class Full:
        def __iter__(self):
            return iter(())

        def __len__(self):
            return 0

        def __add__(self, other):
            raise MemoryError

    spare.folded = Full()
    pair.give("r", honest)
    spare.folded = ()
    assert pair.r.drops.by_reason == {"no-memory": 1}
    assert pair.r.take_datagrams() == []
    pair.pending = [("i", honest)]
    assert finish(pair)


def test_an_exchange_that_cannot_be_brought_back_for_want_of_memory():
    pair = started(2)
    honest = pair.pending.pop(0)[1]
    pair.r.sas.clear()
    send = mainmode._send

    def fail(*_):
        raise MemoryError

    mainmode._send = fail
    try:
        pair.give("r", honest)
    finally:
        mainmode._send = send
    assert pair.r.drops.by_reason == {"no-memory": 1} and pair.r.sas == []
    pair.pending = [("i", honest)]
    assert finish(pair)


def test_exchanges_go_whole_where_memory_is_short():
    """Not a spare that has the peer's message 3 alone, nor more than is needed."""
    pair = started(2)
    first = pair.log[0][1]
    for flip in (1, 2):
        pair.give("r", changed(first, 1, first[1] ^ flip))
    honest = pair.pending.pop(0)[1]
    pair.give("r", changed(honest, 99, honest[99] ^ 1))
    pair.give("r", honest)
    pair.collect("r")
    pair.pending = []
    for _ in range(4):
        folded.relieve(pair.r)
    assert {bytes(sa.cky_i) for sa in pair.r.sas} == {bytes(honest[:8])}
    assert [len(sa.folded) for sa in pair.r.sas if sa.spare] == [1]
    assert finish(pair)


def test_a_first_message_whose_place_was_taken():
    """Whatever comes between the peer's message 1 and 3, the exchange is there again."""
    pair = started(2)
    first = pair.log[0][1]
    for number in range(1, 200):
        pair.give("r", changed(first, 1, first[1] ^ number))
    assert not any(sa.cky_r == pair.log[1][1][8:16] for sa in pair.r.sas)
    pair.collect("r")
    pair.pending = pair.pending[:1]
    assert finish(pair)
    done = pair.last("r", "established")
    assert done["cookies"] == pair.last("i", "established")["cookies"]


def test_a_cookie_is_good_for_its_peer_and_its_time_only():
    for change, path, age in (
        (0, 0, 119999 - 59999),
        (7, 0, 0),
        (8, 0, 0),
        (9, 0, 0),
        (15, 0, 0),
        (0, 1, 0),
        (0, 0, 180000),
    ):
        pair = started(2)
        third = pair.pending[0][1]
        pair.r.sas.clear()
        if change:
            third = changed(third, change, third[change] ^ 1)
        remote = INITIATOR if not path else (INITIATOR[0], 501)
        pair.r.receive(third, RESPONDER + remote, age)
        good = (change, path) == (0, 0) and age < 120000
        assert bool(pair.r.sas) == good, (change, path, age)
        assert pair.r.drops.by_reason.get("unknown-cookie", 0) == (not good)


def test_what_authenticated_a_peer_stays_remembered():
    pair = started(9)
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    first = pair.log[0][1]
    for number in range(300):
        offer = changed(first, 1, number % 256)
        offer[len(offer) - 2 :] = bytes([1 + number // 256, number % 256])
        pair.give("r", offer)
    pair.collect("r")
    pair.pending = []
    pair.i.terminate("gw")
    pair.i.initiate("gw", pair.clock.now)
    pair.settle(2)
    pair.r.sas = [sa for sa in pair.r.sas if sa.spare]
    assert finish(pair)
    assert len(pair.r.firsts) <= 16


def test_an_exchange_ends_whatever_is_sent_now_and_then():
    """One message 4 before the last line's end, each of which makes another, while the gateway is
    away: the attempt fails, so that there are others, and a backup is called."""
    for preset, pause, most in (("fast", 20000, 110000), ("strongswan", 150000, 900000)):
        pair = Pair({"crypto": CheapHal(b"i"), "retransmit": preset}, {"crypto": CheapHal(b"r")})
        pair.i.initiate("gw", 0)
        pair.settle(3)
        sa = pair.i.sas[0]
        number = 0
        while pair.i.sas and pair.clock.now < 2 * most:
            if pair.clock.now % pause == 0:
                number += 1
                bodies = [(R.KE, struct.pack("!I", 1 << 24 | number) * 64), (R.NONCE, bytes(32))]
                chain = wire.chain(bodies)
                pair.give("i", wire.message(sa.cky_i, sa.cky_r, R.KE, R.ID_PROT, False, 0, chain))
            pair.clock.now += 500
            while pair.i.poll(pair.clock.now):
                pass
            pair.collect("i")
        assert number > 2 and pair.last("i", "failed")["t_ms"] < most, preset
        assert pair.i.last_failure["gw"][0] == "no-answer"


def test_a_rival_that_waits_for_its_turn_has_no_timer():
    """That of its message 3 is over: message 5 would never be sent."""
    pair = Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})
    pair.i.initiate("gw", 0)
    pair.settle(1)
    second = pair.pending[0][1]
    pair.give("i", second)
    pair.give("i", second[:8] + b"another!" + second[16:])
    pair.collect("i")
    pair.pending = []
    while not any(sa.state == "MAIN_I2" and sa.retransmitter.attempt == 6 for sa in pair.i.sas):
        pair.clock.now += 50
        pair.i.poll(pair.clock.now)
    pair.clock.now += 8000
    for sa in [sa for sa in pair.i.sas if not sa.spare]:
        chain = wire.chain([(R.KE, sa.cky_r * 32), (R.NONCE, bytes(32))])
        pair.give("i", wire.message(sa.cky_i, sa.cky_r, R.KE, R.ID_PROT, False, 0, chain))
    (rival,) = [sa for sa in pair.i.sas if sa.rival]
    assert rival.state == "MAIN_I3" and rival.retransmitter is None
    assert pair.i.deadline() is not None
    pair.clock.now += 500
    while pair.i.poll(pair.clock.now):
        pass
    assert rival.x is None and rival.retransmitter.attempt == 0


def test_one_failure_is_told_for_all_lines():
    pair = started(3)
    honest = pair.pending.pop(0)[1]
    for flip in range(1, 5):
        pair.give("i", changed(honest, 99, honest[99] ^ flip))
    for _ in range(400):
        pair.clock.now += 100
        pair.i.poll(pair.clock.now)
        pair.collect("i")
    assert pair.i.sas == []
    assert len([e for e in pair.events["i"] if e["event"] == "failed"]) == 1
    assert pair.i.last_failure["gw"][0] == "no-answer"


def test_a_spoofed_answer_and_the_peers_own_lost():
    """Message 2 spoofed, the peer's lost: message 1 is repeated beside message 3."""
    pair = started(1)
    honest = pair.pending.pop(0)[1]
    pair.give("i", another(honest, 8))
    pair.collect("i")
    pair.pending = []
    assert finish(pair)


def test_a_rival_repeats_its_message_3():
    """A spoofed message 2 came first, a spoofed message 4 took the place of the peer's, which was
    lost: only what was sent before brings it again."""
    pair = started(1)
    second = pair.pending.pop()[1]
    pair.give("i", second[:8] + b"\xee" * 8 + second[16:])
    pair.give("i", second)
    (third,) = [d for d in pair.collect("i") if d[8:16] == second[8:16]]
    pair.give("r", third)
    (fourth,) = pair.collect("r")
    pair.pending.clear()
    pair.give("i", another(fourth))
    finish(pair)
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.clock.now < 5000


def test_replays_do_not_use_up_the_peers_answers():
    """A thousand replays of message 5 before the peer's own retransmission asks for message 6."""
    pair = started(5)
    fifth = pair.log[4][1]
    pair.pending = []  # message 6 is lost
    for _ in range(1000):
        pair.clock.now += 1
        pair.give("r", fifth)
    answers = [datagram for side, datagram in pair.log if side == "r"]
    assert len(answers) == 3
    pair.collect("r")
    pair.pending = []  # and all its repetitions
    assert finish(pair)


def test_private_exponents_are_wiped_with_the_last_line():
    pair = started(2)
    honest = pair.pending[0][1]
    for flip in range(1, 4):
        pair.give("r", changed(honest, 99, honest[99] ^ flip))
    held = [sa.x for sa in pair.r.sas if sa.x is not None]
    assert held and all(any(x) for x in held)
    assert finish(pair)
    assert not any(any(x) for x in held)
    assert all(sa.x is None for sa in pair.r.sas)


def test_honest_exchanges_beside_a_thousand_packets():
    for seed in range(3):
        run = Run(seed)
        assert run.failure == "", (seed, run.failure, run.rivals)


def test_honest_exchanges_beside_packets_and_loss():
    for seed in range(3):
        run = Run(seed, 100, loss=20)
        assert run.failure == "", (seed, run.failure, run.rivals)

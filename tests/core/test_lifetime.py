# micropython: heapsize=2m deadline=120
"""Renewal ahead of expiry, both sides at once, dead peers, first contact, back-off."""

import struct

from cheap import CheapHal
from hal import HalError
from ike import dpd, halfopen, informational, lifetime
from ike import registry as R
from keeping import World
from pair import Pair

HOUR = 3600000


def connected(initiator=None, responder=None):
    ours = dict(initiator or {}, crypto=CheapHal(b"i"))
    pair = Pair(ours, dict(responder or {}, crypto=CheapHal(b"r")))
    pair.connect()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    return pair


def test_a_new_phase_1_before_the_old_one_ends_and_no_gap():
    world = World(1, lifetime=3600)
    world.run(24 * HOUR)
    assert world.up_ms > 24 * HOUR - 1000
    assert 26 <= world.count("i", "established") <= 31  # every 80 to 90 % of an hour
    assert world.count("i", "deleted", by="lifetime") == 0
    assert world.count("r", "deleted", by="lifetime") == 0
    assert world.most_sas <= 6
    assert [len(engine.sas) for engine in world.engines.values()] == [1, 1]


def test_lifetimes_that_differ():
    """Where either may renew there is no gap, else a short one when the shorter is over."""
    for roles, gap_ms in ((("both", "both"), 1000), (("initiator", "responder"), 24 * 4000)):
        world = World(1, roles, lifetime=28800, responders={"lifetime": 3600})
        world.run(24 * HOUR)
        assert world.up_ms > 24 * HOUR - gap_ms, roles
        assert len(world.common()) == 1


def test_renewal_despite_loss():
    world = World(2, lifetime=3600, loss=20)
    world.run(24 * HOUR)
    assert world.up_ms > 24 * HOUR - 60000


def test_both_sides_at_once_settle_on_one_sa():
    for seed in range(20):
        world = World(seed, ("both", "both"), lifetime=3600)
        world.run(60000)
        assert len(world.common()) == 1, seed
        for engine in world.engines.values():
            assert [sa.state for sa in engine.sas] == ["ESTABLISHED"], seed
        world.run(10 * HOUR)
        assert world.up_ms > 10 * HOUR - 1000, seed
        assert len(world.common()) == 1, seed
        assert world.most_sas < 12


def test_what_the_faster_side_ended_is_no_failure():
    """The slower one's exchange is given up; its half at the faster one ends by its timer."""
    given_up = 0
    for seed in range(20):
        world = World(seed, ("both", "both"), lifetime=3600)
        world.keep("r", 10 * seed)
        world.run(60000)
        assert len(world.common()) == 1, seed
        begun = [world.count(side, "established", role="responder") for side in "ir"]
        given_up += sum(begun) == 1
        for side in "ir":
            assert world.count(side, "failed") == 0, seed
    assert given_up  # that is what this is about


def test_an_exchange_whose_message_5_is_on_its_way_is_not_given_up():
    """Whatever else came under its cookie: the peer may have an SA of it already."""
    pair = Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})
    pair.i.peers[0].role = pair.r.peers[0].role = "both"
    pair.i.halfopen = halfopen
    pair.i.initiate("gw", 0)
    pair.settle(1)
    second = pair.pending[0][1]
    pair.give("i", second)
    pair.give("i", second[:8] + b"another!" + second[16:])
    (third, _) = pair.collect("i")
    pair.give("r", third)
    pair.collect("r")
    pair.give("i", pair.pending[-1][1])
    pair.collect("i")
    pair.pending = []  # message 5 is lost
    ours = {sa.state for sa in pair.i.sas if not sa.spare}
    assert ours == {"MAIN_I3", "MAIN_I2"}
    pair.r.initiate("gw", 0)
    pair.settle()
    assert pair.i.find("gw").state == "ESTABLISHED" and not pair.i.find("gw").initiator
    assert {sa.state for sa in pair.i.sas if sa.initiator and not sa.spare} == ours


def test_both_sides_at_once_with_loss():
    for seed in range(10):
        world = World(seed, ("both", "both"), lifetime=600, dpd=20, loss=20)
        world.run(2 * HOUR)
        assert world.up_ms > 2 * HOUR - 30000, (seed, world.up_ms)
        world.loss = 0
        world.run(2 * HOUR + 240000)
        assert len(world.common()) == 1, seed


def test_an_end_that_restarts_comes_back():
    for side in "ir":
        world = World(3, lifetime=28800, dpd=60)
        world.run(HOUR)
        world.boot(side)
        world.run(HOUR + 200000)
        assert len(world.common()) == 1, side
        for engine in world.engines.values():
            assert len(engine.sas) == 1


def test_an_end_that_moves_is_found_again():
    for side in "ir":
        world = World(5, lifetime=28800, dpd=60)
        world.run(HOUR)
        world.move(side)
        world.run(HOUR + 200000)
        assert len(world.common()) == 1, side
        assert world.engines[side].last_down["gw"][0] == "address-change"
        for engine in world.engines.values():
            assert [sa.path[:2] for sa in engine.sas] == [engine.local], side


def test_a_cut_wire_is_noticed_and_the_reason_kept():
    world = World(4, lifetime=28800, dpd=60)
    world.run(HOUR)
    world.cut = True
    world.run(HOUR + 600000)
    for side in "ir":
        assert world.count(side, "deleted", by="dead-peer") == 1
        assert world.engines[side].last_failure["gw"][0] in ("dead-peer", "no-answer")
    world.cut = False
    world.run(HOUR + 600000 + 2 * lifetime.MAX_BACKOFF_MS)
    assert len(world.common()) == 1
    assert world.engines["i"].last_failure == {}
    assert world.engines["i"].last_down["gw"][0] == "dead-peer"  # kept


def test_those_that_one_peer_stands_for_do_not_replace_one_another():
    """Certificates: whoever has one, from anywhere. Each identity has an SA of its own."""
    pair = connected()
    first = pair.r.sas[0]
    first.identity = b"one"
    established = pair.r.established
    for identity, expected in ((b"other", 2), (b"one", 2), (b"other", 2)):

        def named(sa, identity=identity):
            sa.identity = identity
            established(sa)

        pair.r.established = named
        pair.i.sas.clear()
        pair.i.contacted.clear()
        pair.i.initiate("gw", pair.clock.now)
        pair.settle()
        assert len(pair.r.sas) == expected, identity
    assert first not in pair.r.sas
    assert sorted([sa.identity for sa in pair.r.sas]) == [b"one", b"other"]


def test_back_off_doubles_to_its_limit_and_is_spread():
    hal = CheapHal(b"branches")
    for failures in range(20):
        most = min(2000 << min(failures, 10), 300000)
        found = [lifetime.backoff(hal, failures) for _ in range(50)]
        assert all(most // 2 <= pause < most for pause in found)
        assert max(found) - min(found) > most // 4


# --- a lifetime in kilobytes --------------------------------------------------------------------


def used_up(pair, messages):
    """So many R-U-THEREs of 92 bytes, and their answers."""
    for _ in range(messages):
        pair.clock.now += 30000
        pair.settle()
        pair.settle()


def test_messages_use_an_sa_up_and_it_is_renewed_before():
    pair = connected({"dpd": 30, "lifetime_kb": 2}, {"dpd": 300})
    first = pair.i.sas[0]
    assert (first.lives, first.left) == ((28800, 2), 2048)
    assert pair.r.sas[0].left == 2048  # as negotiated: it has no wish of its own
    used_up(pair, 8)
    spent = 2048 - first.left
    assert spent == 2048 - pair.r.sas[0].left > 0 and spent % 16 == 0
    assert pair.i.sas == [first]
    used_up(pair, 4)
    assert first not in pair.i.sas and len(pair.i.sas) == len(pair.r.sas) == 1
    assert pair.last("i", "deleted")["by"] == "replaced"
    assert pair.i.last_down == {}  # it was never down
    assert pair.i.sas[0].left > 1500
    alone = pair.i.sas[0]
    alone.lives = (28800, 0)  # the peer has not agreed to it
    assert lifetime.limit(alone) == 2048
    assert pair.clock.now < 28800000 // 2


def test_what_is_not_authenticated_uses_nothing_up():
    pair = connected({"lifetime_kb": 2}, {"lifetime_kb": 3, "dpd": 30})
    sa = pair.r.sas[0]
    assert sa.left == 2048  # the smaller wish
    datagram = bytearray(told(pair, dpd.R_U_THERE, 7))
    left = sa.left
    assert left < 2048
    datagram[-1] ^= 1
    for _ in range(100):
        pair.give("r", bytes(datagram))
    assert sa.left == left


def test_what_came_before_uses_nothing_up():
    pair = connected({}, {"lifetime_kb": 64, "dpd": 30})
    sa = pair.r.sas[0]
    questions = [told(pair, dpd.R_U_THERE, sequence) for sequence in (7, 8)]
    informational.notify(pair.i, pair.i.sas[0], 24578)
    questions.append(pair.i.take_datagrams()[0][1])
    pair.give("r", questions[-1])
    pair.r.take_datagrams()
    left = sa.left
    for _ in range(100):
        for datagram in questions:
            pair.give("r", datagram)
    answers = len(pair.r.take_datagrams())
    assert answers == dpd.MAX_ASKED - 1
    assert left - sa.left == answers * 80  # what answers a question that came again
    assert pair.r.drops.by_reason == {"old-dpd": 200 - answers, "replayed": 100}


def test_renewals_do_not_pile_up():
    """The gateway answers, but no exchange ends well: its key was changed."""
    pair = connected({"lifetime": 3000, "retransmit": "strongswan"}, {"lifetime": 3000})
    pair.r.peers[0].psk = b"another key than that of before"
    most = 0
    while pair.clock.now < 2990000:
        pair.clock.now += 5000
        pair.settle()
        most = max(most, len({sa.cky_i for sa in pair.i.sas}) - 1)
    assert most == 1 and pair.i.find("gw").state == "ESTABLISHED"
    assert len([e for e in pair.events["i"] if e["event"] == "failed"]) >= 1


def test_a_responder_that_has_had_enough_ends_it():
    pair = connected({"dpd": 300}, {"lifetime_kb": 1, "dpd": 30})
    used_up(pair, 20)
    assert pair.last("r", "deleted")["by"] == "lifetime"
    assert pair.last("i", "deleted")["by"] == "peer"
    assert pair.i.sas == pair.r.sas == []
    assert pair.r.last_down == {"gw": ("lifetime", pair.last("r", "deleted")["t_ms"])}
    assert pair.i.last_down["gw"][0] == "peer"


# --- dead peer detection ------------------------------------------------------------------------


def test_a_dead_sa_beside_one_that_is_up_is_no_failure_of_the_peers():
    pair = connected({"dpd": 30}, {"dpd": 30})
    old = pair.r.sas[0]
    pair.i.begin(pair.i.peers[0], 0)
    pair.settle(6)  # the delete of what was replaced is lost
    pair.pending = []
    while old in pair.r.sas and pair.clock.now < 200000:
        pair.clock.now += 1000
        old.expires = None
        pair.settle()
    pair.collect("r")
    assert pair.last("r", "deleted")["by"] == "dead-peer"
    assert pair.r.find("gw") and pair.r.last_failure == {} == pair.r.last_down


def test_dpd_asks_only_when_idle_and_stops_when_answered():
    pair = connected({"dpd": 30}, {"dpd": 0})
    sa = pair.i.sas[0]
    assert sa.dpd_due is None  # a peer that does not announce DPD is never asked
    pair = connected({"dpd": 30}, {"dpd": 300})
    before = len(pair.log)
    pair.clock.now = 29999
    pair.settle()
    pair.settle()
    assert len(pair.log) == before
    pair.clock.now = 30000
    pair.settle()
    pair.settle()
    assert len(pair.log) == before + 2  # question and answer
    assert pair.i.sas[0].dpd_due == 60000
    assert pair.r.sas[0].dpd_due == 30000 + 300000  # the question was a sign of life
    assert pair.i.drops.by_reason == pair.r.drops.by_reason == {}


def test_dpd_gives_up_after_its_tries():
    pair = connected({"dpd": 30}, {"dpd": 30})
    for _ in range(100):
        pair.clock.now += 1000
        pair.i.poll(pair.clock.now)
        pair.collect("i")
        pair.pending = []
    assert pair.i.sas == []
    assert pair.last("i", "deleted")["by"] == "dead-peer"
    assert pair.i.last_failure["gw"][0] == "dead-peer"
    asked = [d for side, d in pair.log[6:] if side == "i"]
    assert len(asked) == dpd.TRIES


def test_each_question_has_a_number_of_its_own():
    """pluto takes one that comes again for a replay, and does not answer it."""
    pair = connected({"dpd": 30}, {"dpd": 300})
    sa = pair.i.sas[0]
    questions, answers = [], []
    for _ in range(3):
        pair.clock.now = sa.dpd_due
        pair.i.poll(pair.clock.now)
        questions += pair.collect("i")
        pair.give("r", questions[-1])
        answers += pair.collect("r")
        pair.pending = []  # each answer is late
    assert len(questions) == len(answers) == 3 and pair.r.drops.by_reason == {}
    pair.give("i", answers[1])
    assert sa.dpd.tries == 0 and pair.i.drops.by_reason == {}
    pair.give("i", answers[2])
    for answer in answers:
        pair.give("i", answer)
    assert pair.i.drops.by_reason == {"unexpected-dpd-ack": 3}


def test_both_ask_at_once():
    pair = connected({"dpd": 30}, {"dpd": 30})
    for _ in range(10):
        pair.clock.now += 30000
        pair.i.poll(pair.clock.now)
        pair.r.poll(pair.clock.now)
        pair.settle()
    assert pair.i.drops.by_reason == pair.r.drops.by_reason == {}
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_a_question_that_was_not_sent_is_not_unanswered():
    pair = connected({"dpd": 30}, {"dpd": 300})

    def refuse(*_):
        raise HalError("no engine")

    crypt, informational.keys.crypt = informational.keys.crypt, refuse
    try:
        for _ in range(100):
            pair.clock.now += 1000
            pair.settle()
    finally:
        informational.keys.crypt = crypt
    assert pair.i.drops.by_reason["not-watched"] > dpd.TRIES
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_a_question_that_cannot_be_made_is_made_later():
    pair = connected({"dpd": 30}, {"dpd": 300})

    def refuse(n):
        raise HalError("no random bytes")

    pair.i.hal.random, random = refuse, pair.i.hal.random
    pair.clock.now = 30000
    pair.settle()
    assert pair.i.drops.by_reason == {"not-watched": 1}
    assert pair.i.deadline() > 30000
    pair.i.hal.random = random
    before = len(pair.log)
    pair.clock.now = pair.i.deadline()
    pair.settle()
    pair.settle()
    assert len(pair.log) == before + 2


def told(pair, number, sequence, spi=None):
    sa = pair.i.sas[0]
    body = informational.notify_body(number, sa.cky_i + sa.cky_r if spi is None else spi)
    informational._send(pair.i, sa, R.N, body + struct.pack("!I", sequence))
    datagram = pair.i.take_datagrams()[0][1]
    pair.give("r", datagram)
    return datagram


def test_dpd_answers_whoever_asks_under_protection():
    pair = connected({}, {"dpd": 30})
    pair.r.take_datagrams()
    for sequence in (7, 8, 8, 20):
        told(pair, dpd.R_U_THERE, sequence)
        assert len(pair.r.take_datagrams()) == 1
    for sequence in (7, 19, 0, 0x7FFFFFFF):
        told(pair, dpd.R_U_THERE, sequence)
        assert pair.r.take_datagrams() == []
    assert pair.r.drops.by_reason == {"old-dpd": 4}
    told(pair, dpd.R_U_THERE, 21, b"x" * 16)
    told(pair, dpd.R_U_THERE, 21, b"")
    assert pair.r.drops.by_reason["bad-dpd"] == 2
    told(pair, dpd.R_U_THERE_ACK, 5)
    assert pair.r.drops.by_reason["unexpected-dpd-ack"] == 1
    assert pair.r.take_datagrams() == []


def test_a_replayed_question_is_answered_a_few_times():
    pair = connected({}, {"dpd": 30})
    datagram = told(pair, dpd.R_U_THERE, 7)
    for _ in range(100):
        pair.give("r", datagram)
    assert len(pair.r.take_datagrams()) == dpd.MAX_ASKED
    told(pair, dpd.R_U_THERE, 8)
    assert len(pair.r.take_datagrams()) == 1


def test_our_own_question_sent_back_is_no_sign_of_life():
    """Both sides have the same keys, and nothing but its number tells whose a question is."""
    pair = connected({"dpd": 30}, {"dpd": 300})
    for _ in range(100):
        pair.clock.now += 1000
        pair.i.poll(pair.clock.now)
        for datagram in pair.collect("i"):
            pair.give("i", datagram)
        pair.pending = []
    assert pair.i.drops.by_reason == {"reflected-dpd": dpd.TRIES}
    assert pair.last("i", "deleted")["by"] == "dead-peer"

    pair = connected({"dpd": 30}, {"dpd": 300})
    pair.clock.now = 30000
    pair.i.poll(pair.clock.now)
    (question,) = pair.collect("i")
    pair.give("i", question)
    pair.settle()  # the peer's own answer, and then his own question
    pair.clock.now += 300000
    pair.r.poll(pair.clock.now)
    pair.settle()
    assert pair.i.drops.by_reason == {"reflected-dpd": 1}
    assert pair.r.sas[0].dpd.tries == 0 and pair.states() == ("ESTABLISHED", "ESTABLISHED")


def test_what_came_before_is_no_sign_of_life():
    pair = connected({"dpd": 300}, {"dpd": 30})
    sa = pair.r.sas[0]
    pair.r.take_datagrams()
    question = told(pair, dpd.R_U_THERE, 7)
    informational.notify(pair.i, pair.i.sas[0], 24578)
    notify = pair.i.take_datagrams()[0][1]
    pair.give("r", notify)
    pair.r.take_events()
    for _ in range(20):
        pair.clock.now += 20000
        for datagram in (notify, question):
            pair.give("r", datagram)
        pair.r.poll(pair.clock.now)
    assert sa not in pair.r.sas
    assert [e["event"] for e in pair.r.take_events()].count("notify") == 0


def test_of_an_sa_so_much_is_heard_and_its_delete():
    pair = connected()
    for _ in range(40):
        informational.notify(pair.i, pair.i.sas[0], 24578)
        pair.give("r", pair.i.take_datagrams()[0][1])
    assert pair.r.drops.by_reason == {"too-many-informationals": 24}
    pair.i.terminate("gw")
    pair.settle()
    assert pair.last("r", "deleted")["by"] == "peer"


def test_without_dpd_a_question_changes_nothing():
    pair = connected()
    told(pair, dpd.R_U_THERE, 7)
    pair.collect("r")
    assert pair.last("r", "notify")["type"] == "R-U-THERE"
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")


# --- first contact ------------------------------------------------------------------------------


def test_first_contact_is_said_once_and_believed_when_authenticated():
    pair = connected()
    assert pair.r.sas[0].first_contact
    old = pair.r.sas[0]
    pair.i.begin(pair.i.peers[0], pair.clock.now)
    pair.settle()
    new = [sa for sa in pair.r.sas if sa is not old]
    assert len(pair.i.sas) == 1 and not new[0].first_contact
    assert pair.last("i", "deleted")["by"] == "replaced"
    # Begun anew: whatever the other side has goes, without a word to a peer that lost it.
    pair.i.sas.clear()
    pair.i.contacted.clear()
    before = len([side for side, _ in pair.log if side == "r"])
    pair.i.initiate("gw", pair.clock.now)
    pair.settle()
    assert len(pair.r.sas) == 1
    assert pair.last("r", "deleted")["by"] == "initial-contact"
    assert len([side for side, _ in pair.log if side == "r"]) == before + 3

# micropython: heapsize=2m deadline=180
"""Messages 5 and 6 damaged at every byte, cut, and lengthened: the good copy is still taken."""

import struct

from attacker import Dice
from cheap import CheapHal
from ike import ends, keys, wire
from ike import registry as R
from pair import Pair, changed, make_hal

SUITES = ("aes256-sha256-modp2048", "aes128-sha1-modp2048", "3des-md5-modp2048")
PASSED = "already-established"


class ChainedHal(CheapHal):
    """Cheap but for the ciphers: damage spreads as it does in CBC."""

    def __init__(self, seed):
        super().__init__(seed)
        hal = make_hal()
        self.aes_cbc = hal.aes_cbc
        self.des3_cbc = hal.des3_cbc


class Exchange:
    """An exchange of which message `number` has not arrived yet: `honest`, at side `victim`."""

    def __init__(self, number, suite=SUITES[0], edit=None):
        values = {"proposals": [suite], "legacy": True}
        self.pair = pair = Pair(
            dict(values, crypto=ChainedHal(b"i")), dict(values, crypto=ChainedHal(b"r"))
        )
        self.victim = "r" if number == 5 else "i"
        self.engine = pair.r if number == 5 else pair.i
        pair.i.initiate("gw", 0)
        pair.settle(4)
        while pair.i.poll(0) or pair.r.poll(0):
            pass
        sender = pair.i.sas[0]
        iv = keys.phase1_iv(pair.i.hal, sender.suite, sender.g_xi, sender.g_xr)
        self.ka, self.suite = bytes(sender.ka), sender.suite
        pair.collect("i")
        if number == 6:
            iv = pair.pending[0][1][-sender.block() :]
            pair.give("r", pair.pending.pop(0)[1])
            pair.collect("r")
        self.honest = bytes(pair.pending.pop(0)[1])
        if edit:  # the sender sends it otherwise, and goes on from there
            plain, _ = self._crypt(iv, self.honest[28:], False)
            first, plain = edit(sender, plain)
            content, last = self._crypt(iv, plain, True)
            sa = pair.i.sas[0] if number == 5 else pair.r.sas[0]
            self.honest = bytes(
                wire.message(sa.cky_i, sa.cky_r, first, R.ID_PROT, True, 0, content)
            )
            sa.iv = last
            sa.sent = self.honest

    def _crypt(self, iv, data, encrypt):
        return keys.crypt(self.pair.i.hal, self.suite, self.ka, iv, data, encrypt)

    def give(self, datagram):
        self.pair.give(self.victim, bytes(datagram))

    def taken(self):
        return [sa for sa in self.engine.sas if sa.state == "ESTABLISHED"] != []

    def lost(self):
        """What does not work once the good copy has come, "" where all does."""
        pair = self.pair
        self.give(self.honest)
        pair.settle()
        if pair.states() != ("ESTABLISHED", "ESTABLISHED"):
            return "not established: %r" % (pair.states(),)
        pair.r.terminate("gw")  # the IV is the same on both sides
        pair.settle()
        return "" if pair.states() == ("", "") else "the delete is not understood"


def resized(message, content):
    return message[:24] + struct.pack("!I", 28 + len(content)) + content


def notify_last(sa, plain):
    """INITIAL-CONTACT behind HASH, as charon and others have it."""
    bodies = [(kind, bytes(body)) for kind, body, _ in parsed(plain)]
    kinds = [kind for kind, _ in bodies]
    assert kinds == [R.ID, R.N, R.HASH]
    return R.ID, wire.chain([bodies[0], bodies[2], bodies[1]], sa.block())


def vendor_id_last(sa, plain):
    """A vendor ID behind HASH, as Cisco's ASA has it."""
    bodies = [(kind, bytes(body)) for kind, body, _ in parsed(plain) if kind != R.N]
    plain = wire.chain(bodies + [(128, b"keep"), (R.VID, R.VENDOR_IDS["dpd"])], sa.block())
    return R.ID, plain


def vendor_id_fills_the_end(sa, plain):
    """The same without a zero behind it."""
    bodies = [(kind, bytes(body)) for kind, body, _ in parsed(plain) if kind != R.N]
    plain = wire.chain(bodies + [(128, bytes(8)), (R.VID, R.VENDOR_IDS["dpd"])])
    assert len(plain) % sa.block() == 0
    return R.ID, plain


def parsed(plain):
    return wire.payloads(memoryview(plain), R.ID, 16)


def damaged(honest):
    """Every byte but the flags changed, every cut, blocks added, taken away and moved."""
    dice = Dice(2409)
    for at in range(len(honest)):
        if at != 19:
            flip = 1 << dice.below(8)
            yield "byte %d ^ %d" % (at, flip), changed(honest, at, honest[at] ^ flip)
    content = honest[28:]
    for size in range(len(content)):
        yield "cut to %d" % size, resized(honest, content[:size])
    for block in (8, 16):
        for number in range(80):
            yield "a block of %d added" % block, resized(honest, content + dice.bytes(block))
            if number < 10:
                yield "last block replaced", resized(honest, content[:-block] + dice.bytes(block))
        for at in range(0, len(content), block):
            left = content[:at] + content[at + block :]
            yield "without the block at %d" % at, resized(honest, left)
            yield (
                "block at %d at the end" % at,
                resized(honest, content + content[at : at + block]),
            )


def test_damage_at_every_byte():
    for number, suite, edit in (
        (5, SUITES[0], None),
        (5, SUITES[1], None),
        (5, SUITES[2], None),
        (5, SUITES[0], notify_last),
        (5, SUITES[1], notify_last),
        (5, SUITES[2], notify_last),
        (5, SUITES[0], vendor_id_last),
        (5, SUITES[0], vendor_id_fills_the_end),
        (6, SUITES[0], None),
        (6, SUITES[1], None),
        (6, SUITES[2], None),
        (6, SUITES[0], vendor_id_last),
    ):
        exchange = Exchange(number, suite, edit)
        for what, datagram in damaged(exchange.honest):
            exchange.give(datagram)
            assert not exchange.taken(), (number, suite, edit, what)
        assert exchange.lost() == "", (number, suite, edit)


def test_flags_make_no_other_message():
    """Some mean nothing, and so are accepted; the peer's own is then known as the same."""
    for flag in (2, 0x40):
        exchange = Exchange(5)
        exchange.give(changed(exchange.honest, 19, exchange.honest[19] ^ flag))
        assert exchange.taken()
        exchange.pair.collect("r")
        exchange.pair.pending = []  # message 6 is lost
        assert exchange.lost() == ""
        assert exchange.engine.drops.by_reason == {"duplicate": 1}


def test_initial_contact_goes_before_hash():
    exchange = Exchange(5)
    assert exchange.lost() == ""
    event = [e for e in exchange.pair.events["r"] if e["event"] == "message"][4]
    assert event["payloads"] == ["ID", "N", "HASH"]


def padded_as_racoon_does(sa, plain):
    """Random bytes that end in their own count: here a block of them."""
    bodies = [(kind, bytes(body)) for kind, body, _ in parsed(plain) if kind != R.N]
    plain = wire.chain(bodies, sa.block())
    assert sum([4 + len(body) for _, body in bodies]) == len(plain)
    return R.ID, plain + b"\xa7" * 15 + b"\x0f"


def padded_as_charon_does(sa, plain):
    """Zeros, a block of them where there is nothing to pad."""
    bodies = [(kind, bytes(body)) for kind, body, _ in parsed(plain) if kind != R.N]
    plain = wire.chain(bodies)
    assert len(plain) % sa.block() == 0
    return R.ID, plain + bytes(sa.block())


def test_a_message_cut_short_by_its_padding():
    """Nothing in it tells that it was longer; the peer's own, after it, does."""
    dice = Dice(11)
    for number in (5, 6):
        exchange = Exchange(number, edit=padded_as_charon_does)
        honest = exchange.honest
        exchange.give(resized(honest, honest[28:-16]))
        assert exchange.taken(), number
        sa = exchange.engine.sas[0]
        before = sa.iv, sa.sent
        for wrong in (
            resized(honest, honest[28:-16] + dice.bytes(16)),
            resized(honest, honest[28:] + dice.bytes(16)),
            resized(honest, honest[28:] + honest[-16:]),
            changed(honest, 30, honest[30] ^ 1),
            honest[:19] + b"\0" + honest[20:],
        ):
            exchange.give(wrong)
            assert (sa.iv, sa.sent) == before, number
        sent = len(exchange.pair.log)
        assert exchange.lost() == "", number
        assert len(exchange.pair.log) > sent

        exchange = Exchange(number, edit=padded_as_charon_does)
        exchange.give(honest)
        assert exchange.taken() and exchange.engine.sas[0].taken is None
        exchange.give(resized(honest, honest[28:-16]))
        assert exchange.lost() == "", number


def foreign_notify(sa, plain):
    bodies = [(kind, bytes(body)) for kind, body, _ in parsed(plain) if kind != R.N]
    return R.ID, wire.chain(bodies + [(R.N, b"\0\0\0\1\1\0\x9c\x40")], sa.block())


def other_cookies(sa, plain):
    bodies = [(kind, bytes(body)) for kind, body, _ in parsed(plain) if kind != R.N]
    spi = sa.cky_r + sa.cky_i
    return R.ID, wire.chain([bodies[0], ends_body(spi), bodies[1]], sa.block())


def ends_body(spi):
    return R.N, struct.pack("!IBBH", 1, 1, 16, 24578) + spi


def test_what_may_not_be_the_peers_is_taken_when_it_comes_again():
    for number in (5, 6):
        for edit in (padded_as_racoon_does, foreign_notify, other_cookies):
            exchange = Exchange(number, edit=edit)
            exchange.give(exchange.honest)
            assert exchange.engine.drops.by_reason == {"doubtful-end": 1}, (number, edit)
            exchange.pair.clock.now = ends.HOLD_MS - 1
            exchange.give(exchange.honest)
            assert not exchange.taken()
            exchange.pair.clock.now = ends.HOLD_MS
            assert exchange.lost() == "", (number, edit)
            assert exchange.engine.drops.by_reason["doubtful-end"] == 2
            event = [e for e in exchange.pair.events[exchange.victim] if "number" in e]
            assert event


def test_others_that_are_doubtful_do_not_displace_the_peers():
    exchange = Exchange(6, edit=padded_as_racoon_does)
    sa = exchange.engine.sas[0]
    exchange.give(exchange.honest)
    dice = Dice(7)
    for _ in range(1500):
        exchange.give(resized(exchange.honest, exchange.honest[28:-16] + dice.bytes(16)))
    assert len(sa.held) == ends.MAX_HELD
    exchange.pair.clock.now = ends.HOLD_MS
    assert exchange.lost() == ""


def test_first_contact_is_believed_of_the_whole_notify_only():
    for edit, said in ((None, True), (notify_last, True), (other_cookies, False)):
        exchange = Exchange(5, edit=edit)
        exchange.give(exchange.honest)
        exchange.pair.clock.now = ends.HOLD_MS
        exchange.give(exchange.honest)
        sa = exchange.engine.sas[0]
        assert sa.state == "ESTABLISHED" and sa.first_contact == said, edit

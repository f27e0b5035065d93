"""Seeding: the health check, the radio, the provisioned seed."""

import sys

from hal import Hal, HalError, entropy, seeding, software


def _hmac():
    return Hal([software.Engine()]).hmac


class Source:
    """Bytes that a simple generator makes, good enough for the health check; counts its use."""

    def __init__(self, seed=1):
        self.state = seed
        self.reads = 0

    def __call__(self, n):
        self.reads += 1
        out = bytearray(n)
        for i in range(n):
            self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
            out[i] = self.state >> 16 & 0xFF
        return bytes(out)


def _stuck(function, *arguments):
    try:
        function(*arguments)
    except HalError as error:
        assert str(error) == "random source is stuck"
        return
    raise AssertionError("not refused")


def test_good_samples_pass():
    for seed in range(20):
        seeding.check(Source(seed)(1024))


def test_repetitions():
    good = bytearray(Source()(1024))
    for at in (0, 509, 1018):
        five = bytearray(good)
        five[at : at + 6] = b"\x07\x07\x07\x07\x07\x70"
        if at:
            five[at - 1] = 0x70
        seeding.check(five)
        six = bytearray(five)
        six[at + 5] = 0x07
        _stuck(seeding.check, six)


def test_proportion():
    for start in (0, 512):
        samples = bytearray(i & 0xFF if i < 512 else ~i & 0xFF for i in range(1024))
        first = samples[start]
        # The sample itself and one more by the pattern; 59 others make 61, which still passes.
        for i in range(59):
            samples[start + 8 * i + 4] = first
        seeding.check(samples)
        samples[start + 511 - 8] = first
        _stuck(seeding.check, samples)


def test_a_block_that_comes_twice():
    block = Source()(512)
    _stuck(seeding.check, block + block)


def test_a_stuck_source_makes_no_keys():
    for read in (bytes, lambda n: b"\xff" * n, lambda n: bytes(i & 1 for i in range(n))):
        engine = entropy.Random(_hmac(), read)
        for _ in range(2):
            _stuck(engine.random, 32)


def test_a_source_that_sticks_later_is_noticed_at_the_next_seeding():
    source = Source()
    engine = entropy.Random(_hmac(), lambda n: source(n) if source.reads < 1 else bytes(n))
    engine.random(8)
    engine._drbg.requests = 1024
    _stuck(engine.random, 8)


def test_seeded_at_first_use_and_again_at_times():
    source = Source()
    engine = entropy.Random(_hmac(), source)
    assert engine.can("random", None)
    assert not engine.can("hash", "sha256")
    assert source.reads == 0
    outputs = [bytes(engine.random(32)) for _ in range(4)]
    assert len(set(outputs)) == 4
    assert source.reads == 1
    engine._drbg.requests = 1024
    engine.random(32)
    assert source.reads == 2


class Wlan:
    def __init__(self, on):
        self.on = on
        self.switched = []

    def active(self, on=None):
        if on is not None:
            self.on = on
            self.switched.append(on)
        return self.on


class Network:
    STA_IF = 0

    def __init__(self, on):
        self.wlan = Wlan(on)

    def WLAN(self, interface):  # noqa: N802 - MicroPython's own name
        assert interface == self.STA_IF
        return self.wlan


class Time:
    @staticmethod
    def sleep_ms(_):
        pass


def _seed_beside(network, read, radio=True):
    before = {name: sys.modules.get(name) for name in ("network", "time")}
    sys.modules["network"] = network
    sys.modules["time"] = Time
    try:
        return entropy.Random(_hmac(), read, radio).random(16)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def test_the_radio_is_on_while_seeding_and_then_as_before():
    for on in (False, True):
        network = Network(on)
        source = Source()

        def read(n, network=network, source=source):
            assert network.wlan.on
            return source(n)

        _seed_beside(network, read)
        assert network.wlan.on == on
        assert network.wlan.switched == ([] if on else [True, False])


def test_a_radio_that_is_not_to_be_used_is_left_alone():
    network = Network(False)
    assert _seed_beside(network, Source(), radio=False)
    assert network.wlan.switched == []


def test_the_radio_is_switched_off_again_when_the_source_fails():
    def broken(n):
        raise OSError(n)

    network = Network(False)
    try:
        _seed_beside(network, broken)
    except OSError:
        assert network.wlan.switched == [True, False]
        return
    raise AssertionError("no error")


def test_the_systems_source():
    engine = entropy.engine(_hmac())
    assert engine.name == "drbg"
    assert len(engine.random(20)) == 20
    assert engine.random(20) != engine.random(20)


def test_without_a_source_the_seed_comes_from_the_host_and_is_called_weak():
    from hal import seeding  # the one in use: it is unloaded after every seeding

    urandom, seeding.urandom = seeding.urandom, None
    try:
        engine = entropy.engine(_hmac(), bytes(range(48)))
        again = entropy.engine(_hmac(), bytes(range(48)))
        for seed in (None, bytes(47)):
            try:
                entropy.engine(_hmac(), seed)
            except HalError as error:
                assert str(error) == "no random source"
            else:
                raise AssertionError("not refused")
    finally:
        seeding.urandom = urandom
    assert engine.name == "drbg-weak"
    assert engine.can("random", None)
    first = engine.random(32)
    assert first == again.random(32)
    assert engine.random(32) != first


def test_registers():
    addresses = []

    def read(address):
        addresses.append(address)
        return 0x01020304

    assert seeding.registers(read, 0x60035144, 6) == b"\1\2\3\4\1\2"
    assert addresses == [0x60035144] * 2


def test_hal_refuses_rather_than_take_a_lesser_source():
    hal = Hal([])
    hal._engines += [entropy.Random(hal.hmac, bytes), software.Engine()]
    _stuck(hal.random, 16)
    assert "random" not in hal.counts


def test_hal_counts_it():
    hal = Hal([software.Engine()])
    hal._engines.insert(0, entropy.engine(hal.hmac))
    assert len(hal.random(16)) == 16
    assert hal.counts["random"] == {"drbg": 1}

"""Choice of engine, proof before use, fallback, retirement, and what is reported of it."""

import sys

import hal
from hal import EngineError, Hal, HalError, equal, selftest, software, wipe


class Flawed:
    """The software engine under another name; `flaw(result)` may spoil or refuse a result."""

    def __init__(self, flaw, name="flawed"):
        self.name = name
        self.flaw = flaw
        self.ops = ("modexp", "aes_cbc", "des3_cbc", "hash", "random")
        self.calls = 0
        self._engine = software.Engine()

    def can(self, op, _what):
        return op in self.ops

    def _do(self, op, *arguments):
        self.calls += 1
        return self.flaw(getattr(self._engine, op)(*arguments))

    def modexp(self, *arguments):
        return self._do("modexp", *arguments)

    def aes_cbc(self, *arguments):
        return self._do("aes_cbc", *arguments)

    def des3_cbc(self, *arguments):
        return self._do("des3_cbc", *arguments)

    def hash(self, *arguments):
        return self._do("hash", *arguments)

    def random(self, *arguments):
        return self._do("random", *arguments)


def _good(result):
    return result


def _spoilt(result):
    result = bytearray(result)
    result[-1] ^= 1
    return result


def _with(flaw):
    events = []
    flawed = Flawed(flaw)
    return Hal([flawed, software.Engine()], events.append), flawed, events


def _event(op, what, why):
    return {"event": "engine", "engine": "flawed", "op": op, "what": what, "why": why}


KEY = bytes(range(16))
IV = bytes(16)
DATA = bytes(32)
OPERATIONS = (
    ("aes_cbc", 128, lambda h: h.aes_cbc(KEY, IV, DATA, True)),
    ("aes_cbc", 192, lambda h: h.aes_cbc(bytes(24), IV, DATA, False)),
    ("des3_cbc", None, lambda h: h.des3_cbc(bytes(range(24)), bytes(8), DATA, True)),
    ("hash", "sha384", lambda h: h.hash("sha384", b"a", b"b")),
    ("hash", "md5", lambda h: h.hash("md5", b"ab")),
    ("modexp", 1024, lambda h: h.modexp(b"\2", b"\3\5", b"\xff" * 128)),
)


def test_the_first_engine_that_can_is_used_and_counted():
    h, _, events = _with(_good)
    for _, _, call in OPERATIONS:
        assert call(h) == call(Hal([software.Engine()]))
    assert h.counts == {
        "aes_cbc": {"flawed": 2},
        "des3_cbc": {"flawed": 1},
        "hash": {"flawed": 2},
        "modexp": {"flawed": 1},
    }
    assert (h.failures, events) == ({}, [])


def test_an_engine_that_cannot_is_passed_over_without_a_failure():
    h, flawed, events = _with(_good)
    flawed.ops = ()
    h.hash("sha256", b"")
    assert h.counts == {"hash": {"software": 1}}
    assert (flawed.calls, h.failures, events) == (0, {}, [])


def test_an_engine_with_a_wrong_known_answer_is_struck_off():
    for op, what, call in OPERATIONS:
        h, flawed, events = _with(_spoilt)
        right = call(Hal([software.Engine()]))
        assert call(h) == right
        tried = flawed.calls
        assert call(h) == right
        assert flawed.calls == tried  # not asked again
        assert h.counts == {op: {"software": 2}}
        assert h.failures == {"flawed:" + op: {"wrong-result": 1}}
        assert events == [_event(op, what, "wrong-result")]


def test_known_answers_see_one_wrong_byte_wherever_it_is():
    for at in (0, 1, 4, 63, 64, 127):

        def spoil(result, at=at):
            result[at] ^= 0x80
            return result

        assert Hal([Flawed(spoil)]).prove("modexp", 1024) == {"flawed": "wrong-result"}

    def swap(result):
        # Two words in each other's place.
        result[0:4], result[4:8] = result[4:8], result[0:4]
        return result

    assert Hal([Flawed(swap)]).prove("modexp", 1024) == {"flawed": "wrong-result"}


def test_decryption_is_proven_too():
    def decrypts_wrongly(result):
        return _spoilt(result) if result[:4] == b"\x6b\xc1\xbe\xe2" else result

    assert Hal([Flawed(decrypts_wrongly)]).prove("aes_cbc", 256) == {"flawed": "wrong-result"}


def test_an_engine_that_fails_at_run_time_is_passed_over_for_that_call():
    working = [True]

    def flaw(result):
        if not working[0]:
            raise EngineError("timeout")
        return result

    h, _, events = _with(flaw)
    h.hash("sha256", b"")
    working[0] = False
    assert h.hash("sha256", b"abc") == software.Engine().hash("sha256", b"abc")
    assert events == [_event("hash", "sha256", "timeout")]
    working[0] = True
    h.hash("sha256", b"")
    assert h.counts == {"hash": {"flawed": 2, "software": 1}}
    assert h.failures == {"flawed:hash": {"timeout": 1}}


def test_three_failures_in_a_row_retire_an_engine_for_that_operation_only():
    broken = [False]

    def flaw(result):
        if broken[0]:
            raise EngineError("stuck")
        return result

    h, flawed, events = _with(flaw)
    h.hash("sha256", b"")
    h.hash("sha1", b"")
    for _ in range(2):
        broken[0] = True
        h.hash("sha256", b"")
        h.hash("sha256", b"")
        broken[0] = False
        h.hash("sha256", b"")  # a success starts the count anew
    assert [e["why"] for e in events] == ["stuck"] * 4
    broken[0] = True
    for _ in range(3):
        h.hash("sha256", b"")
    assert events[4:] == [_event("hash", "sha256", why) for why in ("stuck",) * 3 + ("retired",)]
    broken[0] = False
    tried = flawed.calls
    h.hash("sha256", b"")
    assert flawed.calls == tried
    h.hash("sha1", b"")
    assert flawed.calls == tried + 1
    assert h.failures == {"flawed:hash": {"stuck": 7, "retired": 1}}


def test_a_retired_engine_may_prove_itself_again():
    broken = [False]

    def flaw(result):
        if broken[0]:
            raise EngineError("powered-down")
        return result

    h, _, _ = _with(flaw)
    broken[0] = True
    assert h.prove("aes_cbc", 128) == {"flawed": "powered-down", "software": "ok"}
    broken[0] = False
    assert h.prove("aes_cbc", 128) == {"flawed": "ok", "software": "ok"}
    h.aes_cbc(KEY, IV, DATA, True)
    assert h.counts == {"aes_cbc": {"flawed": 1}}


def _raises(kind, call, *arguments):
    try:
        call(*arguments)
    except kind as error:
        return error
    raise AssertionError("no " + kind.__name__)


def test_no_engine_left_is_a_hal_error():
    h = Hal([Flawed(_spoilt)])
    _raises(HalError, h.hash, "sha256", b"")
    _raises(HalError, Hal([]).random, 8)


def test_modexp_of_an_uncommon_size_is_proven_against_the_interpreter():
    assert Hal([software.Engine()]).prove("modexp", 1280) == {"software": "ok"}
    assert Hal([Flawed(_spoilt)]).prove("modexp", 1280) == {"flawed": "wrong-result"}


def test_an_error_that_is_no_engine_error_is_not_swallowed():
    def flaw(_result):
        raise RuntimeError("a mistake of ours")

    h, _, _ = _with(flaw)
    _raises(RuntimeError, h.hash, "sha256", b"")


def test_misuse_is_a_value_error_and_nobodys_failure():
    h = Hal([software.Engine()])
    for call, arguments in (
        (h.aes_cbc, (bytes(15), IV, DATA, True)),
        (h.aes_cbc, (KEY, bytes(8), DATA, True)),
        (h.aes_cbc, (KEY, IV, bytes(17), True)),
        (h.des3_cbc, (bytes(16), bytes(8), DATA, True)),
        (h.des3_cbc, (bytes(24), bytes(16), DATA, True)),
        (h.des3_cbc, (bytes(24), bytes(8), bytes(12), True)),
        (h.hash, ("sha3", b"")),
        (h.hmac, ("crc32", b"", b"")),
        (h.modexp, (b"\2", b"\3", b"")),
        (h.modexp, (b"\2", b"\3", b"\xff" * 127 + b"\xfe")),
        (h.modexp, (b"\2", b"\3", b"\x7f" + b"\xff" * 127)),
        (h.modexp, (b"\2", b"", b"\xff" * 128)),
        (h.modexp, (b"", b"\3", b"\xff" * 128)),
        (h.modexp, (bytes(129), b"\3", b"\xff" * 128)),
    ):
        _raises(ValueError, call, *arguments)
    assert (h.counts, h.failures) == ({}, {})


def test_random_does_not_fall_back_to_another_source():
    broken = [False]

    def flaw(result):
        if broken[0]:
            raise EngineError("stuck")
        return result

    h, _, events = _with(flaw)
    assert len(h.random(7)) == 7
    broken[0] = True
    _raises(HalError, h.random, 7)
    assert h.counts == {"random": {"flawed": 1}}
    assert events == [_event("random", None, "stuck")]


def test_a_source_that_repeats_itself_is_struck_off():
    h, _, events = _with(lambda result: bytearray(len(result)))
    _raises(HalError, h.random, 16)
    assert events == [_event("random", None, "stuck")]


def test_hmac_wipes_its_pads():
    seen = []

    class Spy(software.Engine):
        name = "spy"

        def hash(self, name, *parts):
            seen.append(parts[0])
            return super().hash(name, *parts)

    h = Hal([Spy()])
    h.prove("hash", "sha256")
    seen.clear()
    key = bytearray(b"k" * 20)
    h.hmac("sha256", key, b"text")
    assert seen == [bytes(64)] * 2
    assert key == b"k" * 20


def test_software_proves_itself_in_everything():
    h = Hal([software.Engine()])
    for bits in selftest._MODEXP:
        assert h.prove("modexp", bits) == {"software": "ok"}
    for op, what in (
        [("aes_cbc", bits) for bits in (128, 192, 256)]
        + [("hash", name) for name in ("md5", "sha1", "sha256", "sha384", "sha512")]
        + [("des3_cbc", None), ("random", None)]
    ):
        assert h.prove(op, what) == {"software": "ok"}
    assert h.counts == {}  # known answers are not the caller's operations


def test_the_known_answers_can_be_unloaded():
    h = Hal([software.Engine()])
    h.prove("hash", "sha256")
    assert not hasattr(hal, "selftest")
    loaded = sys.modules.pop("hal.selftest")
    try:
        assert h.prove("hash", "sha256") == {"software": "ok"}
    finally:
        sys.modules["hal.selftest"] = loaded


def test_mbed_agrees_with_software_on_what_this_build_has():
    from hal import mbed

    engine = mbed.Engine()
    assert not engine.can("aes_cbc", 192)
    assert not engine.can("modexp", 2048)
    assert engine.can("hash", "sha256")
    h = Hal([engine])
    for op, what in [("aes_cbc", bits) for bits in (128, 256)] + [
        ("hash", name) for name in ("md5", "sha1", "sha256")
    ]:
        if engine.can(op, what):
            assert h.prove(op, what) == {"mbed": "ok"}, (op, what)


def test_select_takes_the_boards_engines_in_order():
    h = hal.select({"engines": ["mbed", "software"]})
    h.hash("sha256", b"")
    h.aes_cbc(bytes(24), IV, DATA, True)
    assert h.counts == {"hash": {"mbed": 1}, "aes_cbc": {"software": 1}}
    h = hal.select({"engines": ["software"]})
    h.hash("sha256", b"")
    assert h.counts == {"hash": {"software": 1}}
    _raises(ValueError, hal.select, {"engines": ["softwear"]})


def test_select_reports_an_engine_that_the_board_has_not():
    events = []
    h = hal.select({"chip": "esp32c2", "engines": ["mpi", "software"]}, events.append)
    assert h.failures == {"mpi:select": {"unsupported": 1}}
    assert [(e["engine"], e["op"], e["what"]) for e in events] == [("mpi", "select", "esp32c2")]
    h.modexp(b"\2", b"\3", b"\xff" * 128)
    assert h.counts == {"modexp": {"software": 1}}


def test_random_bytes_come_from_the_seeded_generator():
    h = hal.select({"engines": ["software"]})
    a = h.random(40)
    assert isinstance(a, bytearray)
    assert len(a) == 40
    assert a != h.random(40)
    assert h.counts["random"] == {"drbg": 2}


def test_a_board_without_a_source_of_randomness_says_so():
    from hal import seeding

    kept, seeding.urandom = seeding.urandom, None
    try:
        h = hal.select({"chip": "virt", "engines": ["mbed"]})
        assert h.failures == {"drbg:select": {"no-source": 1}}
        _raises(HalError, h.random, 16)
        h = hal.select({"chip": "virt", "engines": ["mbed"], "entropy": bytes(range(48))})
        assert len(h.random(16)) == 16
        assert h.counts["random"] == {"drbg-weak": 1}
    finally:
        seeding.urandom = kept


def test_wipe_without_memory():
    import hal

    def fail(size):
        raise MemoryError

    hal.bytes = fail
    try:
        secret = bytearray(b"secret")
        wipe(secret)
        wipe(memoryview(secret)[2:4])
    finally:
        del hal.bytes
    assert secret == bytearray(6)


def test_wipe():
    secret = bytearray(b"secret")
    wipe(secret)
    assert secret == bytes(6)
    part = bytearray(b"secret")
    wipe(memoryview(part)[:3])
    assert part == b"\0\0\0ret"


def test_equal():
    assert equal(b"", b"")
    assert equal(b"abc", bytearray(b"abc"))
    assert equal(memoryview(b"abc"), b"abc")
    assert not equal(b"abc", b"abd")
    assert not equal(b"abc", b"\xe1bc")
    assert not equal(b"abc", b"ab")
    assert not equal(b"", b"\0")

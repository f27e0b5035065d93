"""The password of a board: proofs, their replay, and what guessing costs."""

from binascii import hexlify, unhexlify

import hal
from agent import access, methods, store
from agent.console import Refused

_KEY = bytes(range(32))  # ClientKey: what a password and a salt come to
_SALT = "00112233445566778899aabbccddeeff"
access.unload = lambda *names: None  # collects, which takes long in a process of pytest's size


class Flash:
    """Stands in for NVS; survives resets."""

    def __init__(self):
        self.kept = {}
        self.full = False
        store.secrets_of = lambda path: self

    def read(self, name):
        return self.kept.get(name)

    def write(self, name, data):
        if self.full:
            raise OSError(28)
        self.kept[name] = data

    def remove(self, name):
        self.kept.pop(name, None)


class Board:
    """What access needs of an agent, from power-on."""

    path = ""
    crypto = hal.select({"engines": ["mbed", "software"], "entropy": bytes(range(48))})

    def __init__(self):
        self.hal = self.crypto
        stored = hexlify(self.hal.hash("sha256", _KEY)).decode()
        self.verifier = "1000$%s$%s" % (_SALT, stored)
        self.now = self.failed_at = self.open_until = 0
        self.challenge = None
        self.open = False
        self.anew_at = None

    def clock(self):
        return self.now

    def ask(self):
        return access.auth(self, {})["challenge"]

    def offer(self, proof):
        return access.auth(self, {"proof": proof})

    def log_in(self, key=_KEY):
        return self.offer(self.proof(self.ask(), key))

    def proof(self, challenge, key=_KEY):
        stored = self.hal.hash("sha256", key)
        signature = self.hal.hmac("sha256", stored, b"ikelet provision", unhexlify(challenge))
        return hexlify(bytes([a ^ b for a, b in zip(key, signature)])).decode()

    def may_provision(self):
        """Whether the console would take a piece of a configuration."""
        real, methods._call = methods._call, lambda *_: True
        try:
            return methods.find(self, "config.put")({})
        except Refused:
            return False
        finally:
            methods._call = real


def refusal(function, *arguments):
    try:
        function(*arguments)
    except Refused as refused:
        return str(refused)
    raise AssertionError("not refused")


def test_a_proof_opens_the_board_for_a_while():
    Flash()
    board = Board()
    assert not board.may_provision()
    challenge = access.auth(board, {})
    assert (challenge["salt"], challenge["iterations"]) == (_SALT, 1000)
    assert len(challenge["challenge"]) == 32
    assert not board.may_provision()
    assert board.offer(board.proof(challenge["challenge"])) == {"ok": True}
    for _ in range(5):  # as long as it goes on
        board.now += 50000
        assert board.may_provision()
    board.now += 60000
    assert not board.may_provision()


def test_everything_that_changes_the_board_is_guarded():
    assert not Board().may_provision()
    for name in ("config.put", "config.commit", "enroll.request", "enroll.install"):
        assert "in production" in refusal(methods.find(Board(), name), {})


def test_an_open_board_asks_nothing():
    board = Board()
    board.open = True
    assert board.may_provision()


def test_without_a_password_there_is_no_way():
    Flash()
    board = Board()
    board.verifier = None
    assert "no password" in refusal(access.auth, board, {})
    assert not board.may_provision()


def test_a_wrong_password():
    flash = Flash()
    board = Board()
    assert refusal(board.log_in, bytes(32)) == "wrong password; the next one in 1 s"
    assert not board.may_provision()
    assert "wait 1 s" in refusal(board.ask)
    board.now += 1000
    assert board.log_in() == {"ok": True}
    assert board.may_provision()
    assert flash.kept == {}, "it starts over"
    board.open_until = 0
    assert refusal(board.log_in, bytes(32)) == "wrong password; the next one in 1 s"


def test_a_proof_is_good_once():
    Flash()
    board = Board()
    proof = board.proof(board.ask())
    board.offer(proof)
    board.open_until = 0
    assert "challenge first" in refusal(board.offer, proof)
    board.ask()
    assert "wrong password" in refusal(board.offer, proof)
    assert not board.may_provision()


def test_a_challenge_is_good_for_a_minute_and_one_try():
    Flash()
    board = Board()
    proof = board.proof(board.ask())
    board.now += 60001
    assert "challenge first" in refusal(board.offer, proof)
    challenge = board.ask()
    assert "wrong" in refusal(board.offer, board.proof(challenge, bytes(32)))
    board.now += 1000
    assert "challenge first" in refusal(board.offer, board.proof(challenge))
    assert board.ask() != challenge


def test_what_is_no_proof_counts_as_a_wrong_one():
    for proof in ("", "00", "zz" * 32, "00" * 31, "00" * 33, 17, None, [], {"a": 1}):
        flash = Flash()
        board = Board()
        board.ask()
        assert "wrong password" in refusal(board.offer, proof)
        assert flash.kept == {"wrong_proofs": b"1"}


def test_a_reset_forgets_no_failure():
    flash = Flash()
    board = Board()
    for failures in range(1, 6):
        assert "wrong" in refusal(board.log_in, bytes(32))
        assert flash.kept == {"wrong_proofs": b"%d" % failures}
        board = Board()  # the power is cut, and all is as at first but for the flash
        seconds = 1 << (failures - 1)
        assert "wait %d s" % seconds in refusal(board.ask)
        board.now = seconds * 1000 - 1
        assert "wait 1 s" in refusal(board.ask)
        board.now += 1
    assert board.log_in() == {"ok": True}


def test_the_failure_is_written_before_the_answer_is_known():
    flash = Flash()
    board = Board()
    challenge = board.ask()
    seen = []
    real, access._proves = access._proves, lambda *_: seen.append(dict(flash.kept)) or True
    try:
        board.offer(board.proof(challenge))
    finally:
        access._proves = real
    assert seen == [{"wrong_proofs": b"1"}]
    board.open_until = 0
    challenge = board.ask()
    flash.full = True
    assert "cannot be written" in refusal(board.offer, board.proof(challenge))
    assert not board.may_provision()


def test_how_many_guesses_a_day_has():
    """Whoever asks as fast as he is let: a dozen in the first hour, then one an hour."""
    Flash()
    board = Board()
    guesses = 0
    while board.now < 86400000:
        try:
            board.ask()
        except Refused as refused:
            seconds = int(str(refused).split()[-2])
            board.now += seconds * 1000
            continue
        guesses += 1
        assert "wrong" in refusal(board.offer, "00" * 32)
    assert 20 < guesses < 40, guesses


def test_a_new_configuration_forgets_failures():
    class Files(Flash):
        pass

    files, secrets = Files(), Flash()
    secrets.kept["wrong_proofs"] = b"9"
    store.Store(files, secrets).save({"device": {"password": "x"}, "peer": {}}, bytes(16))
    assert "wrong_proofs" not in secrets.kept
    assert b"x" in secrets.kept["secret_a"] and b'"x"' not in files.kept["config_a.json"]
    assert store.Store(files, secrets).load() == {"device": {"password": "x"}, "peer": {}}


def test_a_count_that_was_cut_off_counts_as_many():
    for kept in (b"", b"x"):
        board, flash = Board(), Flash()
        flash.kept[store.FAILURES] = kept
        try:
            board.log_in()
        except Refused as error:
            assert "wait 3600 s" in str(error)
        else:
            raise AssertionError("it let us in")

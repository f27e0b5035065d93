"""Enrolment interrupted anywhere: the board has the old certificate with its key, or the new one.

The certificates are made here, by the firmware's own signatures: so it runs on every interpreter.
"""

# Two configurations of certificates, and all that reads them.
# micropython: heapsize=1m deadline=120

import json
import sys
from binascii import a2b_base64, b2a_base64

import agent
import agent.config as config
import issuing
from agent import enroll, store
from agent.console import Refused
from agent.keystore import KeyStore
from agent.store import Store
from flash import Flash, PowerLost, Supply
from issuing import Authority, ec_key
from pair import make_hal
from pki import certificate, der, dn

HERE = config.__file__.rpartition("agent/")[0]
ENOUGH = 1 << 29


class Remembering:
    """The HAL, which computes each product on a curve once: hundreds of interrupted enrolments
    are of the same keys."""

    def __init__(self):
        self._hal = make_hal()
        self._known = {}
        self._pairs = {}

    def __getattr__(self, name):
        return getattr(self._hal, name)

    def _once(self, name, *given):
        place = name, tuple([bytes(str(one), "ascii") if isinstance(one, str) else bytes(one)
                             for one in given])  # fmt: skip
        if place not in self._known:
            self._known[place] = getattr(self._hal, name)(*given)
        return self._known[place]

    def ec_pair(self, curve):
        """One of four in turn: a new one is not one of the last three."""
        made = self._pairs.setdefault(curve, [])
        if len(made) < 4:
            made.append(self._hal.ec_pair(curve))
        else:
            made.append(made.pop(0))
        return bytearray(made[-1][0]), made[-1][1]

    def ecdsa_sign(self, *given):
        return self._once("ecdsa_sign", *given)

    def ec_public(self, *given):
        return self._once("ec_public", *given)

    def ecdsa_verify(self, *given):
        return self._once("ecdsa_verify", *given)


HAL = Remembering()
CA = Authority(make_hal(), "CN=ca")


class Agent:
    """As much of one as enrolment needs."""

    path = HERE
    board = {}
    event = None

    def __init__(self):
        self.hal = HAL
        self.received = ""

    def clock(self):
        return 0


class Board:
    """A board's memory in the place of the real one."""

    def __init__(self, kind="torn"):
        self.supply = Supply()
        self.files = Flash(self.supply, kind)
        self.secrets = Flash(self.supply, kind)
        self.agent = Agent()

    def __enter__(self):
        self._real = store.open_store, store.secrets_of, enroll.unload, enroll.gc
        # The modules that are replaced in part here: another test may have unloaded them.
        sys.modules["agent.store"] = agent.store = store
        # What is unloaded after each call stays here, as it would be loaded again a hundred times.
        enroll.unload = lambda *names: None
        enroll.gc = self
        store.open_store = lambda path: Store(self.files, self.secrets)
        store.secrets_of = lambda path: self.secrets
        return self

    def __exit__(self, *error):
        store.open_store, store.secrets_of, enroll.unload, enroll.gc = self._real

    def collect(self):
        """No garbage collection for each call: under pytest one takes 50 ms."""

    def request(self):
        """The public key that the board asks a certificate for."""
        wanted = {"curve": "ecp256", "subject": _base64(dn.encode("CN=branch")), "names": []}
        made = a2b_base64(enroll.enroll_request(self.agent, wanted)["request"])
        info = der.only(der.only(made).whole(der.SEQUENCE))
        info.integer()
        info.whole(der.SEQUENCE)
        return bytes(info.whole(der.SEQUENCE))

    def install(self, chain):
        self.agent.received = json.dumps(
            {"chain": [_base64(one) for one in chain], "time": issuing.NOW}
        )
        enroll.enroll_install(self.agent, {})

    def current(self):
        """(certificate, private key that belongs to it) of the next boot."""
        own = a2b_base64(store.current(HERE)["certificate"]["chain"][0])
        found = KeyStore(self.secrets).find(certificate.Certificate(own).key)
        assert found, "a certificate without its key"
        assert HAL.ec_public("ecp256", found[1]) == certificate.Certificate(own).key.public
        return own, bytes(found[1])

    def keys(self):
        return sorted(name for name in self.secrets.content if name.startswith("key_"))


def _base64(data):
    return b2a_base64(bytes(data)).decode().strip()


def _configuration(chain):
    return {
        "device": {"name": "branch"},
        "network": {"bind": "10.9.0.2"},
        "certificate": {
            "chain": [_base64(one) for one in chain],
            "ca": [_base64(CA.der)],
            "time": issuing.NOW,
        },
        "peer": {"hq": {"address": "10.9.0.1", "auth": "cert", "remote_id": "any"}},
    }


def _enrolled(kind="torn"):
    """A board with its first certificate, and that."""
    board = Board(kind)
    with board:
        first = CA.issue(board.request())
        Store(board.files, board.secrets).save(_configuration([first]), bytes(16))
        assert board.current()[0] == first
    return board, first


def _refusal(function, *arguments):
    try:
        function(*arguments)
    except Refused as refused:
        return str(refused)
    raise AssertionError("not refused")


def test_enrolled_again():
    board, first = _enrolled()
    with board:
        assert board.keys() == ["key_a"]
        second = CA.issue(board.request(), serial=2)
        assert board.keys() == ["key_a", "key_b"]
        assert board.current()[0] == first
        # A request that nobody answers is forgotten for the next, the key in use never is.
        spki = board.request()
        assert board.current()[0] == first
        assert "no key that this board" in _refusal(board.install, [second])
        third = CA.issue(spki, serial=3)
        board.install([third])
        assert board.current()[0] == third
        assert board.keys() == ["key_b"]
        board.install([CA.issue(board.request(), serial=4)])
        assert board.keys() == ["key_a"]


def test_a_request_interrupted_at_every_byte():
    for kind in ("torn", "mixed", "whole"):
        board, first = _enrolled(kind)
        with board:
            board.request()  # so that there is something to write over
            for steps in range(96):
                board.supply.left = steps
                try:
                    board.request()
                    raise AssertionError("not interrupted")
                except PowerLost:
                    pass
                board.supply.left = ENOUGH
                assert board.current()[0] == first
            board.install([CA.issue(board.request(), serial=2)])
            assert board.current()[0] != first


def test_an_installation_interrupted_at_every_write():
    for kind in ("torn", "mixed", "whole"):
        seen = _interrupted(kind)
        assert seen["old"] > 10 and seen["new"] > 1, seen


def _interrupted(kind):
    board, first = _enrolled(kind)
    seen = {"old": 0, "new": 0}
    with board:
        second = CA.issue(board.request(), serial=2)
        before = dict(board.files.content), dict(board.secrets.content)
        used = board.supply.used
        board.install([second])
        total = board.supply.used - used
        # Some bytes of each write, and every step of the end: the last byte, and the removals.
        for steps in list(range(0, total - 12, 97)) + list(range(total - 12, total)):
            board.files.content, board.secrets.content = dict(before[0]), dict(before[1])
            board.supply.left = steps
            try:
                board.install([second])
                raise AssertionError("not interrupted")
            except PowerLost:
                pass
            board.supply.left = ENOUGH
            found = board.current()[0]
            assert found in (first, second), (kind, steps)
            seen["old" if found == first else "new"] += 1
            # Once more, and it is in; unless it was already.
            board.install([second])
            assert board.current()[0] == second
            assert _plain(board.secrets.content) == [], (kind, steps)
    return seen


def _plain(content):
    """Nothing but tags and keys, of which the old one may be left."""
    return [name for name in content if name[:4] not in ("key_", "secr")]


def test_refused_certificates_change_nothing():
    board, first = _enrolled()
    with board:
        spki = board.request()
        content = dict(board.files.content), dict(board.secrets.content)
        stranger = Authority(make_hal(), "CN=ca")
        for chain, reason in (
            ([CA.issue(spki, serial=2, signer=stranger)], "signature on a certificate"),
            ([CA.issue(ec_key(stranger.public))], "no key that this board"),
            ([CA.issue(spki)[:-1]], "malformed"),
            ([], "certificate.chain"),
        ):
            assert reason in _refusal(board.install, chain)
            assert content == (board.files.content, board.secrets.content)
        assert board.current()[0] == first


def test_a_damaged_key_is_found_out():
    board, first = _enrolled()
    with board:
        new = CA.issue(board.request(), serial=2)
        pair = bytearray(board.secrets.content["key_b"])
        pair[31] ^= 1
        board.secrets.content["key_b"] = bytes(pair)
        assert "was damaged" in _refusal(board.install, [new])
        assert board.current()[0] == first


def test_no_configuration_no_installation():
    board = Board()
    with board:
        chain = [CA.issue(board.request())]
        assert "provision it" in _refusal(board.install, chain)
        for text in ("[", "[]"):
            board.agent.received = text
            assert "config.put before" in _refusal(enroll.enroll_install, board.agent, {})


def test_requests_that_make_no_sense():
    board = Board()
    good = {"curve": "ecp256", "subject": _base64(dn.encode("CN=x")), "names": []}
    with board:
        for key, value in (
            ("curve", "curve25519"), ("curve", None), ("subject", "AAAA"), ("subject", 5),
            ("names", [[9, "AAAA"]]), ("names", [[2]]), ("names", 1),
        ):  # fmt: skip
            wrong = dict(good)
            wrong[key] = value
            assert "wants curve" in _refusal(enroll.enroll_request, board.agent, wrong)
        assert board.secrets.content == {}


def test_keys_of_other_curves():
    board = Board()
    with board:
        for curve, size in (("ecp384", 144), ("ecp521", 198)):
            wanted = {"curve": curve, "subject": _base64(dn.encode("CN=x")), "names": []}
            assert enroll.enroll_request(board.agent, wanted)["request"]
            assert len(board.secrets.content["key_a"]) == size

"""Whole engines, and a peer whose certificate or signature is wrong: each is refused for its own
reason, the peer is told the notification that belongs to it, and nothing else happens.

What a CA has signed ends the exchange at once. The rest may be damage on the way: the message is
dropped, and the reason is told when no better one comes.
"""

# Two agents, and messages of up to 10 KB in fragments.
# micropython: heapsize=2m deadline=300

from binascii import unhexlify

import issuing
import rsa_numbers as rsa
from ike import certs, keys, mainmode, wire
from ike import registry as R
from ike.certs import Credentials
from issuing import Authority, ec_key, extension, host, rsa_key
from pair import Pair, make_hal
from pki import der, dn
from pki.encode import element

HAL = make_hal()
ROOT = Authority(HAL, "CN=root")
STRANGER = Authority(HAL, "CN=stranger")
BRANCH, HUB = b"branch.example", b"hub.example"
KEY = HAL.ec_pair("ecp256")
OTHER_KEY = HAL.ec_pair("ecp256")
ORDER = int.from_bytes(
    unhexlify("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"), "big"
)
NAMES = (host(BRANCH),)


def credentials(private, chain, kind="ecp256", anchors=None):
    anchors = [ROOT.der] if anchors is None else anchors
    return Credentials((kind, private), chain, anchors, [], lambda: issuing.NOW)


HUB_KEY = HAL.ec_pair("ecp256")
HUB_CHAIN = [ROOT.issue(ec_key(HUB_KEY[1]), dn.encode("CN=hub"), (host(HUB),))]


def side(made, ours, theirs):
    return {
        "credentials": made,
        "psk": None,
        "local_id": certs.identity(ours),
        "remote_id": certs.identity(theirs),
        "proposals": ["aes128-sha256-modp1024"],
        "legacy": True,
    }


def make_pair(chain=None, private=None):
    """An initiator with this chain, and a responder that has nothing against it."""
    own = ROOT.issue(ec_key(KEY[1]), None, NAMES)
    ours = credentials(private or KEY[0], [own])
    ours._chain = [own] if chain is None else chain  # nobody honest could load some of them
    ours.answers = lambda body: True
    hub = credentials(HUB_KEY[0], HUB_CHAIN)
    return Pair(side(ours, "branch.example", "hub.example"),
                side(hub, "hub.example", "branch.example"))  # fmt: skip


def outcome(pair):
    """(the responder's reason, what it told the peer, whether it did so at once)."""
    at_once = pair.last("r", "failed") is not None
    if not at_once:
        pair.clock.now += 60000
        pair.r.poll(pair.clock.now)
        pair.collect("r")
        pair.settle(1)
    failed, notify = pair.last("r", "failed"), pair.last("i", "notify")
    assert pair.states()[1] == "", pair.states()
    assert notify["authenticated"] is True
    return failed["code"], notify["type"], at_once


def refused(chain, private=None):
    pair = make_pair(chain, private)
    pair.connect()
    return outcome(pair)


def cert(**odd):
    values = {"spki": ec_key(KEY[1]), "extensions": NAMES}
    values.update(odd)
    issuer = values.pop("issuer", ROOT)
    return issuer.issue(**values)


def test_what_is_right_is_taken():
    pair = make_pair()
    pair.connect()
    assert pair.states() == ("ESTABLISHED", "ESTABLISHED")
    assert pair.r.drops.by_reason == pair.i.drops.by_reason == {}


def test_certificates():
    middle = Authority(HAL, "CN=middle", ROOT)
    bad_point = bytearray(KEY[1])
    bad_point[63] ^= 1
    round_a, round_b = Authority(HAL, "CN=a"), Authority(HAL, "CN=b")
    from_b = round_b.issue(ec_key(round_a.public), round_a.name, (issuing.CA,))
    from_a = round_a.issue(ec_key(round_b.public), round_b.name, (issuing.CA,))
    unknown = extension(b"\x2a\x03\x04", b"\5\0", True)
    usage = NAMES + (issuing.MAY_AGREE_ON_KEYS,)
    for name, chain, expected in (
        ("expired", [cert(end=b"260101000000Z")], ("expired", "INVALID-CERTIFICATE", True)),
        ("not yet", [cert(begin=b"280101000000Z")],
         ("not-yet-valid", "INVALID-CERTIFICATE", True)),
        ("stranger", [cert(issuer=STRANGER)], ("unknown-ca", "INVALID-CERT-AUTHORITY", False)),
        ("forged", [cert(signer=STRANGER)], ("bad-signature", "INVALID-CERTIFICATE", False)),
        ("name", [cert(extensions=(host(b"x.example"),))],
         ("wrong-name", "INVALID-ID-INFORMATION", True)),
        ("no name", [cert(extensions=())], ("wrong-name", "INVALID-ID-INFORMATION", True)),
        ("usage", [cert(extensions=usage)], ("missing-key-usage", "INVALID-CERTIFICATE", True)),
        ("critical", [cert(extensions=NAMES + (unknown,))],
         ("critical-extension", "INVALID-CERTIFICATE", True)),
        ("usage of a CA",
         [cert(issuer=middle), ROOT.issue(ec_key(middle.public), middle.name, (issuing.CA,))],
         ("missing-key-usage", "INVALID-CERTIFICATE", True)),
        ("no CA", [cert(issuer=middle), ROOT.issue(ec_key(middle.public), middle.name)],
         ("not-a-ca", "INVALID-CERT-AUTHORITY", True)),
        ("loop", [cert(issuer=round_a), from_b, from_a],
         ("loop", "INVALID-CERT-AUTHORITY", False)),
        ("large", [cert(extensions=NAMES + (extension(b"\x2a\x03\x05", bytes(4000)),))],
         ("too-large", "INVALID-CERT-ENCODING", False)),
        ("point", [cert(spki=ec_key(bad_point))], ("bad-key", "INVALID-CERTIFICATE", False)),
        ("curve", [cert(spki=ec_key(bytes(96), "ecp384"))],
         ("bad-key", "INVALID-CERTIFICATE", False)),
        ("RSA", [cert(spki=rsa_key(b"\xc1" * 256, b"\1\0\1"))],
         ("bad-key", "INVALID-CERTIFICATE", False)),
        ("weak RSA", [cert(spki=rsa_key(b"\xc1" * 128, b"\1\0\1"))],
         ("weak-key", "INVALID-CERTIFICATE", False)),
    ):  # fmt: skip
        assert refused(chain) == expected, name


def wrapped(certificates, content=b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"):
    """CERT's body of encoding 1: SignedData of PKCS #7 (RFC 2315) that signs nothing."""
    inner = element(der.SEQUENCE, element(der.OID, b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"))
    listed = element(0xA0, *certificates)
    nothing = element(der.SET)
    signed = element(der.SEQUENCE, b"\2\1\1", nothing, inner, listed, nothing)
    return b"\1" + element(der.SEQUENCE, element(der.OID, content), element(0xA0, signed))


def shows(body):
    """A pair whose initiator sends this CERT instead of its own."""
    pair = make_pair()
    ours = pair.i.peers[0].credentials
    prove = ours.prove

    def proof(sa, initiators):
        return [(k, body if k == R.CERT else b) for k, b in prove(sa, initiators)]

    ours.prove = proof
    pair.connect()
    return pair


def test_certificates_in_pkcs_7():
    middle = Authority(HAL, "CN=middle", ROOT)
    middle_der = ROOT.issue(
        ec_key(middle.public), middle.name, (issuing.CA, issuing.MAY_SIGN_CERTIFICATES)
    )
    for certificates in ([cert()], [cert(issuer=middle), middle_der]):
        assert shows(wrapped(certificates)).states() == ("ESTABLISHED", "ESTABLISHED")
    good = wrapped([cert()])
    for body, expected in (
        (good[:-1], ("malformed-der", "INVALID-CERT-ENCODING", False)),
        (good + b"\0", ("malformed-der", "INVALID-CERT-ENCODING", False)),
        (wrapped([]), ("no-certificate", "INVALID-CERTIFICATE", False)),
        (wrapped([cert()] * 9), ("too-many", "INVALID-CERTIFICATE", False)),
        (wrapped([cert()], b"\x2a\x03"), ("unsupported-algorithm", "INVALID-CERTIFICATE", False)),
        (b"", ("no-certificate", "INVALID-CERTIFICATE", False)),
        (b"\7" + cert(), ("no-certificate", "INVALID-CERTIFICATE", False)),
    ):
        assert outcome(shows(body)) == expected, expected


def test_another_key_than_the_certificates():
    assert refused(None, OTHER_KEY[0]) == ("bad-signature", "INVALID-SIGNATURE", False)


def test_a_certificate_of_10_000_bytes():
    """It is not even put together; there is nobody to be told, as nobody is known."""
    huge = cert(extensions=NAMES + (extension(b"\x2a\x03\x05", bytes(9690)),))
    assert len(huge) >= 10000
    pair = make_pair([huge])
    pair.connect()
    assert pair.states() == ("MAIN_I3", "MAIN_R2")
    assert list(pair.r.drops.by_reason) == ["fragments-too-large"]
    assert sum([len(part) for part in pair.r.sas[0].reassembly._parts.values()]) < wire.MAX_WHOLE
    pair.clock.now += 60000
    pair.r.poll(pair.clock.now)
    pair.collect("r")
    assert "fragments-too-large" in pair.last("r", "failed")["reason"]


class Fifth:
    """An exchange before message 5, which is made here: in as many versions as wanted."""

    def __init__(self, *sides):
        self.pair = Pair(*sides) if sides else make_pair()
        self.pair.i.initiate("gw", 0)
        self.pair.settle(4)
        assert self.pair.states() == ("MAIN_I3", "MAIN_R2")
        self.honest = [datagram for sender, datagram in self.pair.pending if sender == "i"]
        self.pair.pending.clear()
        self.sa = self.pair.i.sas[0]
        self.id = self.pair.i.peers[0].local_id
        self.digest = mainmode.proof_hash(self.sa, True, self.id, "sha256")

    def give(self, certificate, sig):
        """The responder's reason to drop it."""
        before = dict(self.pair.r.drops.by_reason)
        bodies = [(R.ID, self.id), (R.CERT, b"\4" + bytes(certificate)), (R.SIG, sig)]
        content = wire.chain(bodies, 16)
        theirs = self.pair.r.sas[0]
        if theirs.ka is None:
            theirs.engine.poll(self.pair.clock.now)
        content, _ = keys.crypt(HAL, self.sa.suite, theirs.ka, theirs.iv, content, True)
        message = wire.message(
            self.sa.cky_i, self.sa.cky_r, R.ID, R.ID_PROT, True, 0, bytes(content)
        )
        self.pair.give("r", message)
        self.pair.collect("r")
        assert self.pair.states()[1] == "MAIN_R2"
        after = self.pair.r.drops.by_reason
        found = [reason for reason in after if after[reason] != before.get(reason, 0)]
        assert len(found) == 1, found
        return found[0]

    def goes_on(self):
        """The honest message still counts."""
        for datagram in self.honest:
            self.pair.give("r", datagram)
        return self.pair.states()[1] == "ESTABLISHED"


def test_a_certificate_that_is_cut_off_at_every_byte():
    whole = ROOT.issue(ec_key(KEY[1]), None, NAMES)
    fifth = Fifth()
    for size in range(len(whole)):
        assert fifth.give(whole[:size], bytes(64)) == "malformed-der", size
    assert fifth.goes_on()
    assert refused([whole[:-1]]) == ("malformed-der", "INVALID-CERT-ENCODING", False)


def test_signatures_with_ecdsa():
    own = ROOT.issue(ec_key(KEY[1]), None, NAMES)
    fifth = Fifth()
    good = HAL.ecdsa_sign("ecp256", KEY[0], fifth.digest)
    r, s = good[:32], int.from_bytes(good[32:], "big")
    for name, sig in (
        ("s = 0", r + bytes(32)),
        ("r = 0", bytes(32) + good[32:]),
        ("s = n", r + ORDER.to_bytes(32, "big")),
        ("s + n", r + ((s + ORDER) % (1 << 256)).to_bytes(32, "big")),
        ("r = n", ORDER.to_bytes(32, "big") + good[32:]),
        ("all ones", b"\xff" * 64),
        ("short", good[:-1]),
        ("long", good + b"\0"),
        ("one byte", b"\1"),
        ("of P-384's length", bytes(16) + r + bytes(16) + good[32:]),
        ("another digest's", HAL.ecdsa_sign("ecp256", KEY[0], bytes(32))),
    ):
        assert fifth.give(own, sig) == "bad-signature", name
    assert fifth.goes_on()


def rsa_side(ours, theirs):
    """With an RSA key."""
    own = ROOT.issue(rsa_key(*rsa.KEY[:2]), None, (host(ours),))
    made = credentials(rsa.KEY, [own], "rsa")
    return side(made, ours.decode(), theirs.decode()), own


def encoded(*parts):
    text = b"".join(parts)
    return int.from_bytes(text + bytes(rsa.SIZE - len(text)), "big")


def test_signatures_with_rsa():
    ours, own = rsa_side(BRANCH, HUB)
    fifth = Fifth(ours, rsa_side(HUB, BRANCH)[0])
    digest = fifth.digest
    n = int.from_bytes(rsa.KEY[0], "big")
    good = HAL.rsa_sign(rsa.KEY, digest)
    ones = b"\xff" * (rsa.SIZE - 3 - 32)
    for name, sig in (
        ("s = 0", bytes(256)),
        ("s = 1", bytes(255) + b"\1"),
        ("s = n", rsa.KEY[0]),
        ("s = n - 1", (n - 1).to_bytes(256, "big")),
        ("n - s", (n - int.from_bytes(good, "big")).to_bytes(256, "big")),
        ("all ones", b"\xff" * 256),
        ("short", good[1:]),
        ("long", b"\0" + good),
        ("of 384 bytes", bytes(128) + good),
        ("empty", b""),
        ("garbage behind", rsa.power(encoded(b"\0\1", b"\xff" * 8, b"\0", digest, b"\xa5" * 50))),
        ("zeros behind", rsa.power(encoded(b"\0\1", ones[1:], b"\0", digest))),
        ("garbage before", rsa.power(encoded(b"\0\1", ones[1:], b"\0\xa5", digest))),
        ("garbage amidst", rsa.power(encoded(b"\0\1", ones[1:], b"\xa5\0", digest))),
        ("for encryption", rsa.power(encoded(b"\0\2", ones, b"\0", digest))),
        ("no padding", rsa.power(int.from_bytes(digest, "big"))),
        ("with a DigestInfo", HAL.rsa_sign(rsa.KEY, digest, "sha256")),
        ("another digest's", HAL.rsa_sign(rsa.KEY, bytes(32))),
    ):  # fmt: skip
        assert fifth.give(own, sig) == "bad-signature", name
    assert fifth.goes_on()


def test_a_forgery_for_e_of_3():
    """Nobody signs this one: a cube root has the right beginning."""
    ours, _ = rsa_side(BRANCH, HUB)
    fifth = Fifth(ours, rsa_side(HUB, BRANCH)[0])
    weak = ROOT.issue(rsa_key(rsa.KEY[0], b"\3"), None, NAMES)
    forged = rsa.cube_root(encoded(b"\0\1", b"\xff" * 8, b"\0", fifth.digest))
    opened = (forged * forged * forged).to_bytes(256, "big")
    assert opened.startswith(b"\0\1" + b"\xff" * 8 + b"\0" + bytes(fifth.digest))
    assert fifth.give(weak, forged.to_bytes(256, "big")) == "bad-signature"
    assert fifth.goes_on()


def test_keys_of_the_other_method():
    ours, _ = rsa_side(BRANCH, HUB)
    fifth = Fifth(ours, rsa_side(HUB, BRANCH)[0])
    own = ROOT.issue(ec_key(KEY[1]), None, NAMES)
    signature = HAL.ecdsa_sign("ecp256", KEY[0], fifth.digest)
    assert fifth.give(own, signature) == "bad-key"
    assert fifth.goes_on()


def test_mixed_methods():
    """A key, or another kind of certificate, on one side: the reason is there, and is told."""
    keyed = {"local_id": "10.9.0.2", "remote_id": "10.9.0.1"}
    ecdsa = side(credentials(KEY[0], [cert()]), "branch.example", "hub.example")
    rsa_hub, _ = rsa_side(HUB, BRANCH)
    hub = side(credentials(HUB_KEY[0], HUB_CHAIN), "hub.example", "branch.example")
    for theirs, ours in ((keyed, hub), (ecdsa, {}), (ecdsa, rsa_hub)):
        if theirs is keyed:
            theirs = dict(keyed, proposals=["aes128-sha256-modp1024"], legacy=True)
        if not ours:
            ours = {"proposals": ["aes128-sha256-modp1024"], "legacy": True}
        pair = Pair(theirs, ours)
        pair.connect()
        assert pair.r.drops.by_reason == {"auth-method-mismatch": 1}
        assert pair.last("i", "notify")["type"] == "NO-PROPOSAL-CHOSEN"
        pair.clock.now += 200000
        for _ in range(9):
            pair.i.poll(pair.clock.now)
            pair.clock.now += 60000
        pair.collect("i")
        failed = pair.last("i", "failed")
        assert "NO-PROPOSAL-CHOSEN" in failed["reason"], failed

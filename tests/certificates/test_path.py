"""Paths to a CA: each good one is found, each bad one is refused for its own reason."""

# micropython: heapsize=2m deadline=300

from certificates.cases import Cases, refused
from pki import Refused, path, reasons
from pki.certificate import Certificate
from pki.crl import Crl, Revocation

CASES = Cases()
LEAF = CASES.der(CASES["one step"]["chain"][0])


def outcome(name, verify=None):
    case = CASES[name]
    revocation = None
    if case["crls"] or "required" in case:
        revocation = Revocation(lambda issuer: CASES.crls(name), case.get("required", False))
    found = path.validate(
        CASES.chain(name),
        CASES.anchors(name),
        case["now"],
        verify or CASES.verify,
        revocation,
        case.get("legacy", False),
    )
    return [one.encoded for one in found]


def test_every_case():
    wrong = []
    for name in CASES.names:
        expected = CASES[name]["code"], CASES[name].get("authentic")
        try:
            outcome(name)
            found = None, None
        except Refused as refused:
            found = refused.code, refused.authentic if expected[1] is not None else None
        if found != expected:
            wrong.append((name, found, expected))
    assert not wrong, wrong
    assert len(CASES.names) > 100


def test_every_refusal_is_tested_and_has_its_sentence():
    tested = {CASES[name]["code"] for name in CASES.names} - {None}
    assert tested | {"wrong-name", "too-large"} == set(reasons.CODES)
    for code in reasons.CODES:
        assert 16 <= reasons.notification(code) <= 25 and " " in reasons.sentence(code)


def test_the_path_goes_from_the_peer_to_the_anchor():
    chain = CASES.chain("any order")
    leaf, middle, low = chain
    root = CASES.anchors("any order")[0].encoded
    assert outcome("any order") == [leaf, low, middle, root]
    assert outcome("the root comes too") == [
        CASES.chain("the root comes too")[0],
        low,
        middle,
        root,
    ]


def test_without_good_signatures_nothing_is_accepted():
    for name in CASES.names:
        if CASES[name]["code"] is None:
            assert refused(outcome, name, lambda *given: False) == "bad-signature", name


def test_only_true_is_a_good_signature():
    for answer in (1, -1, None, "yes", b"\1", [True]):
        assert refused(outcome, "one step", lambda *given, a=answer: a) == "bad-signature"


def test_content_is_not_looked_at_before_the_signature():
    def late(name):
        return refused(outcome, name, lambda *given: False)

    for name in ("expired: gateway", "critical extension", "for servers", "CRL: revoked"):
        assert late(name) == "bad-signature", name


def test_the_signature_is_checked_with_the_issuers_key():
    asked = []

    def verify(key, name, message, signature):
        asked.append((key, name, bytes(message), bytes(signature)))
        return CASES.verify(key, name, message, signature)

    outcome("three steps", verify)
    leaf, low, middle = [Certificate(der) for der in CASES.chain("three steps")]
    root = CASES.anchors("three steps")[0]
    expected = [(leaf, low), (low, middle), (middle, root)]
    assert len(asked) == 3
    for (key, name, message, signature), (below, above) in zip(asked, expected):
        assert key.public == above.key.public and name == "sha256"
        assert message == below.tbs and signature == below.signature


def test_signatures_tried_are_bounded():
    count = [0]

    def verify(*given):
        count[0] += 1
        return False

    refused(outcome, "too many of one name", verify)
    assert count[0] == 10


def test_truncated_at_every_byte():
    anchors = CASES.anchors("one step")
    now = CASES["one step"]["now"]
    for size in range(len(LEAF)):
        cut = LEAF[:size]
        found = refused(path.validate, [cut], anchors, now, CASES.verify)
        assert found == "malformed-der", (size, found)
    path.validate([LEAF], anchors, now, CASES.verify)


def test_any_byte_changed():
    anchors = CASES.anchors("one step")
    now = CASES["one step"]["now"]
    changed = bytearray(LEAF)
    for at in range(len(LEAF)):
        for value in (LEAF[at] ^ 1, LEAF[at] ^ 0x80):
            changed[at] = value
            found = refused(path.validate, [bytes(changed)], anchors, now, CASES.verify)
            assert found, (at, value)
        changed[at] = LEAF[at]


def test_an_unreadable_stranger_does_no_harm():
    chain = CASES.chain("one step")
    anchors = CASES.anchors("one step")
    now = CASES["one step"]["now"]
    assert len(path.validate(chain + [b"rubbish"], anchors, now, CASES.verify)) == 2
    found = refused(path.validate, chain + [b"rubbish"], [], now, CASES.verify)
    assert found == "malformed-der"


class Long:
    """A sequence that must not be looked into."""

    def __init__(self, size):
        self._size = size

    def __len__(self):
        return self._size


def test_sizes_are_bounded_before_anything_is_read():
    assert refused(Certificate, Long(4097)) == refused(Crl, Long(16385)) == "too-large"
    for kind, size in ((Certificate, 4096), (Crl, 16384)):
        try:
            kind(Long(size))
        except TypeError:
            continue
        raise AssertionError("it was not looked into")

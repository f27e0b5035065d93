"""Proposals, their selection and comparison, and the identity rule."""

from ike import policy, wire
from ike import registry as R
from pair import PSK, changed, dropped

BEST = "aes256-sha256-modp2048"
GOOD = "aes128-sha384-modp4096"
AES256 = [(1, 7), (14, 256), (2, 4), (3, 1), (4, 14), (11, 1), (12, 28800)]


def peer(*proposals, **changes):
    values = {"local_id": "10.9.0.2", "remote_id": "10.9.0.1", "proposals": proposals or (BEST,)}
    values.update(changes)
    return policy.Peer("gw", "10.9.0.1", PSK, **values)


def refused(function, *arguments, **named):
    try:
        function(*arguments, **named)
    except policy.PolicyError as error:
        return str(error)
    return ""


def offer(*lists):
    last = len(lists) - 1
    return wire.sa_body([wire.transform(i + 1, attrs, i < last) for i, attrs in enumerate(lists)])


def without(attrs, kind):
    return [pair for pair in attrs if pair[0] != kind]


def test_every_suite_has_its_attributes():
    for cipher, (number, bits, _, _, _) in R.CIPHERS.items():
        for name in R.HASHES:
            for group in R.GROUPS:
                suite = policy.Suite("%s-%s-%s" % (cipher, name, group), legacy=True)
                attrs = dict(suite.attributes(R.AUTH_PSK, (3600, 0)))
                assert attrs[1] == number and attrs.get(14, 0) == bits
                assert attrs[2] == R.HASHES[name][0] and attrs[4] == R.GROUPS[group][0]
                assert attrs[3] == 1 and attrs[11] == 1 and attrs[12] == 3600


def test_private_exponents_have_twice_the_strength():
    strength = {  # RFC 3526 section 8, the lower estimate; NIST SP 800-57 for group 2
        "modp1024": 80,
        "modp1536": 90,
        "modp2048": 112,
        "modp3072": 130,
        "modp4096": 150,
        "modp6144": 170,
        "modp8192": 190,
    }
    for name, (_, bits, c, exponent) in R.GROUPS.items():
        assert c is None or 2 * strength[name] <= exponent < bits // 2
    assert R.GROUPS["modp2048"][3] == 256


def test_legacy_only_with_the_switch_and_des_never():
    for name in ("3des-sha1-modp1024", "aes128-md5-modp2048", "aes256-sha256-modp1536"):
        assert "legacy" in refused(policy.Suite, name)
        assert policy.Suite(name, legacy=True).name == name
    for name in (
        "des-sha1-modp1024",
        "aes256-sha256-modp768",
        "aes256-sha256",
        "null-md5-modp2048",
    ):
        assert "unknown" in refused(policy.Suite, name, legacy=True)


def test_identity_rule():
    for text in (
        "gw.example.org",
        "CN=gw",
        "user@example.org",
        "10.9.0",
        "10.9.0.256",
        "1.2.3.4.5",
    ):
        assert "certificates" in refused(peer, local_id=text)
        assert "certificates" in refused(peer, remote_id=text)
    assert policy.identity("10.9.0.1") == b"\1\0\0\0\x0a\x09\0\1"
    assert policy.identity("2001:db8::1") == b"\5\0\0\0\x20\1\x0d\xb8" + bytes(11) + b"\1"
    assert policy.identity("::") == b"\5\0\0\0" + bytes(16)
    for text in ("1:2:3", "1:2:3:4:5:6:7:8:9", "12345::", ":::", "g::"):
        assert policy.packed_address(text) is None, text


def test_same_identity():
    expected = policy.identity("10.9.0.1")
    assert policy.same_identity(expected, expected)
    assert policy.same_identity(b"\1\x11\1\xf4\x0a\x09\0\1", expected)
    assert policy.same_identity(b"\1\x11\x11\x94\x0a\x09\0\1", expected)
    assert not policy.same_identity(b"\1\0\0\0\x0a\x09\0\2", expected)
    assert not policy.same_identity(b"\2\0\0\0\x0a\x09\0\1", expected)
    assert not policy.same_identity(expected + b"\0", expected)
    for body in (b"", b"\1\0\0", b"\1\6\0\0\x0a\x09\0\1", b"\1\x11\0\x35\x0a\x09\0\1"):
        assert not policy.same_identity(body, expected)


def test_describe_identity():
    assert policy.describe_identity(policy.identity("10.9.0.1")) == "10.9.0.1"
    assert policy.describe_identity(policy.identity("2001:db8::1")) == "2001:db8:0:0:0:0:0:1"
    assert policy.describe_identity(b"\2\0\0\0evil\n") == "type 2, 5 bytes"
    assert policy.describe_identity(b"") == "type 0, 0 bytes"


def test_responder_echoes_the_chosen_transform():
    """Byte for byte but for the next-payload field, whatever the order and the numbers."""
    odd = [(12, 86400)]
    shuffled = [(11, 1)] + odd + [(4, 14), (3, 1), (2, 4), (14, 256), (1, 7)]
    body = offer(without(AES256, 4) + [(4, 2)], shuffled, AES256)
    suite, lives, answer = policy.select(peer(), body)
    assert (suite.name, lives) == (BEST, (86400, 0))
    sent = wire.offer(body)[1][1][1]
    _, parsed = wire.offer(answer)
    assert len(parsed) == 1
    assert bytes(parsed[0][1]) == b"\0" + bytes(sent)[1:]
    assert bytes(parsed[0][1])[4] == 2


def test_responder_echoes_the_proposal_number():
    body = changed(offer(AES256), 12, 7)
    assert policy.select(peer(), body)[2][12] == 7


def test_our_order_decides():
    aes128 = policy.Suite(GOOD).attributes(1, (3600, 0))
    body = offer(AES256, aes128)
    assert policy.select(peer(BEST, GOOD), body)[0].name == BEST
    assert policy.select(peer(GOOD, BEST), body)[0].name == GOOD


def test_lifetimes():
    kilobytes = AES256 + [(11, 2), (12, 50000)]
    for attrs, expected in (
        (AES256, (28800, 0)),
        (without(without(AES256, 11), 12), (28800, 0)),
        (AES256[:-1] + [(12, 86400)], (86400, 0)),
        (kilobytes, (28800, 50000)),
        (AES256[:-2] + [(11, 2), (12, 77), (11, 1), (12, 600)], (600, 77)),
        (AES256[:-2] + [(11, 2), (12, 77)], (28800, 77)),
    ):
        assert policy.select(peer(), offer(attrs))[1] == expected
    for attrs in (
        without(AES256, 12),
        without(AES256, 11),
        AES256[:-1] + [(12, 0)],
        AES256[:-2] + [(11, 3), (12, 5)],
        AES256 + [(11, 1)],
        AES256 + [(11, 1), (12, 86400)],  # two lives in seconds
        kilobytes + [(11, 2), (12, 5)],
        AES256[:-2] + [(11, 1), (11, 2), (12, 5), (12, 6)],
    ):
        assert dropped(policy.select, peer(), offer(attrs)) == "no-proposal-chosen", attrs


def test_transforms_that_do_not_fit():
    for attrs in (
        without(AES256, 14),
        without(AES256, 1),
        without(AES256, 2),
        without(AES256, 4),
        AES256 + [(14, 256)],
        AES256 + [(14, 0)],
        AES256 + [(13, 1)],
        AES256 + [(99, 1)],
        without(AES256, 14) + [(14, 0)],
        without(AES256, 14) + [(14, 257)],
    ):
        assert dropped(policy.select, peer(), offer(attrs)) == "no-proposal-chosen", attrs
    triple = policy.Suite("3des-sha256-modp2048", True).attributes(1, (3600, 0)) + [(14, 192)]
    legacy = peer("3des-sha256-modp2048", legacy=True)
    assert dropped(policy.select, legacy, offer(triple)) == "no-proposal-chosen"


def test_an_odd_transform_does_not_spoil_the_others():
    """One with an attribute of variable length that we do not know, beside a good one."""
    odd = wire.transform(1, AES256, True)
    odd = odd[:3] + bytes([len(odd) + 8]) + odd[4:] + b"\x40\x00\x00\x04name"
    body = wire.sa_body((odd, wire.transform(2, AES256, False)))
    assert policy.select(peer(), body)[2][20] == 2
    alone = wire.sa_body((b"\0" + odd[1:],))
    assert dropped(policy.select, peer(), alone) == "no-proposal-chosen"


def test_a_peer_that_offers_only_another_method():
    for method in (3, 5, 9, 77, 64221, 65001):
        attrs = without(AES256, 3) + [(3, method)]
        assert dropped(policy.select, peer(), offer(attrs)) == "auth-method-mismatch"
        assert dropped(policy.accept, peer(), offer(attrs)) == "auth-method-mismatch"
    mixed = offer(without(AES256, 3) + [(3, 3)], without(AES256, 4) + [(4, 2)])
    assert dropped(policy.select, peer(), mixed) == "no-proposal-chosen"


def test_initiator_compares_as_a_set():
    ours = peer(BEST, GOOD)
    for suite in ours.suites:
        attrs = suite.attributes(1, (28800, 0))
        assert policy.accept(ours, offer(attrs))[0] is suite
        assert policy.accept(ours, offer(list(reversed(attrs))))[0] is suite
    wide = AES256[:-1] + [(12, 28800)]
    answer = bytearray(offer(wide))[:-4] + b"\x00\x0c\x00\x04\x00\x00\x70\x80"
    answer[11] += 4
    answer[19] += 4
    assert policy.accept(ours, answer)[0].name == BEST


def test_an_offer_of_two_lives():
    ours = peer(lifetime=600, lifetime_kb=4000)
    offered = wire.offer(policy.offer_body(ours))[1][0][0]
    lives = [(11, 1), (12, 600), (11, 2), (12, 4000)]
    assert offered == AES256[:-2] + lives
    base = AES256[:-2]
    for answer in (offered, lives + base, base + lives[2:] + lives[:2]):
        assert policy.accept(ours, offer(answer))[1] == (600, 4000)
    assert policy.accept(ours, offer(base + lives[:2]))[1] == (600, 0)
    for answer in (
        base,
        base + lives[2:],
        base + [(11, 1), (12, 4000), (11, 2), (12, 600)],  # the same set
        base + [(11, 1), (11, 2), (12, 600), (12, 4000)],
        base + lives + lives[2:],
    ):
        assert dropped(policy.accept, ours, offer(answer)) == "attributes-changed", answer
    same = peer(lifetime=600, lifetime_kb=600)
    assert policy.accept(same, policy.offer_body(same))[1] == (600, 600)
    again = base + [(11, 1), (12, 600), (11, 1), (12, 600)]
    assert dropped(policy.accept, same, offer(again)) == "attributes-changed"


def test_initiator_refuses_changed_attributes():
    for attrs in (
        without(AES256, 14),
        without(AES256, 12),
        without(AES256, 14) + [(14, 128)],
        without(AES256, 12) + [(12, 3600)],
        AES256 + [(12, 28800)],
        AES256 + [(13, 1)],
        without(AES256, 4) + [(4, 2)],
    ):
        assert dropped(policy.accept, peer(), offer(attrs)) == "attributes-changed", attrs
    assert dropped(policy.accept, peer(), offer(AES256, AES256)) == "not-one-transform"

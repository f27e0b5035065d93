"""Makes tests/vectors/pki.jsonl anew: paths, good ones and bad ones, with what each must end in.

    PYTHONPATH=tests .venv/bin/python -m certificates.make_vectors

One JSON object a line, so that a board with little memory can read one at a time. Keys and
signatures come from pyca/cryptography. A good signature has a `mark`, so that the tests of the
paths need no arithmetic; those of `pki.signature` do it.
"""

import base64
import json
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose

from certificates import maker
from certificates.maker import CRITICAL_UNKNOWN, DAY, NOW, Party, authority, recut, usage

OUT = Path(__file__).parent.parent / "vectors" / "pki.jsonl"
LEAF_USAGE = (usage("digital_signature"), True)
CA = (x509.BasicConstraints(True, None), True)
CA_USAGE = (usage("key_cert_sign", "crl_sign"), True)


class Book:
    """Collects the cases, their certificates and the signatures that are good."""

    def __init__(self):
        self.lines = {}  # DER -> its line
        self.cases = []

    def put(self, der, issuer):
        """The label of a certificate or CRL. `issuer`: whose signature it may have, or None."""
        line = self.lines.setdefault(der, {"label": f"c{len(self.lines)}"})
        line["der"] = base64.b64encode(der).decode()
        if issuer:
            outer = maker.tree.parse(der)[0][1]
            message, signature = maker.tree.encode([outer[0]]), outer[2][1][1:]
            if maker.signed(issuer.key.public_key(), outer[1], message, signature):
                public = maker.public_bytes(issuer.key.public_key())
                line["mark"] = maker.mark(public, message, signature)
        return line["label"]

    def case(self, label, code, chain, anchors, **more):
        """`chain` and `anchors`: Parties, or (DER, issuer); `code`: None where it must pass."""
        entry = {"name": label, "code": code}
        entry["chain"] = [self._put(one) for one in chain]
        entry["anchors"] = [self._put(one) for one in anchors]
        entry["crls"] = [self.put(der, issuer) for der, issuer in more.pop("crls", ())]
        entry["now"] = maker.unix(NOW)
        entry.update(more)
        if code is None:
            entry.pop("authentic", None)
        self.cases.append(entry)

    def _put(self, one):
        if isinstance(one, Party):
            return self.put(one.der, one.issuer)
        return self.put(one[0], one[1])


def build():
    book = Book()
    root = authority("Root")
    middle = authority("Middle", root)
    low = authority("Low", middle)
    good(book, root, middle, low)
    dates(book, root, middle)
    issuers(book, root, middle)
    usages(book, root)
    lengths(book, root)
    algorithms(book, root)
    forms(book, root)
    lists(book, root, middle)
    return book


def good(book, root, middle, low):
    leaf = Party("gateway", low)
    book.case("one step", None, [Party("gateway", root)], [root])
    book.case("three steps", None, [leaf, low, middle], [root])
    book.case("any order", None, [leaf, middle, low], [root])
    book.case("the root comes too", None, [leaf, root, middle, low], [root])
    book.case("an intermediate is trusted", None, [leaf, middle], [low])
    book.case("another CA is trusted too", None, [leaf, low, middle], [authority("Other"), root])
    book.case("strangers among them", None, [leaf, authority("Other"), low, middle], [root])
    twin = authority("Root")
    book.case(
        "two CAs of one name", None, [Party("gateway", root, identifiers=False)], [twin, root]
    )
    for curve in (ec.SECP384R1(), ec.SECP521R1()):
        ca = authority("Curve", key=maker.ec_key(curve), digest=hashes.SHA384())
        one = Party("gateway", ca, maker.ec_key(curve), digest=hashes.SHA512())
        book.case(f"ECDSA {curve.name}", None, [one], [ca])
    ca = authority("RSA", key=maker.rsa_key())
    book.case(
        "RSA", None, [Party("gateway", ca, maker.rsa_key(3072), digest=hashes.SHA384())], [ca]
    )


def dates(book, root, middle):
    for code, since, until in (
        ("expired", NOW - 9 * DAY, NOW - DAY),
        ("not-yet-valid", NOW + DAY, NOW + 9 * DAY),
    ):
        leaf = Party("gateway", root, since=since, until=until)
        book.case(f"{code}: gateway", code, [leaf], [root], authentic=True)
        ca = authority("Ca", root, since=since, until=until)
        book.case(f"{code}: issuer", code, [Party("gateway", ca), ca], [root], authentic=True)
        ca = authority("Ca", since=since, until=until)
        book.case(f"{code}: trusted CA", code, [Party("gateway", ca)], [ca], authentic=True)
        again = authority("Ca", root, key=ca.key)
        both = [Party("gateway", ca), ca, again]
        book.case(f"{code}: but there is another", None, both, [root])
    leaf = Party("gateway", root)
    book.case("clock unset", "clock-unset", [leaf], [root], now=None, authentic=True)
    moment = NOW.replace(microsecond=0)
    edge = Party("gateway", root, since=moment, until=moment)
    book.case("the very second", None, [edge], [root])
    book.case("a second early", "not-yet-valid", [edge], [root], now=maker.unix(moment) - 1)
    book.case("a second late", "expired", [edge], [root], now=maker.unix(moment) + 1)
    far = maker.datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=maker.datetime.UTC)
    book.case("no end", None, [Party("gateway", root, until=far)], [root])


def issuers(book, root, middle):
    leaf = Party("gateway", middle)
    book.case("wrong CA", "unknown-ca", [leaf, middle], [authority("Other")])
    book.case("no CA at all", "unknown-ca", [leaf, middle], [])
    book.case("missing intermediate", "unknown-ca", [leaf], [root])
    book.case("self-signed", "unknown-ca", [Party("gateway")], [root])
    book.case("untrusted root comes too", "unknown-ca", [leaf, middle, root], [authority("Other")])
    book.case("CA of the same name", "unknown-ca", [Party("gateway", root)], [authority("Root")])
    nameless = Party("gateway", root, identifiers=False)
    book.case("wrong key", "bad-signature", [nameless], [authority("Root")], authentic=False)
    renamed = authority("Renamed", key=root.key)
    book.case("the key under another name", "unknown-ca", [nameless], [renamed])
    late = Party("gateway", root, identifiers=False, until=NOW - DAY)
    twins = [authority("Root"), root, authority("Root")]
    book.case("expired, and two CAs of one name", "expired", [late], twins, authentic=True)
    changed = bytearray(Party("gateway", root).der)
    changed[-1] ^= 1
    book.case("signature changed", "bad-signature", [(bytes(changed), None)], [root])
    changed = tree_changed(Party("gateway", root).der)
    book.case("subject changed", "bad-signature", [(changed, None)], [root])
    a, b = authority("A"), authority("B")
    across = authority("A", b, key=a.key), authority("B", a, key=b.key)
    book.case("loop", "loop", [Party("gateway", a), *across], [root])
    book.case("loop that can be left", None, [Party("gateway", a), *across], [b])
    book.case("too many", "too-many", [leaf] + [middle] * 8, [root])
    book.case("no certificate", "no-certificate", [], [root])
    twins = [authority("Root") for _ in range(11)]
    book.case("too many of one name", "bad-signature", [nameless], twins)


def tree_changed(der):
    outer = maker.tree.parse(der)
    subject = outer[0][1][0][1][5][1]
    subject[-1][1][0][1][1][1] = b"gatewax"
    return maker.tree.encode(outer)


def usages(book, root):
    def leaf(label, code, *extensions):
        one = Party("gateway", root, extensions=extensions)
        book.case(label, code, [one], [root], authentic=True)

    leaf("no extensions but identifiers", None)
    leaf("non-repudiation is enough", None, (usage("content_commitment"), True))
    leaf("no signatures allowed", "missing-key-usage", (usage("key_encipherment"), True))
    purposes = {
        "for IKE": (None, Purpose.IPSEC_IKE),
        "for anything": (None, Purpose.ANY_EXTENDED_KEY_USAGE),
        "for IKE among others": (None, Purpose.SERVER_AUTH, Purpose.IPSEC_IKE),
        "for servers": ("bad-extended-key-usage", Purpose.SERVER_AUTH),
    }
    for label, (code, *oids) in purposes.items():
        leaf(label, code, (x509.ExtendedKeyUsage(oids), False))
    leaf("critical extension", "critical-extension", (CRITICAL_UNKNOWN, True))
    leaf("the same, not critical", None, (CRITICAL_UNKNOWN, False))
    leaf("a CA as gateway", None, CA, (usage("digital_signature", "key_cert_sign"), True))

    def issuer(label, code, *extensions, anchor=False):
        ca = authority("Ca", None if anchor else root, extensions=extensions)
        chain, anchors = ([], [ca]) if anchor else ([ca], [root])
        book.case(label, code, [Party("gateway", ca), *chain], anchors, authentic=True)

    for anchor in (False, True):
        kind = "trusted CA" if anchor else "issuer"
        false = x509.BasicConstraints(False, None), True
        issuer(f"{kind}: not a CA", "not-a-ca", false, CA_USAGE, anchor=anchor)
        issuer(f"{kind}: nothing of CA", "not-a-ca", CA_USAGE, anchor=anchor)
        wrong = usage("digital_signature", "crl_sign"), True
        issuer(f"{kind}: may not sign", "missing-key-usage", CA, wrong, anchor=anchor)
        issuer(
            f"{kind}: critical extension",
            "critical-extension",
            *(CA, CA_USAGE, (CRITICAL_UNKNOWN, True)),
            anchor=anchor,
        )
        tree = [x509.DNSName("example")]
        constraint = x509.NameConstraints(tree, None)
        for critical in (True, False):
            issuer(
                f"{kind}: name constraints, {critical=}",
                "constraints",
                *(CA, CA_USAGE, (constraint, critical)),
                anchor=anchor,
            )
    issuer("issuer: no keyUsage", "missing-key-usage", CA)
    issuer("trusted CA: no keyUsage", None, CA, anchor=True)
    gateway = Party("first", root)
    chain = [Party("second", gateway), gateway]
    book.case("a gateway as issuer", "not-a-ca", chain, [root], authentic=True)


def lengths(book, root):
    def chain(limit, under, code, **more):
        ca = authority("Limited", root, pathlen=limit)
        below = [ca]
        for number in range(under):
            below.insert(0, authority(f"Under {number}", below[0]))
        label = f"{under} CAs under one that allows {limit}"
        book.case(label, code, [Party("gateway", below[0]), *below], [root], **more)

    chain(0, 0, None)
    chain(0, 1, "path-too-long", authentic=True)
    chain(1, 1, None)
    chain(1, 2, "path-too-long", authentic=True)
    chain(None, 5, None)
    chain(None, 6, "path-too-long", authentic=False)
    short = authority("Short", pathlen=0)
    middle = authority("Middle", short)
    chain = [Party("gateway", middle), middle]
    book.case("the trusted CA allows none", "path-too-long", chain, [short], authentic=True)
    ca = authority("Limited", root, pathlen=0)
    renewed = authority("Limited", ca)
    chain = [Party("gateway", renewed), renewed, ca]
    book.case("self-issued does not count", None, chain, [root])


def algorithms(book, root):
    ca = authority("RSA", key=maker.rsa_key())
    sha1 = rehashed(ca, 5, hashes.SHA1())
    md5 = rehashed(ca, 4, hashes.MD5())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short = Party("gateway", root, maker.rsa_key(1024))
    book.case("SHA-1", "weak-hash", [(sha1, ca)], [ca], authentic=True)
    book.case("SHA-1 as legacy", None, [(sha1, ca)], [ca], legacy=True)
    for legacy in (False, True):
        book.case(f"MD5, {legacy=}", "weak-hash", [(md5, ca)], [ca], legacy=legacy)
    book.case("RSA of 1024 bits", "weak-key", [short], [root], authentic=True)
    strange = Party("gateway", root, ed25519.Ed25519PrivateKey.generate())
    book.case("Ed25519", "unsupported-algorithm", [strange], [root], authentic=True)
    small = Party("gateway", root, maker.ec_key(ec.SECP256K1()))
    book.case("another curve", "unsupported-algorithm", [small], [root], authentic=True)
    pss = Party("gateway", ca, pss=True)
    book.case("PSS", "unsupported-algorithm", [(pss.der, None)], [ca], authentic=False)
    leaf = Party("gateway", root)
    outer = maker.tree.parse(leaf.der)
    outer[0][1][1][1][0][1] = bytes.fromhex("2a8648ce3d040303")
    mixed = maker.resigned(outer, root.key)
    book.case("two algorithms", "algorithm-mismatch", [(mixed, root)], [root], authentic=False)

    def key(label, code, change, owner=None):
        party = Party("gateway", root, owner)
        changed = recut(party.der, lambda tbs: change(tbs[6][1]), root.key)
        book.case(label, code, [(changed, root)], [root])

    def numbers(spki, at, value):
        inner = maker.tree.parse(spki[1][1][1:])
        inner[0][1][at][1] = value(inner[0][1][at][1])
        spki[1][1] = b"\0" + maker.tree.encode(inner)

    big = maker.rsa_key()
    key("e = 1", "bad-key", lambda spki: numbers(spki, 1, lambda e: b"\x01"), big)
    key("even e", "bad-key", lambda spki: numbers(spki, 1, lambda e: b"\x01\x00\x02"), big)
    key(
        "huge e",
        "bad-key",
        lambda spki: numbers(spki, 1, lambda e: b"\x01" + bytes(8) + b"\x01"),
        big,
    )
    key("even n", "bad-key", lambda spki: numbers(spki, 0, lambda n: n[:-1] + b"\x02"), big)
    key("n of 4104 bits", "bad-key", lambda spki: numbers(spki, 0, lambda n: b"\0\xff" * 257), big)
    key("negative n", "malformed-der", lambda spki: numbers(spki, 0, lambda n: n[1:]), big)

    def point(spki, change):
        spki[1][1] = change(spki[1][1])

    key("compressed point", "bad-key", lambda spki: point(spki, lambda p: b"\0\x02" + p[2:34]))
    key("short point", "bad-key", lambda spki: point(spki, lambda p: p[:-1]))
    key("no point", "malformed-der", lambda spki: point(spki, lambda p: b"\0"))


def rehashed(ca, number, digest):
    """A gateway's certificate by an RSA CA with a hash that the library does not take any more."""
    outer = maker.tree.parse(Party("gateway", ca).der)
    for algorithm in (outer[0][1][1], outer[0][1][0][1][2]):
        algorithm[1][0][1] = algorithm[1][0][1][:-1] + bytes([number])
    return maker.resigned(outer, ca.key, digest)


def forms(book, root):
    leaf = Party("gateway", root)

    def form(label, code, change):
        book.case(label, code, [(recut(leaf.der, change, root.key), root)], [root])

    def extensions(change):
        return lambda tbs: change(tbs[-1][1][0][1])

    form("unchanged", None, lambda tbs: None)
    form("version 1", "unsupported-version", lambda tbs: (tbs.pop(0), tbs.pop()))
    form("version 4", "unsupported-version", lambda tbs: tbs[0].__setitem__(1, b"\x02\x01\x03"))
    form("serial number 0", "malformed-der", lambda tbs: tbs[1].__setitem__(1, b"\0"))
    form("negative serial", "malformed-der", lambda tbs: tbs[1].__setitem__(1, b"\xff"))
    form("padded serial", "malformed-der", lambda tbs: tbs[1].__setitem__(1, b"\0\x01"))
    form("long serial", "malformed-der", lambda tbs: tbs[1].__setitem__(1, b"\x01" * 22))
    form("no issuer", "malformed-der", lambda tbs: tbs[3].__setitem__(1, []))
    form("no subject", None, lambda tbs: tbs[5].__setitem__(1, []))
    form("empty RDN", "malformed-der", lambda tbs: tbs[5][1][0].__setitem__(1, []))
    form("an extension twice", "malformed-der", extensions(lambda seq: seq.append(seq[0])))
    form("no extension", "malformed-der", extensions(lambda seq: seq.clear()))
    form("critical = FALSE", "malformed-der", extensions(lambda s: s[1][1].insert(1, [1, b"\0"])))
    form("critical = 1", "malformed-der", extensions(lambda s: s[1][1].insert(1, [1, b"\1"])))
    form(
        "empty subjectAltName",
        "malformed-der",
        extensions(lambda s: s[1][1][1].__setitem__(1, b"0\0")),
    )
    form(
        "rest in extension",
        "malformed-der",
        extensions(lambda s: s[0][1][2].__setitem__(1, s[0][1][2][1] + b"\0")),
    )
    form("something after", "malformed-der", lambda tbs: tbs.append([0xA4, []]))
    form("unique identifiers", None, lambda tbs: tbs[7:7].append([0x81, b"\0\1"]))
    form("13th month", "malformed-der", lambda tbs: tbs[4][1][0].__setitem__(1, b"301301000000Z"))
    form(
        "GeneralizedTime early",
        None,
        lambda tbs: tbs[4][1].__setitem__(0, [24, b"20300101000000Z"]),
    )
    book.case("rest after", "malformed-der", [(leaf.der + b"\0", None)], [root], authentic=False)


def lists(book, root, middle):
    leaf = Party("gateway", middle)
    number, other = maker.serial(leaf.der), maker.serial(middle.der)

    def case(label, code, *crls, **more):
        given = [(der, issuer) for der, issuer in crls]
        book.case(label, code, [leaf, middle], [root], crls=given, **more)

    free = maker.crl(middle, [number + 1]), middle
    above = maker.crl(root), root
    case("no CRL", None)
    case("no CRL where required", "no-crl", required=True, authentic=True)
    case("CRL: not revoked", None, free, above, required=True)
    case("CRL: of one CA only", "no-crl", free, required=True)
    case("CRL: revoked", "revoked", (maker.crl(middle, [1, number, 2]), middle), authentic=True)
    case("CRL: issuer revoked", "revoked", (maker.crl(root, [other]), root), authentic=True)
    case("CRL: empty", None, (maker.crl(middle), middle))
    stale = maker.crl(middle, since=NOW - 9 * DAY, until=NOW - DAY), middle
    case("CRL: stale", "stale-crl", stale, authentic=True)
    case("CRL: stale and fresh", None, stale, free)
    case(
        "CRL: stale, revoked there",
        "stale-crl",
        (maker.crl(middle, [number], until=NOW - DAY / 2), middle),
    )
    case(
        "CRL: of the future",
        "stale-crl",
        (maker.crl(middle, since=NOW + DAY, until=NOW + 2 * DAY), middle),
    )
    forged = recut(maker.crl(middle), lambda tbs: None, root.key)
    case("CRL: another's signature", "bad-signature", (forged, middle), authentic=True)
    reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
    case(
        "CRL: with a reason",
        "revoked",
        (maker.crl(middle, [number], entry=[(reason, False)]), middle),
    )
    indirect = x509.CertificateIssuer([x509.DirectoryName(root.name)])
    entry = [(indirect, True)]
    case(
        "CRL: critical entry extension",
        "critical-extension",
        (maker.crl(middle, [1], entry=entry), middle),
    )
    point = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    case(
        "CRL: of a part",
        "critical-extension",
        (maker.crl(middle, extensions=[(point, True)]), middle),
    )
    delta = x509.DeltaCRLIndicator(3)
    case(
        "CRL: delta", "critical-extension", (maker.crl(middle, extensions=[(delta, True)]), middle)
    )
    unable = authority("Unable", root, extensions=[CA, (usage("key_cert_sign"), True)])
    book.case(
        "CRL: of a CA that may not",
        "missing-key-usage",
        *([Party("gateway", unable), unable], [root]),
        crls=[(maker.crl(unable), unable)],
    )
    case("CRL: rubbish", "malformed-der", (b"\x30\x03\x30\x01\x00", None))


if __name__ == "__main__":
    made = build()
    lines = [json.dumps(line) for line in [*made.lines.values(), *made.cases]]
    OUT.write_text("\n".join(lines) + "\n")
    print(f"{len(made.cases)} cases, {len(made.lines)} certificates and CRLs")

"""The public vectors of x509-limbo, where they are given; each deviation has its reason.

No package offers them, and they are too large to be kept here: IKELET_LIMBO names a limbo.json, as
https://github.com/C2SP/x509-limbo makes it. They are about servers of TLS. So the purpose of the
certificate (extendedKeyUsage) is not looked at, and BetterTLS's thousands, of constraints of names
alone, are left out.
"""

import datetime
import ipaddress
import json
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.cases import refused
from hal import PublicKeyError
from ikelet_hil.capabilities import require
from pair import make_hal
from pki import Refused, name, path
from pki.certificate import Certificate
from pki.crl import Revocation
from pki.signature import verifier

FILE = os.environ.get("IKELET_LIMBO", "")

# What we accept and limbo refuses: the beginning of its id, and why.
LENIENT = {
    "crl::crlnumber-missing": "a CA must number its lists; who reads one has no use for it",
    "pathlen::max-chain-depth": "the limit of depth is not the caller's: it is eight",
    "rfc5280::aki": "key identifiers are hints: the signature decides",
    "rfc5280::ski": "key identifiers are hints: the signature decides",
    "webpki::aki": "key identifiers are hints: the signature decides",
    "rfc5280::eku": "purposes are those of TLS, and not looked at here",
    "webpki::eku": "purposes are those of TLS, and not looked at here",
    "rfc5280::san::noncritical-with-empty-subject": "whether it is critical: understood anyway",
    "webpki::san::san-critical-with-nonempty-subject": "whether it is critical: understood anyway",
    "rfc5280::san::underscore-dns": "a name is compared with the identity, whatever it is like",
    "rfc5280::san::ip-in-dns": "a name is compared with the identity, whatever it is like",
    "webpki::san::public-suffix": "wildcards stand for themselves, and match nothing else",
    "webpki::san::wildcard": "wildcards stand for themselves, and match nothing else",
    "webpki::san::san-wildcard-only": "wildcards stand for themselves, and match nothing else",
    "webpki::cn": "the common name is no identity, and not looked at",
    "rfc5280::root-non-critical-basic-constraints": "old CAs, which people have configured",
    "rfc5280::leaf-ku-keycertsign": "it is no CA all the same, as basicConstraints says",
    "webpki::ee-basicconstraints-ca": "a CA may be a peer too (RFC 4945)",
    "webpki::malformed-aia": "where the issuer's certificate is to be had is not read",
}
# What we refuse and limbo accepts: the code, or the id, and why.
STRICT = {
    "constraints": "constraints of names are not enforced, so that nobody may rely on them",
    "too-many": "at most eight certificates come",
    "too-large": "at most 4096 bytes a certificate",
    "missing-key-usage": "a peer's certificate, if it says, must be for signatures (RFC 4945)",
    "wrong-name": "wildcards stand for themselves",
    "online::fastly.com": "the serial number of its root is 0, which RFC 5280 4.1.2.2 forbids",
}


def cases():
    if not FILE:
        return []
    found = json.loads(Path(FILE).read_text())["testcases"]
    return [case for case in found if not case["id"].startswith("bettertls")]


def der(pem):
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def identity(case):
    """(type, data) of the name that is expected, or None."""
    wanted = case["expected_peer_name"]
    if wanted is None:
        return None
    if wanted["kind"] == "IP":
        address = ipaddress.ip_address(wanted["value"])
        return (name.ID_IPV4 if address.version == 4 else name.ID_IPV6), address.packed
    kinds = {"DNS": name.ID_FQDN, "RFC822": name.ID_USER_FQDN}
    return kinds[wanted["kind"]], wanted["value"].encode()


def judged(case):
    """Our reason to refuse it, None where we accept it."""
    when = case["validation_time"]
    now = datetime.datetime.fromisoformat(when) if when else datetime.datetime.now(datetime.UTC)
    crls = [
        x509.load_pem_x509_crl(one.encode()).public_bytes(Encoding.DER) for one in case["crls"]
    ]

    def check():
        anchors = [Certificate(der(one)) for one in case["trusted_certs"]]
        chain = [case["peer_certificate"], *case["untrusted_intermediates"]]
        revocation = Revocation(lambda issuer: crls) if crls else None
        found = path.validate(
            list(map(der, chain)), anchors, int(now.timestamp()), verifier(HAL), revocation
        )
        wanted = identity(case)
        if wanted and not name.matches(*wanted, found[0]):
            raise Refused("wrong-name")
        if found[0].key.kind == "rsa":  # as for the signature of a peer
            HAL.rsa_check(found[0].key.public)

    try:
        return refused(check)
    except PublicKeyError:
        return "bad-key"
    except ValueError:  # the library that unwraps it has refused it already
        return "malformed-der"


HAL = make_hal()


@pytest.fixture(autouse=True)
def any_purpose(monkeypatch):
    check = path.check_end_entity

    def without_purpose(certificate):
        certificate.for_ike = None
        check(certificate)

    monkeypatch.setattr(path, "check_end_entity", without_purpose)


def test_limbo():
    require("limbo", "" if FILE else "IKELET_LIMBO names no limbo.json of C2SP/x509-limbo")
    counts, wrong = {}, []
    for case in cases():
        code = judged(case)
        good = case["expected_result"] == "SUCCESS"
        agreed = good is (code is None)
        counts[good, code is None] = counts.get((good, code is None), 0) + 1
        if good:
            known = code in STRICT or case["id"] in STRICT
        else:
            known = any(case["id"].startswith(one) for one in LENIENT)
        if not agreed and not known:
            wrong.append((case["id"], case["expected_result"], code))
    print(f"(limbo accepts, we accept): {counts}")
    assert not wrong, wrong
    assert counts[True, True] > 30 and counts[False, False] > 80

"""NIST's PKI test suite (PKITS 1.0.1), as the package cryptography-vectors brings it along.

Whether a path is valid is in the name of its end entity's certificate; it is looked at with CRLs
required. What we take to be invalid though PKITS does not, is in a table with the reason. Nothing
is accepted that is invalid there.
"""

import re
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest

from certificates import maker
from pki import Refused, path
from pki.certificate import Certificate
from pki.crl import Crl, Revocation

FOLDER = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
ANCHOR = "TrustAnchorRootCertificate"
NOW = 1_300_000_000  # March 2011: within the dates of all that is not meant to be outside them

# Pattern of valid tests -> our code, and why.
STRICTER = {
    "DSA": ("unsupported-algorithm", "DSA: neither key nor signature"),
    "NameChaining(Cap|White)|Rollover|CaseInsensitive": (
        "unknown-ca",
        "names within a chain are compared byte for byte: RFC 5280 4.1.2.6 has CAs encode them so",
    ),
    "NegativeSerial": ("malformed-der", "RFC 5280 4.1.2.2: CAs must use positive numbers"),
    "nameConstraintsTest(?!19)": ("constraints", "constraints of names are not implemented"),
    "PolicyMappingTest(1|9|1[1-4])EE|requireExplicitPolicyTest[124]EE|inhibitAnyPolicyTest2EE": (
        "constraints",
        "policies are not implemented, nor then what demands them",
    ),
    "PolicyMappingTest[356]EE|inhibitPolicyMapping": ("critical-extension", "the same: mappings"),
}
# The same, but for the CRL alone: without CRLs the path is accepted.
STRICTER_WITH_CRLS = {
    "deltaCRLTest[278]": ("critical-extension", "delta CRLs: not implemented"),
    "deltaCRLTest5": ("revoked", "delta CRLs: one takes back what the complete CRL says"),
    "distributionPoint|onlyContains|onlySomeReasons|cRLIssuerTest(28|29|33)|indirectCRLTest22": (
        "critical-extension",
        "CRLs that tell a part: not implemented",
    ),
    "indirectCRLTest2[45]|cRLIssuerTest30": ("no-crl", "CRLs by others than the CA"),
    "SeparateCertificateandCRLKeys": ("missing-key-usage", "a key of the CA for CRLs alone"),
    "BasicSelfIssued(CRLSigningKey|NewWithOld)": (
        "critical-extension",
        "the same, and a part only",
    ),
    "BasicSelfIssuedOldWithNew|nameConstraintsTest19|SelfIssued(pathLen|inhibitAny|requireExpl)": (
        "bad-signature",
        "the CRL of a CA with two keys is signed with the other one",
    ),
}
# These pass without CRLs only where nothing else is in the way.
ALSO_OTHERWISE = "nameConstraintsTest19|SelfIssued(inhibitAny|requireExpl)"


@cache
def certificates():
    """Name -> certificate, of all that are well-formed; the others have the code."""
    found = {}
    for file in sorted((FOLDER / "certs").glob("*.crt")):
        try:
            found[file.stem] = Certificate(file.read_bytes())
        except Refused as refused:
            found[file.stem] = refused.code
    return found


@cache
def crls():
    """[(issuer or None, CRL as DER)]; those that we cannot read have no issuer."""
    found = []
    for file in sorted((FOLDER / "crls").glob("*.crl")):
        encoded = file.read_bytes()
        try:
            found.append((Crl(encoded).issuer, encoded))
        except Refused:
            found.append((None, encoded))
    return found


def crls_of(name):
    """The CRLs that a person would put there for this CA: by the name in them."""
    for issuer, encoded in crls():
        if issuer == name or (issuer is None and bytes(name) in encoded):
            yield encoded


def chain(leaf):
    """The leaf, and every CA that may be above it."""
    found = [leaf]
    for below in found:
        for name, one in certificates().items():
            if isinstance(one, str) or "Test" in name or name == ANCHOR or one in found:
                continue
            if one.subject == below.issuer:
                found.append(one)
    return [one.encoded for one in found]


def verdict(name, with_crls=True):
    """None where the path is accepted, else the code."""
    leaf = certificates()[name]
    if isinstance(leaf, str):
        return leaf
    revocation = Revocation(crls_of, True) if with_crls else None
    try:
        path.validate(chain(leaf), [certificates()[ANCHOR]], NOW, maker.verify, revocation)
    except Refused as refused:
        return refused.code
    return None


def names(kind):
    return sorted(path.stem for path in (FOLDER / "certs").glob(f"{kind}*Test*EE.crt"))


def explained(table, name):
    return [expected for pattern, expected in table.items() if re.search(pattern, name)]


def test_the_suite_is_all_there():
    assert len(names("Valid")) > 80 and len(names("Invalid")) > 110
    assert len(certificates()) == 405 and len(crls()) == 173


@pytest.mark.parametrize("name", names("Invalid"))
def test_invalid(name):
    assert verdict(name) is not None


@pytest.mark.parametrize("name", names("Valid"))
def test_valid(name):
    crl_reasons = explained(STRICTER_WITH_CRLS, name)
    reasons = crl_reasons + explained(STRICTER, name)
    assert len(reasons) <= 1, "two reasons"
    assert verdict(name) == (reasons[0][0] if reasons else None)
    if crl_reasons:
        expected = "constraints" if re.search(ALSO_OTHERWISE, name) else None
        assert verdict(name, with_crls=False) == expected


@pytest.mark.parametrize("pattern", [*STRICTER, *STRICTER_WITH_CRLS])
def test_every_deviation_is_one(pattern):
    assert [name for name in names("Valid") if re.search(pattern, name)]


EXPECTED = {
    "InvalidCAnotBeforeDateTest1EE": "not-yet-valid",
    "InvalidEEnotBeforeDateTest2EE": "not-yet-valid",
    "InvalidCAnotAfterDateTest5EE": "expired",
    "InvalidEEnotAfterDateTest6EE": "expired",
    "Invalidpre2000UTCEEnotAfterDateTest7EE": "expired",
    "InvalidEESignatureTest3EE": "bad-signature",
    "InvalidNameChainingTest1EE": "unknown-ca",
    "InvalidMissingCRLTest1EE": "no-crl",
    "InvalidRevokedCATest2EE": "revoked",
    "InvalidRevokedEETest3EE": "revoked",
    "InvalidLongSerialNumberTest18EE": "revoked",
    "InvalidOldCRLnextUpdateTest11EE": "stale-crl",
    "Invalidpre2000CRLnextUpdateTest12EE": "stale-crl",
    "InvalidUnknownCRLEntryExtensionTest8EE": "critical-extension",
    "InvalidUnknownCRLExtensionTest9EE": "critical-extension",
    "InvalidUnknownCriticalCertificateExtensionTest2EE": "critical-extension",
    "InvalidMissingbasicConstraintsTest1EE": "not-a-ca",
    "InvalidcAFalseTest2EE": "not-a-ca",
    "InvalidcAFalseTest3EE": "not-a-ca",
    "InvalidkeyUsageCriticalkeyCertSignFalseTest1EE": "missing-key-usage",
    "InvalidkeyUsageNotCriticalkeyCertSignFalseTest2EE": "missing-key-usage",
    "InvalidkeyUsageCriticalcRLSignFalseTest4EE": "missing-key-usage",
    "InvalidkeyUsageNotCriticalcRLSignFalseTest5EE": "missing-key-usage",
} | {
    f"InvalidpathLenConstraintTest{number}EE": "path-too-long" for number in (5, 6, 9, 10, 11, 12)
}


@pytest.mark.parametrize("name", EXPECTED)
def test_invalid_for_the_right_reason(name):
    assert verdict(name) == EXPECTED[name]

"""From a peer's certificate up to a CA that is trusted (RFC 5280 section 6, RFC 4945 section 5).

First the signatures, then what the certificates say: a datagram that was damaged or forged must
not make anybody believe that a certificate has expired. Policies and constraints of names are not
implemented: a path on which they would matter is refused.
"""

from micropython import const

from pki import Refused
from pki.certificate import DIGITAL_SIGNATURE, KEY_CERT_SIGN, NON_REPUDIATION, Certificate

MAX_CERTIFICATES = const(8)  # in all messages of a peer; more than any path needs
_MAX_PATH = const(8)  # certificates, the peer's and the CA's among them
_MAX_SIGNATURES = const(10)  # tried in all, however many certificates share a name


def validate(encoded, anchors, now, verify, revocation=None, legacy=False):
    """The path [peer's certificate, ..., one of `anchors`]; Refused with the reason.

    encoded: the peer's certificates (DER), its own first, the others in any order.
    anchors: Certificates that are trusted. now: Unix seconds, None where the clock is not set.
    verify(key, hash, message, signature) -> bool: see `pki.signature`.
    revocation: a `pki.crl.Revocation`, or None. legacy: take SHA-1 too.
    """
    if now is None:
        raise Refused("clock-unset", True)
    if not encoded:
        raise Refused("no-certificate")
    if len(encoded) > MAX_CERTIFICATES:
        raise Refused("too-many")
    return _Search(anchors, now, verify, revocation, legacy).run(encoded)


class _Search:
    """Depth first, at most `_MAX_PATH` deep, from a peer's certificate to an anchor."""

    def __init__(self, anchors, now, verify, revocation, legacy):
        self.anchors = anchors
        self.now = now
        self.verify = verify
        self.revocation = revocation
        self.legacy = legacy
        self.others = []
        self.signatures = 0
        self.failure = None  # the first thing that stood in the way; an authentic one before all

    def run(self, encoded):
        own = Certificate(encoded[0])
        for one in encoded[1:]:
            # Senders add what they have: a certificate that cannot be read is only missing.
            try:
                self.others.append(Certificate(one))
            except Refused as refused:
                self.note(refused)
        path = self.climb([own])
        if not path:
            raise self.failure or Refused("unknown-ca")
        return path

    def note(self, refused):
        if not self.failure or refused.authentic > self.failure.authentic:
            self.failure = refused

    def climb(self, path):
        """`path`, continued to an anchor, or None: noted why."""
        below = path[-1]
        for trusted, candidates in ((True, self.anchors), (False, self.others)):
            for issuer in candidates:
                if issuer.subject != below.issuer or not same_key(below.aki, issuer.ski):
                    continue
                if _same_entity(issuer, below):  # self-signed, and not trusted: the way ends here
                    continue
                found = path + [issuer]
                try:
                    self.link(found)
                    if not trusted:
                        found = self.climb(found)
                    else:
                        self.check(found)
                except Refused as refused:
                    self.note(refused)
                    continue
                if found:
                    return found
        return None

    def link(self, path):
        """Refused unless the last of `path` comes there once, and has signed the one before."""
        issuer, below = path[-1], path[-2]
        for one in path[:-1]:
            if _same_entity(one, issuer):
                raise Refused("loop")
        if len(path) > _MAX_PATH:
            raise Refused("path-too-long")
        if not issuer.key:
            raise Refused(issuer.flaw)
        self.signatures += 1
        if self.signatures > _MAX_SIGNATURES:
            raise Refused("too-many")
        check_signature(below, issuer.key, self.verify)

    def check(self, path):
        """Refused unless each certificate of a path whose signatures are good allows its use."""
        try:
            between = 0
            for i, one in enumerate(path):
                check_usable(one, self.now)
                if i == 0:
                    check_end_entity(one)
                else:
                    check_issuer(one, between, i == len(path) - 1)
                    check_hash(path[i - 1], self.legacy)
                    between += one.subject != one.issuer
                    if self.revocation:
                        self.revocation.check(path[i - 1], one, self.now, self.verify, self.legacy)
        except Refused as refused:
            raise Refused(refused.code, True)


def check_usable(certificate, now):
    """Refused unless the certificate has no flaw and `now` (Unix seconds) is within its dates."""
    if certificate.flaw:
        raise Refused(certificate.flaw)
    if now < certificate.not_before:
        raise Refused("not-yet-valid")
    if now > certificate.not_after:
        raise Refused("expired")


def check_end_entity(certificate):
    """Refused unless a peer may authenticate with it (RFC 4945 sections 5.1.3.2 and 5.1.3.12)."""
    usage = certificate.key_usage
    if usage is not None and not usage & (DIGITAL_SIGNATURE | NON_REPUDIATION):
        raise Refused("missing-key-usage")
    if certificate.for_ike is False:
        raise Refused("bad-extended-key-usage")


def check_issuer(issuer, between, trusted):
    """Refused unless it may issue certificates, with `between` other CAs below it on the path."""
    if not issuer.ca:
        raise Refused("not-a-ca")
    usage = issuer.key_usage
    # CAs must have it (RFC 5280 4.2.1.3); of one that was configured, people have decided.
    if not (trusted if usage is None else usage & KEY_CERT_SIGN):
        raise Refused("missing-key-usage")
    if issuer.pathlen is not None and between > issuer.pathlen:
        raise Refused("path-too-long")


def check_signature(signed, key, verify):
    """Refused unless `key` made the signature on a certificate or a CRL."""
    if signed.signer != key.kind:
        raise Refused("bad-signature")
    # Only what says so itself is a yes: an error code must not pass for one.
    if verify(key, signed.hash, signed.tbs, signed.signature) is not True:
        raise Refused("bad-signature")


def check_hash(signed, legacy):
    """Refused unless collisions of the signature's hash are out of reach; SHA-1 where `legacy`."""
    if signed.hash == "md5" or (signed.hash == "sha1" and not legacy):
        raise Refused("weak-hash")


def same_key(wanted, had):
    """True unless both key identifiers are there and differ."""
    return wanted is None or had is None or wanted == had


def _same_entity(one, other):
    if one.encoded == other.encoded:
        return True
    return bool(one.key and other.key and one.subject == other.subject) and (
        one.key.public == other.key.public
    )

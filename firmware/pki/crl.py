"""Certificate revocation lists (RFC 5280 section 5): complete ones, signed by the CA itself."""

from micropython import const

from pki import Refused, der, times
from pki.certificate import (
    CRL_SIGN,
    extensions,
    serial_number,
    signature_algorithm,
)
from pki.name import check
from pki.path import check_hash, check_signature

MAX_SIZE = const(16384)  # some 400 entries; it is held in memory whole, while it is looked at


class Crl:
    """`encoded` (DER, kept as it is), read up to its entries; Refused.

    tbs, signature, issuer: memoryviews. this_update, next_update: Unix seconds.
    """

    def __init__(self, encoded):
        if len(encoded) > MAX_SIZE:
            raise Refused("too-large")
        self.tbs, algorithm, self.signature = der.signed(encoded)
        self.signer, self.hash = signature_algorithm(algorithm)
        tbs = der.only(self.tbs)
        if tbs.peek() == der.INTEGER and tbs.small() != 1:
            raise Refused("unsupported-version")
        if tbs.whole(der.SEQUENCE) != algorithm:
            raise Refused("algorithm-mismatch")
        self.issuer = tbs.whole(der.SEQUENCE)
        check(self.issuer)
        self.this_update, self.next_update = times.read(tbs), times.read(tbs)
        self._entries = tbs.optional(der.SEQUENCE)
        if tbs.more():
            for kind, critical, _ in extensions(tbs.take(0xA0)):
                # Delta CRLs and distribution points (27, 28) tell a part only.
                if critical or kind in (0x1B, 0x1C):
                    raise Refused("critical-extension")
        tbs.end()

    def lists(self, serial):
        """True if the certificate of this serial number is revoked, for whatever reason.

        All entries are read: one with a critical extension makes the list unusable (section 5.3).
        """
        found = False
        if self._entries is not None:
            reader = der.Reader(self._entries)
            while reader.more():
                entry = reader.enter()
                found = serial_number(entry) == serial or found
                times.read(entry)
                if entry.more():
                    for _, critical, _ in extensions(entry.whole(der.SEQUENCE)):
                        if critical:
                            raise Refused("critical-extension")
                entry.end()
        return found


class Revocation:
    """Looks certificates up in CRLs.

    source(issuer): the CRLs (DER) that may be of this CA (a Name), as an iterable; others among
    them do no harm. required: a CA without a CRL is refused ("no-crl"). A CA of which there are
    only CRLs that cannot be used, stale ones say, is refused in any case; so is one with a CRL
    that only tells a part, as there is more to know.
    """

    def __init__(self, source, required=False):
        self._source = source
        self._required = required

    def check(self, certificate, issuer, now, verify, legacy=False):
        """Refused unless `certificate` is known not to be revoked by its `issuer`."""
        failure = Refused("no-crl") if self._required else None
        good = False
        for encoded in self._source(issuer.subject):
            try:
                revoked = _look(encoded, certificate, issuer, now, verify, legacy)
            except Refused as refused:
                if not failure or failure.code != "critical-extension":
                    failure = refused
                continue
            if revoked:
                raise Refused("revoked")
            good = good or revoked is False
        if failure and (failure.code == "critical-extension" or not good):
            raise failure


def _look(encoded, certificate, issuer, now, verify, legacy):
    """Is the certificate revoked? None where the CRL is of another CA; Refused."""
    crl = Crl(encoded)
    if crl.issuer != issuer.subject:
        return None
    if issuer.key_usage is not None and not issuer.key_usage & CRL_SIGN:
        raise Refused("missing-key-usage")
    if not crl.this_update <= now <= crl.next_update:
        raise Refused("stale-crl")
    check_signature(crl, issuer.key, verify)
    check_hash(crl, legacy)
    return crl.lists(certificate.serial)

"""Authentication by certificates (RFC 2409 section 5.1, RFC 4754, RFC 4945).

Loaded only where a peer is configured with certificates. What the signature proves is that the
peer holds the key of its certificate; everything about the certificate comes after that.

An error before the certificate is known to be a CA's own may be a corrupt or forged datagram: it
drops the datagram, and the exchange goes on; when it ends by its timer, that error is the reason
that the peer is told. An error in an authentic certificate ends the exchange at once.
"""

import struct

from micropython import const

import modules
import pki
from hal import PublicKeyError
from ike import registry as R
from ike.exchange import Refused
from ike.wire import Drop

_X509_SIGNATURE = const(4)  # encodings of CERT and CERTREQ (RFC 2408 section 3.9)
_PKCS7 = const(1)
_MAX_CERTIFICATES = const(8)

# As in ike/mainmode.py, of the two messages that signatures authenticate (RFC 2409 section 5.1)
PAYLOADS = {
    5: ((R.ID, R.SIG), (R.CERT, R.CERTREQ, R.VID, R.N)),
    6: ((R.ID, R.SIG), (R.CERT, R.CERTREQ, R.VID, R.N)),
}


class Credentials:
    """This device's key and certificates, and whom it believes.

    `key`: ("rsa", (n, e, p, q, dp, dq, qinv)), or (curve, private value) with an ECP curve, as
    hal.rsa_sign and hal.ecdsa_sign take them. `chain`: DER of our certificate and those between it
    and a CA; `anchors`: DER of the CAs that we believe, `crls` DER of their lists. `now()`: Unix
    seconds, or None while nobody has set the clock. `crl_required`: refuse a certificate whose CA
    has given no list. `expires`: when the first certificate of the chain does, Unix seconds.
    """

    payloads = PAYLOADS

    def __init__(self, key, chain, anchors, crls, now, crl_required=False):
        from pki.certificate import Certificate

        self.kind, self._private = key
        self._chain = chain
        self._anchors = anchors
        self._crls = crls
        self._crl_required = crl_required
        self._now = now
        self.method, self._hash = _method(self.kind)
        own = [Certificate(der) for der in chain]
        self.subject = bytes(own[0].subject)
        self.expires = min([one.not_after for one in own])
        self._issuers = [bytes(one.issuer) for one in own]
        self._names = [bytes(Certificate(der).subject) for der in anchors]

    def is_pair(self, hal):
        """Whether the key is that of the certificate."""
        from pki.certificate import Certificate

        key = Certificate(self._chain[0]).key
        if key is None or self.kind != (key.curve or key.kind):
            return False
        if self.kind == "rsa":
            return key.public[0] == self._private[0]
        return key.public == hal.ec_public(self.kind, self._private)

    # --- certificate requests -------------------------------------------------------------------

    def answers(self, body):
        """Whether a CERTREQ payload asks for a certificate that we have: any, or one of a CA."""
        try:
            return bool(len(body)) and body[0] == _X509_SIGNATURE and self._is_issuer(body[1:])
        except pki.Refused:  # no name at all
            return False

    def _is_issuer(self, subject):
        from pki import name

        return not len(subject) or any(name.same(subject, issuer) for issuer in self._issuers)

    def requests(self):
        """CERTREQ payloads for the CAs that we believe."""
        head = bytes((_X509_SIGNATURE,))
        return [(R.CERTREQ, head + subject) for subject in self._names]

    def _make_room(self):
        """Curves have done their part in Diffie-Hellman; an RSA key has no use for them, and an
        EC key none for curve25519."""
        if self.kind == "rsa":
            modules.unload(*modules.PUBLIC_KEYS)
        else:
            modules.unload("hal.software_x25519")

    # --- ourselves ------------------------------------------------------------------------------

    def prove(self, sa, initiators):
        """The payloads that authenticate us: identity, certificates if asked for, signature."""
        body = sa.peer.local_id
        payloads = [(R.ID, body)]
        if sa.asked:
            head = bytes((_X509_SIGNATURE,))
            payloads += [(R.CERT, head + der) for der in self._chain]
        if initiators:
            payloads += self.requests()
        from ike import mainmode

        self._make_room()
        hal = sa.engine.hal
        digest = mainmode.proof_hash(sa, initiators, body, self._hash)
        # SIG = RSA of HASH with no DigestInfo (RFC 2409 section 5.1), or r | s (RFC 4754)
        if self.kind == "rsa":
            signature = hal.rsa_sign(self._private, digest)
        else:
            signature = hal.ecdsa_sign(self.kind, self._private, digest)
        return payloads + [(R.SIG, signature)]

    # --- the peer -------------------------------------------------------------------------------

    def authenticate(self, sa, parts, initiators):
        """Whether the peer is who it says; Drop, Refused."""
        self._make_room()
        try:
            self._authenticate(sa, parts, initiators)
        except pki.Refused as refused:
            from pki import reasons

            code = refused.code
            sentence = "the peer's certificate is refused: " + reasons.sentence(code)
            refusal = code, reasons.notification(code), sentence
            if refused.authentic:
                raise Refused(*refusal)
            sa.refuse_later(*refusal)
            raise Drop(code)
        finally:
            modules.unload("pki.")  # what comes next is our signature, or the watch over the SA

    def _authenticate(self, sa, parts, initiators):
        from ike import mainmode
        from pki import path
        from pki.certificate import Certificate
        from pki.signature import verifier

        hal = sa.engine.hal
        certificates = _der(parts[R.CERT])
        if not certificates:
            raise pki.Refused("no-certificate")
        own = Certificate(certificates[0])

        def is_proved():
            digest = mainmode.proof_hash(sa, initiators, parts[R.ID], self._hash)
            return self._is_signed(hal, own, digest, parts[R.SIG])

        if not mainmode.is_over_an_offer(sa, is_proved, initiators, only_known=True):
            sa.refuse_later("bad-signature", R.INVALID_SIGNATURE, "the peer's signature is wrong")
            raise Drop("bad-signature")
        self._make_room()  # the CAs' keys may be of the other kind
        anchors = [Certificate(der) for der in self._anchors]
        revocation = None
        if self._crls or self._crl_required:
            from pki.crl import Revocation

            revocation = Revocation(lambda issuer: self._crls, self._crl_required)
        found = path.validate(
            certificates, anchors, self._now(), verifier(hal), revocation, sa.peer.legacy
        )
        _identify(sa, bytes(parts[R.ID]), found[0])

    def _is_signed(self, hal, own, digest, signature):
        """Whether SIG is the certificate's key's over HASH, by the method that was agreed;
        pki.Refused where that key is of no use."""
        key = own.key
        if not key:
            raise pki.Refused(own.flaw)
        if self.kind != (key.curve or key.kind):
            raise pki.Refused("bad-key")
        try:
            if key.kind == "rsa":
                hal.rsa_check(key.public)
                return hal.rsa_verify(key.public, digest, bytes(signature))
            hal.ec_check(key.curve, key.public)
            return hal.ecdsa_verify(key.curve, key.public, digest, bytes(signature))
        except PublicKeyError:
            raise pki.Refused("bad-key")


def _method(kind):
    """(authentication method, hash of HASH_I and HASH_R or None for the suite's)."""
    for method, (curve, name) in R.AUTH_ECDSA.items():
        if curve == kind:
            return method, name
    return R.AUTH_RSA, None


def _der(bodies):
    """The certificates of CERT payloads, the peer's own first."""
    found = []
    for body in bodies:
        encoding = body[0] if len(body) else 0
        if encoding == _X509_SIGNATURE:
            found.append(body[1:])
        elif encoding == _PKCS7:
            from pki import pkcs7

            found += pkcs7.certificates(body[1:])
        if len(found) > _MAX_CERTIFICATES:
            raise pki.Refused("too-many")
    return found


def _identify(sa, body, certificate):
    """Find the peer that is configured with this identity, which the certificate must bear out."""
    from ike import policy
    from pki import name

    kind, data = body[0], body[4:]
    if not policy.is_phase1_id(body) or not name.matches(kind, data, certificate):
        raise pki.Refused("wrong-name", True)
    for peer in sa.engine.alternatives(sa):
        expected = peer.remote_id
        if expected is None or name.equal(kind, data, expected[0], expected[4:]):
            sa.peer = peer
            sa.identity = body
            return
    raise Refused(
        "wrong-identity",
        R.INVALID_ID_INFORMATION,
        "the peer proved the identity %s, but remote_id is %s"
        % (policy.describe_identity(body), policy.describe_identity(sa.peer.remote_id)),
    )


def identity(given):
    """The body of an ID payload, of a text in strongSwan's spelling or a DN (DER); ValueError."""
    from ike import policy
    from pki import dn

    if isinstance(given, bytes):
        kind, data = R.ID_DN, given
    else:
        data = policy.packed_address(given)
        kind = R.ID_IPV4 if data and len(data) == 4 else R.ID_IPV6
        if data is None:
            kind, data = dn.identity(given)
    return struct.pack("!BBH", kind, 0, 0) + data

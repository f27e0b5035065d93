"""Authentication by certificates (RFC 2409 5.1, RFC 4754, RFC 4945), on pyca/cryptography."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import (
    NoDigestInfo,
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.x509 import verification
from cryptography.x509.verification import Criticality, ExtensionPolicy

from ikelet import pki

from .base import Credentials, PeerError
from .messages import RejectedError, describe_identity, parse_name, require

_X509_SIGNATURE = 4  # the encoding of CERT and CERTREQ (RFC 2408 3.9)
_RSA = 3
# RFC 4754: the curve of the key -> method, hash of HASH_I, HASH_R and of the signature.
_ECDSA = {
    "secp256r1": (9, hashes.SHA256()),
    "secp384r1": (10, hashes.SHA384()),
    "secp521r1": (11, hashes.SHA512()),
}


class Holder:
    """What one side proves itself with, and whom it believes.

    `method` is the authentication method; `hash` the name of the hash of HASH_I and HASH_R, None
    for the negotiated one.
    """

    def __init__(self, credentials: Credentials) -> None:
        key = load_der_private_key(credentials.key, None)
        self.method, self._hash = _method(key)
        self.hash = self._hash.name if self._hash else None
        assert isinstance(key, pki.Key)
        self._key = key
        self._chain = [x509.load_der_x509_certificate(one) for one in credentials.chain]
        self._anchors = [x509.load_der_x509_certificate(one) for one in credentials.anchors]
        self._crls = [x509.load_der_x509_crl(one) for one in credentials.crls]
        self._encoded = credentials.chain

    # -- what goes into CERTREQ and CERT ----------------------------------------------------

    def requests(self) -> list[bytes]:
        """Bodies of CERTREQ payloads: the names of the CAs that this side believes."""
        names = [anchor.subject.public_bytes() for anchor in self._anchors]
        return [bytes([_X509_SIGNATURE]) + name for name in names]

    def answers(self, body: bytes) -> bool:
        """Whether a CERTREQ asks for what this side has: any certificate, or one of its CAs'."""
        require(body, "CERTREQ is empty", 21)
        if body[0] != _X509_SIGNATURE:
            return False
        return not body[1:] or parse_name(body[1:]) in [one.issuer for one in self._chain]

    def certificates(self) -> list[bytes]:
        """Bodies of CERT payloads, this side's own certificate first."""
        return [bytes([_X509_SIGNATURE]) + one for one in self._encoded]

    # -- signatures -------------------------------------------------------------------------

    def sign(self, digest: bytes) -> bytes:
        """The body of SIG over HASH_I or HASH_R."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            # RFC 2409 5.1: PKCS #1 of the hash alone, no OID before it
            return self._key.sign(digest, PKCS1v15(), NoDigestInfo())
        # RFC 4754 7: r | s, each as long as the order of the group
        assert self._hash
        pair = decode_dss_signature(self._key.sign(digest, ec.ECDSA(Prehashed(self._hash))))
        size = (self._key.curve.key_size + 7) // 8
        return b"".join(number.to_bytes(size, "big") for number in pair)

    def check(self, bodies: Iterable[bytes], identity: bytes, digest: bytes, sig: bytes) -> bytes:
        """The other side's CERT bodies, ID body and SIG over `digest`: its certificate (DER), if
        all is well; RejectedError."""
        certificates = [_certificate(body) for body in bodies]
        require(certificates, "no certificate came, though one was asked for", 20)
        own, *others = certificates
        self._check_signature(own, digest, sig)
        self._check_path(own, others)
        require(
            _bears_out(own, identity),
            f"ID {describe_identity(identity)} is not in the certificate of {_text(own)}",
            18,
        )
        return own.public_bytes(Encoding.DER)

    def _check_signature(self, own: x509.Certificate, digest: bytes, sig: bytes) -> None:
        key = own.public_key()
        if isinstance(key, rsa.RSAPublicKey) and self.method == _RSA:
            good = _is_rsa_signature(key, digest, sig)
        elif isinstance(key, ec.EllipticCurvePublicKey) and _agreed(key) == self.method:
            good = self._is_ecdsa_signature(key, digest, sig)
        else:
            raise RejectedError("the key of its certificate is not of the agreed method", 20)
        require(good, "SIG is wrong: it was made by another key, or of another HASH", 25)

    def _is_ecdsa_signature(
        self, key: ec.EllipticCurvePublicKey, digest: bytes, sig: bytes
    ) -> bool:
        size = (key.curve.key_size + 7) // 8
        require(len(sig) == 2 * size, f"SIG has {len(sig)} octets, not {2 * size}", 25)
        r, s = (int.from_bytes(part, "big") for part in (sig[:size], sig[size:]))
        assert self._hash
        try:
            key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(self._hash)))
        except InvalidSignature:
            return False
        return True

    def _check_path(self, own: x509.Certificate, others: list[x509.Certificate]) -> None:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(self._anchors))
            .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_DEVICE)
            .build_client_verifier()
        )
        try:
            path = verifier.verify(own, others).chain
        except verification.VerificationError as error:
            text = " ".join(str(error).split())
            raise RejectedError(
                f"the certificate of {_text(own)} is not valid: {text}", 20
            ) from None
        for one, issuer in itertools.pairwise(path):
            self._check_revocation(one, issuer)

    def _check_revocation(self, one: x509.Certificate, issuer: x509.Certificate) -> None:
        now = datetime.datetime.now(datetime.UTC)
        for crl in self._crls:
            if crl.issuer != one.issuer:
                continue
            public = issuer.public_key()
            assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
            require(crl.is_signature_valid(public), f"the CRL of {_text(issuer)} is forged", 20)
            fresh = crl.next_update_utc and crl.last_update_utc <= now <= crl.next_update_utc
            require(fresh, f"the CRL of {_text(issuer)} is out of date", 20)
            revoked = crl.get_revoked_certificate_by_serial_number(one.serial_number)
            require(revoked is None, f"the certificate of {_text(one)} was revoked", 20)


def _is_rsa_signature(key: rsa.RSAPublicKey, digest: bytes, sig: bytes) -> bool:
    """The whole of PKCS #1 (RFC 8017 9.2) made again, with no DigestInfo, and compared."""
    size, public = key.key_size // 8, key.public_numbers()
    require(len(sig) == size, f"SIG has {len(sig)} octets, not {size}", 25)
    expected = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
    number = int.from_bytes(sig, "big")
    return number < public.n and pow(number, public.e, public.n) == int.from_bytes(expected, "big")


def _agreed(key: ec.EllipticCurvePublicKey) -> int | None:
    known = _ECDSA.get(key.curve.name)
    return known and known[0]


def _check_usage(
    policy: verification.Policy, own: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    """RFC 4945 5.1.3.2: digitalSignature or nonRepudiation, where there is a keyUsage."""
    del policy, own
    if usage and not (usage.digital_signature or usage.content_commitment):
        raise ValueError("keyUsage does not allow signatures")


_DEVICE = ExtensionPolicy.permit_all().may_be_present(
    x509.KeyUsage, Criticality.AGNOSTIC, _check_usage
)


def _method(key: object) -> tuple[int, hashes.HashAlgorithm | None]:
    if isinstance(key, rsa.RSAPrivateKey):
        return _RSA, None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _ECDSA:
        return _ECDSA[key.curve.name]
    raise PeerError("the key is neither RSA nor EC on P-256, P-384 or P-521")


def _certificate(body: bytes) -> x509.Certificate:
    require(body, "CERT is empty", 19)
    require(body[0] == _X509_SIGNATURE, f"encoding of CERT is {body[0]}, not X.509 signature", 19)
    try:
        return x509.load_der_x509_certificate(body[1:])
    except ValueError as error:
        raise RejectedError(f"CERT is no certificate: {error}", 19) from error


def _bears_out(own: x509.Certificate, identity: bytes) -> bool:
    """Whether the identity is the subject, or one of the subjectAltNames (RFC 4945 3.1)."""
    kind, data = identity[0], identity[4:]
    if kind == 9:
        return parse_name(data) == own.subject
    try:
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if kind in (1, 5):
        return ipaddress.ip_address(data) in names.get_values_for_type(x509.IPAddress)
    kinds: dict[int, type[x509.DNSName | x509.RFC822Name]] = {2: x509.DNSName, 3: x509.RFC822Name}
    known = names.get_values_for_type(kinds[kind]) if kind in kinds else []
    return data.decode("ascii", "replace") in known


def _text(certificate: x509.Certificate) -> str:
    return pki.text(certificate.subject)

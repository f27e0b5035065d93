"""`ikelet enroll`: a certificate for a key that the board makes and never gives away."""

import base64
import binascii
import ipaddress
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ikelet import credentials, pki
from ikelet.console import ConsoleError
from ikelet.credentials import CredentialsError
from ikelet.device import DEADLINE, Caller, Device, send
from ikelet.errors import IkeletError, MisuseError

CURVES = {"ecdsa256": "ecp256", "ecdsa384": "ecp384", "ecdsa521": "ecp521"}
# RFC 2407 4.6.2.1: the identities that a subjectAltName may hold.
_IPV4, _FQDN, _USER_FQDN, _IPV6 = 1, 2, 3, 5


class EnrollError(IkeletError):
    """The board did not make a request, or did not take the certificate."""


def subject_for(device: Device, dn: str | None, identities: Sequence[str]) -> x509.Name:
    """The subject to ask for: without a DN it is CN= and the board's name, or an identity."""
    default = device.status.get("device") or next(iter(identities), None)
    if dn is None and default is None:
        raise MisuseError("the board has no name yet: say --dn or --id")
    return pki.name(dn or f"CN={default}")


def request(device: Caller, kind: str, subject: x509.Name, identities: Sequence[str]) -> bytes:
    """Have the board make a key, one of CURVES; its request in PEM. The key in use stays."""
    wanted = {
        "curve": CURVES[kind],
        "subject": _base64(subject.public_bytes()),
        "names": [[number, _base64(data)] for number, data in map(_identity, identities)],
    }
    try:
        answer = device.call("enroll.request", wanted, timeout=DEADLINE)
    except ConsoleError as error:
        raise EnrollError(f"the board made no request: {error}") from error
    return _checked(answer, subject, kind)


def install(device: Caller, chain: Sequence[x509.Certificate]) -> None:
    """Give the board its certificate, and those between it and a CA, for its next boot."""
    given = {
        "chain": [_base64(one.public_bytes(Encoding.DER)) for one in chain if not _is_root(one)],
        "time": int(time.time()),
    }
    try:
        send(device, given, "enroll.install")
    except ConsoleError as error:
        raise EnrollError(f"the board refused the certificate: {error}") from error


def read(path: Path) -> list[x509.Certificate]:
    """The certificates of a file; MisuseError."""
    try:
        return credentials.certificates(path, "--certificate")
    except CredentialsError as error:
        raise MisuseError(str(error)) from error


def restart(device: Device) -> dict[str, Any]:
    """Restart the board with its new certificate; its `boot` event."""
    event = device.restart()
    if event["event"] == "fatal":
        raise EnrollError(f"the board has the certificate, but cannot run: {event.get('reason')}")
    return event


def _checked(answer: dict[str, Any], subject: x509.Name, kind: str) -> bytes:
    """The request that the board answers with, in PEM, once it is what was wanted."""
    try:
        made = x509.load_der_x509_csr(base64.b64decode(answer["request"], validate=True))
        good = made.is_signature_valid and made.subject == subject
    except (KeyError, ValueError, binascii.Error, InvalidSignature):
        good = False
    if good:
        public = made.public_key()
        size = int(kind.removeprefix("ecdsa"))
        good = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.key_size == size
    if not good:
        raise EnrollError("what the board answered is not the request that was asked for")
    return made.public_bytes(Encoding.PEM)


def _identity(text: str) -> tuple[int, bytes]:
    """Type and data of an identity, as in an ID payload."""
    name = pki.alternative(text)
    if isinstance(name, x509.IPAddress):
        address = ipaddress.ip_address(text)
        return (_IPV4 if address.version == 4 else _IPV6), address.packed
    kind = _USER_FQDN if isinstance(name, x509.RFC822Name) else _FQDN
    return kind, str(name.value).encode()


def _is_root(one: x509.Certificate) -> bool:
    return one.issuer == one.subject


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

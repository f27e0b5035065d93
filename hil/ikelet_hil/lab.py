"""Certificates for the suites: a CA, what it issued, and what may be wrong with it."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ikelet import credentials, pki
from ikelet.peers import Credentials
from ikelet.pki import Identity, Key, Validity

AGENT, GATEWAY = "agent.example", "gw.example"
_DAYS = 30


@functools.cache
def key(kind: str, owner: str) -> Key:
    """One key for each owner: making an RSA key takes seconds."""
    del owner
    return pki.new_key(kind)


@functools.cache
def authority(kind: str = "ecdsa256", name: str = "ca", depth: int = 0) -> Identity:
    """A root CA, or below it the `depth`-th intermediate."""
    issuer = authority(kind, name, depth - 1) if depth else None
    return pki.make_ca(
        pki.name(f"C=DE, O=Lab, CN={name} {depth}"),
        key(kind, f"{name} {depth}"),
        Validity(_DAYS),
        issuer,
    )


@dataclass
class Holder:
    """One side: what it has, and whom it believes."""

    identity: Identity
    anchors: Sequence[Identity] = field(default_factory=lambda: [authority()])
    crls: Sequence[bytes] = ()

    def chain(self) -> list[bytes]:
        return [_der(one) for one in (self.identity.certificate, *self.identity.chain)]

    def for_peer(self) -> Credentials:
        """As a peer gateway takes it."""
        return Credentials(
            credentials.pkcs8(self.identity.signing_key()),
            tuple(self.chain()),
            tuple(_der(one.certificate) for one in self.anchors),
            tuple(self.crls),
        )

    def for_agent(self, **more: Any) -> dict[str, Any]:
        """The agent's section [certificate]."""
        own = self.identity
        anchors = [one.certificate for one in self.anchors]
        section = credentials.encoded(own.key, [own.certificate, *own.chain], anchors)
        section |= {"crl": [base64_of(one) for one in self.crls]} | more
        return {name: value for name, value in section.items() if value is not None}


def holder(
    kind: str,
    owner: str,
    issuer: Identity | None = None,
    names: Sequence[str] | None = None,
    days: float = _DAYS,
) -> Holder:
    """A gateway or device with a certificate of `issuer`, by default the root."""
    identity = pki.make_device(
        pki.name(f"C=DE, O=Lab, CN={owner}"),
        key(kind, owner),
        Validity(days),
        issuer or authority(),
        [owner] if names is None else names,
    )
    return Holder(identity)


def crl(issuer: Identity, *revoked: Identity, days: float = _DAYS) -> bytes:
    """A list (DER) of the certificates that `issuer` has revoked."""
    since = issuer.certificate.not_valid_before_utc
    serials = {one.certificate.serial_number: since for one in revoked}
    listed = x509.load_pem_x509_crl(pki.make_crl(issuer, serials, Validity(days), 1))
    return listed.public_bytes(Encoding.DER)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""A device's key and certificates: from the files that people keep to what the board is given.

PEM or DER; the key as PKCS#8, PKCS#1 or SEC 1, or all of it in one PKCS#12. The board gets DER in
base64, the key as PKCS#8.
"""

import base64
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_MAX_CHAIN = 4


class CredentialsError(ValueError):
    """A file is not what it should be; the text starts with the key that named it."""


@dataclass
class Files:
    """Where the parts are: the keys of the section [certificate] that end in _file."""

    key: Path | None = None
    certificate: Path | None = None
    ca: Path | None = None
    crl: Path | None = None
    pkcs12: Path | None = None
    password: Path | None = None
    warnings: list[str] = field(default_factory=list)


def section(files: Files) -> dict[str, Any]:
    """The board's section `certificate`: key (absent: the board's own), chain, ca, crl, time.

    CredentialsError names the key of the configuration whose file cannot be used.
    """
    key, chain, anchors = _parts(files)
    if not chain:
        raise CredentialsError("certificate_file has no certificate")
    if not anchors:
        raise CredentialsError("ca_file is missing; add the file of the CAs that peers may have")
    if len(chain) > _MAX_CHAIN or len(anchors) > _MAX_CHAIN:
        raise CredentialsError(f"a chain, and ca_file, have {_MAX_CHAIN} certificates at most")
    if key is not None:
        _check_key(key, chain[0])
    return encoded(key, chain, anchors, _crls(files.crl))


def encoded(
    key: Any,
    chain: Iterable[x509.Certificate],
    anchors: Iterable[x509.Certificate],
    crls: Iterable[x509.CertificateRevocationList] = (),
) -> dict[str, Any]:
    """The board's section `certificate` of these; `key` None: the board's own."""
    found: dict[str, Any] = {
        "chain": _all_base64(chain),
        "ca": _all_base64(anchors),
        "crl": _all_base64(crls),
        "time": int(time.time()),
    }
    if key is not None:
        found["key"] = _base64(pkcs8(key))
    return found


def pkcs8(key: Any) -> bytes:
    """A private key in DER, not encrypted."""
    der: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return der


def secret_part(key: str) -> bytes:
    """Of a key in the board's spelling, the octets that stand in no certificate."""
    private = load_der_private_key(base64.b64decode(key), None)
    if isinstance(private, rsa.RSAPrivateKey):
        number = private.private_numbers().p
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        number = private.private_numbers().private_value
    else:
        raise CredentialsError("key is neither RSA nor EC")
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _parts(files: Files) -> tuple[Any, list[x509.Certificate], list[x509.Certificate]]:
    """(private key or None, chain, CAs)."""
    anchors = certificates(files.ca, "ca_file") if files.ca else []
    if files.pkcs12:
        key, chain = _from_pkcs12(files)
        return key, chain, anchors or [one for one in chain if one.issuer == one.subject]
    key = _private_key(files) if files.key else None
    chain = certificates(files.certificate, "certificate_file") if files.certificate else []
    return key, [one for one in chain if one.issuer != one.subject] or chain, anchors


def _from_pkcs12(files: Files) -> tuple[Any, list[x509.Certificate]]:
    assert files.pkcs12 is not None
    data = _read(files.pkcs12, "pkcs12_file", files.warnings)
    try:
        key, own, others = pkcs12.load_key_and_certificates(data, _password(files))
    except ValueError as error:
        raise CredentialsError(
            f"pkcs12_file {files.pkcs12} cannot be opened: is it PKCS#12, and is the password in "
            f"password_file its own?"
        ) from error
    if key is None or own is None:
        raise CredentialsError(f"pkcs12_file {files.pkcs12} has no key with its certificate")
    return key, [own, *others]


def _private_key(files: Files) -> Any:
    assert files.key is not None
    data = _read(files.key, "key_file", files.warnings)
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        return load(data, _password(files))
    except TypeError as error:
        wrong = "needs password_file" if files.password is None else "is not encrypted"
        raise CredentialsError(f"key_file {files.key} {wrong}") from error
    except ValueError as error:
        raise CredentialsError(
            f"key_file {files.key} is no private key, or its password is another"
        ) from error


def _check_key(key: Any, own: x509.Certificate) -> None:
    if isinstance(key, rsa.RSAPrivateKey):
        if not 2048 <= key.key_size <= 4096:
            raise CredentialsError(f"key_file has {key.key_size} bits; use RSA of 2048 to 4096")
    elif not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        raise CredentialsError("key_file is neither RSA nor EC on P-256, P-384 or P-521")
    if key.public_key() != own.public_key():
        raise CredentialsError("key_file is not the key of the first certificate")


def certificates(path: Path, key: str) -> list[x509.Certificate]:
    """Of a file, PEM or DER; CredentialsError, which begins with `key`."""
    data = _read(path, key)
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise CredentialsError(f"{key} {path} has no certificate that can be read") from error


def _crls(path: Path | None) -> list[x509.CertificateRevocationList]:
    if path is None:
        return []
    data = _read(path, "crl_file")
    end = b"-----END X509 CRL-----"
    try:
        if end in data:
            return [x509.load_pem_x509_crl(part + end) for part in data.split(end)[:-1]]
        return [x509.load_der_x509_crl(data)]
    except ValueError as error:
        raise CredentialsError(f"crl_file {path} has no CRL that can be read") from error


def _password(files: Files) -> bytes | None:
    if files.password is None:
        return None
    return _read(files.password, "password_file", files.warnings).rstrip(b"\r\n")


def _read(path: Path, key: str, secret_warnings: list[str] | None = None) -> bytes:
    try:
        open_to_others = os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        if secret_warnings is not None and open_to_others:
            secret_warnings.append(f"{path} can be read by other users: chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(f"{key} cannot be read: {path}: {error.strerror}") from error


def _all_base64(
    given: Iterable[x509.Certificate | x509.CertificateRevocationList],
) -> list[str]:
    return [_base64(one.public_bytes(Encoding.DER)) for one in given]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""The files of a lab's PKI: NAME.key.pem, NAME.pem (and the intermediates), NAME.crl.pem ..."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ikelet.errors import IkeletError, MisuseError
from ikelet.pki import Identity, key_pem, pem

SECRET, PUBLIC = 0o600, 0o644
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Place:
    """Where the files of `name` are."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or "/" in self.name or "\0" in self.name:
            raise MisuseError(f"not a name for files: {self.name!r}")

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key.pem"

    @property
    def certificate(self) -> Path:
        """The certificate, and behind it the intermediates up to the root."""
        return self.folder / f"{self.name}.pem"

    @property
    def crl(self) -> Path:
        return self.folder / f"{self.name}.crl.pem"

    @property
    def pkcs12(self) -> Path:
        return self.folder / f"{self.name}.p12"


def identity_files(place: Place, identity: Identity) -> dict[Path, tuple[bytes, int]]:
    """What `write` needs for an identity."""
    files = {place.certificate: (pem([identity.certificate, *identity.chain]), PUBLIC)}
    if identity.key:
        files[place.key] = key_pem(identity.key), SECRET
    return files


def write(files: Mapping[Path, tuple[bytes, int]], force: bool) -> None:
    """Write {path: (content, mode)}: none of them where one is there already, unless `force`."""
    there = [str(path) for path in files if path.exists() or path.is_symlink()]
    if there and not force:
        raise MisuseError(f"{', '.join(there)}: there already; --force overwrites")
    for path, (content, mode) in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content, mode, force)
        except OSError as error:
            raise IkeletError(f"cannot write {path}: {error.strerror}") from error


def load(place: Place) -> Identity:
    """A CA or another's identity that was written before."""
    certificates = read(place.certificate, x509.load_pem_x509_certificates)
    found = Identity(certificates[0], None, certificates[1:])
    if place.key.exists():
        key = read(place.key, lambda data: serialization.load_pem_private_key(data, None))
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise MisuseError(f"{place.key}: neither an EC nor an RSA key")
        if key.public_key() != certificates[0].public_key():
            raise MisuseError(f"{place.key} does not belong to {place.certificate}")
        found.key = key
    return found


def root_of(folder: Path, identity: Identity) -> list[x509.Certificate]:
    """The root above an identity, if it is among the folder's files."""
    top = [identity.certificate, *identity.chain][-1]
    for path in sorted(folder.glob("*.pem")):
        if path.name.count(".") == 1:
            one = load(Place(folder, path.stem))
            if one.is_root() and one.certificate.subject == top.issuer:
                return [one.certificate]
    return []


def read_crl(place: Place) -> x509.CertificateRevocationList | None:
    """The CRL of a CA, None where it has none."""
    if not place.crl.exists():
        return None
    return read(place.crl, x509.load_pem_x509_crl)


def read(path: Path, reader: Callable[[bytes], _Read]) -> _Read:
    """The file's content, by one of the library's readers; MisuseError says what is wrong."""
    try:
        return reader(path.read_bytes())
    except OSError as error:
        raise MisuseError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise MisuseError(f"{path}: not what it should be: {error}") from error


def _write(path: Path, content: bytes, mode: int, force: bool) -> None:
    """Never readable by others for a moment, and never half written."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".ikelet-", delete=False) as file:
        try:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if force:
                os.replace(file.name, path)
            else:
                os.link(file.name, path)  # fails where there is one by now
        finally:
            Path(file.name).unlink(missing_ok=True)

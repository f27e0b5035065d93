"""`ikelet pki`: a small test CA, certificates and CRLs for labs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from cryptography import x509

from ikelet import pki
from ikelet.cli_options import file_option, force_option, identity_option
from ikelet.errors import MisuseError
from ikelet.pkifiles import (
    PUBLIC,
    SECRET,
    Place,
    identity_files,
    load,
    read,
    read_crl,
    root_of,
    write,
)

_dir_option = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("pki"),
    show_default=True,
    help="Where the files are.",
)
_key_option = click.option(
    "--key", "kind", type=click.Choice(pki.KEYS), default="ecdsa256", show_default=True
)
_dn_option = click.option("--dn", help='Its name, such as "C=DE, O=Lab, CN=gw"; default: CN=NAME.')
_ca_option = click.option("--ca", "ca_name", required=True, help="The NAME of the issuing CA.")


def _days(default: float) -> Callable[..., Any]:
    return click.option(
        "--days",
        type=float,
        default=default,
        show_default=True,
        help="Valid from now on for so long; negative: expired since.",
    )


@click.group()
def group() -> None:
    """Make a test PKI for a lab: CAs, certificates, revocation lists.

    Each has a NAME: NAME.key.pem (mode 0600, not encrypted), NAME.pem (the certificate, then its
    intermediates), NAME.crl.pem, NAME.p12. Nothing is overwritten without --force.

    \b
    Examples:
      ikelet pki lab                                     all of it, for a start
      ikelet pki ca root --dn "C=DE, O=Lab, CN=Root"
      ikelet pki ca branch --ca root --pathlen 0
      ikelet pki issue gw --ca branch --id gw.example --id 10.0.0.1
      ikelet pki crl branch --revoke gw
      ikelet pki show pki/gw.pem
    """


@group.command()
@click.argument("name")
@click.option("--ca", "ca_name", help="The NAME of the CA above; without it, a root.")
@click.option("--pathlen", type=click.IntRange(min=0), help="So many CAs may be below it.")
@_dn_option
@_key_option
@_days(3650)
@_dir_option
@force_option
def ca(
    name: str,
    ca_name: str | None,
    pathlen: int | None,
    dn: str | None,
    kind: str,
    days: float,
    folder: Path,
    force: bool,
) -> int:
    """Make a root CA, or an intermediate one with --ca; and its first, empty CRL.

    \b
    Examples:
      ikelet pki ca root
      ikelet pki ca branch --ca root --key rsa3072 --pathlen 0
    """
    place = Place(folder, name)
    issuer = load(Place(folder, ca_name)) if ca_name else None
    subject = pki.name(dn or f"CN={name}")
    made = pki.make_ca(subject, pki.new_key(kind), pki.Validity(days), issuer, pathlen)
    files = identity_files(place, made)
    files[place.crl] = pki.make_crl(made, {}, pki.Validity(30), 1), PUBLIC
    return _write(files, force)


@group.command()
@click.argument("name")
@_ca_option
@identity_option
@file_option(
    "--request",
    "A request (PKCS #10, PEM or DER), such as `ikelet enroll` brings: no key is made.",
)
@click.option("--p12", is_flag=True, help="NAME.p12 too: key, certificate and CAs in one file.")
@file_option("--password-file", "The password of NAME.p12: the first line of this file.")
@_dn_option
@_key_option
@_days(365)
@_dir_option
@force_option
def issue(
    name: str,
    ca_name: str,
    names: tuple[str, ...],
    request: Path | None,
    p12: bool,
    password_file: Path | None,
    dn: str | None,
    kind: str,
    days: float,
    folder: Path,
    force: bool,
) -> int:
    """Make a certificate for a gateway or device, with its key or for a request.

    \b
    Examples:
      ikelet pki issue gw --ca root --id gw.example --id 192.0.2.1
      ikelet pki issue branch-17 --ca root --request branch-17.csr
      ikelet pki issue phone --ca root --key rsa2048 --p12 --password-file secret
    """
    place = Place(folder, name)
    issuer = load(Place(folder, ca_name))
    valid = pki.Validity(days)
    if request:
        if p12 or dn:
            raise MisuseError("a request has its own key and name: neither --p12 nor --dn")
        made = pki.answer(read(request, _request), valid, issuer, names or None)
    else:
        subject = pki.name(dn or f"CN={name}")
        made = pki.make_device(subject, pki.new_key(kind), valid, issuer, names)
    files = identity_files(place, made)
    if p12:
        password = _first_line(password_file) if password_file else b""
        above = root_of(folder, made)
        files[place.pkcs12] = pki.bundle(made, above, password), SECRET
    elif password_file:
        raise MisuseError("--password-file is for --p12")
    return _write(files, force)


@group.command()
@click.argument("name")
@click.option(
    "--revoke",
    multiple=True,
    metavar="WHAT",
    help="The NAME of a certificate, or a serial number in hex; may be repeated.",
)
@_days(30)
@_dir_option
def crl(name: str, revoke: tuple[str, ...], days: float, folder: Path) -> int:
    """Make a new CRL of a CA, with what was revoked before and what --revoke adds.

    \b
    Examples:
      ikelet pki crl root --revoke gw
      ikelet pki crl root --days -1            a stale one, for tests
    """
    place = Place(folder, name)
    issuer = load(place)
    before = read_crl(place)
    valid = pki.Validity(days)
    revoked, number = {}, 1
    if before is not None:
        revoked = {one.serial_number: one.revocation_date_utc for one in before}
        number += before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    for what in revoke:
        revoked.setdefault(_serial(folder, what, issuer), valid.start)
    made = pki.make_crl(issuer, revoked, valid, number)
    return _write({place.crl: (made, PUBLIC)}, force=True)


@group.command()
@_key_option
@_dir_option
@force_option
def lab(kind: str, folder: Path, force: bool) -> int:
    """Make a root, an intermediate CA, and a gateway and a device below it, with their CRLs.

    \b
    Example:
      ikelet pki lab --key rsa2048 --dir lab
    """
    valid = pki.Validity(365)
    root = pki.make_ca(pki.name("O=Lab, CN=Lab Root"), pki.new_key(kind), valid)
    middle_name = pki.name("O=Lab, CN=Lab Branches")
    middle = pki.make_ca(middle_name, pki.new_key(kind), valid, root, 0)
    made = {"root": root, "branches": middle}
    for device in ("gateway", "device"):
        subject = pki.name(f"O=Lab, CN={device}.example")
        names = [f"{device}.example"]
        made[device] = pki.make_device(subject, pki.new_key(kind), valid, middle, names)
    files = {}
    for name, one in made.items():
        files.update(identity_files(Place(folder, name), one))
    for name in ("root", "branches"):
        empty = pki.make_crl(made[name], {}, pki.Validity(30), 1)
        files[Place(folder, name).crl] = empty, PUBLIC
    return _write(files, force)


@group.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per certificate.")
def show(file: Path, as_json: bool) -> int:
    """Print what is in a file of certificates (PEM).

    \b
    Example:
      ikelet pki show pki/gw.pem
    """
    for one in read(file, x509.load_pem_x509_certificates):
        row = _described(one)
        if as_json:
            print(json.dumps(row))
            continue
        click.echo(row["subject"])
        for key in ("issuer", "names", "key", "ca", "from", "until", "serial"):
            click.echo(f"  {key:<8}{row[key]}")
    return 0


def _described(one: x509.Certificate) -> dict[str, str]:
    def extension(kind: type[x509.ExtensionType]) -> object | None:
        try:
            return one.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    basic = extension(x509.BasicConstraints)
    names = extension(x509.SubjectAlternativeName)
    public = one.public_key()
    size = getattr(public, "key_size", "")
    ca = isinstance(basic, x509.BasicConstraints) and basic.ca
    return {
        "subject": pki.text(one.subject),
        "issuer": pki.text(one.issuer),
        "names": ", ".join(str(each.value) for each in names)
        if isinstance(names, x509.SubjectAlternativeName)
        else "",
        "key": f"{type(public).__name__.removesuffix('PublicKey')} {size}",
        "ca": "yes" if ca else "no",
        "from": one.not_valid_before_utc.isoformat(),
        "until": one.not_valid_after_utc.isoformat(),
        "serial": f"{one.serial_number:x}",
    }


def _write(files: dict[Path, tuple[bytes, int]], force: bool) -> int:
    write(files, force)
    for path in files:
        click.echo(path)
    return 0


def _request(data: bytes) -> x509.CertificateSigningRequest:
    if data.startswith(b"-----"):
        return x509.load_pem_x509_csr(data)
    return x509.load_der_x509_csr(data)


def _first_line(path: Path) -> bytes:
    line = read(path, lambda data: (data.splitlines() or [b""])[0])
    if not line:
        raise MisuseError(f"{path}: no password in its first line")
    return line


def _serial(folder: Path, what: str, issuer: pki.Identity) -> int:
    place = Place(folder, what)
    if not place.certificate.exists():
        try:
            return int(what, 16)
        except ValueError:
            raise MisuseError(
                f"{what}: neither {place.certificate} is there nor is it a serial number in hex"
            ) from None
    certificate = load(place).certificate
    if certificate.issuer != issuer.certificate.subject:
        by = pki.text(certificate.issuer)
        raise MisuseError(f"{what} is by {by}: only its own CA can revoke it")
    return certificate.serial_number

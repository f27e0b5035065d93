"""`ikelet enroll`: the board makes a key; a request comes out, a certificate goes in."""

import json
from pathlib import Path

import click

from ikelet import boards
from ikelet.cli_options import (
    file_option,
    force_option,
    identity_option,
    json_option,
    password_option,
    reach_option,
    rehearsal_option,
)
from ikelet.errors import MisuseError


@click.command()
@reach_option
@rehearsal_option
@file_option(
    "--certificate",
    "What the CA made of the request (PEM): the certificate, then its intermediates.",
)
@click.option("--dn", help='The subject, such as "O=Lab, CN=branch-17"; default: CN=its name.')
@identity_option
@click.option(
    "--key",
    "kind",
    type=click.Choice(["ecdsa256", "ecdsa384", "ecdsa521"]),
    default="ecdsa256",
    show_default=True,
)
@file_option("--out", "A file for the request (PEM); without it, standard output.")
@force_option
@password_option
@json_option
def enroll(
    url: str | None,
    board_name: str | None,
    certificate: Path | None,
    dn: str | None,
    names: tuple[str, ...],
    kind: str,
    out: Path | None,
    force: bool,
    password_file: Path | None,
    as_json: bool,
) -> int:
    """Get a board a certificate for a key of its own, which never leaves it.

    First the board makes a key pair and a request (PKCS #10) for a CA. With --certificate it then
    gets what the CA made of it, checks that against its key and the CAs of its configuration, and
    restarts with it. Until then, and where it is interrupted, it goes on with what it has. A board
    that has no configuration yet gets the certificate with it: ikelet provision, certificate_file
    without key_file.

    \b
    Examples:
      ikelet enroll --port /dev/ttyUSB0 --id branch-17.example --out branch-17.csr
      ikelet pki issue branch-17 --ca root --request branch-17.csr
      ikelet enroll --port /dev/ttyUSB0 --certificate pki/branch-17.pem
      ikelet enroll --board unix --dn "CN=branch-17"      a rehearsal
    """
    from ikelet import access, rehearsal
    from ikelet import enroll as it
    from ikelet.pkifiles import PUBLIC, write

    board = boards.find(board_name) if board_name else None
    if certificate and url is None:
        raise MisuseError("say where the board is that made the request: --port PORT")
    if certificate and (dn or names or out):
        raise MisuseError("--certificate brings a certificate in: neither --dn, --id nor --out")
    password = access.given(password_file)
    with rehearsal.reached(url, board) as device:
        device.expect(board)
        access.unlock(device, password)
        if certificate:
            it.install(device, it.read(certificate))
            event = it.restart(device)
            name = event.get("device")
            text = f"{name} runs with its new certificate"
            print(json.dumps({"event": "result", "boot": event}) if as_json else text)
            return 0
        made = it.request(device, kind, it.subject_for(device, dn, names), names)
    if out:
        write({out: (made, PUBLIC)}, force)
    if as_json:
        print(json.dumps({"event": "result", "request": made.decode()}))
    else:
        click.echo(out or made.decode(), nl=out is not None)
    return 0

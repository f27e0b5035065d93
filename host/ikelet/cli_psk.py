"""The command `ikelet psk`: a strong pre-shared key."""

from pathlib import Path

import click

from ikelet import psk as keys
from ikelet.pkifiles import SECRET, write


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--bits",
    type=click.IntRange(128, 1024),
    default=256,
    show_default=True,
    help="At least so many, all of them random.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(keys.FORMS),
    default=keys.FORMS[0],
    show_default=True,
    help="How it is spelled: 0s and base64, 0x and hex, or letters and digits.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def psk(file: Path | None, bits: int, form: str, force: bool) -> int:
    """Make a pre-shared key: print it, or write it to FILE, which only you can read.

    The agent and strongSwan take every format; other gateways may want text.

    \b
    Examples:
      ikelet psk hq.key                     then psk_file = "hq.key"
      ikelet psk --format text --bits 192
    """
    text = keys.generate(bits, form)
    if file is None:
        print(text)
    else:
        write({file: (text.encode() + b"\n", SECRET)}, force)
    return 0

"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per event.")
identity_option = click.option(
    "--id",
    "names",
    multiple=True,
    metavar="IDENTITY",
    help="An address, host name or mail address for the subjectAltName; may be repeated.",
)
reach_option = click.option(
    "--port", "url", help="A serial device (/dev/ttyUSB0, COM3) or a URL (socket://host:port)."
)
rehearsal_option = click.option(
    "--board", "board_name", help="Refuse another board; alone: rehearse on this one."
)
force_option = click.option("--force", is_flag=True, help="Overwrite files.")


def file_option(name: str, help_text: str) -> Callable[[_Command], _Command]:
    """An option that takes the path of a file."""
    return click.option(name, type=click.Path(path_type=Path, dir_okay=False), help=help_text)


password_option = file_option(
    "--password-file",
    "The password of a board in production, unless its new CONFIG has it too.",
)

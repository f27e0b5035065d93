"""What every command does on the terminal."""

from pathlib import Path

import click

from ikelet import config
from ikelet.config import Config


def complain(message: str) -> None:
    """On stderr, each line with the program's name."""
    for line in message.splitlines():
        click.echo(f"ikelet: {line}", err=True)


def configuration(path: Path, allow_weak_psk: bool) -> Config:
    """Load a configuration and tell its warnings; ConfigError."""
    given = config.load(path, allow_weak_psk=allow_weak_psk)
    for warning in given.warnings:
        complain(f"warning: {warning}")
    return given

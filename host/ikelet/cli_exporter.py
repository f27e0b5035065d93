"""The command `ikelet exporter`: boards' status for Prometheus."""

import threading

import click

from ikelet.errors import MisuseError
from ikelet.terminal import complain


def _address(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, int]:
    """[HOST]:PORT; without a host all of this machine's addresses."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        text = f"{value}: write [HOST]:PORT, such as :9633 or 127.0.0.1:9633"
        raise click.BadParameter(text, ctx, param)
    return host.strip("[]") or "0.0.0.0", int(port)


@click.command()
@click.option(
    "--port",
    "urls",
    multiple=True,
    required=True,
    help="A serial device, or socket://host:port; may be repeated.",
)
@click.option(
    "--listen",
    callback=_address,
    default="127.0.0.1:9633",
    show_default=True,
    metavar="[HOST]:PORT",
)
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=15.0,
    show_default=True,
    metavar="S",
    help="How often each board is asked.",
)
def exporter(urls: tuple[str, ...], listen: tuple[str, int], every: float) -> int:
    """Serve boards' SAs, drops, engines, heap and failures to Prometheus, until Ctrl-C.

    The boards' ports stay open meanwhile: other commands find them in use. A board that does not
    answer is ikelet_up 0.

    \b
    Examples:
      ikelet exporter --port /dev/ttyUSB0 --port /dev/ttyUSB1
      ikelet exporter --port socket://bench:7000 --listen :9633
    """
    try:
        from ikelet import exporter as it
    except ModuleNotFoundError as error:
        raise MisuseError(
            f"needs Python's module {error.name}: pip install 'ikelet[exporter]'"
        ) from error
    with it.serving(dict.fromkeys(urls), listen, every, complain) as port:
        click.echo(f"http://{listen[0]}:{port}/metrics")
        threading.Event().wait()
    return 0

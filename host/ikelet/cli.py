"""The `ikelet` command. Exit codes: 0 done, 1 it failed, 2 misuse, 130 interrupted."""

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ikelet import (
    __version__,
    boards,
    cli_device,
    cli_enroll,
    cli_exporter,
    cli_hil,
    cli_pki,
    cli_psk,
    ports,
)
from ikelet.cli_options import json_option
from ikelet.errors import IkeletError
from ikelet.show import JsonShow, Show, TextShow
from ikelet.terminal import complain, configuration

_TIMEOUT = click.FloatRange(min=0.1)
_board_option = click.option(
    "--board", "board_name", default="unix", show_default=True, help="See `ikelet boards`."
)


class Commands(click.Group):
    """Lists the commands in the order in which a user meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ikelet")
def ikelet() -> None:
    """IKEv1 Main Mode for ESP32-class boards: run it, drive it, test it.

    \b
    Examples:
      ikelet demo                           see phase 1 come up, on this machine alone
      ikelet demo --auth ecdsa              the same with certificates
      ikelet demo --peer strongswan         the same with strongSwan's charon
      ikelet up branch.toml --board unix    bring a configured agent up
      ikelet boards                         what can be used here, and what is missing
      ikelet flash --board B --port P       MicroPython and the agent onto a real board
      ikelet provision branch.toml --port P its configuration
      ikelet boards --scan                  what is plugged in, into bench.toml
      ikelet hil --board auto               the suites on all of it
    """


@ikelet.command()
@_board_option
@click.option(
    "--peer",
    type=click.Choice(["builtin", "strongswan"]),
    default="builtin",
    show_default=True,
    help="The gateway to talk to.",
)
@click.option(
    "--auth",
    type=click.Choice(["psk", "rsa", "ecdsa"]),
    default="psk",
    show_default=True,
    help="A pre-shared key, or certificates made for this run.",
)
@click.option("--timeout", type=_TIMEOUT, default=30.0, show_default=True, metavar="S")
@json_option
def demo(board_name: str, peer: str, auth: str, timeout: float, as_json: bool) -> int:
    """Boot an agent and a gateway and bring phase 1 up between them.

    \b
    Examples:
      ikelet demo
      ikelet demo --auth ecdsa
      ikelet demo --peer strongswan --json
    """
    from ikelet import demo as it

    with _show(as_json) as show:
        outcome = it.run(boards.find(board_name), peer, auth, timeout, show)
        return _end(show, outcome.as_event())


@ikelet.command()
@click.argument("config", type=click.Path(path_type=Path))
@_board_option
@click.option("--peer", "peer_name", help="Which [peer.NAME], where there are several.")
@click.option(
    "--timeout", type=_TIMEOUT, default=60.0, show_default=True, metavar="S", help="Then give up."
)
@click.option(
    "--hold",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="S",
    help="Keep the SA so long before taking it down.",
)
@click.option(
    "--allow-weak-psk", is_flag=True, help="For a lab: accept a key that can be guessed."
)
@json_option
def up(
    config: Path,
    board_name: str,
    peer_name: str | None,
    timeout: float,
    hold: float,
    allow_weak_psk: bool,
    as_json: bool,
) -> int:
    """Bring the agent of CONFIG (TOML) up on a board.

    As initiator it calls the peer; as responder it waits for the peer to call. Exit code 0 once
    the SA is established, 1 with the reason otherwise. The SA is deleted at the end.

    \b
    Examples:
      ikelet up branch.toml --timeout 30
      ikelet up branch.toml --hold 3600 --json
    """
    from ikelet import up as it

    given = configuration(config, allow_weak_psk)
    name = it.choose_peer(given, peer_name)
    with _show(as_json) as show:
        outcome = it.run(boards.find(board_name), given, name, timeout, hold, show)
        return _end(show, outcome.as_event())


@ikelet.command(name="boards")
@click.option("--scan", is_flag=True, help="Ask what is plugged in; add it to bench.toml.")
@click.option(
    "--bench",
    "bench_file",
    type=click.Path(path_type=Path),
    default="bench.toml",
    show_default=True,
    help="What is plugged in here.",
)
@json_option
def list_boards(scan: bool, bench_file: Path, as_json: bool) -> int:
    """List every board, and why it is or is not usable here.

    --scan asks each USB serial port which board is behind it, which may reset it, and writes the
    new ones to bench.toml; what stands there stays.
    """
    if scan:
        return _scan(bench_file, as_json)
    rows = [(board, boards.usable(board)) for board in boards.load_all().values()]
    width = max(len(board.name) for board, _ in rows)
    for board, why in rows:
        if as_json:
            row = {"name": board.name, "title": board.title, "kind": board.kind}
            print(json.dumps({"event": "board", **row, "usable": not why, "reason": why}))
            continue
        mark, colour = ("no ", "red") if why else ("yes", "green")
        click.echo(f"{board.name:<{width}}  {click.style(mark, fg=colour)}  {board.title}")
        if why:
            click.echo(f"{'':<{width}}       {why}")
    for name, what in ports.present():
        if as_json:
            print(json.dumps({"event": "port", "name": name, "title": what}))
        else:
            click.echo(f"{name}: {what}")
    return 0


def _scan(path: Path, as_json: bool) -> int:
    from ikelet import scan as it

    found = it.scan(path, lambda text: None if as_json else click.echo(text, err=True))
    for one in found:
        if as_json:
            print(json.dumps({"event": "port", **vars(one)}))
        elif one.type:
            click.echo(f"{one.port}: {one.type}, --board {one.name} ({one.note})")
        else:
            click.echo(f"{one.port}: {one.note}")
    if not found:
        complain("no USB serial port is plugged in")
    return 0 if any(one.type for one in found) else 1


for _command in (
    *cli_device.COMMANDS,
    cli_enroll.enroll,
    cli_exporter.exporter,
    cli_hil.hil,
    cli_psk.psk,
):
    ikelet.add_command(_command)
ikelet.add_command(cli_pki.group, "pki")


@contextlib.contextmanager
def _show(as_json: bool) -> Iterator[Show]:
    """The show of a command. With --json a failure is a result object too."""
    show: Show = JsonShow() if as_json else TextShow()
    try:
        yield show
    except IkeletError as error:
        if as_json:
            show.result({"event": "result", "established": False, "reason": str(error)})
        raise
    finally:
        show.close()


def _end(show: Show, result: dict[str, Any]) -> int:
    show.result(result)
    if result["established"]:
        return 0
    complain(result["reason"])
    return 1


def _terminated(number: int, frame: FrameType | None) -> None:
    """A polite kill is cleaned up after like Ctrl-C."""
    del frame
    raise SystemExit(128 + number)


def main() -> None:
    """Entry point. What the user can mend is one line on stderr, never a stack trace."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminated)
    try:
        sys.exit(ikelet.main(standalone_mode=False))
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted")
        sys.exit(130)
    except click.ClickException as error:
        complain(error.format_message())
        sys.exit(2)
    except IkeletError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone, as in `ikelet ... | head`.
        sys.stderr.close()
        sys.exit(141)

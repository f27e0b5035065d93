"""The commands for the life of a device: flash, provision, status, selftest, console, reset."""

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from ikelet import access, boards
from ikelet.agent import Agent
from ikelet.cli_options import json_option, password_option, reach_option, rehearsal_option
from ikelet.console import Console
from ikelet.device import Device
from ikelet.errors import IkeletError, MisuseError
from ikelet.progress import JsonProgress, Progress, TextProgress
from ikelet.terminal import complain, configuration

_emulated_option = click.option(
    "--board", "board_name", help="Boot this emulated board with CONFIG instead."
)
_config_argument = click.argument("config", type=click.Path(path_type=Path), required=False)
_weak_option = click.option(
    "--allow-weak-psk", is_flag=True, help="For a lab: accept a key that can be guessed."
)


def _agent_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which agent a command talks to: one at a port, or that of CONFIG on an emulated board."""
    for option in (_weak_option, _config_argument, _emulated_option, reach_option):
        command = option(command)
    return command


@click.command()
@click.option("--board", "board_name", required=True, help="See `ikelet boards`.")
@click.option("--port", "url", required=True, help="A serial device, or socket://host:port.")
@click.option("--image", help="A file, a name that the board file pins, or URL#sha256=HEX.")
@click.option("--erase", is_flag=True, help="Begin with an empty flash: no configuration stays.")
@json_option
def flash(board_name: str, url: str, image: str | None, erase: bool, as_json: bool) -> int:
    """Put MicroPython and the agent on a board; what is there already stays.

    \b
    Examples:
      ikelet flash --board olimex-esp32-poe --port /dev/ttyUSB0
      ikelet flash --board ESP32_GENERIC_C3 --port COM3 --image ESP32_GENERIC_C3-….bin
    """
    from ikelet import flash as it

    with _progress(as_json, "flashed") as progress:
        done = it.run(boards.find(board_name), url, image, erase, progress)
        if as_json:
            print(json.dumps(done.as_event()))
            return 0
        print(f"{done.board}: MicroPython {done.micropython}, agent {done.agent}")
        if not done.provisioned:
            print(f"next: ikelet provision CONFIG --port {url}")
    return 0


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@reach_option
@rehearsal_option
@password_option
@_weak_option
@json_option
def provision(
    config: Path,
    url: str | None,
    board_name: str | None,
    password_file: Path | None,
    allow_weak_psk: bool,
    as_json: bool,
) -> int:
    """Give a flashed board its configuration; it restarts with it.

    An interruption leaves the old configuration or the new one. A board in production wants its
    password, or to be started with its boot button held. With an emulated --board and no
    --port this is a rehearsal, on a board that is thrown away.

    \b
    Examples:
      ikelet provision branch-17.toml --port /dev/ttyUSB0
      ikelet provision branch-17.toml --port COM3 --password-file old-password
      ikelet provision branch-17.toml --board unix
    """
    from ikelet import provision as it
    from ikelet import rehearsal

    given = configuration(config, allow_weak_psk)
    old = access.given(password_file)
    board = boards.find(board_name) if board_name else None
    with _progress(as_json, "provisioned") as progress:
        with rehearsal.reached(url, board) as device:
            event = it.run(device, given, board, progress, old)
        if as_json:
            print(json.dumps({"event": "result", "provisioned": True, "boot": event}))
        else:
            print(f"{event.get('device')} runs with its new configuration")
    return 0


@click.command()
@_agent_options
@click.option("--events", is_flag=True, help="What happened last, instead.")
@click.option(
    "--watch",
    type=click.FloatRange(min=0.5),
    metavar="S",
    help="Again every S seconds, until Ctrl-C.",
)
@json_option
def status(
    url: str | None,
    board_name: str | None,
    config: Path | None,
    allow_weak_psk: bool,
    events: bool,
    watch: float | None,
    as_json: bool,
) -> int:
    """Show an agent's peers, drops, engines, heap and last failures.

    Exit code 1 where the agent cannot run, such as for want of a configuration.

    \b
    Examples:
      ikelet status --port /dev/ttyUSB0
      ikelet status --port /dev/ttyUSB0 --watch 5
      ikelet status --port /dev/ttyUSB0 --events
      ikelet status --board unix branch.toml --json
    """
    from ikelet import statusview

    if watch is not None and not math.isfinite(watch):
        raise MisuseError(f"--watch {watch}: give a number of seconds")
    show = statusview.Watch(as_json, events)
    with _console(url, board_name, config, allow_weak_psk) as console:
        answer = show.once(console) if watch is None else show.over(console, watch)
    if answer.get("mode") == "stopped":
        complain(str(answer.get("reason")))
        return 1
    return 0


@click.command()
@_agent_options
def selftest(
    url: str | None, board_name: str | None, config: Path | None, allow_weak_psk: bool
) -> int:
    """Run the known answers of every engine again, and print the verdicts as JSON.

    Exit code 1 where an operation has no engine that passes.
    """
    with _console(url, board_name, config, allow_weak_psk) as console:
        verdicts: dict[str, dict[str, str]] = console.call("selftest", timeout=300)
    click.echo(json.dumps(verdicts, indent=2))
    failed = [name for name, engines in verdicts.items() if "ok" not in engines.values()]
    if failed:
        complain(f"no engine passes for {', '.join(failed)}")
    return 1 if failed else 0


@click.command()
@_agent_options
def console(
    url: str | None, board_name: str | None, config: Path | None, allow_weak_psk: bool
) -> int:
    """Talk to an agent: lines such as `status` or `up hq` in, its events and answers out.

    \b
    Examples:
      ikelet console --port /dev/ttyUSB0
      echo status | ikelet console --board unix branch.toml
    """
    from ikelet import shell

    with _console(url, board_name, config, allow_weak_psk) as there:
        return shell.Shell(there, click.echo).run(shell.typed())


@click.command()
@click.option("--port", "url", required=True, help="A serial device, or socket://host:port.")
def reset(url: str) -> int:
    """Restart a board; exit code 1 with the reason where its agent then cannot run."""
    with Device(url) as device:
        event = device.restart()
    click.echo(json.dumps(event, indent=2))
    if event["event"] == "fatal":
        complain(str(event.get("reason")))
        return 1
    return 0


COMMANDS = (flash, provision, status, selftest, console, reset)


@contextlib.contextmanager
def _console(
    url: str | None, board_name: str | None, config: Path | None, allow_weak_psk: bool
) -> Iterator[Console]:
    """The console of the agent that the options name."""
    if (url is None) == (board_name is None):
        raise MisuseError("say where the agent is: --port PORT, or --board BOARD CONFIG")
    if url is not None:
        with Device(url) as device:
            yield device.console
        return
    if config is None:
        raise MisuseError("--board boots a board and needs a CONFIG for it")
    assert board_name is not None
    with Agent(boards.find(board_name), configuration(config, allow_weak_psk)) as agent:
        yield agent.console


@contextlib.contextmanager
def _progress(as_json: bool, what: str) -> Iterator[Progress]:
    """How far a command is. With --json a failure is a result object too."""
    progress: Progress = JsonProgress() if as_json else TextProgress()
    try:
        yield progress
    except IkeletError as error:
        progress.done()
        if as_json:
            result: dict[str, Any] = {"event": "result", what: False, "reason": str(error)}
            print(json.dumps(result), flush=True)
        raise

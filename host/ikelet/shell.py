"""`ikelet console`: talk to an agent by hand, and watch what it says.

A line is a word with its argument ("status", "up hq"), or a JSON object with "method" and
"params". Works on a terminal and in a pipe.
"""

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ikelet.console import Console
from ikelet.errors import IkeletError
from ikelet.links import LinkError

HELP = """\
  status            everything about the agent
  events            what happened last
  up PEER, down PEER
  counters          engines, drops, heap
  selftest          the known answers of every engine in use
  config            the configuration, keys hidden
  reset             restart the board
  {"method": ...}   any call, as JSON
  quit              or the end of the input"""

_TIMEOUT = 60.0  # a self-test of the larger groups in software takes its time


class Shell:
    """One session. `show` is told a line at a time, from more than one thread."""

    def __init__(self, console: Console, show: Callable[[str], None]) -> None:
        self._console = console
        self._print = show
        self._ended = threading.Event()
        self._failed = False

    def run(self, lines: Iterable[str]) -> int:
        """Serve until the input or the link ends; the exit code: 1 where a call failed."""
        watcher = threading.Thread(target=self._watch, name="events", daemon=True)
        watcher.start()
        try:
            for line in lines:
                if line.strip() in ("quit", "exit"):
                    break
                if line.strip():
                    self._serve(line.strip())
                if self._console.gone:
                    break
        finally:
            self._ended.set()
            watcher.join(timeout=5)
        return 1 if self._failed else 0

    def _show(self, text: str) -> None:
        """A lone surrogate, which JSON can spell, cannot be printed."""
        self._print(text.encode(errors="replace").decode())

    def _serve(self, line: str) -> None:
        if line in ("help", "?"):
            self._show(HELP)
            return
        try:
            method, params = parse(line)
            if method == "reset":
                self._console.notify(method, params)
                return
            answer = self._console.call(method, params, _TIMEOUT)
        except (IkeletError, ValueError, RecursionError) as error:
            self._failed = True
            self._show(f"! {error}")
        else:
            self._show(json.dumps(answer, indent=2 if isinstance(answer, dict) else None))

    def _watch(self) -> None:
        """Show events and whatever else the board prints."""
        while True:
            ended = self._ended.is_set()
            with contextlib.suppress(IndexError):
                while True:
                    self._show(f"# {self._console.noise.popleft()}")
            try:
                found = self._console.next(0.0 if ended else 0.1)
            except LinkError as error:
                self._show(f"! {error}")
                return
            if found:
                self._show(f"* {described(*found)}")
            elif ended:
                return


def parse(line: str) -> tuple[str, dict[str, Any]]:
    """(method, params) of a line; ValueError."""
    if line.startswith("{"):
        value = json.loads(line)
        if not isinstance(value.get("method"), str) or not isinstance(
            value.get("params", {}), dict
        ):
            raise ValueError('write {"method": "...", "params": {...}}')
        return value["method"], value.get("params", {})
    word, *arguments = line.split()
    if word in ("up", "down"):
        if len(arguments) != 1:
            raise ValueError(f"write {word} PEER; status lists the peers")
        return word, {"peer": arguments[0]}
    if arguments:
        raise ValueError(f"{word} takes no argument; help lists the commands")
    return {"config": "config.get"}.get(word, word), {}


def described(method: str, params: dict[str, Any]) -> str:
    """A notification as one line."""
    if method == "log":
        return f"{params.get('level', 'log')}: {params.get('text')}"
    if method != "event":
        return f"{method} {json.dumps(params)}"
    rest = {key: value for key, value in params.items() if key not in ("event", "t_ms")}
    told = " ".join(f"{key}={_short(value)}" for key, value in rest.items())
    return f"{params.get('t_ms', 0):>7} ms {params.get('event')} {told}".rstrip()


def _short(value: object) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value)


def typed() -> Iterator[str]:
    """The lines of standard input; with a prompt and a history on a terminal."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with contextlib.suppress(ImportError):  # Windows has no readline
        import readline  # noqa: F401 -- input() uses it once it is imported
    while True:
        try:
            yield input("ikelet> ")
        except EOFError:
            print()
            return

"""An agent's status, and what happened to it last, for people."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ikelet.console import Console
from ikelet.device import DEADLINE
from ikelet.errors import IkeletError
from ikelet.show import kilobytes, terminal

Status = Mapping[str, Any]

_SPANS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_STATES = {"ESTABLISHED": "green", "DOWN": "red"}  # an exchange under way: yellow
_DOWN = {  # why an SA went: who or what ended it
    "us": "taken down here",
    "peer": "deleted by the peer",
    "lifetime": "its lifetime was over",
    "dead-peer": "the peer did not answer",
    "address-change": "our address changed",
}


class Watch:
    """Asks an agent and shows what it says: its status, or what happened last."""

    def __init__(self, as_json: bool, recent: bool) -> None:
        self._as_json = as_json
        self._method = "events" if recent else "status"
        self._terminal = terminal()

    def once(self, console: Console) -> Status:
        """The agent's answer, which is shown."""
        answer, shown = self._asked(console)
        if self._as_json:
            print(json.dumps({"event": self._method, **answer}), flush=True)
        else:
            self._terminal.print(shown)
        return answer

    def _asked(self, console: Console) -> tuple[Status, RenderableType]:
        """The agent's answer, and what it looks like. A board that asks for a name may be deaf for
        a while."""
        answer: Status = console.call(self._method, timeout=DEADLINE)
        try:
            return answer, self._rendered(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise IkeletError(f"that is no answer of an agent: {error!r}") from error

    def over(self, console: Console, seconds: float) -> NoReturn:
        """Again and again, in place on a terminal. Ctrl-C, or LinkError, ends it."""
        if self._as_json or not sys.stdout.isatty():
            while True:
                self.once(console)
                self._pause(console, seconds)
        with Live(console=self._terminal, auto_refresh=False, screen=True) as live:
            while True:
                live.update(self._asked(console)[1], refresh=True)
                self._pause(console, seconds)

    def _pause(self, console: Console, seconds: float) -> None:
        """Wait, and let go of what the agent says meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            console.next(left)

    def _rendered(self, answer: Status) -> RenderableType:
        if self._method == "events":
            return Text("\n".join(events(answer)) or "nothing yet")
        return view(answer)


def view(status: Status) -> RenderableType:
    """The whole status: a line about the device, a row for each peer, then what is notable."""
    parts: list[RenderableType] = [Text.from_markup(_headline(status)), Text()]
    if status.get("peers"):
        parts += [_peers(status["peers"]), Text()]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for label, text, style in _rows(status):
        rows.add_row(f"  {label}", Text(text, style))
    return Group(*parts, rows)


def events(answer: Mapping[str, Any]) -> list[str]:
    """The answer of the method `events` as lines, each with its age."""
    now = answer["uptime_ms"] // 1000
    split = [line.partition(" ") for line in answer["events"]]
    return [f"{span(now - int(seconds)):>10} ago  {text}" for seconds, _, text in split]


def span(seconds: float) -> str:
    """A span of time in its two largest units, such as "3 d 4 h"."""
    left = max(0, int(seconds))
    found: list[str] = []
    for unit, size in _SPANS:
        count, left = divmod(left, size)
        if count or found:
            found.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, found[:2])) or "0 s"


def _headline(status: Status) -> str:
    who = escape(status.get("device") or "an agent that cannot run")
    mode = status.get("mode", "")
    colour = {"production": "green", "stopped": "red"}.get(mode, "yellow")
    up = span(status["uptime_ms"] / 1000)
    return (
        f"  [bold]{who}[/]  [{colour}]{mode}[/]  [dim]up for[/] {up}  "
        f"[dim]ikelet {escape(status['version'])} on {escape(status['board'])}[/]"
    )


def _peers(peers: list[Status]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("peer", no_wrap=True)
    for heading in ("state", "since", "address", "about"):
        table.add_column(heading, no_wrap=heading == "state", overflow="fold")
    for peer in peers:
        state = peer["state"]
        address, port = peer.get("remote") or (peer["address"], peer["port"])
        colour = _STATES.get(state, "yellow")
        about = [peer["suite"]] if "suite" in peer else []
        about += [f"behind a NAT: {' and '.join(peer['nat'])}"] if peer.get("nat") else []
        table.add_row(
            peer["name"],
            Text(state, colour),
            span(peer["age_s"]) if "age_s" in peer else "",
            f"{address} port {port}",
            Text("; ".join(about) or f"{peer['role']}, {peer['auth']}"),
        )
    return table


def _rows(status: Status) -> Iterator[tuple[str, str, str]]:
    """(label, text, style) of whatever is known, or worth knowing."""
    if status.get("mode") == "stopped":
        yield "cannot run", str(status.get("reason")), "red"
    label = "last failure"
    for peer in status.get("peers", ()):
        if "reason" in peer:
            yield (
                label,
                f"{peer['name']}: {peer['reason']}, {span(peer['failed_s'])} ago",
                "yellow",
            )
            label = ""
    label = "last down"
    for peer in status.get("peers", ()):
        if down := peer.get("last_down"):
            why = _DOWN.get(down["by"], down["by"])
            yield label, f"{peer['name']}: {why}, {span(down['ago_s'])} ago", "dim"
            label = ""
    heap = status.get("heap")
    if heap:
        total = kilobytes(heap["free"] + heap["used"])
        yield "heap", f"{kilobytes(heap['free'])} free of {total}", ""
    for label, operation, counts in _by_label("engines", status.get("engines", {})):
        yield label, f"{operation:<9} {counts}", ""
    for label, where, counts in _by_label("failures", status.get("engine_failures", {})):
        yield label, f"{where}: {counts}", "red"
    unproven = [name for name, found in status.get("selftest", {}).items() if _bad(found)]
    if unproven:
        yield "self-test", f"failed: {', '.join(sorted(unproven))}", "red"
    drops = sorted(status.get("drops", {}).items(), key=lambda item: (-item[1], item[0]))
    if "drops" in status:
        yield "dropped", ", ".join(f"{count} {reason}" for reason, count in drops) or "none", ""
    if status.get("send_failures"):
        yield "not sent", f"{status['send_failures']} datagrams", "yellow"
    if "certificate" in status:
        yield "certificate", *_certificate(status["certificate"])
    if status.get("flash_encrypted") is False:
        yield "flash", "not encrypted: whoever holds the board can read its keys", "yellow"
    if status.get("last_crash"):
        yield "last crash", status["last_crash"], "red"


def _by_label(
    label: str, table: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, str, str]]:
    for name, counts in sorted(table.items()):
        yield label, name, ", ".join(f"{key} {count}" for key, count in sorted(counts.items()))
        label = ""


def _bad(found: Mapping[str, str]) -> bool:
    return any(verdict != "ok" for verdict in found.values())


def _certificate(about: Status) -> tuple[str, str]:
    """When it expires, by the board's own clock where that is set."""
    day = time.strftime("%Y-%m-%d", time.gmtime(about["expires"]))
    if about.get("now") is None:
        return f"expires on {day}; the board's clock is not set", "yellow"
    left = about["expires"] - about["now"]
    if left <= 0:
        return f"expired on {day}, {span(-left)} ago", "red"
    return f"expires on {day}, in {span(left)}", "yellow" if left < 30 * 86400 else ""

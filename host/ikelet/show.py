"""How a run is shown: live and coloured for people, or one JSON object a line for programs."""

import json
import sys
from typing import Any, Protocol

from rich.console import Console as Terminal
from rich.markup import escape

Event = dict[str, Any]

_PROOFS = {"psk": "a pre-shared key", "cert": "certificates"}
_PAYLOADS = 22  # characters: "ID CERT CERTREQ SIG N" is the longest of the usual lists
_PLAIN_WIDTH = 110  # where there is no terminal to ask


class Show(Protocol):
    """What a command tells while it works, and at its end. A failure's reason goes to stderr."""

    def opening(self, auth: str, rows: list[tuple[str, str]]) -> None:
        """How they authenticate, "psk" or "cert"; who talks to whom: (role, description) rows."""

    def waiting(self, text: str) -> None:
        """What is being waited for."""

    def event(self, event: Event) -> None:
        """An event of the board."""

    def result(self, result: Event) -> None:
        """The last word: the result object."""

    def close(self) -> None:
        """Nothing more comes, for whatever reason."""


def terminal() -> Terminal:
    """Standard output; where it is none of a terminal's, as wide as a line should be."""
    return Terminal(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


class JsonShow:
    """One object a line on stdout; the last one is the result."""

    def opening(self, auth: str, rows: list[tuple[str, str]]) -> None:
        self._print({"event": "start", "auth": auth, **dict(rows)})

    def waiting(self, text: str) -> None:
        del text

    def event(self, event: Event) -> None:
        self._print(event)

    def result(self, result: Event) -> None:
        self._print(result)

    def close(self) -> None:
        pass

    def _print(self, value: Event) -> None:
        # MicroPython's dictionaries have no order: the kind of event goes first.
        print(json.dumps({"event": value["event"], **value}), flush=True)


class TextShow:
    """For people: a line a message, then what was agreed and what it took."""

    def __init__(self) -> None:
        plain = not sys.stdout.isatty()
        self._terminal = terminal()
        unicode = (self._terminal.encoding or "").lower().startswith("utf")
        self._arrows = {"out": "──▶", "in": "◀──"} if unicode else {"out": "-->", "in": "<--"}
        self._status = self._terminal.status("") if not plain else None
        self._first: int | None = None

    def opening(self, auth: str, rows: list[tuple[str, str]]) -> None:
        how = f"with {_PROOFS[auth]} (RFC 2409)"
        self._terminal.print(f"\n  [bold]IKEv1 Main Mode[/]  {how}\n")
        self._rows(rows, 7)

    def waiting(self, text: str) -> None:
        if self._status:
            self._status.update(f"[dim]{escape(text)}[/]")
            self._status.start()

    def event(self, event: Event) -> None:
        match event["event"]:
            case "message":
                self._message(event)
            case "retransmit":
                again = f"message {event.get('number')} again, attempt {event.get('attempt')}"
                self._aside(event, f"[yellow]{again}[/]")
            case "drop":
                who = escape(str(event.get("from")))
                self._aside(event, f"[yellow]dropped a datagram from {who}: {event['reason']}[/]")
            case "notify":
                trust = "" if event.get("authenticated") else " (not authenticated)"
                self._aside(event, f"[yellow]notify {escape(str(event.get('type')))}{trust}[/]")
            case "engine":
                what = f"{event.get('engine')} cannot do {event.get('op')} {event.get('what')}"
                self._aside(event, f"[yellow]{escape(what)}: {escape(str(event.get('why')))}[/]")
            case "established":
                self._terminal.print()
            case "deleted" if event.get("by") == "peer":
                self._aside(event, "[yellow]SA ended: DELETE from the peer[/]")

    def result(self, result: Event) -> None:
        self.close()
        if not result["established"]:
            self._terminal.print("\n  [bold red]FAILED[/]\n")
            return
        self._rows(_summary(result), 9)
        total = result["timings_ms"].get("total")
        self._terminal.print(f"  [bold green]ESTABLISHED[/]  in {total} ms\n")

    def close(self) -> None:
        if self._status:
            self._status.stop()

    def _message(self, event: Event) -> None:
        colour = "cyan" if event["direction"] == "out" else "magenta"
        payloads = " ".join(event["payloads"])
        self._terminal.print(
            f"[dim]{self._clock(event):>9}[/]  "
            f"[bold {colour}]{event['number']} {self._arrows[event['direction']]}[/]  "
            f"{escape(payloads):<{_PAYLOADS}} [dim]{event['bytes']:>4} B[/]  "
            f"[{colour}]{escape(str(event.get('carries', '')))}[/]"
        )

    def _rows(self, rows: list[tuple[str, str]], width: int) -> None:
        for label, text in rows:
            self._terminal.print(f"  [dim]{label:<{width}}[/]{escape(text)}")
        self._terminal.print()

    def _aside(self, event: Event, text: str) -> None:
        self._terminal.print(f"[dim]{self._clock(event):>9}[/]  {text}")

    def _clock(self, event: Event) -> str:
        """Time since the first event shown."""
        now = event.get("t_ms", 0)
        if self._first is None:
            self._first = now
        return f"{now - self._first} ms"


def _summary(result: Event) -> list[tuple[str, str]]:
    cookies = result["cookies"]
    modexp = result["timings_ms"].get("modexp")
    lines = [
        (
            "suite",
            f"{result['suite']}, with {_PROOFS[result['auth']]}, for {result['lifetime']} s",
        ),
        ("cookies", f"initiator {cookies['initiator']}  responder {cookies['responder']}"),
    ]
    if modexp is not None:
        lines.append(("modexp", f"{modexp} ms of the exchange"))
    label = "engines"
    for operation, by_engine in sorted(result["engines"].items()):
        counts = ", ".join(f"{engine} {count}" for engine, count in sorted(by_engine.items()))
        lines.append((label, f"{operation:<9} {counts}"))
        label = ""
    heap = result["heap"]
    lines.append(("heap", f"{kilobytes(heap['used'])} live, {kilobytes(heap['free'])} free"))
    return lines


def kilobytes(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count / 1024:.1f} KB"

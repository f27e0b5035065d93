"""What a long command says while it works: lines, and a percentage that replaces itself."""

import json
import sys
from typing import Protocol


class Progress(Protocol):
    """`percent` is told 0 to 100, often; `done` ends it."""

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def percent(self, value: float) -> None: ...

    def done(self) -> None: ...


class Silent:
    """For nobody."""

    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def percent(self, value: float) -> None: ...
    def done(self) -> None: ...


class TextProgress:
    """For people. Where standard output is no terminal, every tenth percent is a line."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown = -1

    def say(self, text: str) -> None:
        self.done()
        print(text, flush=True)

    def warn(self, text: str) -> None:
        self.done()
        print(f"ikelet: warning: {text}", file=sys.stderr, flush=True)

    def percent(self, value: float) -> None:
        step = int(value) if self._terminal else int(value) // 10 * 10
        if step == self._shown:
            return
        self._shown = step
        start, end = ("\r", "") if self._terminal else ("", "\n")
        print(f"{start}  {step:3d} %", end=end, flush=True)

    def done(self) -> None:
        if self._shown >= 0 and self._terminal:
            print()
        self._shown = -1


class JsonProgress:
    """For programs: an object per line."""

    def __init__(self) -> None:
        self._shown = -1

    def say(self, text: str) -> None:
        self._print(event="step", text=text)

    def warn(self, text: str) -> None:
        self._print(event="warning", text=text)

    def percent(self, value: float) -> None:
        if int(value) != self._shown:
            self._shown = int(value)
            self._print(event="progress", percent=self._shown)

    def done(self) -> None:
        self._shown = -1

    def _print(self, **event: object) -> None:
        print(json.dumps(event), flush=True)

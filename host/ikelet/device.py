"""The agent behind a serial port: its console, its status, its reset, its configuration."""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ikelet import links, ports
from ikelet.boards import Board
from ikelet.console import Console, ConsoleError, ConsoleTimeoutError, Params
from ikelet.errors import IkeletError, MisuseError
from ikelet.links import Link, LinkError

Event = dict[str, Any]

VARIABLE = "IKELET_SLOWNESS"
DEADLINE = 30.0  # seconds for a board to boot and its agent to answer
_ASK_AGAIN = 3.0
_PIECE = (
    120  # characters of a configuration in a line: less than the 260 that a board's UART keeps
)


class DeviceError(IkeletError):
    """The board on the port does not do what it should."""


def patience(seconds: float) -> float:
    """How long to wait for what takes a board `seconds` at most: more by the factor that
    IKELET_SLOWNESS names, where the line is slow or the board an emulated one; MisuseError."""
    named = os.environ.get(VARIABLE, "1")
    try:
        factor = float(named)
    except ValueError:
        factor = 0.0
    if not 1.0 <= factor <= 1000.0:
        raise MisuseError(f"{VARIABLE} is {named!r}; it is a factor, 1 to 1000")
    return seconds * factor


class Caller(Protocol):
    """What has an agent's console: a Device, or the Console of one that runs here."""

    def call(self, method: str, params: Params | None = None, timeout: float = 10.0) -> Any:
        """A method of the agent's console; ConsoleError, ConsoleTimeoutError, LinkError."""


class Device:
    """The agent behind a port. Opening the port may reset the board: it gets time to boot.

    `status` is its first answer. `reopen` opens the port anew after a reset.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: float | None = None,
        reopen: Callable[[], Link] | None = None,
        patient: bool = False,
        at_prompt: bool = False,
    ) -> None:
        """deadline: seconds until the agent must answer, by default DEADLINE with patience;
        patient: the port may come and go until then; at_prompt: start the agent of a board that
        its boot button kept at the prompt, it is then open. PortError, LinkError, DeviceError."""
        self.url = url
        self._deadline = deadline = patience(DEADLINE) if deadline is None else deadline
        self._patient = patient
        self._at_prompt = at_prompt
        self._reopen = reopen or (lambda: links.open_link(url))
        if not patient:
            ports.check(url)
        end = time.monotonic() + deadline
        self.console = Console(self._opened(end) if patient else links.open_link(url))
        try:
            self.status = self._ask(end)
        except BaseException:
            self.console.close()
            raise

    def expect(self, board: Board | None) -> None:
        """MisuseError where a board is named and this is another kind."""
        there = self.status.get("board")
        if board is not None and there != board.name:
            raise MisuseError(f"the board at {self.url} is {there}, not {board.name}")

    def call(self, method: str, params: Params | None = None, timeout: float = 10.0) -> Any:
        """A method of the agent's console; ConsoleError, ConsoleTimeoutError, LinkError."""
        return self.console.call(method, params, timeout)

    def restart(self) -> Event:
        """Reset the board; its `boot` or `fatal` event, or one made of its status where the port
        was away while it came. DeviceError."""
        uptime = self.console.call("status")["uptime_ms"]
        start = time.monotonic()
        end = start + self._deadline
        while not self.console.notifications.empty():
            self.console.next(0)
        self.console.notify("reset", {})
        asked = start
        while (now := time.monotonic()) < end:
            try:
                event = self.console.next(0.2)
                if event and event[0] == "event" and event[1].get("event") in ("boot", "fatal"):
                    return event[1]
                if event is None and now - asked > _ASK_AGAIN:
                    asked = now
                    status = self.console.call("status", timeout=_ASK_AGAIN)
                    if status["uptime_ms"] < uptime + (now - start) * 1000:
                        return _as_event(status)
            except ConsoleTimeoutError:
                continue
            except LinkError:
                self.console.close()
                self.console = Console(self._opened(end))
        raise DeviceError(f"the board at {self.url} did not come back after its reset")

    def close(self) -> None:
        self.console.close()

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _opened(self, end: float) -> Link:
        """The port, once it is there again: USB takes a while after a reset."""
        while True:
            try:
                return self._reopen()
            except LinkError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def _ask(self, end: float) -> dict[str, Any]:
        started = False
        while (left := end - time.monotonic()) > 0:
            try:
                answer: dict[str, Any] = self.console.call("status", timeout=min(_ASK_AGAIN, left))
                return answer
            except ConsoleTimeoutError:
                if self._echoes():
                    if not self._at_prompt:
                        break
                    if not started:
                        self._start_agent()
                        started = True
            except LinkError:
                if not self._patient:
                    raise
                self.console.close()
                self.console = Console(self._opened(end))
        if self._echoes():
            why = "it is at MicroPython's prompt; `ikelet flash` puts the agent on it"
        else:
            why = _why_silent(list(self.console.noise))
        raise DeviceError(f"no agent answers at {self.url}: {why}")

    def _start_agent(self) -> None:
        """As main.py would have, had nobody held the boot button."""
        self.console.link.write(b"\r\x03from agent import run; run.main(present=True)\r")

    def _echoes(self) -> bool:
        """Whether the question itself came back, as it does at MicroPython's prompt."""
        return any(method == "status" for method, _ in list(self.console.notifications.queue))


def _as_event(status: dict[str, Any]) -> Event:
    if status.get("mode") == "stopped":
        return {"event": "fatal", "code": status.get("code"), "reason": status.get("reason")}
    return {"event": "boot"} | {key: status.get(key) for key in ("version", "device", "board")}


def _why_silent(noise: list[str]) -> str:
    text = "\n".join(noise)
    if "waiting for download" in text:
        return "it is in download mode; reset it with its boot button let go"
    if "Traceback" in text:
        return f"it stopped with {noise[-1]}"
    if noise:
        return f"it says {noise[-1][:80]!r}"
    return "it says nothing; is it the right port, and switched on?"


def send_configuration(device: Caller, configuration: Mapping[str, Any]) -> None:
    """Send a configuration, and make it count at the next boot. ConsoleError says why it is
    refused."""
    send(device, configuration, "config.commit")


def send(device: Caller, value: Mapping[str, Any], method: str) -> None:
    """Send what `method` wants in pieces that fit the board's buffer, and call it; from the
    beginning again where a piece was lost. ConsoleError says why it is refused."""
    text = json.dumps(value, separators=(",", ":"))
    for attempt in range(4):
        try:
            for offset in range(0, len(text), _PIECE):
                piece = text[offset : offset + _PIECE]
                device.call("config.put", {"offset": offset, "data": piece}, patience(_ASK_AGAIN))
            break
        except (ConsoleTimeoutError, ConsoleError):
            if attempt == 3:
                raise
    device.call(method, timeout=patience(DEADLINE))

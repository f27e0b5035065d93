"""Why a board says nothing of sense any more, in one line."""

import time

from ikelet.boards import Running
from ikelet.console import Console
from ikelet.errors import IkeletError, MisuseError

_BABBLE = 64  # bytes, none of them a message
_TRACEBACK = "Traceback (most recent call last)"

Counts = tuple[int, int]


class AgentError(IkeletError):
    """The agent does not run. `code` is the board's own word for the reason, or one of the host's:

    dead: the board, or the way to it, is gone; hangs: it is silent; babbles: it sends what is no
    text; crashed: the agent raised; no-boot: it did not start the agent; firmware: it runs another
    agent than it was given.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class AgentMisuseError(AgentError, MisuseError):
    """The agent does not run because of what it was given."""


def counts(console: Console) -> Counts:
    """What has come so far: bytes, and those of them in messages."""
    return console.received, console.understood


def death(running: Running, console: Console) -> AgentError:
    """The board's end: the last exception it printed, else how it ended."""
    deadline = time.monotonic() + 1
    while not (ended := running.ended()) and time.monotonic() < deadline:
        time.sleep(0.02)
    noise = list(console.noise)
    last = next((line for line in reversed(noise) if line.strip()), "")
    said = f": {last}" if last else ""
    return AgentError(
        f"{running.board.name}: {ended or console.gone}{said}",
        "crashed" if _raised(noise) else "dead",
    )


def silence(
    running: Running,
    console: Console,
    seconds: float,
    before: Counts = (0, 0),
    starting: bool = False,
) -> AgentError:
    """Why no answer came within these seconds; `before`: the counts at their beginning."""
    if console.gone or running.ended():
        return death(running, console)
    name, noise = running.board.name, list(console.noise)
    received, understood = counts(console)
    came = received - before[0]
    if came >= _BABBLE and understood == before[1] and not _is_text("".join(noise)):
        return AgentError(f"{name} babbles: {came} bytes in {seconds:g} s, no text", "babbles")
    if _raised(noise):
        return AgentError(f"{name}: the agent crashed: {noise[-1]}", "crashed")
    said = f"; it said last: {noise[-1]}" if noise else ""
    if starting:
        return AgentError(f"{name} did not start the agent in time{said}", "no-boot")
    return AgentError(f"{name} hangs: no answer within {seconds:g} s{said}", "hangs")


def _raised(noise: list[str]) -> bool:
    return any(line.startswith(_TRACEBACK) for line in noise)


def _is_text(text: str) -> bool:
    fit = sum(each != "\ufffd" and (each.isprintable() or each.isspace()) for each in text)
    return fit > 0.9 * len(text)

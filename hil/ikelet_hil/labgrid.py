"""Boards of a labgrid farm: `labgrid:PLACE` is a board at a serial line on some other machine.

Which board it is says the place's tag `board`, with a name of ours. LG_COORDINATOR tells where the
farm's coordinator is, LG_HOSTNAME and LG_USERNAME as whom to ask, as for labgrid's own commands.
labgrid is not installed by default: `pip install 'ikelet[farm]'`.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from ikelet import boards
from ikelet.boards import Board, BoardError
from ikelet.errors import IkeletError
from ikelet_hil.power import Command, Power
from ikelet_hil.targets import Held, Terms

PREFIX = "labgrid:"
TAG = "board"

_ANSWER = 90.0  # seconds until the keeper says something: longer than its own deadlines
_FREE = 60.0


class PlaceError(IkeletError):
    """The place cannot be had."""


def missing() -> str:
    """Why no farm can be used from here; "" when labgrid is installed."""
    return "" if importlib.util.find_spec("labgrid") else "pip install 'ikelet[farm]'"


class Place:
    """A place that is ours until release(). Also a context manager. `moved` is called where its
    serial line is at another URL from now on, as after a power cycle of a USB port."""

    def __init__(
        self, name: str, wait: float = 0.0, waiting: Callable[[str], object] = lambda _: None
    ) -> None:
        """Acquire the place, for which to wait at most `wait` seconds; `waiting` is told why.

        PlaceError names the holder, the missing exporter, or what else is in the way.
        """
        self.name = name
        if why := missing():
            raise PlaceError(f"{PREFIX}{name} needs labgrid: {why}")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by release)
        command = [sys.executable, "-m", "ikelet_hil.labgrid_keeper", name, str(wait)]
        self._keeper = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,  # Ctrl-C is the harness's: it ends what it runs first
        )
        self._changed = threading.Condition()
        self._held: dict[str, Any] = {}
        self._lost = ""
        self._waiting = waiting
        self.moved: Callable[[], object] = lambda: None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self._await_held(wait + _ANSWER)
            self.board = self._tagged()
        except BaseException:
            self.release()
            raise

    @property
    def url(self) -> str:
        """The serial line, for links.open_link."""
        return str(self._held["url"])

    @property
    def power(self) -> Power | None:
        """The place's switch, which labgrid's own client works."""
        name = self._held["power"]
        if not name:
            return None
        client = [sys.executable, "-m", "labgrid.remote.client", "-p", self.name]
        line = [*client, "power", "--name", name]
        return Command([*line, "on"], [*line, "off"])

    def lost(self) -> str:
        """Why the place is no longer ours or its exporter is gone, as one line; "" while it is."""
        return self._lost

    def release(self) -> None:
        """Give the place back. May be called more than once."""
        if self._keeper.stdin and not self._keeper.stdin.closed:
            self._keeper.stdin.close()
        try:
            self._keeper.wait(_FREE)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._listener.join()
        self._stderr.close()

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _tagged(self) -> Board:
        """The board that the place's tag names."""
        name = self._held["tags"].get(TAG)
        if not name:
            raise PlaceError(
                f"labgrid place {self.name} does not say which board it has: "
                f"labgrid-client -p {self.name} set-tags {TAG}=NAME"
            )
        try:
            return boards.find(name)
        except BoardError as error:
            raise PlaceError(f"labgrid place {self.name}, tag {TAG}: {error}") from None

    def _await_held(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._lost, seconds)
        if not self._held:
            raise PlaceError(self._lost or f"labgrid place {self.name}: no answer")

    def _listen(self) -> None:
        assert self._keeper.stdout
        with self._keeper.stdout:
            for line in self._keeper.stdout:
                event = json.loads(line)
                with self._changed:
                    self._take(event)
                    self._changed.notify_all()
        with self._changed:
            self._lost = self._lost or self._last_words()
            self._changed.notify_all()

    def _take(self, event: dict[str, Any]) -> None:
        match event.pop("event"):
            case "busy":
                self._waiting(event["reason"])
            case "held":
                self._held = event
            case "url":
                self._held |= event
                self.moved()
            case "lost" | "failed":
                self._lost = event["reason"]

    def _last_words(self) -> str:
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        last = said[-1] if said else "without a word"
        return f"labgrid place {self.name} is no longer kept: its keeper ended ({last})"


class Target:
    """A place as a board of a run."""

    board: Board | None = None  # known once its tag was read

    def __init__(self, name: str) -> None:
        self.name = name

    def acquire(self, terms: Terms) -> Held:
        """Wait for the place and take it; PlaceError."""
        place = Place(self.name.removeprefix(PREFIX), terms.wait, terms.waiting)

        def here() -> Board:
            return boards.plugged(place.board, place.url)

        held = Held(here(), place.power, close=place.release, lost=place.lost)
        place.moved = lambda: setattr(held, "board", here())
        return held


def target(name: str) -> Target:
    """What `--board labgrid:PLACE` names."""
    return Target(name)

"""One test's story: serial lines, datagrams, power and the harness's steps on one clock."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Source = Literal["serial", "udp", "power", "harness", "agent", "peer"]
SOURCES: tuple[str, ...] = get_args(Source)


@dataclass(frozen=True)
class Entry:
    """Something that happened at `t` of the timeline's clock; `data` is fit for JSON."""

    t: float
    source: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


class Timeline:
    """Any thread may add to it. `clock` is monotonic, in seconds; `began` is when it was made."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, source: str, text: str, /, **data: Any) -> None:
        """It happens now. `source` is one of SOURCES, `text` one line for people."""
        self.add_at(self.clock(), source, text, **data)

    def add_at(self, when: float, source: str, text: str, /, **data: Any) -> None:
        """It happened at `when` of the same clock."""
        if source not in SOURCES:
            raise ValueError(f"timeline source {source!r}: one of {', '.join(SOURCES)}")
        entry = Entry(when, source, text, data)
        with self._lock:
            self._entries.append(entry)

    @property
    def entries(self) -> list[Entry]:
        """All so far, by time; those of the same time in the order they were added."""
        with self._lock:
            return sorted(self._entries, key=lambda entry: entry.t)

    def json_lines(self) -> str:
        """An object a line: t in seconds since the timeline began, source, text, data."""
        return "".join(
            json.dumps(
                {
                    "t": round(entry.t - self.began, 6),
                    "source": entry.source,
                    "text": entry.text,
                    "data": entry.data,
                },
                default=_readable,
            )
            + "\n"
            for entry in self.entries
        )

    def as_text(self) -> str:
        """For people: seconds since the timeline began, source, text."""
        return "".join(_lines(self.entries, self.began))


class NoTimeline(Timeline):
    """Where no evidence is asked for: it takes everything and keeps nothing."""

    def add_at(self, when: float, source: str, text: str, /, **data: Any) -> None:
        pass


def _lines(entries: Iterable[Entry], began: float) -> Iterable[str]:
    for entry in entries:
        # A serial line may hold anything: no control character reaches the reader's terminal.
        text = "".join(
            each if each.isprintable() else f"\\x{ord(each):02x}" for each in entry.text
        )
        yield f"{entry.t - began:10.6f}  {entry.source:<7}  {text}\n"


def _readable(value: object) -> str:
    return bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)

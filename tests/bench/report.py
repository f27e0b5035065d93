"""What a benchmark hands back: figures with their limits, tables for people, notes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# tell(text): what is being done just now.
Tell = Callable[[str], None]


class UnavailableError(Exception):
    """A benchmark cannot run here; the text says what it lacks."""


@dataclass(frozen=True)
class Figure:
    """One measured value. At most `limit` is demanded, `aim` is hoped for; None: neither."""

    name: str
    what: str
    value: float
    unit: str
    limit: float | None = None
    aim: float | None = None

    @property
    def within(self) -> bool:
        return self.limit is None or self.value <= self.limit


@dataclass(frozen=True)
class Table:
    """Rows below a heading; the first column is text, the others are numbers or short words."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass
class Report:
    """The outcome of one benchmark. `data` is what --json keeps beside the figures."""

    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

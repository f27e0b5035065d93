"""A Progress for tests."""


class Said:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.percents: list[float] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def percent(self, value: float) -> None:
        self.percents.append(value)

    def done(self) -> None: ...

"""Measures the agent: python tests/bench/run.py --help"""

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as Grid

from report import Figure, Report, Table, Tell, UnavailableError

NAMES = (
    "size",
    "heap",
    "instructions",
    "unproven",
    "public_keys",
    "accelerator",
    "handshake",
    "harness",
)


@click.command()
@click.option("--only", "chosen", multiple=True, type=click.Choice(NAMES), help="Only this one.")
@click.option("--rounds", default=20, show_default=True, help="Handshakes of each side.")
@click.option("--verbose", is_flag=True, help="Keep what is being done on stderr, line by line.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Keep all figures there.")
def main(chosen: tuple[str, ...], rounds: int, verbose: bool, path: Path | None) -> None:
    """Measure handshake, heap, size and instructions; exit 1 where a limit is exceeded.

    What this machine cannot measure is skipped by name.
    """
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # what the tests share
    console = Console(highlight=False)
    reports: dict[str, Report] = {}
    for name in chosen or NAMES:
        benchmark = importlib.import_module(name)
        console.rule(f"[bold]{benchmark.TITLE}", align="left")
        try:
            with _progress(verbose) as tell:
                reports[name] = benchmark.run(rounds, tell)
        except UnavailableError as error:
            console.print(f"skipped: {error}\n")
            continue
        _show(console, reports[name])
    figures = [figure for report in reports.values() for figure in report.figures]
    _summarize(console, figures)
    if path:
        path.write_text(json.dumps(_plain(reports), indent=1) + "\n")
    sys.exit(0 if all(figure.within for figure in figures) else 1)


@contextmanager
def _progress(verbose: bool) -> Iterator[Tell]:
    """A line on stderr that says what is being done; nothing where that is no terminal."""
    errors = Console(stderr=True, highlight=False)
    if verbose:
        yield errors.print
    else:
        with errors.status("") as status:
            yield status.update


def _show(console: Console, report: Report) -> None:
    for table in report.tables:
        console.print(_grid(table))
    for note in report.notes:
        console.print(f"[dim]{note}")
    console.print()


def _grid(table: Table) -> Grid:
    grid = Grid(title=table.title, title_justify="left", title_style="", box=None, pad_edge=False)
    for index, column in enumerate(table.columns):
        grid.add_column(column, justify="right" if index else "left", header_style="dim")
    for row in table.rows:
        grid.add_row(*row)
    return grid


def _summarize(console: Console, figures: list[Figure]) -> None:
    console.rule("[bold]Figures", align="left")
    rows = [
        [
            figure.what,
            _number(figure.value, figure.unit),
            "" if figure.limit is None else _number(figure.limit, figure.unit),
            "" if figure.aim is None else _number(figure.aim, figure.unit),
            "" if figure.within else "[bold red]over",
        ]
        for figure in figures
    ]
    console.print(_grid(Table("", ["what", "measured", "limit", "aim", ""], rows)))


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def _plain(reports: dict[str, Report]) -> dict[str, object]:
    return {
        name: {
            "figures": [vars(figure) for figure in report.figures],
            "notes": report.notes,
            **report.data,
        }
        for name, report in reports.items()
    }


if __name__ == "__main__":
    main()

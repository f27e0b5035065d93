"""Plots of a run as SVG: how long handshakes took, and how much heap was free."""

from __future__ import annotations

import math
import re
import statistics
from html import escape

from ikelet_hil.page.records import Record, Run

_WIDTH, _LEFT, _RIGHT = 640, 96, 620


def latency(run: Run) -> str:
    """A row per group and board, a dot per undisturbed handshake, a bar at the median."""
    found: dict[tuple[str, str], list[tuple[float, Record]]] = {}
    for record in run.records:
        for each in record.handshakes:
            group = str(each["suite"]).rsplit("-", 1)[-1]
            found.setdefault((group, record.board), []).append((each["ms"], record))
    if not found:
        return ""
    times = [ms for dots in found.values() for ms, _ in dots]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    high = max(high, low + 1)

    def x(ms: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (math.log10(ms) - low) / (high - low)

    groups = sorted({group for group, _ in found}, key=_family_and_bits)
    parts, y = [], 14
    for group in groups:
        top = y
        for number, board in enumerate(run.boards):
            dots = found.get((group, board))
            if not dots:
                continue
            median = statistics.median(ms for ms, _ in dots)
            parts += [
                f'<circle class="dot b{number}" cx="{x(ms):.1f}" cy="{y + 7}" r="3.4">'
                f"<title>{escape(f'{board}: {ms:.0f} ms, {record.test}')}</title></circle>"
                for ms, record in dots
            ]
            parts.append(
                f'<path class="median b{number}" d="M{x(median):.1f} {y}v14">'
                f"<title>{escape(f'{board}, {group}: median {median:.0f} ms')}</title></path>"
            )
            y += 18
        parts.append(_text(_LEFT - 10, (top + y) / 2 + 2, group, "axis", "end"))
        y += 8
    ticks = [10.0**power for power in range(low, high + 1)]
    grid = "".join(
        f'<path class="grid" d="M{x(tick):.1f} 8V{y}"/>'
        + _text(x(tick), y + 16, _duration(tick), "axis")
        for tick in ticks
    )
    return _svg(y + 24, grid + "".join(parts), "duration of undisturbed handshakes")


def heap(run: Run, board: str) -> str:
    """Free octets after every test, in the order in which they ran, with the least one named."""
    free = [
        (int(record.raw["heap"][-1]["after"]["free"]), record)
        for record in run.of(board)
        if record.raw["heap"] and record.raw["heap"][-1]["after"]
    ]
    if not free:
        return ""
    top = _round_up(max(octets for octets, _ in free))
    height = 110

    def at(number: int, octets: int) -> tuple[float, float]:
        width = _RIGHT - _LEFT
        across = number / (len(free) - 1) if len(free) > 1 else 0.5
        return _LEFT + width * across, 12 + (height - 12) * (1 - octets / top)

    points = [at(number, octets) for number, (octets, _) in enumerate(free)]
    grid = "".join(
        f'<path class="grid" d="M{_LEFT} {at(0, value)[1]:.1f}H{_RIGHT}"/>'
        + _text(_LEFT - 10, at(0, value)[1] + 4, f"{value // 1024} KB", "axis", "end")
        for value in (0, top // 2, top)
    )
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    number = run.boards.index(board)
    dots = "".join(
        f'<circle class="dot b{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.4">'
        f"<title>{escape(f'{octets / 1024:.1f} KB free after {record.test}')}</title></circle>"
        for (x, y), (octets, record) in zip(points, free, strict=True)
    )
    least = min(octets for octets, _ in free)
    caption = f"least {least / 1024:.1f} KB, after {len(free)} tests"
    body = f'{grid}<path class="trace b{number}" d="{line}"/>{dots}'
    body += _text(_RIGHT, height + 18, caption, "axis", "end")
    return _svg(height + 26, body, f"free heap of {board} after each test")


def _svg(height: float, body: str, title: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">{body}</svg>'
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _family_and_bits(group: str) -> tuple[str, int]:
    family, _, bits = re.sub(r"(\d+)$", r" \1", group).partition(" ")
    return family, int(bits or 0)


def _duration(ms: float) -> str:
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"


def _round_up(octets: int) -> int:
    """To a whole multiple of 32 KB."""
    return max(1, math.ceil(octets / 32768)) * 32768

"""Message-sequence diagrams: what passed over the wire in a test, an arrow a datagram, as SVG.

Time runs down, but a line per datagram: a pause is written, not drawn to scale. What arrived
points at the other side; what was lost ends in a cross on the wire; what the wire sent by itself
begins there.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from ikelet_hil.passage import TO_PEER

LIMIT = 200  # datagrams; a page with thousands would be of no use
_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 640, 104, 560, 38, 46
_MIDDLE = (_LEFT + _RIGHT) // 2
_NOTE = 10  # more, where something is written below the arrow
_LINE = 26  # of an arrow, below the top of its row
_PAUSE, _LATE = 0.25, 0.02  # seconds from which on a pause, a delay is written
_OWN = ("replayed", "injected")

Passage = dict[str, Any]


def diagram(passages: list[Passage], title: str) -> str:
    """The whole diagram; "" where nothing passed."""
    if not passages:
        return ""
    shown = passages[:LIMIT]
    parts = list(_rows(shown))
    height = _TOP + 22 + sum(row for row, _ in parts)
    body, y = [], _TOP
    for row, draw in parts:
        body.append(draw.replace("{y}", str(y)))
        y += row
    left_out = len(passages) - len(shown)
    if left_out:
        body.append(_text(_MIDDLE, y + 14, f"and {left_out} more: see the capture", "note"))
    lines = "".join(
        f'<line class="life" x1="{x}" x2="{x}" y1="{_TOP - 14}" y2="{height - 8}"/>'
        f'<rect class="end" x="{x - 44}" y="6" width="88" height="26" rx="6"/>'
        + _text(x, 24, name, "name")
        for x, name in ((_LEFT, "agent"), (_RIGHT, "peer"))
    )
    return (
        f'<svg class="sequence" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{lines}{"".join(body)}</svg>'
    )


def _rows(passages: list[Passage]) -> Iterator[tuple[int, str]]:
    """(height, SVG with {y} for its top) of every line of the diagram."""
    start = passages[0]["t"]
    last_end, cookie = start, None
    for index, passage in enumerate(passages):
        if passage.get("cookie") not in (None, cookie):
            if cookie is not None:
                yield 26, _exchange(passage)
            cookie = passage["cookie"]
        pause = passage["t"] - last_end
        if pause >= _PAUSE:
            yield 24, _pause(pause)
        last_end = max([passage["t"], *passage["delivered"]])
        row = _ROW + (_NOTE if _fate(passage) else 0)
        yield row, _arrow(passage, index, passage["t"] - start)


def _arrow(passage: Passage, index: int, since: float) -> str:
    to_peer = passage["direction"] == TO_PEER
    sender, receiver = (_LEFT, _RIGHT) if to_peer else (_RIGHT, _LEFT)
    begin = _MIDDLE if passage["fate"] in _OWN else sender
    end = receiver if passage["delivered"] else _MIDDLE
    middle = (begin + end) // 2
    way = str(passage["direction"]).replace("->", " to ")
    words = [way, *_label(passage), passage["cause"]]
    kind = f"arrow {passage['fate']} {'out' if to_peer else 'in'}"
    return (
        f'<g class="{escape(kind)}" transform="translate(0 {{y}})" '
        f'data-index="{index}" data-number="{passage["number"]}" '
        f'data-direction="{escape(passage["direction"])}">'
        f"<title>{escape(', '.join(filter(None, words)))}</title>"
        f"{_strokes(passage, begin, end, 1 if to_peer else -1)}"
        f"{_label_text(middle, passage)}"
        f"{_text(middle, _LINE + 13, _fate(passage), 'fate')}"
        f"{_times(passage, since, sender, receiver)}</g>"
    )


def _strokes(passage: Passage, begin: int, end: int, toward: int) -> str:
    """The line and its ends; copies that follow are heads behind the first one."""
    arrived = len(passage["delivered"])
    stop = end - toward * 7 if arrived else end
    parts = [f'<path class="line" d="M{begin} {_LINE}H{stop}"/>']
    parts += [
        f'<path class="head" d="M{end - toward * 13 * copy} {_LINE}l{-toward * 9} -4.5v9z"/>'
        for copy in range(arrived)
    ]
    if not arrived:
        parts.append(f'<path class="cross" d="M{end - 6} {_LINE - 6}l12 12m0 -12l-12 12"/>')
    if begin == _MIDDLE:
        parts.append(f'<circle class="own" cx="{begin}" cy="{_LINE}" r="4"/>')
    return "".join(parts)


def _times(passage: Passage, since: float, sender: int, receiver: int) -> str:
    """When it was sent, beside its sender; how long it took, where that is long."""
    outside = {_LEFT: (_LEFT - 10, "end"), _RIGHT: (_RIGHT + 10, "start")}
    x, anchor = outside[sender]
    told = _text(x, _LINE + 4, _time(since), "time", anchor)
    if passage["delivered"] and (took := passage["delivered"][0] - passage["t"]) >= _LATE:
        x, anchor = outside[receiver]
        told += _text(x, _LINE + 4, f"+{_time(took)}", "time", anchor)
    return told


def _label(passage: Passage) -> tuple[str, str, str]:
    """(number, payloads, size), in words."""
    number, payloads = passage["number"], passage.get("payloads", [])
    names = " ".join(payloads) or "not IKE"
    if passage.get("encrypted"):
        names += " … encrypted"  # the first payload's kind is all that an observer sees
    head = {None: "", 0: "Informational"}.get(number, str(number))
    return head, names, f"{passage['bytes']} B"


def _label_text(x: float, passage: Passage) -> str:
    head, names, size = map(escape, _label(passage))
    number = f'<tspan class="number">{head}</tspan>' if head else ""
    return (
        f'<text class="label" x="{x}" y="{_LINE - 7}" text-anchor="middle">{number}'
        f'<tspan dx="{6 if head else 0}">{names}</tspan><tspan class="size" dx="6">{size}</tspan>'
        "</text>"
    )


def _fate(passage: Passage) -> str:
    fate, copies = str(passage["fate"]), len(passage["delivered"])
    if fate == "passed":
        return ""
    return f"{fate}, arrived {copies} times" if copies > 1 else fate


def _time(seconds: float) -> str:
    if seconds >= 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _pause(seconds: float) -> str:
    bars = "".join(f'<path class="gap" d="M{x - 5} 10h10m-10 5h10"/>' for x in (_LEFT, _RIGHT))
    text = _text(_MIDDLE, 17, f"{_time(seconds)} later", "note")
    return f'<g transform="translate(0 {{y}})">{bars}{text}</g>'


def _exchange(passage: Passage) -> str:
    text = _text(_MIDDLE, 17, f"another exchange, {passage['cookie']}", "note")
    rule = f'<path class="rule" d="M{_LEFT} 22H{_RIGHT}"/>'
    return f'<g transform="translate(0 {{y}})">{rule}{text}</g>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "middle") -> str:
    if not text:
        return ""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'

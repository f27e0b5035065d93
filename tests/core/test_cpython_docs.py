"""docs/main-mode.md shows the transition table: it is generated, so that it cannot drift.

`python tests/core/test_cpython_docs.py` writes it anew.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "main-mode.md"
BEGIN, END = "<!-- generated: {} -->\n", "<!-- end -->\n"


def diagram() -> str:
    from ike.mainmode import TRANSITIONS

    lines = ["```mermaid", "stateDiagram-v2", "  [*] --> MAIN_I1: send 1"]
    for state, (number, encrypted, _, following) in TRANSITIONS.items():
        before = "[*]" if state == "START" else state
        answer = f" / send {number + 1}" if number < 6 else ""
        lock = ", encrypted" if encrypted else ""
        lines.append(f"  {before} --> {following}: {number}{lock}{answer}")
    lines += ["  ESTABLISHED --> [*]: delete, or end of lifetime", "```"]
    return "\n".join(lines) + "\n"


def table() -> str:
    from ike.certs import PAYLOADS as SIGNED_PAYLOADS
    from ike.mainmode import PAYLOADS, TRANSITIONS
    from ike.registry import PAYLOAD_NAMES
    from ike.sa import SECRETS

    def names(kinds: tuple[int, ...]) -> str:
        return ", ".join(PAYLOAD_NAMES[kind] for kind in kinds)

    rows = [
        "| state | waits for | must carry | may carry | secrets held |",
        "|---|---|---|---|---|",
    ]
    for state, held in SECRETS.items():
        number, must, may = "-", "-", "-"
        if state in TRANSITIONS:
            expected = TRANSITIONS[state][0]
            number = str(expected)
            must, may = (names(kinds) for kinds in PAYLOADS[expected])
            if expected in SIGNED_PAYLOADS:
                signed = [names(kinds) for kinds in SIGNED_PAYLOADS[expected]]
                must, may = f"{must}; signed: {signed[0]}", f"{may}; signed: {signed[1]}"
        rows.append(f"| {state} | {number} | {must} | {may} | {', '.join(held) or '-'} |")
    return "\n".join(rows) + "\n"


def reasons() -> str:
    """Every drop reason in the core's sources, with the notify that answers a first message."""
    from ike.notifies import ANSWERS, NAMES

    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "firmware" / "ike").glob("*.py")):
        for reason in re.findall(
            r'(?:Drop\(|drops\.count\(|refuse_later\()"([a-z-]+)"', path.read_text()
        ):
            found.setdefault(reason, set()).add(path.stem)
    rows = ["| reason | raised in | a first message is answered with |", "|---|---|---|"]
    for reason in sorted(found):
        answer = NAMES[ANSWERS[reason]] if reason in ANSWERS else "silence"
        rows.append(f"| {reason} | {', '.join(sorted(found[reason]))} | {answer} |")
    return "\n".join(rows) + "\n"


PARTS = {"diagram": diagram, "table": table, "reasons": reasons}


def rendered(text: str) -> str:
    """The page with its generated parts made anew."""
    for name, make in PARTS.items():
        begin = BEGIN.format(name)
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(END)
        text = head + begin + make() + END + tail
    return text


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text()
    for name in PARTS:
        assert BEGIN.format(name) in text
    assert rendered(text) == text, "run: python tests/core/test_cpython_docs.py"


def test_every_answer_has_a_reason_that_exists() -> None:
    from ike.notifies import ANSWERS

    known = set(re.findall(r"^\| ([a-z-]+) \|", reasons(), re.MULTILINE))
    assert set(ANSWERS) <= known


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "firmware"), str(ROOT / "tests" / "cpython")]
    PAGE.write_text(rendered(PAGE.read_text()))

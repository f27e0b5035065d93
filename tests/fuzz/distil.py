"""Makes the corpus in the tree: the fewest inputs that reach every line that a folder's do.

python tests/fuzz/distil.py [FOLDER]
"""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
CORPUS = Path(__file__).with_name("corpus.txt")
IKE = str(TESTS.parent / "firmware" / "ike")
sys.path[:0] = [str(TESTS.parent / "firmware"), str(TESTS), str(TESTS / "cpython")]

import player  # noqa: E402


def lines(data: bytes) -> set[tuple[str, int]]:
    """The lines of the protocol core that an input reaches."""
    reached = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(IKE):
            return None
        reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        player.play(data)
    finally:
        sys.settrace(None)
    return reached


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TESTS.parent / "build" / "fuzz"
    inputs = [path.read_bytes() for path in sorted(folder.iterdir())]
    inputs += [bytes.fromhex(line) for line in CORPUS.read_text().split()]
    reached = {data: lines(data) for data in inputs}
    kept: list[bytes] = []
    missing = set().union(*reached.values())
    while missing:
        best = max(reached, key=lambda data: (len(reached[data] & missing), -len(data)))
        missing -= reached[best]
        kept.append(best)
    CORPUS.write_text("".join(data.hex() + "\n" for data in kept))
    print(f"{len(kept)} of {len(inputs)} inputs")


if __name__ == "__main__":
    main()

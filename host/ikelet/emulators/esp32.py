"""The boards `qemu-esp32` and `qemu-esp32c3`: stock MicroPython on an ESP32-emulating QEMU.

The emulator's user network gives the board an address of its own and forwards the agent's port
from the host's loopback. So what the host calls 127.0.0.1 has other names on the board: the
configuration is put into the board's terms on its way there. Identities stay as configured.
"""

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ikelet.boards import Board
from ikelet.emulators import esp32_flash, esp32_machine
from ikelet.emulators.esp32_machine import Machine
from ikelet.emulators.qemu import Qemu, QemuError
from ikelet.emulators.rawrepl import Progress, RawRepl, ReplError
from ikelet.image import Image
from ikelet.links import Link, LinkError, open_link

_PROMPT = b">>> "
_DOWNLOAD = b"(UART_BOOT(UART0))\r\n"  # what the ROM says then
_CONFIG = "config.json"
_MAIN = "main.py"

# QEMU's user network, in which the host's loopback is HOST, and the emulated radio's open network.
_BOARD_ADDRESS = "10.0.2.15"
HOST = "10.0.2.2"
SSID = "PICSimLabWifi"

_HEAP_WITHOUT_NETWORK = 165_000  # of stock firmware, where no driver has its memory beside it

_LINE = 120  # bytes of a file per line: the port keeps 260 characters that nobody has read yet
_BOOT_DEADLINE = 120.0  # seconds; 4 on an idle host


def usable(board: Board) -> str:
    """Why the board cannot be used here, and how to get what is missing; "" when it can."""
    try:
        esp32_machine.find(board)
        esp32_machine.find_image(board)
    except esp32_machine.MissingError as error:
        return str(error)
    return ""


def fitted(board: Board) -> Board:
    """The board as this machine's emulator has it: without a radio, the host relays."""
    if esp32_machine.find(board).wifi:
        return board
    tables = {name: table for name, table in board.tables.items() if name != "nic"}
    return dataclasses.replace(
        board, link="uart", radio=False, heap=_HEAP_WITHOUT_NETWORK, tables=tables
    )


def start(
    board: Board, files: Mapping[str, bytes], progress: Progress | None = None
) -> "Esp32Board":
    """Puts `files` (path on the board -> content) into its flash.

    The first board with these files is given them over the serial line, later ones get a copy of
    its flash. The board then waits, switched on, for the first link to its `url`, and boots.
    """
    running = Esp32Board(board)
    try:
        shared = _own_files(board) | dict(files)
        config = forwarded = None
        if _CONFIG in shared:
            settings = json.loads(shared[_CONFIG])
            if running.has_network:
                network = settings["network"]
                forwarded = network["bind"], network["port"]
            config = json.dumps(in_its_terms(board, settings)).encode()
            shared[_CONFIG] = esp32_flash.place(len(config))
        flash = _loaded(running, shared, progress)
        if config is not None:
            flash = esp32_flash.configured(flash, config)
        running.set_flash(flash)
        running.power_on(main=True, forwarded=forwarded)
    except BaseException:
        running.stop()
        raise
    return running


def at_prompt(board: Board, files: Mapping[str, bytes]) -> "Esp32Board":
    """A board that holds `files`, a config.json of no sense, but no main.py; at its prompt."""
    running = Esp32Board(board)
    try:
        shared = _own_files(board) | dict(files) | {_CONFIG: esp32_flash.place(0)}
        shared.pop(_MAIN, None)
        running.set_flash(_loaded(running, shared, None))
        running.power_on()
    except BaseException:
        running.stop()
        raise
    return running


class Esp32Board:
    """One emulated board: power, reset button, serial line, flash.

    Without a file of its own the flash has no name: a killed host leaves no key behind.
    """

    def __init__(self, board: Board, arguments: Sequence[str] = ()) -> None:
        """The flash holds the stock image and no files. `arguments`: further ones for QEMU."""
        self.board = board
        self.machine: Machine = esp32_machine.find(board)
        self.image: Image = esp32_machine.find_image(board)
        self._arguments = arguments
        self._flash = os.memfd_create("ikelet-esp32")
        self._port = 0
        self._qemu: Qemu | None = None
        self._forwarded: tuple[str, int] | None = None
        self.set_flash(esp32_flash.factory(board, self.image))

    def __enter__(self) -> "Esp32Board":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def has_network(self) -> bool:
        return bool(self.machine.wifi) and self.board.link == "udp"

    @property
    def url(self) -> str:
        """Where the serial line is, however often the board is switched; one link at a time."""
        self._running()
        return f"socket://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def power_on(
        self,
        *,
        main: bool = False,
        download: bool = False,
        forwarded: tuple[str, int] | None = None,
        timeout: float = _BOOT_DEADLINE,
    ) -> None:
        """Switches the board on.

        main: it boots as soon as somebody opens `url`. download: this returns when its ROM waits
        for esptool, as with the boot button held. Otherwise this returns at the prompt, for which
        flash must hold no main.py. forwarded: (address, port) of the host whose datagrams the
        board gets at the same port.
        Raises QemuError when QEMU ends, ReplError where it is not there within timeout seconds.
        """
        self._forwarded = forwarded
        command = self._command(forwarded)
        if download:
            command += self.board.tables["emulator"]["download"]
        self._qemu = Qemu(command, [self._flash], self._port)
        self._port = self._qemu.port
        if main:
            return
        try:
            with self._link() as link:
                self._await(_DOWNLOAD if download else _PROMPT, link, timeout)
        except LinkError as error:
            said = self._qemu.said()
            self.power_off()
            raise QemuError(f"{self.board.name}: QEMU did not start: {said}") from error
        except BaseException:
            self.power_off()
            raise

    def power_off(self) -> None:
        """Pulls the plug; the flash stays as it is at this moment. May be called repeatedly."""
        if self._qemu is not None:
            self._qemu.stop()
            self._qemu = None

    def power_cycle(self) -> None:
        """Pulls the plug, and plugs it in again: boots as soon as somebody opens `url`."""
        self.power_off()
        self.power_on(main=True, forwarded=self._forwarded)

    def reset(self) -> None:
        """The reset button: at any moment."""
        self._running().reset()

    def stop(self) -> None:
        """Ends everything, and forgets the flash."""
        self.power_off()
        if self._flash >= 0:
            os.close(self._flash)
            self._flash = -1

    def ended(self) -> str:
        """Why the board no longer runs, as one line; "" while it does."""
        if self._qemu is None:
            return "the board is switched off"
        return "" if self._qemu.running else f"QEMU ended: {self._qemu.said()}"

    def load(self, files: Mapping[str, bytes], progress: Progress | None = None) -> list[str]:
        """Puts files (path -> content) on the board over the serial line, at the prompt.

        Returns the paths written. main.py is the last: until then the board boots to its prompt.
        """
        ordered = dict(sorted(files.items(), key=lambda item: item[0] == _MAIN))
        with self.repl(30) as repl:
            return repl.load(ordered, progress, block=_LINE)

    @contextmanager
    def repl(self, timeout: float = 60.0) -> Iterator[RawRepl]:
        """The board's raw REPL; nobody else may have the serial line open."""
        with self._link() as link, RawRepl(link, timeout) as repl:
            yield repl

    def flash(self) -> bytes:
        """The whole flash's content; of a running board, all that it wrote before."""
        if self._qemu is not None:
            self._qemu.settle()
        return os.pread(self._flash, self.board.tables["flash"]["size"], 0)

    def set_flash(self, content: bytes) -> None:
        """Replaces the whole flash, as a programmer does. The board must be off."""
        os.truncate(self._flash, len(content))
        os.pwrite(self._flash, content, 0)

    def _running(self) -> Qemu:
        if self._qemu is None:
            raise QemuError(f"{self.board.name}: the board is switched off")
        return self._qemu

    def _await(self, mark: bytes, link: Link, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        received = b""
        while not received.endswith(mark):
            if time.monotonic() > deadline:
                last = received[-200:]
                raise ReplError(f"{self.board.name}: no {mark!r} within {timeout:g} s: {last!r}")
            received += link.read(0.1)

    @contextmanager
    def _link(self) -> Iterator[Link]:
        link = open_link(self.url)
        try:
            yield link
        finally:
            link.close()

    def _command(self, forwarded: tuple[str, int] | None) -> list[str]:
        watchdogs = self.board.tables["emulator"]["watchdogs"]
        command = [self.machine.program, "-M", self.machine.machine]
        command += ["-drive", f"file=/dev/fd/{self._flash},if=mtd,format=raw"]
        # The emulated watchdogs run by the host's clock: on a busy host they bite for nothing.
        command += ["-global", f"driver={watchdogs},property=wdt_disable,value=true"]
        command += self.board.tables["emulator"]["arguments"]
        nic = "none"
        if self.has_network:
            nic = f"user,model={self.machine.wifi}"
            if forwarded:
                address, port = forwarded
                nic += f",hostfwd=udp:{address}:{port}-{_BOARD_ADDRESS}:{port}"
        return [*command, "-nic", nic, *self._arguments]


def _own_files(board: Board) -> dict[str, bytes]:
    """What the emulated board has beside the firmware: a boot.py where reading flash is slow."""
    name = board.tables["emulator"].get("boot")
    return {"boot.py": (Path(__file__).parent / name).read_bytes()} if name else {}


def in_its_terms(board: Board, settings: dict[str, Any]) -> dict[str, Any]:
    """A configuration that is right on the host, as it is right on the board."""
    if board.link == "uart":
        return settings
    network = settings["network"]
    peers = {
        name: peer | {"address": HOST} if peer["address"] == network["bind"] else peer
        for name, peer in settings["peer"].items()
    }
    network = network | {"bind": _BOARD_ADDRESS, "ssid": SSID}
    return settings | {"network": network, "peer": peers}


def _loaded(running: Esp32Board, files: dict[str, bytes], progress: Progress | None) -> bytes:
    """The flash of a board that holds `files`: one kept from before, or made."""
    found = esp32_flash.kept(running.image, files)
    if found is not None:
        return found
    bare = {path: content for path, content in files.items() if path != _MAIN}
    with Esp32Board(running.board) as blank:
        blank.power_on()
        own = _own_files(running.board)
        if own:
            blank.load(own)
            with blank.repl() as repl:
                repl.run("import boot")
        blank.load(bare, progress)
        esp32_flash.keep(running.image, bare, blank.flash())
        if _MAIN in files:
            blank.load(files)
        flash = blank.flash()
    esp32_flash.keep(running.image, files, flash)
    return flash

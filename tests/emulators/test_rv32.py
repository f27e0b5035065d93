"""The board qemu-rv32: power, reset, flash, serial line, clock, entropy; nothing left behind."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ikelet import boards, resources
from ikelet.emulators import rv32
from ikelet.emulators.qemu import QemuError
from ikelet.emulators.rawrepl import BoardError, ReplError
from ikelet.emulators.rv32 import Rv32Board
from ikelet.links import Link, LinkError, open_link
from ikelet_hil.capabilities import require

BOARD = boards.find("qemu-rv32")
PORT = (resources.firmware() / "agent" / "port_rv32.py").read_bytes()

# Answers each line with its length and checksum, through the agent's own port.
ECHO = b"""
import port_rv32 as port, binascii, sys
line = bytearray()
port.leave_serial()  # Ctrl-C interrupts
port.write_serial(b"ready\\n")
while True:
    for byte in port.read_serial():
        if byte != 10:
            line.append(byte)
            continue
        if line == b"busy":
            end = port.ticks_ms() + 1000
            while port.ticks_ms() < end:
                pass
        if line == b"reset":
            port.reset()
        port.write_serial(b"%d %d\\n" % (len(line), binascii.crc32(line)))
        line = bytearray()
    port.wait(1000)
"""


@contextmanager
def opened(board: Rv32Board) -> Iterator[Link]:
    link = open_link(board.url)
    try:
        yield link
    finally:
        link.close()


def expect(link: Link, mark: bytes, seconds: float = 10.0) -> bytes:
    """Everything up to and including `mark`."""
    deadline = time.monotonic() + seconds
    received = b""
    while mark not in received:
        assert time.monotonic() < deadline, f"no {mark!r} within {seconds} s, but {received!r}"
        received += link.read(0.2)
    return received


def answer_to(line: bytes) -> bytes:
    import binascii

    return b"%d %d\n" % (len(line), binascii.crc32(line))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def echo() -> Iterator[Rv32Board]:
    require("qemu-rv32")
    with rv32.start(BOARD, {"main.py": ECHO, "port_rv32.py": PORT}) as board:
        yield board


class TestBoot:
    def test_is_what_the_board_file_says(self, board: Rv32Board) -> None:
        with board.repl() as repl:
            assert repl.eval("__import__('sys').implementation[1][:2]") == (1, 25)
            assert repl.eval("__import__('sys').implementation._mpy & 255") == 6
            free, used = repl.eval("(lambda g: (g.mem_free(), g.mem_alloc()))(__import__('gc'))")
        assert BOARD.heap * 0.97 < free + used < BOARD.heap
        assert free > 130_000, "of the 138 KB, before anything is loaded"

    def test_addresses_are_the_firmwares(self) -> None:
        text = (Path(rv32.__file__).parent / "rv32_board" / "virt.c").read_text()
        flash, size = (
            int(re.search(rf"^#define {name} .*?(0x\w+)", text, re.M)[1], 0)
            for name in ("FLASH", "FLASH_SIZE")
        )
        assert BOARD.tables["flash"] == {"offset": flash - 0x80000000, "size": size}

    def test_main_runs_with_nothing_lost(self) -> None:
        require("qemu-rv32")
        with rv32.start(BOARD, {"main.py": b"print('first words')"}) as board:
            assert board.ended() == ""
            time.sleep(0.3)  # as long as nobody listens, it does not start
            with opened(board) as link:
                assert expect(link, b">>> ").startswith(b"first words\r\n")

    def test_soft_reset_boots_again(self, board: Rv32Board) -> None:
        board.load({"main.py": b"print('main')"})
        with opened(board) as link:
            link.write(b"\x04")
            assert b"soft reboot\r\nmain\r\n" in expect(link, b">>> ")

    def test_error_in_main_ends_at_the_prompt(self, board: Rv32Board) -> None:
        board.load({"main.py": b"raise ValueError(42)"})
        with opened(board) as link:
            board.reset()
            assert b"ValueError: 42" in expect(link, b">>> ")

    def test_firmware_that_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        require("qemu-rv32")
        (tmp_path / "text.elf").write_text("not an ELF file\n")
        monkeypatch.setenv("IKELET_RV32_FIRMWARE", str(tmp_path / "text.elf"))
        with Rv32Board(BOARD) as board, pytest.raises((QemuError, ReplError), match="qemu-rv32: "):
            board.power_on(timeout=2)

    def test_qemu_that_does_not_start_is_quoted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        require("qemu-rv32")
        monkeypatch.setitem(BOARD.tables["emulator"], "machine", "toaster")
        with Rv32Board(BOARD) as board, pytest.raises(QemuError, match="unsupported machine type"):
            board.power_on()


class TestFlash:
    FILES = {"main.py": b"", "deep/er/x.bin": bytes(range(256)) * 20, "empty": b""}

    def test_files_read_back(self, board: Rv32Board) -> None:
        assert sorted(board.load(self.FILES)) == ["/deep/er/x.bin", "/empty", "/main.py"]
        with board.repl() as repl:
            assert {path: repl.read(path) for path in self.FILES} == self.FILES
            digests = {f"/{p}": hashlib.sha256(c).hexdigest() for p, c in self.FILES.items()}
            assert repl.files() == digests

    def test_only_what_differs_is_written(self, board: Rv32Board) -> None:
        board.load(self.FILES)
        assert board.load(self.FILES) == []
        assert board.load({**self.FILES, "empty": b"no longer"}) == ["/empty"]

    def test_progress(self, board: Rv32Board) -> None:
        seen: list[tuple[str, int, int]] = []
        board.load(self.FILES, lambda path, done, total: seen.append((path, done, total)))
        assert seen[-1] == ("/deep/er/x.bin", 5120, 5120)
        assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)

    def test_survives_reset_and_loss_of_power(self, board: Rv32Board) -> None:
        board.load(self.FILES)
        board.reset()
        board.power_off()
        board.power_on()
        assert board.load(self.FILES) == []

    def test_kept_in_a_file(self, tmp_path: Path) -> None:
        require("qemu-rv32")
        for expected in (["/a"], []):
            with Rv32Board(BOARD, ram=tmp_path / "ram") as board:
                board.power_on()
                assert board.load({"a": b"kept"}) == expected

    def test_power_lost_in_the_middle_of_loading(self, board: Rv32Board) -> None:
        board.load({"old": b"old"})

        def cut(_path: str, done: int, _total: int) -> None:
            if done > 20_000:
                os.kill(board.pid, signal.SIGKILL)

        with pytest.raises(LinkError, match="is gone"):
            board.load({"new": bytes(50_000)}, cut)
        board.power_off()
        board.power_on()
        with board.repl() as repl:
            assert repl.read("old") == b"old"
        assert board.load({"new": bytes(50_000)}) == ["/new"]

    def test_full(self, board: Rv32Board) -> None:
        smaller = """
            import vfs, virt
            class Small:
                readblocks, writeblocks = virt.readblocks, virt.writeblocks
                def ioctl(self, op, argument):
                    return 8 if op == 4 else virt.ioctl(op, argument)
            vfs.umount("/")
            vfs.VfsLfs2.mkfs(Small())
            vfs.mount(vfs.VfsLfs2(Small()), "/")
        """
        with board.repl() as repl:
            repl.run(textwrap.dedent(smaller))
        with pytest.raises(ReplError, match=r"/more: on the board: OSError: 28"):
            board.load({"more": os.urandom(30_000)})

    def test_second_board_starts_from_a_copy(self) -> None:
        require("qemu-rv32")
        files = {"main.py": b"print(open('config.json').read())", "x": os.urandom(100)}
        configs = (b"the first key", b"the second key")
        for config in configs:
            with (
                rv32.start(BOARD, {**files, "config.json": config}) as board,
                opened(board) as link,
            ):
                assert config in expect(link, b">>> ")
        # Other tests of this process may have left images, of the agent for one.
        kept = rv32._images.values()
        assert not any(config in image for image in kept for config in configs)


class TestSerialLine:
    def test_long_lines(self, echo: Rv32Board) -> None:
        with opened(echo) as link:
            expect(link, b"ready\n")
            for size in (1, 14, 15, 16, 17, 255, 256, 257, 4096):
                line = os.urandom(size).translate(bytes.maketrans(b"\n\x03", b"ab"))
                link.write(line + b"\n")
                assert expect(link, b"\n") == answer_to(line)

    def test_nothing_is_lost_while_the_board_is_busy(self, echo: Rv32Board) -> None:
        line = os.urandom(20_000).translate(bytes.maketrans(b"\n\x03", b"ab"))
        with opened(echo) as link:
            expect(link, b"ready\n")
            link.write(b"busy\n" + line + b"\n")
            assert expect(link, answer_to(line)) == answer_to(b"busy") + answer_to(line)

    def test_reset_in_the_middle_of_a_line(self, echo: Rv32Board) -> None:
        with opened(echo) as link:
            expect(link, b"ready\n")
            link.write(b"half a li")
            time.sleep(0.1)
            echo.reset()
            expect(link, b"ready\n")
            link.write(b"a whole line\n")
            assert answer_to(b"a whole line") in expect(link, b"\n")

    def test_board_resets_itself(self, echo: Rv32Board) -> None:
        with opened(echo) as link:
            expect(link, b"ready\n")
            link.write(b"reset\n")
            expect(link, b"ready\n")
        assert echo.ended() == ""

    def test_cable_pulled_and_put_back(self, echo: Rv32Board) -> None:
        with opened(echo) as link:
            expect(link, b"ready\n")
            link.write(b"half")
            time.sleep(0.1)
        with opened(echo) as link:
            link.write(b" and half\n")
            assert expect(link, b"\n") == answer_to(b"half and half")

    def test_ctrl_c_is_an_interrupt(self, echo: Rv32Board) -> None:
        with opened(echo) as link:
            expect(link, b"ready\n")
            link.write(b"\x03")
            assert b"KeyboardInterrupt" in expect(link, b">>> ")

    def test_late_code_is_told(self, board: Rv32Board) -> None:
        with pytest.raises(ReplError, match=r"no .* within 0.3 s"), board.repl() as repl:
            repl.run("while True: pass", timeout=0.3)
        board.reset()
        with board.repl() as repl:
            assert repl.eval("6 * 7") == 42

    def test_traceback_is_kept(self, board: Rv32Board) -> None:
        with board.repl() as repl, pytest.raises(BoardError, match="divide by zero") as caught:
            repl.run("def f(): 1 / 0\nf()")
        assert "line 1, in f" in caught.value.traceback


class TestClock:
    def test_runs_with_the_worlds(self, board: Rv32Board) -> None:
        with board.repl() as repl:
            before, start = repl.eval("__import__('virt').ticks_ms()"), time.monotonic()
            time.sleep(0.5)
            after, end = repl.eval("__import__('virt').ticks_ms()"), time.monotonic()
        assert abs((after - before) - (end - start) * 1000) < 200

    def test_waiting_costs_nothing(self, board: Rv32Board) -> None:
        def cpu_seconds() -> float:
            fields = Path(f"/proc/{board.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        with board.repl() as repl:
            before = cpu_seconds()
            waited = repl.run(
                "import virt\nt = virt.ticks_ms()\nvirt.wait(1000)\nprint(virt.ticks_ms() - t)"
            )
            at_work = cpu_seconds() - before
            time.sleep(0.5)
            at_prompt = cpu_seconds() - before - at_work
        assert 1000 <= int(waited) < 1100
        assert at_work < 0.3
        assert at_prompt < 0.1

    def test_counts_instructions(self) -> None:
        """The same work costs the same on every run, to the tick of 100 instructions."""
        require("qemu-rv32")
        work = "pow(3, exponent, modulus)"
        setup = "exponent = (1 << 256) - 189\nmodulus = (1 << 1024) - 105"
        counts = []
        for _ in range(3):
            with Rv32Board(BOARD, count_instructions=True) as board:
                board.power_on()
                counts.append(board.instructions(work, setup))
        assert max(counts) - min(counts) <= 200
        assert 10_000_000 < counts[0] < 1_000_000_000


class TestEntropy:
    def ask(self, board: Rv32Board, n: int) -> bytes:
        with board.repl() as repl:
            return bytes(repl.eval(f"__import__('os').urandom({n})"))

    def test_never_the_same(self, board: Rv32Board) -> None:
        first = self.ask(board, 32)
        assert len(first) == 32
        board.reset()
        time.sleep(0.5)
        second = self.ask(board, 32)
        board.power_off()
        board.power_on()
        assert len({first, second, self.ask(board, 32)}) == 3

    @pytest.mark.parametrize("n", [0, 1, 4096])
    def test_any_length(self, board: Rv32Board, n: int) -> None:
        given = self.ask(board, n)
        assert len(given) == n
        if n > 1000:
            assert len(set(given)) > 200

    def test_repeats_when_asked_to(self) -> None:
        require("qemu-rv32")
        given = set()
        for seed in (1, 1, 2):
            with Rv32Board(BOARD, entropy_seed=seed) as board:
                board.power_on()
                given.add(self.ask(board, 16))
        assert len(given) == 2


class TestEnd:
    def test_stop_leaves_no_process(self, board: Rv32Board) -> None:
        pid = board.pid
        board.stop()
        assert gone(pid)
        assert board.ended() == "the board is switched off"
        board.stop()
        with pytest.raises(QemuError, match="switched off"):
            board.reset()

    def test_reset_of_a_dead_board(self, board: Rv32Board) -> None:
        os.kill(board.pid, signal.SIGKILL)
        assert within(5, lambda: bool(board.ended()))
        with pytest.raises(QemuError, match="QEMU ended"):
            board.reset()

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    def test_ends_with_the_host(self, how: signal.Signals) -> None:
        require("qemu-rv32")
        program = """
            import time
            from ikelet import boards
            from ikelet.emulators import rv32
            board = rv32.start(boards.find("qemu-rv32"), {"main.py": b"while True: pass"})
            print(board.pid, flush=True)
            time.sleep(60)
        """
        command = [sys.executable, "-c", textwrap.dedent(program)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as host:
            assert host.stdout is not None
            pid = int(host.stdout.readline())
            assert not gone(pid)
            host.send_signal(how)
            host.wait(timeout=5)
        assert within(5, lambda: gone(pid))

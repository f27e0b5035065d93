"""The firmware of qemu-rv32: where it comes from, when it is built, what is said if it cannot."""

import re
import subprocess
from pathlib import Path

import pytest

from ikelet import boards
from ikelet.emulators import rv32_firmware
from ikelet.emulators.rv32_firmware import FirmwareError
from ikelet_hil.capabilities import require


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, on a machine that has every tool."""
    require("qemu-rv32")
    monkeypatch.delenv("IKELET_RV32_FIRMWARE", raising=False)
    monkeypatch.setenv("IKELET_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def builds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The builds that were made; each yields another ELF file."""
    made: list[str] = []

    def build(folder: Path, _say: object) -> None:
        made.append(folder.name)
        elf = cache / "made"
        elf.write_bytes(b"\x7fELF %d" % len(made))
        rv32_firmware._keep(elf, folder)

    monkeypatch.setattr(rv32_firmware, "_build", build)
    return made


def test_built_once(builds: list[str]) -> None:
    first = rv32_firmware.firmware()
    assert rv32_firmware.firmware() == first
    assert first.read_bytes() == b"\x7fELF 1"
    assert len(builds) == 1


@pytest.mark.parametrize("name", ["firmware.elf", "firmware.json"])
def test_damaged_cache_is_built_again(builds: list[str], name: str) -> None:
    path = rv32_firmware.firmware()
    (path.parent / name).write_bytes(b"{}")
    assert rv32_firmware.firmware().read_bytes() == b"\x7fELF 2"
    assert len(builds) == 2


def test_board_definition_is_part_of_the_version(
    builds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rv32_firmware.firmware()
    changed = tmp_path / "board"
    changed.mkdir()
    (changed / "virt.c").write_text("int main;")
    monkeypatch.setattr(rv32_firmware, "BOARD", changed)
    rv32_firmware.firmware()
    assert len(set(builds)) == 2


def test_given_firmware(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = cache / "own.elf"
    monkeypatch.setenv("IKELET_RV32_FIRMWARE", str(given))
    with pytest.raises(FirmwareError, match=f"IKELET_RV32_FIRMWARE: there is no file {given}"):
        rv32_firmware.firmware()
    given.write_bytes(b"")
    assert rv32_firmware.firmware() == given


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IKELET_RV32_FIRMWARE", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    why = boards.usable(boards.find("qemu-rv32"))
    assert "apt-get install qemu-system-misc gcc-riscv64-unknown-elf gcc make" in why


def test_missing_library_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gcc = cache / rv32_firmware.GCC
    gcc.write_text("#!/bin/sh\necho picolibc.specs\n")  # what gcc says of a file it does not find
    gcc.chmod(0o755)
    path = rv32_firmware.os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{cache}:{path}")
    assert "apt-get install picolibc-riscv64-unknown-elf" in rv32_firmware.missing()


def test_no_mirror(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong source is not taken, and the message says what would do."""
    monkeypatch.setattr(rv32_firmware, "_mirrors", list)
    (cache / rv32_firmware.SOURCE).write_bytes(b"something else")
    with pytest.raises(FirmwareError) as caught:
        rv32_firmware.firmware()
    for words in ("IKELET_DEBIAN_MIRROR", rv32_firmware.SOURCE, str(cache)):
        assert words in str(caught.value)


def test_wrong_source_from_the_mirror(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = cache / "mirror"
    source = mirror / rv32_firmware.SOURCE_POOL
    source.parent.mkdir(parents=True)
    source.write_bytes(b"something else")
    monkeypatch.setenv("IKELET_DEBIAN_MIRROR", f"file:{mirror}")
    with pytest.raises(FirmwareError, match=re.escape(f"file:{mirror}: E: Failed to fetch")):
        rv32_firmware.firmware()
    assert not (cache / rv32_firmware.SOURCE).exists()


def test_source_from_the_mirror(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = cache / "mirror"
    source = mirror / rv32_firmware.SOURCE_POOL
    source.parent.mkdir(parents=True)
    source.write_bytes(b"the source")
    monkeypatch.setenv("IKELET_DEBIAN_MIRROR", f"file:{mirror}")
    monkeypatch.setattr(rv32_firmware, "SOURCE_SHA256", rv32_firmware._sha256(source))
    said: list[str] = []
    assert rv32_firmware._source(said.append).read_bytes() == b"the source"
    assert len(said) == 1
    assert rv32_firmware._source(said.append).read_bytes() == b"the source"
    assert len(said) == 1, "the second time it comes from the cache"


def test_mirrors_are_those_of_apt() -> None:
    require("qemu-rv32")
    uris = subprocess.run(["apt-get", "--print-uris", "update"], capture_output=True, text=True)
    mirrors = rv32_firmware._mirrors()
    assert mirrors
    for mirror in mirrors:
        assert f"'{mirror}/dists/" in uris.stdout


def test_failed_build_says_why(cache: Path) -> None:
    with pytest.raises(FirmwareError, match=r"the build failed, see .*rv32.log") as caught:
        rv32_firmware._make(["-f", "/dev/null", "nothing-of-the-kind"], cache / "rv32")
    assert "nothing-of-the-kind" in str(caught.value)
    assert "nothing-of-the-kind" in (cache / "rv32.log").read_text()

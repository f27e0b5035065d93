"""What is put on a board, and the cache of compiled files."""

import json
import subprocess
from pathlib import Path

import pytest

from ikelet import boards, build, resources
from ikelet_hil.capabilities import require


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    require("mpy-cross")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return build.cache_folder()


def test_files_of_the_unix_board() -> None:
    board = boards.find("unix")
    files = build.files(board)
    assert json.loads(files["board.json"]) == board.on_board()
    assert {"main.py", "agent/config.mpy", "agent/schema.json", "hal/__init__.mpy"} <= set(files)
    assert [name for name in files if "port_" in name] == ["agent/port_select.mpy"]
    assert [name for name in files if "link_" in name] == ["agent/link_udp.mpy"]
    assert "agent/natt_sockets.mpy" in files
    sources = [name for name in files if name.endswith(".py") and name != "main.py"]
    assert all(files[name].startswith(b"# Ships as source") for name in sources)
    assert sum(build.sizes(files).values()) == sum(len(content) for content in files.values())


def test_cache_is_keyed_by_content_and_name(cache: Path) -> None:
    first = build.compiled("a.py", b"x = 1\n")
    assert first[:2] == b"M\x06"
    assert build.compiled("a.py", b"x = 1\n") == first
    assert len(list(cache.iterdir())) == 1
    assert build.compiled("a.py", b"x = 2\n") != first
    build.compiled("b.py", b"x = 1\n")
    assert len(list(cache.iterdir())) == 3


def test_cache_is_used(cache: Path) -> None:
    build.compiled("a.py", b"x = 1\n")
    (kept,) = cache.iterdir()
    kept.write_bytes(b"from the cache")
    assert build.compiled("a.py", b"x = 1\n") == b"from the cache"


def test_error_names_the_file() -> None:
    with pytest.raises(build.BuildError, match=r"ike/wire\.py does not compile: SyntaxError"):
        build.compiled("ike/wire.py", b"def\n")


def test_branches_of_machine_code_reach_on_the_esp32(tmp_path: Path) -> None:
    # A branch of MicroPython's Xtensa emitter reaches 2047 bytes; up to 1.25 one that is to go
    # further is built wrongly, and all there is to see is a line on the console. The longest loop
    # is that of hal.limbs.run; 160 bytes more of it were still right.
    source = (resources.firmware() / "hal" / "limbs.py").read_text()
    function = tmp_path / "run.py"
    function.write_text(source[: source.index("@micropython.viper\ndef swap")])
    made = function.with_suffix(".mpy")
    command = [build.mpy_cross(), "-march=xtensawin", "-o", str(made), str(function)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert made.stat().st_size < 2240


def test_only_tests_are_compiled_with_their_asserts() -> None:
    require("mpy-cross")
    source = b"def check(x):\n    assert x, 'it was kept'\n"
    assert b"it was kept" in build.compiled("check.py", source, level=0)
    assert b"it was kept" not in build.compiled("check.py", source)

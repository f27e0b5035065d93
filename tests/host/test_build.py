"""What is put on a board, and the cache of compiled files."""

import json
from pathlib import Path

import pytest

from ikelet import boards, build
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

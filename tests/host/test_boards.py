"""Board files: the project's own are right, and a wrong one is refused with the key named."""

from pathlib import Path

import pytest

from ikelet import boards, resources

GOOD = (resources.boards() / "unix.toml").read_text()


@pytest.mark.parametrize("path", sorted(resources.boards().glob("*.toml")), ids=lambda p: p.stem)
def test_files_of_the_project(path: Path) -> None:
    board = boards.load(path)
    assert board.name == path.stem
    assert (resources.firmware() / "agent" / f"port_{board.port}.py").is_file()
    assert boards.runner(board).usable is not None
    assert board.engines[-1] == "software", "software is what every board falls back to"
    told = board.on_board()
    assert {"name", "chip", "port", "link", "engines"} <= set(told)
    assert set(told) <= set(vars(board)) | {"nic"}
    if board.kind == "serial":
        assert told["autostart"] is True
        assert type(told["strap"]) is int
        assert told["nic"]["kind"] in ("lan", "wlan")
        assert told["watchdog_ms"] >= 60_000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kind = "process"', 'kind = "toy"', ["board.kind", '"toy"', "process, qemu, serial"]),
        ('name = "unix"', 'name = "other"', ["board.name", '"other"', '"unix"']),
        ("heap = 262144", "heap = true", ["board.heap", "true", "bytes"]),
        ("heap = 262144", "", ["board.heap is missing"]),
        ("heap = 262144", "heap = 1\nslowness = 0.5", ["board.slowness", "1.0 or more"]),
        ("heap = 262144", "heap = 1\ncolour = 1", ["board.colour is unknown"]),
        ('["mbed", "software"]', '["magic"]', ["board.engines", "mpi, mbed, software"]),
        ('["mbed", "software"]', "[]", ["board.engines"]),
        ("[board]", "[radio]\n[board]", ["[radio] is unknown", "[emulator]"]),
        ("[board]", "[board", ["unix.toml"]),
    ],
)
def test_wrong_file(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    path = tmp_path / "unix.toml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(boards.BoardError) as caught:
        boards.load(path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


def test_unknown_board() -> None:
    with pytest.raises(boards.BoardError, match='no board is called "unxi"; did you mean unix'):
        boards.find("unxi")
    with pytest.raises(boards.BoardError, match=r"there are: .*unix"):
        boards.find("../pyproject")

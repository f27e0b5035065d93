"""Images: what they are for is found out before anything is written."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ikelet import boards, image
from ikelet.boards import Board
from ikelet.image import ImageError


def made_up(chip_id: int = 0, offset: int = 0x1000, application: bytes = b"code" * 999) -> bytes:
    """Bootloader, partition table (nvs, phy_init, factory), application."""
    table = b"".join(
        b"\xaa\x50"
        + bytes([kind, 2])
        + at.to_bytes(4, "little")
        + size.to_bytes(4, "little")
        + name
        for kind, at, size, name in (
            (1, 0x9000, 0x6000, b"nvs".ljust(20, b"\0")),
            (1, 0xF000, 0x1000, b"phy_init".ljust(20, b"\0")),
            (0, 0x10000, 0x1F0000, b"factory".ljust(20, b"\0")),
        )
    )
    content = bytearray(b"\xff" * (0x10000 - offset))
    content[:14] = b"\xe9\x03\x02\x20" + bytes(8) + chip_id.to_bytes(2, "little")
    content[0x8000 - offset : 0x8000 - offset + len(table)] = table
    return bytes(content) + application


@pytest.fixture
def board() -> Board:
    return boards.find("esp32-generic")


def write(folder: Path, content: bytes, name: str = "ESP32_GENERIC-v1.bin") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_code_leaves_the_boards_own_data_alone(tmp_path: Path, board: Board) -> None:
    content = made_up()
    found = image.load(board, write(tmp_path, content))
    parts = found.code()
    assert [(address, len(part)) for address, part in parts] == [
        (0x1000, 0x7000),
        (0x8000, 0x1000),
        (0x10000, 3996),
    ]
    for address, part in parts:
        assert content[address - 0x1000 :].startswith(part)
    covered = {at for address, part in parts for at in range(address, address + len(part))}
    assert not covered & set(range(0x9000, 0x10000)), "NVS and PHY data are not written"
    assert found.table() == parts[1]
    assert found.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is no firmware image"]),
        (b"\x7fELF" + bytes(9000), ["is no firmware image"]),
        (made_up(chip_id=5, offset=0), ["is for ESP32-C3", "esp32-generic has ESP32"]),
        (made_up(chip_id=99), ["an unknown chip (number 99)"]),
        (made_up()[:0x6000], ["no partition table at 0x8000", ".app-bin"]),
        (made_up(application=bytes(0x400000)), ["larger than the flash", "4194304"]),
    ],
)
def test_wrong_image(tmp_path: Path, board: Board, content: bytes, words: list[str]) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ImageError) as caught:
        image.load(board, path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


def test_no_such_file(tmp_path: Path, board: Board) -> None:
    with pytest.raises(ImageError, match="No such file"):
        image.load(board, tmp_path / "absent.bin")


def test_name_of_another_board_is_told(tmp_path: Path, board: Board) -> None:
    assert image.warning(board, Path("ESP32_GENERIC-20241025-v1.24.0.bin")) == ""
    assert "ESP32_GENERIC-*.bin" in image.warning(board, Path("LOLIN_S2_MINI-v1.24.0.bin"))


class Served:
    """A server on loopback that has one file."""

    def __init__(self, content: bytes) -> None:
        self.requests = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(200 if self.path == "/x/IMAGE.bin" else 404)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/x/IMAGE.bin"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    there = Served(made_up())
    yield there
    there.close()


def test_download_by_checksum(served: Served, board: Board) -> None:
    good = f"{served.url}#sha256={hashlib.sha256(made_up()).hexdigest()}"
    path = image.find(board, good)
    assert path.read_bytes() == made_up()
    assert image.find(board, good) == path
    assert served.requests == 1, "the second time it comes from the cache"
    path.write_bytes(b"spoilt")
    assert image.find(board, good).read_bytes() == made_up()


def test_download_with_other_content_is_refused(served: Served, board: Board) -> None:
    with pytest.raises(ImageError, match=f"not {'0' * 64}: refused"):
        image.find(board, f"{served.url}#sha256={'0' * 64}")


def test_download_needs_a_checksum(served: Served, board: Board) -> None:
    with pytest.raises(ImageError, match="#sha256=HEX"):
        image.find(board, served.url)
    assert served.requests == 0


def test_download_that_fails(served: Served, board: Board) -> None:
    with pytest.raises(ImageError, match=r"cannot download .*404"):
        image.find(board, f"{served.url}.not#sha256={'0' * 64}")


def test_pinned_images(served: Served, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(made_up()).hexdigest()
    entry = {"name": "OURS.bin", "url": served.url, "sha256": digest}
    older = {"name": "OLDER.bin", "url": served.url, "sha256": "0" * 64}
    monkeypatch.setitem(board.tables["flash"], "images", [older, entry])
    assert image.find(board, None).read_bytes() == made_up()
    assert image.find(board, "OURS.bin") == image.find(board, None)
    with pytest.raises(ImageError, match="refused"):
        image.find(board, "OLDER.bin")
    monkeypatch.setitem(board.tables["flash"], "images", [])
    with pytest.raises(ImageError, match=r"no image is pinned .* --image"):
        image.find(board, None)

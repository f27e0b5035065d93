"""The raw prompt towards a board that takes no more than it said it would."""

import pytest

from ikelet.emulators.rawrepl import BoardError, RawRepl, ReplError

WINDOW = 16


class Board:
    """A Link to a prompt: raw-paste mode, with so little room that what comes too early is lost.
    `refuses`: it gives up in the middle of code that begins so."""

    url = "fake://"

    def __init__(self) -> None:
        self.said = bytearray()
        self.code: bytearray | None = None
        self.room = 0
        self.lost = 0
        self.ran: list[bytes] = []

    def read(self, timeout: float) -> bytes:
        if not self.said:
            self._take_window()
        said, self.said = bytes(self.said[:3]), self.said[3:]
        return said

    def write(self, data: bytes) -> None:
        if self.code is None:
            if data.endswith(b"\x01") and b"\x05" not in data:
                self.said += b"raw REPL; CTRL-B to exit\r\n>"
            elif data == b"\x05A\x01":
                self.code, self.room = bytearray(), WINDOW
                self.said += b"R\x01" + WINDOW.to_bytes(2, "little") + b"\x01"
                self.room += WINDOW
            elif data == b"\x02":
                self.said += b"\r\n>>> "
            return
        end = data.endswith(b"\x04")
        data = data.removesuffix(b"\x04")
        self.lost += max(0, len(data) - self.room)
        self.code += data[: self.room]
        self.room -= len(data[: self.room])
        if end:
            self._run()

    def close(self) -> None: ...

    def _take_window(self) -> None:
        """It comes around to what it has, only when the other side waits."""
        if self.code is None:
            return
        if self.code.startswith(b"wrong") and len(self.code) > WINDOW:
            self.said += b"\x04"
        elif self.room == 0:
            self.room = WINDOW
            self.said += b"\x01"

    def _run(self) -> None:
        assert self.code is not None
        code, self.code = bytes(self.code), None
        self.ran.append(code)
        if code.startswith(b"wrong"):
            self.said += b"\x04Traceback\r\nSyntaxError: invalid syntax\r\n\x04>"
        else:
            self.said += b"\x04%d bytes\x04\x04>" % len(code)


def test_long_code_arrives_whole() -> None:
    board = Board()
    with RawRepl(board, 1.0) as repl:
        for length in (0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 40 * WINDOW + 3):
            assert repl.run("x" * length) == f"{length} bytes"
    assert board.lost == 0
    assert [len(code) for code in board.ran][-1] == 40 * WINDOW + 3


def test_a_board_that_gives_up_in_the_middle() -> None:
    board = Board()
    with RawRepl(board, 1.0) as repl:
        with pytest.raises(BoardError, match="SyntaxError"):
            repl.run("wrong" + "x" * 40 * WINDOW)
        assert repl.run("right") == "5 bytes"
    assert len(board.ran[0]) < 40 * WINDOW
    assert board.lost == 0


def test_a_board_that_knows_no_raw_paste() -> None:
    class Old(Board):
        def write(self, data: bytes) -> None:
            if data.startswith(b"\x05"):
                self.said += b"R\x00"
            else:
                super().write(data)

    with pytest.raises(ReplError, match="not at its raw prompt"), RawRepl(Old(), 1.0) as repl:
        repl.run("1")

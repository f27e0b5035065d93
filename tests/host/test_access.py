"""Who may provision a board in production, end to end on boards, and what is said meanwhile."""

import base64
import dataclasses
import hashlib
import hmac
import json
import os
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ikelet import access, boards, build, demo, device, provision, rehearsal
from ikelet import config as host_config
from ikelet.access import AccessError
from ikelet.boards import Board
from ikelet.console import Console, ConsoleError
from ikelet.device import Device
from ikelet.errors import MisuseError
from ikelet.unixboard import UnixBoard
from ikelet_hil.canary import Canary
from ikelet_hil.capabilities import require
from said import Said

PASSWORD = "canary-Vt7qLw2-password"


def configuration(
    folder: Path, name: str, password: str | None = PASSWORD, **device: Any
) -> host_config.Config:
    about = {"name": name} | device
    if password:
        (folder / "password").write_text(password + "\n")
        (folder / "password").chmod(0o600)
        about["password_file"] = "password"
    network = {"bind": "127.0.0.1", "port": demo.free_port()}
    peer = {"address": "127.0.0.9", "psk": Canary().text, "role": "responder"}
    raw = {"device": about, "network": network, "peer": {"hq": peer}}
    return host_config.check(raw, folder)


@pytest.fixture(params=["unix", "qemu-rv32"])
def blank(request: pytest.FixtureRequest) -> Iterator[Device]:
    require({"unix": "micropython"}.get(request.param, request.param))
    with rehearsal.blank(boards.find(request.param)) as there:
        yield there


def again(device: Device) -> Device:
    """As the next `ikelet provision` sees the board."""
    device.status = device.call("status")
    return device


def test_a_board_in_production_wants_its_password(
    blank: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bytes] = []
    monkeypatch.setattr(Console, "_tell", lambda _, __, line: said.append(line))
    assert blank.status["access"] == "open"
    first = configuration(tmp_path, "first")
    assert provision.run(blank, first, None, Said())["device"] == "first"
    assert again(blank).status["access"] == "password"
    assert blank.call("config.get")["device"]["password"] == "(set)"
    with pytest.raises(ConsoleError, match="in production"):
        blank.call("config.put", {"offset": 0, "data": "{}"})
    with pytest.raises(ConsoleError, match="in production"):
        blank.call("config.commit")

    none = configuration(tmp_path, "second", None)
    with pytest.raises(MisuseError, match="--password-file"):
        provision.run(blank, none, None, Said())
    with pytest.raises(AccessError, match="wrong password; the next one in 1 s"):
        provision.run(blank, none, None, Said(), "another-4Kd9-password")
    with pytest.raises(AccessError, match="wait 1 s"):
        provision.run(blank, none, None, Said(), PASSWORD)

    # Once the second is over; a reset does not shorten it.
    until(lambda: provision.run(again(blank), none, None, Said(), PASSWORD))
    assert again(blank).status["device"] == "second"
    assert blank.status["access"] == "presence"
    with pytest.raises(MisuseError, match="boot button"):
        provision.run(blank, first, None, Said(), PASSWORD)
    assert any(b'"proof"' in line for line in said)
    canary = Canary(PASSWORD)
    assert not canary.find_in(b"\n".join(said), "the console")


def until(function: Any) -> None:
    """Again and again, as long as it is only told to wait."""
    for _ in range(50):
        try:
            function()
        except AccessError as error:
            if "wait" not in str(error):
                raise
            threading.Event().wait(0.1)
        else:
            return
    pytest.fail("never let in")


def test_the_same_password_need_not_be_said(blank: Device, tmp_path: Path) -> None:
    provision.run(blank, configuration(tmp_path, "first"), None, Said())
    event = provision.run(again(blank), configuration(tmp_path, "second"), None, Said())
    assert event["device"] == "second"


def test_development_is_open(blank: Device, tmp_path: Path) -> None:
    provision.run(blank, configuration(tmp_path, "first", development=True), None, Said())
    assert again(blank).status["access"] == "open"


def test_a_production_board_without_a_password_is_warned_of(tmp_path: Path) -> None:
    require("micropython")
    said = Said()
    with rehearsal.blank(boards.find("unix")) as there:
        provision.run(there, configuration(tmp_path, "first", None), None, said)
    assert any("only the boot button" in line for line in said.warnings)


class TestFlash:
    """With a look into the board's flash, and at its boot."""

    @pytest.fixture
    def board(self) -> Board:
        require("micropython")
        return boards.find("unix")

    def _boot(self, board: Board, given: host_config.Config, **more: bytes) -> UnixBoard:
        configuration = {"config.json": json.dumps(given.board).encode()}
        return UnixBoard(board, build.files(board) | configuration | more)

    def test_the_password_is_nowhere(self, board: Board, tmp_path: Path) -> None:
        with self._boot(board, configuration(tmp_path, "first")) as running:
            with Device(running.url) as there:
                with pytest.raises(AccessError):
                    access.unlock(there, "another-4Kd9-password")
                assert there.status["access"] == "password"
            assert (running.flash / "wrong_proofs").read_bytes() == b"1"
            assert not Canary(PASSWORD).find_below(running.flash)

    def test_whoever_has_it_in_his_hands(self, board: Board, tmp_path: Path) -> None:
        """The boot button led to the prompt, where the host starts the agent."""
        given = configuration(tmp_path, "first")
        main = b"from agent import run\nrun.main(present=True)\n"
        with (
            self._boot(board, given, **{"main.py": main}) as running,
            Device(running.url) as there,
        ):
            assert there.status["access"] == "open"
            assert there.status["mode"] == "production"
            assert there.call("config.put", {"offset": 0, "data": "{"}) == {"received": 1}

    @pytest.mark.parametrize("text", ["{", "[1]", '{"device": 1}', "{}"])
    def test_a_configuration_that_is_broken_keeps_it_closed(self, board: Board, text: str) -> None:
        files = build.files(board) | {"config.json": text.encode()}
        with UnixBoard(board, files) as running, Device(running.url) as there:
            assert there.status["code"] == "bad-configuration"
            assert there.status["access"] == "presence"
            with pytest.raises(ConsoleError, match="prompt"):
                there.call("reset", {"stay": True})

    def test_a_password_counts_where_the_agent_cannot_run(
        self, board: Board, tmp_path: Path
    ) -> None:
        given = configuration(tmp_path, "first")
        given.board["network"]["bind"] = "0.0.0.0"
        del given.board["peer"]["hq"]["local_id"]
        with self._boot(board, given) as running, Device(running.url) as there:
            assert there.status["access"] == "password"
            access.unlock(there, PASSWORD)
            assert there.call("config.put", {"offset": 0, "data": "{"}) == {"received": 1}

    def test_a_crash_in_boot_leads_to_no_prompt(self, board: Board, tmp_path: Path) -> None:
        """A board in production begins anew, which on unix ends the process; others stop."""
        crash = {"hal/__init__.py": b"raise MemoryError\n"}
        for development, code in ((False, 0), (True, 1)):
            given = configuration(tmp_path, "first", development=development)
            files = {name: data for name, data in build.files(board).items() if name[:4] != "hal/"}
            files["config.json"] = json.dumps(given.board).encode()
            with UnixBoard(board, files | crash) as running:
                for _ in range(100):
                    if running.ended():
                        break
                    threading.Event().wait(0.1)
                assert f"exit code {code}" in running.ended()


def test_the_agent_is_started_from_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_ASK_AGAIN", 0.5)
    master, slave = os.openpty()
    tty.setraw(slave)
    got = b""
    status = {"version": "0", "access": "open", "uptime_ms": 1}

    def answer() -> None:
        """The prompt's echo, until the agent is started; then an agent."""
        nonlocal got
        running = False
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:
                return
            got += piece
            if running:
                for line in piece.splitlines():
                    reply = {"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": status}
                    os.write(master, json.dumps(reply).encode() + b"\n")
            else:
                os.write(master, b">>> " + piece.replace(b"\n", b"\r\n"))
            running = running or b"run.main(present=True)\r" in got

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        with Device(os.ttyname(slave), deadline=10, at_prompt=True) as there:
            assert there.status == status
    finally:
        os.close(slave)
        os.close(master)
    assert got.count(b"run.main") == 1


class TestHost:
    def test_by_the_example_of_rfc_7677(self) -> None:
        """Section 3: SCRAM-SHA-256 with the password "pencil"."""
        nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        text = (
            f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
            f"c=biws,r={nonce}"
        )
        key = access._client_key("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
        signature = hmac.digest(hashlib.sha256(key).digest(), text.encode(), "sha256")
        made = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        assert base64.b64encode(made) == b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"iterations": 1}, "may not be the board"),
            ({"iterations": 10**9}, "may not be the board"),
            ({"iterations": "x"}, "makes no sense"),
            ({"salt": "zz"}, "makes no sense"),
            ({"salt": None}, "makes no sense"),
        ],
    )
    def test_who_poses_as_the_board_does_not_say_what_a_guess_costs(
        self, changes: dict[str, Any], words: str
    ) -> None:
        challenge = {"salt": "00" * 16, "challenge": "11" * 16, "iterations": access.ITERATIONS}
        assert len(access.proof(PASSWORD, challenge)) == 64
        with pytest.raises(access.AccessError, match=words):
            access.proof(PASSWORD, challenge | changes)

    def test_a_verifier_has_a_salt(self) -> None:
        first, second = access.verifier(PASSWORD), access.verifier(PASSWORD)
        assert first != second
        assert PASSWORD not in first
        assert int(first.split("$")[0]) >= 100_000

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"password", "less than 40 bits of entropy; use one from `ikelet psk"),
            (b"\n", "holds no password"),
            (b"\xff", "not UTF-8"),
            (None, "No such file"),
        ],
    )
    def test_files(self, tmp_path: Path, content: bytes | None, words: str) -> None:
        if content is not None:
            (tmp_path / "password").write_bytes(content)
        peer = {"hq": {"address": "10.9.0.1", "psk": Canary().text}}
        raw = {"device": {"name": "b", "password_file": "password"}, "peer": peer}
        with pytest.raises(host_config.ConfigError, match=words) as caught:
            host_config.check(raw, tmp_path)
        assert str(caught.value).startswith("device.password_file ")

    def test_a_password_does_not_belong_into_the_configuration(self) -> None:
        peer = {"hq": {"address": "10.9.0.1", "psk": Canary().text}}
        raw = {"device": {"name": "b", "password": PASSWORD}, "peer": peer}
        with pytest.raises(host_config.ConfigError, match="password_file") as caught:
            host_config.check(raw)
        assert PASSWORD not in str(caught.value)

    def test_it_is_not_shown(self, tmp_path: Path) -> None:
        given = configuration(tmp_path, "b")
        assert host_config.redacted(given.board)["device"]["password"] == "(set)"
        assert PASSWORD not in repr(given) + repr(dataclasses.asdict(given)["board"])

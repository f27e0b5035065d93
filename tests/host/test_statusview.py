"""What `ikelet status` shows of an answer, as a person reads it."""

import io
import re
from typing import Any, cast

import pytest
from rich.console import Console

from ikelet import statusview
from ikelet.console import Console as AgentConsole
from ikelet.errors import IkeletError
from status_sample import STATUS


def shown(**changes: Any) -> str:
    """The view of the status above, blanks squeezed."""
    out = io.StringIO()
    Console(file=out, width=110).print(statusview.view({**STATUS, **changes}))
    return re.sub(r" +", " ", out.getvalue())


def test_everything_notable_is_there() -> None:
    text = shown()
    for words in (
        "branch-17 production up for 3 d 4 h ikelet 0.1.0 on esp32-generic",
        "hq ESTABLISHED 2 h 1 min 10.9.0.1 port 4500 aes256-sha256-modp2048; behind a NAT: us",
        "backup DOWN 10.9.0.3 port 500 initiator, psk",
        "last failure backup: no answer to message 1, 4 min ago",
        "last down hq: the peer did not answer, 2 h 1 min ago",
        "spare DOWN any port 500 responder, cert",
        "heap 60.0 KB free of 138.0 KB",
        "engines aes_cbc mbed 230",
        "modexp mpi 12, software 1",
        "failures mpi:modexp: timeout 1",
        "self-test failed: modexp/2048",
        "dropped 12 bad-hash, 3 unknown-peer",
        "not sent 2 datagrams",
        "certificate expires on 2027-01-15, in 11 d 13 h",
        "flash not encrypted",
        "last crash MemoryError",
    ):
        assert words in text, words


def test_what_is_well_is_not_told_of() -> None:
    text = shown(
        last_crash="", flash_encrypted=True, engine_failures={}, selftest={}, drops={},
        send_failures=0,
    )  # fmt: skip
    assert "dropped none" in text
    for word in ("crash", "flash", "failures", "self-test", "not sent"):
        assert word not in text, word


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"expires": 1800000000, "now": None}, "on 2027-01-15; the board's clock is not set"),
        ({"expires": 1800000000, "now": 1800086400}, "expired on 2027-01-15, 1 d ago"),
    ],
)
def test_certificates(certificate: dict[str, Any], words: str) -> None:
    assert words in shown(certificate=certificate)


def test_an_agent_that_cannot_run() -> None:
    out = io.StringIO()
    stopped = {
        "version": "0.1.0", "board": "unix", "mode": "stopped", "uptime_ms": 9000,
        "code": "no-network", "reason": "no address on [Wi-Fi] x", "last_crash": "",
        "flash_encrypted": None,
    }  # fmt: skip
    Console(file=out, width=110).print(statusview.view(stopped))
    assert "cannot run  no address on [Wi-Fi] x" in out.getvalue()
    assert "stopped  up for 9 s" in out.getvalue()


def test_events_have_an_age() -> None:
    answer = {"uptime_ms": 7265999, "events": ["0 boot branch-17", "7205 failed hq no-answer"]}
    assert [line.strip() for line in statusview.events(answer)] == [
        "2 h 1 min ago  boot branch-17",
        "1 min ago  failed hq no-answer",
    ]


def test_spans() -> None:
    spans = {0: "0 s", 59: "59 s", 60: "1 min", 3661: "1 h 1 min", 86400: "1 d", 90061: "1 d 1 h"}
    for seconds, text in spans.items():
        assert statusview.span(seconds) == text
    assert statusview.span(86460) == "1 d"
    assert statusview.span(-5) == "0 s"


@pytest.mark.parametrize("answer", [None, [], {}, {"uptime_ms": 1, "version": "0", "board": None}])
@pytest.mark.parametrize("recent", [False, True])
def test_what_is_no_answer_of_an_agent(answer: Any, recent: bool) -> None:
    class Odd:
        def call(self, method: str, timeout: float) -> Any:
            return answer

    with pytest.raises(IkeletError, match="no answer of an agent"):
        statusview.Watch(False, recent).once(cast(AgentConsole, Odd()))

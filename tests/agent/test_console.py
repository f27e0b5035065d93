"""The console: answers what is asked, survives whatever else is on the line."""

import json

from agent import console as module
from agent import pieces
from agent.console import Console, Refused


def echo(params):
    return params


def refuse(params):
    raise Refused("not today")


def fail(params):
    return {}["the key of the peer"]


class Line:
    """A console and what it wrote."""

    def __init__(self):
        self.written = b""
        methods = {"echo": echo, "refuse": refuse, "fail": fail}
        self.console = Console(self._write, methods, {"found": echo}.get)

    def _write(self, data):
        self.written += data

    def say(self, data):
        """Feed bytes; the answers as a list."""
        self.written = b""
        self.console.feed(data)
        assert not self.written or self.written.endswith(b"\n")
        return [json.loads(line.decode()) for line in self.written.split(b"\n") if line]


ECHO = b'{"jsonrpc": "2.0", "id": 7, "method": "echo", "params": {"a": 1}}\n'
ANSWER = {"jsonrpc": "2.0", "id": 7, "result": {"a": 1}}


def test_a_request_is_answered():
    assert Line().say(ECHO) == [ANSWER]


def test_in_pieces_and_several_at_once():
    line = Line()
    for byte in ECHO[:-1]:
        assert line.say(bytes([byte])) == []
    assert line.say(b"\n") == [ANSWER]
    assert line.say(ECHO + b"\r\n\r\n" + ECHO) == [ANSWER, ANSWER]


def test_a_method_that_fails_does_not_end_the_agent():
    line = Line()
    (answer,) = line.say(b'{"jsonrpc": "2.0", "id": 1, "method": "fail"}\n')
    assert answer["error"] == {"code": -32000, "message": "failed: KeyError"}
    assert line.say(ECHO) == [ANSWER]


def test_garbage_is_skipped():
    line = Line()
    assert line.say(b"rst:0x1 (POWERON)\nI (31) boot: chip\n\x00\xff\xfe\n") == []
    assert line.say(b"half of a line" + ECHO) == [ANSWER]
    assert line.say(b"\xff{\n" + ECHO)[-1] == ANSWER
    for bad in (b"{}\n", b"{1}\n", b"{\n", b'{"method": 1}\n', b'{"a"\xff: 1}\n'):
        answers = line.say(bad)
        assert len(answers) == 1 and "error" in answers[0], bad
        assert line.say(ECHO) == [ANSWER]


def test_a_line_that_is_too_long():
    line = Line()
    answers = line.say(b"{" + b"x" * 9000 + b"\n")
    assert [answer["error"]["code"] for answer in answers] == [-32700]
    assert line.say(ECHO) == [ANSWER]
    longest = b'{"method": "echo", "id": 7, "params": {"a": 1}}'
    padded = longest[:-1] + b" " * (4096 - len(longest)) + b"}\n"
    assert line.say(padded) == [ANSWER]


def test_errors_name_what_is_wrong():
    line = Line()
    for request, code in (
        (b'{"id": 1, "method": "nothing"}\n', -32601),
        (b'{"id": 1, "method": ["echo"]}\n', -32601),
        (b'{"id": 1, "method": "echo", "params": [1]}\n', -32600),
        (b'{"id": 1, "method": "refuse"}\n', -32000),
    ):
        (answer,) = line.say(request)
        assert answer["id"] == 1 and answer["error"]["code"] == code, request
    assert answer["error"]["message"] == "not today"


def test_a_number_that_is_none():
    deep = b'{"method": "echo", "id": ' + b"[" * 300 + b"]" * 300 + b"}\n"
    (answer,) = Line().say(deep)
    assert answer["error"]["code"] == -32700 and answer["id"] is None


def test_a_notification_is_not_answered():
    assert Line().say(b'{"method": "echo"}\n') == []


def test_we_notify():
    line = Line()
    line.console.notify("event", {"event": "boot"})
    assert json.loads(line.written.decode()) == {
        "jsonrpc": "2.0",
        "method": "event",
        "params": {"event": "boot"},
    }


def test_a_method_that_is_found_elsewhere():
    request = ECHO.replace(b"echo", b"found")
    assert Line().say(request) == [ANSWER]


class ShortOfMemory:
    """json on a heap in pieces: what has more than 20 characters does not fit."""

    loads = json.loads

    @staticmethod
    def dumps(value):
        text = json.dumps(value)
        if len(text) > 20:
            raise MemoryError
        return text


def test_a_call_for_which_there_is_no_memory_is_tried_again():
    """After a collection, then some times after what else makes room; then it is refused."""
    for fails in range(9):
        line = Line()
        done = []

        def hungry(params, fails=fails, done=done):
            done.append("tried")
            if done.count("tried") <= fails:
                raise MemoryError
            return params

        console = Console(line._write, {"echo": hungry}, {}.get, lambda d=done: d.append("room"))
        line.console = console
        if fails < 8:
            assert line.say(ECHO) == [ANSWER]
        else:
            (refused,) = line.say(ECHO)
            assert refused["id"] == ANSWER["id"] and "memory" in refused["error"]["message"]
            assert line.say(ECHO) == [ANSWER]
        assert done.count("room") == min(6, max(0, fails - 1)), done


def test_a_line_comes_in_pieces_where_memory_does():
    line = Line()
    line.say(b"")
    sent = {"list": [1, "two", [], {}], "nothing": None, "dict": {"a": [True], "b c": "d\n"}}
    module.json = pieces.json = ShortOfMemory
    try:
        line.console.notify("event", sent)
    finally:
        module.json = pieces.json = json
    assert line.written.endswith(b"\n") and line.written.count(b"\n") == 1
    assert json.loads(line.written.decode())["params"] == sent

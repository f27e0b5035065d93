"""The board's console: newline-delimited JSON-RPC 2.0 over a Link.

A reader thread sorts what the board sends: answers go to the caller that waits for them,
notifications to a queue, and everything else (log lines, tracebacks, half lines after a reset) to
`noise`. At most 4096 bytes make a line; what is longer is dropped up to its end, and counted.
"""

import contextlib
import itertools
import json
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ikelet.errors import IkeletError
from ikelet.links import Link, LinkError

MAX_LINE = 4096
_KINDS = {"method", "result", "error"}  # a message has one of them
_START = b'{"jsonrpc"'

Params = dict[str, Any]
Notification = tuple[str, Params]
# Told every line as it passes: "in" from the board or "out" to it, without its end.
OnLine = Callable[[str, bytes], None]


class ConsoleError(IkeletError):
    """The board refused a call; `code` is JSON-RPC's."""

    def __init__(self, method: str, code: int, message: str) -> None:
        super().__init__(f"{method}: {message}")
        self.code = code


class ConsoleTimeoutError(IkeletError):
    """The board did not answer in time."""


class LineSplitter:
    """Bytes to lines, whatever the pieces; lines that are too long are counted, not kept."""

    def __init__(self) -> None:
        self.overlong = 0
        self._rest = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        *lines, last = data.split(b"\n")
        for line in lines:
            whole = bytes(self._rest) + line
            skipped, self._skipping = self._skipping, False
            self._rest.clear()
            if not skipped and len(whole) <= MAX_LINE:
                yield whole.rstrip(b"\r")
            elif not skipped:
                self.overlong += 1
        if not self._skipping:
            self._rest += last
            if len(self._rest) > MAX_LINE:
                self.overlong += 1
                self._skipping = True
                self._rest.clear()


def decode(line: bytes) -> dict[str, Any] | None:
    """The JSON-RPC object in a line, also behind the half line that a reset left; None if none."""
    for part in (line, line[max(0, line.rfind(_START)) :]):
        try:
            value = json.loads(part)
        except ValueError:
            continue
        if isinstance(value, dict) and value.get("jsonrpc") == "2.0" and _KINDS & value.keys():
            return value
    return None


class Console:
    """A JSON-RPC client. Its thread ends with close() or with the link.

    `handlers` take notifications in that thread, by method; the others go to the queue. `on_line`
    may be changed at any time, and is called in the thread that reads or writes. `one_by_one`: a
    call waits for the answer to the one before, for a board that has room for one line only.
    """

    def __init__(
        self,
        link: Link,
        handlers: Mapping[str, Callable[[Params], None]] | None = None,
        on_line: OnLine | None = None,
        one_by_one: bool = False,
    ) -> None:
        self.link = link
        self.on_line = on_line
        self.noise: deque[str] = deque(maxlen=200)
        self.received = self.understood = 0  # bytes, and those of them in messages
        self.notifications: queue.Queue[Notification] = queue.Queue()
        self._handlers = handlers or {}
        self._answers: dict[int, queue.Queue[dict[str, Any] | None]] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._turn = threading.Lock() if one_by_one else contextlib.nullcontext()
        self._splitter = LineSplitter()
        self._closed = threading.Event()
        self._gone = ""
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)
        self._thread.start()

    @property
    def gone(self) -> str:
        """Why the link ended; "" while it holds."""
        return self._gone

    @property
    def overlong(self) -> int:
        """How many lines were dropped because they were too long."""
        return self._splitter.overlong

    def call(self, method: str, params: Params | None = None, timeout: float = 10.0) -> Any:
        """The result of a method; ConsoleError, ConsoleTimeoutError, LinkError.

        Where not all of it fits into a line it has "more", and the rest is asked for from there.
        """
        result = self._ask(method, params or {}, timeout)
        while isinstance(result, dict) and (more := result.pop("more", None)) is not None:
            for key, value in self._ask(method, {**(params or {}), "from": more}, timeout).items():
                if isinstance(value, list):
                    result[key] = result[key] + value
                else:
                    result[key] = result[key] | value if isinstance(value, dict) else value
        return result

    def _ask(self, method: str, params: Params, timeout: float) -> Any:
        with self._turn:
            return self._asked(method, params, timeout)

    def _asked(self, method: str, params: Params, timeout: float) -> Any:
        number = next(self._ids)
        answer: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._answers[number] = answer
        try:
            self._send({"id": number, "method": method, "params": params})
            reply = answer.get(timeout=timeout)
        except queue.Empty:
            raise ConsoleTimeoutError(
                f"the board did not answer {method} within {timeout:g} s"
            ) from None
        finally:
            del self._answers[number]
        if reply is None:
            raise LinkError(self._gone)
        if "error" in reply:
            error = reply["error"] if isinstance(reply["error"], dict) else {}
            code, message = error.get("code", 0), error.get("message", "refused")
            raise ConsoleError(method, code, str(message))
        return reply.get("result")

    def notify(self, method: str, params: Params) -> None:
        """Send a notification: no answer comes."""
        self._send({"method": method, "params": params})

    def next(self, timeout: float) -> Notification | None:
        """The next notification (method, params), or None when none came in time; LinkError."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                # In short steps: a link that ends must not go unnoticed for the whole timeout.
                return self.notifications.get(timeout=max(0.0, min(left, 0.2)))
            except queue.Empty:
                if self._gone:
                    raise LinkError(self._gone) from None
                if left <= 0:
                    return None

    def close(self) -> None:
        """End the thread and close the link. May be called more than once."""
        self._closed.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        self.link.close()

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
        if len(line) > MAX_LINE:
            raise IkeletError(f"a line of {len(line)} bytes is more than the board takes")
        with self._lock:
            self._tell("out", line)
            self.link.write(line + b"\n")

    def _read(self) -> None:
        try:
            while not self._closed.is_set():
                data = self.link.read(0.1)
                self.received += len(data)
                for line in self._splitter.feed(data):
                    self._dispatch(line)
        except LinkError as error:
            self._gone = str(error)
        else:
            self._gone = f"{self.link.url} was closed"
        for answer in list(self._answers.values()):
            answer.put(None)

    def _tell(self, direction: str, line: bytes) -> None:
        on_line = self.on_line
        if on_line:
            on_line(direction, line)

    def _dispatch(self, line: bytes) -> None:
        self._tell("in", line)
        message = decode(line)
        if message is None:
            if line.strip():
                self.noise.append(line.decode(errors="replace"))
            return
        self.understood += len(line)
        if "method" in message:
            params = message.get("params")
            self._notified(str(message["method"]), params if isinstance(params, dict) else {})
        else:
            number = message.get("id")
            answer = self._answers.get(number) if isinstance(number, int) else None
            if answer is not None:
                answer.put(message)

    def _notified(self, method: str, params: Params) -> None:
        if method in self._handlers:
            self._handlers[method](params)
        else:
            self.notifications.put((method, params))

"""The serial console: newline-delimited JSON-RPC 2.0, at most 4 KB a line.

Whatever else is on the line (boot messages, half lines, noise) is skipped. Answers and
notifications never hold a secret: they are built from what is meant to be shown.
"""

import gc
import json

from micropython import const

_MAX_LINE = const(4096)
_PARSE_ERROR = const(-32700)
_INVALID_REQUEST = const(-32600)
_UNKNOWN_METHOD = const(-32601)
_FAILED = const(-32000)


class Refused(Exception):
    """A method cannot do what was asked; the text says why."""


class Console:
    """`methods`: {name: function(params dict) -> JSON value}; `find(name)`: the function of any
    other, or None; `write(bytes)`: the serial line; `relieve()`: makes room where a collection is
    not enough. A call for which there is no memory is tried again, and refused in the end: the
    host waits for its answer.
    """

    def __init__(self, write, methods, find, relieve=gc.collect):
        self.write = write
        self._relieve = relieve
        self._methods = methods
        self._find = find
        self._line = bytearray()
        self._overlong = False
        self._number = None  # of the call in hand

    def add(self, name, method):
        """One more method."""
        self._methods[name] = method

    def feed(self, data):
        """Bytes from the serial line; each whole line is answered."""
        *lines, rest = bytes(data).split(b"\n")
        for line in lines:
            self._keep(line)
            whole, self._line = self._line, bytearray()
            overlong, self._overlong = self._overlong, False
            if overlong:
                self._error(None, _PARSE_ERROR, "line longer than 4096 bytes")
            elif whole:
                self._answer(whole)
        self._keep(rest)

    def _keep(self, part):
        if len(self._line) + len(part) > _MAX_LINE + 1:  # a carriage return may come on top
            self._overlong = True
            self._line = bytearray()
        elif not self._overlong:
            self._line.extend(part)

    def notify(self, method, params):
        """A notification to the host."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _answer(self, line):
        self._number = None
        relieve = self._relieve
        for make_room in (None, gc.collect, relieve, relieve, relieve, relieve, relieve, relieve):
            try:
                if make_room:
                    make_room()
                return self._respond(line)
            except MemoryError:
                pass
        self._error(self._number, _FAILED, "no memory for that now")

    def _respond(self, line):
        start = line.find(b"{")
        if start < 0:
            return
        try:
            request = json.loads(line[start:].decode().strip())
            name = request["method"]
            params = request.get("params") or {}
            number = request.get("id")
            if number is not None and not isinstance(number, (int, str)):
                raise ValueError
            self._number = number
        except (ValueError, KeyError, AttributeError, TypeError, UnicodeError, RuntimeError):
            return self._error(None, _PARSE_ERROR, "not a JSON-RPC request")
        method = None
        if isinstance(name, str):
            method = self._methods.get(name) or self._find(name)
        if method is None:
            return self._error(number, _UNKNOWN_METHOD, "unknown method")
        if not isinstance(params, dict):
            return self._error(number, _INVALID_REQUEST, "params is not an object")
        try:
            result = method(params)
        except Refused as refused:
            return self._error(number, _FAILED, str(refused))
        except MemoryError:
            raise
        except Exception as error:  # its text may hold anything
            return self._error(number, _FAILED, "failed: " + type(error).__name__)
        if number is not None:
            self._send({"jsonrpc": "2.0", "id": number, "result": result})

    def _error(self, number, code, text):
        self._send({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}})

    def _send(self, value):
        try:
            text = json.dumps(value).encode() + b"\n"
        except MemoryError:
            from agent import pieces

            pieces.write(value, self.write)
            text = b"\n"
        self.write(text)

"""A small client of strongSwan's VICI protocol (src/libcharon/plugins/vici/README.md).

Enough to configure and drive a charon over its unix socket, every call bounded in time.
Messages are dicts: a section is a dict, a list is a list, every other value is text.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_REQUEST, _RESPONSE, _REGISTER, _UNREGISTER, _CONFIRM, _EVENT = 0, 1, 3, 4, 5, 7
_SECTION_START, _SECTION_END, _KEY_VALUE, _LIST_START, _LIST_ITEM, _LIST_END = range(1, 7)

Message = dict


class ViciError(Exception):
    """charon refused a command; the text is its own."""


class Vici:
    """One connection. Any call raises OSError (TimeoutError too) when charon is not there."""

    def __init__(self, path: Path | str, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Vici:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def request(self, command: str, message: Message | None = None) -> Message:
        """The answer to a command; ViciError where it says success = no."""
        self._send(_REQUEST, command, encode(message or {}))
        kind, payload = self._receive()
        if kind != _RESPONSE:
            raise ViciError(f"charon does not know the command {command}")
        answer = decode(payload)
        if answer.get("success") == "no":
            raise ViciError(answer.get("errmsg") or f"{command} failed")
        return answer

    def stream(self, command: str, event: str, message: Message | None = None) -> list[Message]:
        """All events of a kind that a command sends before its answer."""
        self._send(_REGISTER, event)
        if self._receive()[0] != _CONFIRM:
            raise ViciError(f"charon does not know the event {event}")
        self._send(_REQUEST, command, encode(message or {}))
        events = []
        while (received := self._receive())[0] == _EVENT:
            payload = received[1]
            events.append(decode(payload[1 + payload[0] :]))
        self._send(_UNREGISTER, event)
        self._receive()
        return events

    def _send(self, kind: int, name: str, message: bytes = b"") -> None:
        packet = bytes([kind, len(name)]) + name.encode() + message
        self._socket.sendall(struct.pack(">I", len(packet)) + packet)

    def _receive(self) -> tuple[int, bytes]:
        (length,) = struct.unpack(">I", self._exactly(4))
        packet = self._exactly(length)
        return packet[0], packet[1:]

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionError("charon closed its control socket")
            data += more
        return data


def encode(message: Message) -> bytes:
    encoded = b""
    for name, value in message.items():
        key = bytes([len(name)]) + name.encode()
        if isinstance(value, dict):
            encoded += bytes([_SECTION_START]) + key + encode(value) + bytes([_SECTION_END])
        elif isinstance(value, list):
            items = b"".join(bytes([_LIST_ITEM]) + _value(item) for item in value)
            encoded += bytes([_LIST_START]) + key + items + bytes([_LIST_END])
        else:
            encoded += bytes([_KEY_VALUE]) + key + _value(value)
    return encoded


def _value(value: object) -> bytes:
    data = value if isinstance(value, bytes) else str(value).encode()
    return struct.pack(">H", len(data)) + data


def decode(data: bytes) -> Message:
    return _decode_section(_elements(data))


def _decode_section(elements: Iterator[tuple[int, str, str]]) -> Message:
    section: Message = {}
    items: list[str] = []
    for kind, name, value in elements:
        if kind == _SECTION_END:
            break
        if kind == _SECTION_START:
            section[name] = _decode_section(elements)
        elif kind == _LIST_START:
            section[name] = items = []
        elif kind == _LIST_ITEM:
            items.append(value)
        elif kind == _KEY_VALUE:
            section[name] = value
    return section


def _elements(data: bytes) -> Iterator[tuple[int, str, str]]:
    """(type, name, value) one after the other, flat."""
    at = 0
    while at < len(data):
        kind, name, value = data[at], "", ""
        at += 1
        if kind in (_SECTION_START, _KEY_VALUE, _LIST_START):
            name = data[at + 1 : at + 1 + data[at]].decode()
            at += 1 + data[at]
        if kind in (_KEY_VALUE, _LIST_ITEM):
            (length,) = struct.unpack_from(">H", data, at)
            value = data[at + 2 : at + 2 + length].decode("utf-8", "replace")
            at += 2 + length
        yield kind, name, value

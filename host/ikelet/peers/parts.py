"""Messages taken apart and put together as plain octets: for what no honest builder would make."""

from __future__ import annotations

import struct
from collections.abc import Callable

Part = tuple[int, bytes]  # a payload's type, and its body without the generic header

# The type of a message's first payload and its chain of payloads, turned into others.
Change = Callable[[int, bytes], tuple[int, bytes]]

_HEADER = 28


def split(first: int, chain: bytes) -> list[Part]:
    """The payloads of a chain that is in order; padding behind the last is left out."""
    parts = []
    while first:
        following, length = struct.unpack_from(">BxH", chain)
        parts.append((first, chain[4:length]))
        first, chain = following, chain[length:]
    return parts


def join(parts: list[Part]) -> tuple[int, bytes]:
    """The type of the first payload, and the chain (RFC 2408 3.2)."""
    kinds = [kind for kind, _ in parts] + [0]
    chain = b"".join(
        struct.pack(">BBH", following, 0, 4 + len(body)) + body
        for following, (_, body) in zip(kinds[1:], parts, strict=True)
    )
    return kinds[0], chain


def changed(message: bytes, change: Change) -> bytes:
    """A message in clear with its payloads changed, and the header's length with them."""
    first, chain = change(message[16], message[_HEADER:])
    length = struct.pack(">I", _HEADER + len(chain))
    return message[:16] + bytes([first]) + message[17:24] + length + chain


def unchanged(first: int, chain: bytes) -> tuple[int, bytes]:
    """The Change that is none."""
    return first, chain

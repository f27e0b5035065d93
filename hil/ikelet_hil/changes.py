"""What a hostile or broken sender makes of an honest message: of its header, payloads, attributes.

A `Raw` turns a datagram into another; a `Change` turns a chain of payloads into another.
"""

import struct
from collections.abc import Callable

from ikelet.peers.parts import Change, Part, changed, join, split

Raw = Callable[[bytes], bytes]

SA, KE, ID, CERT, HASH, SIG, NONCE, N, D, VID = 1, 4, 5, 6, 8, 9, 10, 11, 12, 13
SA_V2, SK_V2 = 33, 46  # IKEv2's SA and encrypted payloads (RFC 7296 section 3.2)

_KEY_LENGTH = 14
_ATTRIBUTES = 24  # where they begin in the body of an SA payload with one transform

# -- of the datagram ------------------------------------------------------------------------------


def octet(at: int, value: int) -> Raw:
    """Another octet at an offset."""
    return lambda data: data[:at] + bytes([value]) + data[at + 1 :]


def flipped(at: int, mask: int = 0xFF) -> Raw:
    """Other bits at an offset; a negative one counts from the end."""

    def make(data: bytes) -> bytes:
        copy = bytearray(data)
        copy[at] ^= mask
        return bytes(copy)

    return make


def zeros(start: int, end: int) -> Raw:
    return lambda data: data[:start] + bytes(end - start) + data[end:]


def cut(size: int) -> Raw:
    return lambda data: data[:size]


def in_clear(data: bytes) -> bytes:
    """What could be an encrypted message's content, without encryption."""
    first, chain = join([(ID, bytes.fromhex("010000000a090001")), (HASH, bytes(32))])
    head = data[:16] + bytes([first]) + data[17:19] + b"\0" + data[20:24]
    return head + struct.pack(">I", 28 + len(chain)) + chain


def clear_informational(*parts: Part) -> Raw:
    """An Informational of the exchange that a message belongs to, by somebody without keys."""

    def make(data: bytes) -> bytes:
        first, chain = join([*parts])
        head = data[:16] + bytes([first, 0x10, 5, 0]) + b"\1\2\3\4"
        return head + struct.pack(">I", 28 + len(chain)) + chain

    return make


def as_informational(data: bytes) -> bytes:
    """A message's ciphertext under the header of another exchange."""
    return data[:16] + bytes([HASH, 0x10, 5, 1]) + b"\1\2\3\4" + data[24:]


def payloads(change: Change) -> Raw:
    """The change, applied to a message in clear."""
    return lambda data: changed(data, change)


# -- of the payloads ------------------------------------------------------------------------------


def parts(make: Callable[[list[Part]], list[Part]]) -> Change:
    return lambda first, chain: join(make(split(first, chain)))


def without(kind: int) -> Change:
    return parts(lambda found: [part for part in found if part[0] != kind])


def twice(kind: int) -> Change:
    return parts(
        lambda found: [each for part in found for each in [part] * (1 + (part[0] == kind))]
    )


def plus(kind: int, body: bytes) -> Change:
    """One more payload, behind the others."""
    return parts(lambda found: [*found, (kind, body)])


def body(kind: int, make: Callable[[bytes], bytes]) -> Change:
    """Another body for a payload."""
    return parts(lambda found: [(k, make(old) if k == kind else old) for k, old in found])


def value(kind: int, new: bytes) -> Change:
    return body(kind, lambda _: new)


def reserved(first: int, chain: bytes) -> tuple[int, bytes]:
    """RESERVED of the first payload's header is not zero."""
    return first, chain[:1] + b"\xff" + chain[2:]


def length(size: int) -> Change:
    """The first payload says another length."""
    return lambda first, chain: (first, chain[:2] + struct.pack(">H", size) + chain[4:])


def loop(first: int, _: bytes) -> tuple[int, bytes]:
    """A chain whose every payload is followed by one more of its own type."""
    return first, struct.pack(">BBH", first, 0, 4) * 200


def transform_loop(first: int, chain: bytes) -> tuple[int, bytes]:
    """A transform of length 0, followed by a transform: it would be its own successor."""
    return first, chain[:20] + b"\3\0\0\0" + chain[24:]


# -- of the only transform's attributes -----------------------------------------------------------


def attributes(make: Callable[[list[tuple[int, bytes]]], list[tuple[int, bytes]]]) -> Change:
    """Attributes as (type, encoded), with all the lengths around them set anew."""

    def of_body(old: bytes) -> bytes:
        encoded = b"".join(each for _, each in make(_split_attributes(old[_ATTRIBUTES:])))
        proposal = old[8:10] + struct.pack(">H", 16 + len(encoded)) + old[12:16]
        transform = old[16:18] + struct.pack(">H", 8 + len(encoded)) + old[20:24]
        return old[:8] + proposal + transform + encoded

    return body(SA, of_body)


def key_length(*encoded: bytes) -> Change:
    """These in the place of the attribute that says how long the cipher's key is."""
    return attributes(
        lambda found: [
            each
            for kind, old in found
            for each in (
                [(kind, new) for new in encoded] if kind == _KEY_LENGTH else [(kind, old)]
            )
        ]
    )


def basic(kind: int, number: int) -> bytes:
    return struct.pack(">HH", 0x8000 | kind, number)


def _split_attributes(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        kind, size = struct.unpack_from(">HH", data)
        end = 4 if kind & 0x8000 else 4 + size
        found.append((kind & 0x7FFF, data[:end]))
        data = data[end:]
    return found

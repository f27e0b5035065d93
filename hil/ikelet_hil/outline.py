"""What can be told of a datagram without any key: exchange, cookies, payloads (RFC 2408, 3)."""

import struct

_HEADER = 28
_GENERIC = 4  # next payload, reserved, length
_NON_ESP_MARKER = bytes(4)
_ENCRYPTED = 1
_EXCHANGES = {2: "Main Mode", 4: "Aggressive Mode", 5: "Informational", 32: "Quick Mode"}
_PAYLOADS = {
    1: "SA",
    2: "P",
    3: "T",
    4: "KE",
    5: "ID",
    6: "CERT",
    7: "CERTREQ",
    8: "HASH",
    9: "SIG",
    10: "NONCE",
    11: "N",
    12: "D",
    13: "VID",
    20: "NAT-D",
    21: "NAT-OA",
    132: "FRAGMENT",
}


def outline(data: bytes) -> dict[str, object]:
    """{exchange, cookie, payloads, encrypted}; {} of what is no IKE message.

    `cookie` is the initiator's, in hex, `payloads` are names: all of them where they are in the
    clear, the first one otherwise. A chain that leaves the datagram ends with "?".
    """
    data = data.removeprefix(_NON_ESP_MARKER)
    if len(data) < _HEADER:
        return {}
    kind, _, exchange, flags = data[16:20]
    encrypted = bool(flags & _ENCRYPTED)
    return {
        "exchange": _EXCHANGES.get(exchange, f"exchange {exchange}"),
        "cookie": data[:8].hex(),
        "payloads": [_name(kind)] if encrypted else _chain(kind, data),
        "encrypted": encrypted,
    }


def _chain(kind: int, data: bytes) -> list[str]:
    names = []
    offset = _HEADER
    while kind:
        names.append(_name(kind))
        if offset + _GENERIC > len(data):
            return [*names, "?"]
        kind, length = data[offset], struct.unpack_from("!H", data, offset + 2)[0]
        offset += length
        if length < _GENERIC or offset > len(data):
            return [*names, "?"]
    return names


def _name(kind: int) -> str:
    return _PAYLOADS.get(kind, f"payload {kind}")

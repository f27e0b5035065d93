"""Identities as people write them, in strongSwan's spelling: needed for a configuration only."""

import binascii

from pki import der, name
from pki.encode import element

_OIDS = (
    ("CN", b"\x55\x04\x03"),
    ("S", b"\x55\x04\x04"),  # surname
    ("SN", b"\x55\x04\x05"),  # serialNumber
    ("C", b"\x55\x04\x06"),
    ("L", b"\x55\x04\x07"),
    ("ST", b"\x55\x04\x08"),
    ("O", b"\x55\x04\x0a"),
    ("OU", b"\x55\x04\x0b"),
    ("T", b"\x55\x04\x0c"),
    ("D", b"\x55\x04\x0d"),
    ("N", b"\x55\x04\x29"),
    ("G", b"\x55\x04\x2a"),
    ("I", b"\x55\x04\x2b"),
    ("E", b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"),
    ("UID", b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01"),
    ("DC", b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19"),
)
_SYNONYMS = {"EMAIL": "E", "EMAILADDRESS": "E", "SERIALNUMBER": "SN", "SURNAME": "S"}
_IA5 = ("E", "DC")


def identity(text):
    """(type, data) of the ID payload that `text` spells; ValueError.

    "C=DE, O=Lab, CN=a" is a DN, "a@example.org" a USER_FQDN, "@#0a0b" a KEY_ID in hex, "@name" or
    any other "name" an FQDN. "keyid:", "fqdn:", "email:", "dn:" say which it is. An address must
    have been recognized before.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind in ("keyid", "fqdn", "email", "dn"):
        if kind == "keyid":
            return name.ID_KEY_ID, _key_id(rest)
        if kind == "dn":
            return name.ID_DN, encode(rest)
        return name.ID_FQDN if kind == "fqdn" else name.ID_USER_FQDN, _ia5(rest)
    if "=" in text:
        return name.ID_DN, encode(text)
    if text.startswith("@#"):
        return name.ID_KEY_ID, _unhex(text[2:])
    if text.startswith("@@"):
        return name.ID_USER_FQDN, _ia5(text[2:])
    if text.startswith("@"):
        return name.ID_FQDN, _ia5(text[1:])
    if "@" in text:
        return name.ID_USER_FQDN, _ia5(text)
    return name.ID_FQDN, _ia5(text)


def encode(text):
    """The Name (DER) of "C=DE, O=Lab, CN=a" or "/C=DE/O=Lab/CN=a"; ValueError.

    A backslash takes the next character as it is: "O=Lab\\, Inc.".
    """
    mark = ","
    if text.startswith("/"):
        mark, text = "/", text[1:]
    sets = []
    for part in _split(text, mark):
        kind, equals, value = part.partition("=")
        kind = kind.strip().upper()
        kind = _SYNONYMS.get(kind, kind)
        oid = dict(_OIDS).get(kind)
        value = _unescaped(value.strip())
        if not equals or not value or oid is None:
            raise ValueError("not a distinguished name, such as C=DE, O=Lab, CN=gateway")
        attribute = element(der.OID, oid), element(_string(kind, value), value)
        sets.append(element(der.SET, element(der.SEQUENCE, *attribute)))
    return element(der.SEQUENCE, *sets)


def text(encoded):
    """A Name (DER) as "C=DE, O=Lab, CN=a"; what has no spelling comes in hex; Refused."""
    kinds = {oid: kind for kind, oid in _OIDS}
    parts = []
    last = -1
    for number, oid, _, value in name.attributes(encoded):
        if parts:
            parts.append(" + " if number == last else ", ")
        last = number
        oid = bytes(oid)
        parts.append(kinds.get(oid) or _hex(oid))
        parts.append("=" + _shown(bytes(value)))
    return "".join(parts)


def _split(text, mark):
    parts = [""]
    escaped = False
    for character in text:
        if character == mark and not escaped:
            parts.append("")
            continue
        escaped = character == "\\" and not escaped
        parts[-1] += character
    return parts


def _unescaped(text):
    out = ""
    escaped = False
    for character in text:
        escaped = character == "\\" and not escaped
        if not escaped:
            out += character
    return out.encode()


def _string(kind, value):
    """strongSwan's choice, so that the encodings are the same: the least that can hold it."""
    if kind in _IA5:
        return der.IA5_STRING
    if all(name.printable(byte) for byte in value):
        return der.PRINTABLE_STRING
    return der.UTF8_STRING


def _shown(value):
    """Text that cannot break a line of a log; hex where it is none."""
    try:
        shown = value.decode()
    except ValueError:
        return _hex(value)
    for character in shown:
        if character < " " or character == "\x7f":
            return _hex(value)
    return shown.replace("\\", "\\\\").replace(",", "\\,")


def _hex(value):
    return "#" + binascii.hexlify(value).decode()


def _ia5(text):
    data = text.encode()
    if not data or min(data) <= 0x20 or max(data) >= 0x7F:
        raise ValueError("empty, or with characters that a name cannot have")
    return data


def _key_id(text):
    return _unhex(text[2:]) if text.startswith("0x") else text.encode()


def _unhex(text):
    try:
        data = binascii.unhexlify(text)
    except ValueError:
        data = b""
    if not data:
        raise ValueError("not hexadecimal digits, two a byte")
    return data

"""DER (X.690), written."""

from pki import der


def element(tag, *parts):
    """One element whose content is the parts one after the other; bytes."""
    content = b"".join([bytes(part) for part in parts])
    size = len(content)
    if size < 0x80:
        head = bytes((tag, size))
    elif size < 0x100:
        head = bytes((tag, 0x81, size))
    else:
        head = bytes((tag, 0x82, size >> 8, size & 0xFF))
    return head + content


def integer(number):
    """An INTEGER of big-endian bytes without a sign."""
    number = bytes(number)
    at = 0
    while at < len(number) - 1 and not number[at]:
        at += 1
    number = number[at:] or b"\0"
    return element(der.INTEGER, b"\0" if number[0] & 0x80 else b"", number)


def bits(content):
    """A BIT STRING of whole bytes."""
    return element(der.BIT_STRING, b"\0", content)

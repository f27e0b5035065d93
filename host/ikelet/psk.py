"""Pre-shared keys: how they are spelled, and a rough upper estimate of their strength."""

import base64
import binascii
import math
import secrets
import string

FORMS = ("base64", "hex", "text")
_LETTERS = string.ascii_letters + string.digits  # every gateway takes them, and every shell


def decoded(text: str) -> bytes:
    """The key that `text` spells, as strongSwan does: 0x and hex, 0s and base64, or plain text.

    ValueError, whose text ends a sentence about the key and does not hold it.
    """
    try:
        if text.startswith("0x"):
            return binascii.unhexlify(text[2:])
        if text.startswith("0s"):
            return binascii.a2b_base64(text[2:], strict_mode=True)
    except ValueError:
        rest = "hexadecimal digits, two a byte" if text.startswith("0x") else "base64"
        raise ValueError(f"starts with {text[:2]} but does not go on in {rest}") from None
    return text.encode()


def estimated_bits(text: str, words: list[str]) -> float:
    """An upper estimate of a key's entropy in bits.

    The size of the alphabet in use (26 small and 26 capital letters, 10 digits, 33 others; 256
    for a key in hex or base64 that is no text), for every character that is neither a repeat nor a
    neighbour of the one before, nor completes three that came before. A well-known word counts as
    one.
    """
    key = decoded(text)
    if text.startswith(("0x", "0s")) and not all(32 <= value < 127 for value in key):
        return _fresh(key) * 8.0
    lowered = key.decode().lower()
    for word in words:
        lowered = lowered.replace(word, "\0")
    return _fresh(lowered.encode()) * math.log2(_alphabet(key) or 1)


def generate(bits: int = 192, form: str = "base64") -> str:
    """A new key of at least `bits` bits, in one of FORMS, as a configuration spells it."""
    size = math.ceil(bits / 8)
    if form == "base64":
        return "0s" + base64.b64encode(secrets.token_bytes(size)).decode()
    if form == "hex":
        return "0x" + secrets.token_hex(size)
    length = math.ceil(bits / math.log2(len(_LETTERS)))
    text = "".join(secrets.choice(_LETTERS) for _ in range(length))
    # One in 1,900 begins as a key in hex or base64 does, and would be taken for one.
    return generate(bits, form) if text.startswith(("0x", "0s")) else text


def _alphabet(key: bytes) -> int:
    classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    size = sum(len(members) for members in classes if set(members.encode()) & set(key))
    return size + (33 if set(key) - set("".join(classes).encode()) else 0)


def _fresh(key: bytes) -> int:
    count = 0
    for i, value in enumerate(key):
        neighbour = i > 0 and abs(value - key[i - 1]) <= 1
        repeat = i > 1 and key[i - 2 : i + 1] in key[:i]
        count += not (neighbour or repeat)
    return count

"""The password of a device: what the board keeps of it, and the proof that we know it.

See firmware/agent/access.py: the password itself stays on this side.
"""

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Any

from ikelet import psk
from ikelet.console import ConsoleError
from ikelet.device import DEADLINE, Device
from ikelet.errors import IkeletError, MisuseError

ITERATIONS = 600_000  # a quarter of a second here, for each guess of whoever reads a board's flash
MINIMUM_BITS = 40  # by psk.estimated_bits
_MOST = 10_000_000  # iterations: some seconds
_PURPOSE = b"ikelet provision"


class AccessError(IkeletError):
    """The board may not be provisioned by us, or not now."""


def read_password(path: Path) -> str:
    """The password in a file, without the end of its line; ValueError ends a sentence about it."""
    try:
        text = path.read_text(encoding="utf-8-sig").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ValueError(f"cannot be read: {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot be read: {path}: not UTF-8 text") from error
    if not text:
        raise ValueError(f"holds no password: {path}")
    return text


def given(path: Path | None) -> str | None:
    """The password in the file that --password-file names; MisuseError."""
    try:
        return read_password(path) if path else None
    except ValueError as error:
        raise MisuseError(f"--password-file {error}") from error


def is_weak(password: str, words: list[str]) -> bool:
    return psk.estimated_bits(password, words) < MINIMUM_BITS


def verifier(password: str) -> str:
    """What a board checks proofs with: ITERATIONS$SALT$KEY, the latter two in hex."""
    salt = secrets.token_bytes(16)
    stored = hashlib.sha256(_client_key(password, salt, ITERATIONS)).hexdigest()
    return f"{ITERATIONS}${salt.hex()}${stored}"


def proof(password: str, challenge: dict[str, Any]) -> str:
    """The answer to a board's challenge, in hex; AccessError.

    Whoever poses as the board gets something to try guesses on, so each must cost him as much as
    us: the challenge does not choose how little.
    """
    try:
        salt, iterations = bytes.fromhex(challenge["salt"]), int(challenge["iterations"])
        text = _PURPOSE + bytes.fromhex(challenge["challenge"])
    except (KeyError, TypeError, ValueError) as error:
        raise AccessError("what the board says of its password makes no sense") from error
    if not ITERATIONS <= iterations <= _MOST:
        raise AccessError(
            f"the board wants a proof of {iterations} iterations, but passwords are provisioned "
            f"with {ITERATIONS}: it may not be the board that it seems to be"
        )
    key = _client_key(password, salt, iterations)
    signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
    return bytes(a ^ b for a, b in zip(key, signature, strict=True)).hex()


def unlock(device: Device, password: str | None) -> None:
    """Make sure that the board takes a configuration from us; AccessError, MisuseError."""
    kind = device.status.get("access", "open")
    if kind == "presence":
        raise MisuseError(
            "the board is in production and has no password: hold its boot button (the pin that "
            "the board file calls strap) while you reset it, let go, and do this again"
        )
    if kind != "password":
        return
    if password is None:
        raise MisuseError(
            "the board is in production: give its password with --password-file; or hold its "
            "boot button while you reset it, let go, and do this again"
        )
    try:
        challenge = device.call("auth", timeout=DEADLINE)
        device.call("auth", {"proof": proof(password, challenge)}, timeout=DEADLINE)
    except ConsoleError as error:
        raise AccessError(f"the board does not let us: {error}") from error


def _client_key(password: str, salt: bytes, iterations: int) -> bytes:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return hmac.digest(salted, b"Client Key", "sha256")

"""Serial ports: which there are, and why one cannot be used, before anything is tried on it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from serial.tools import list_ports

from ikelet.errors import IkeletError, MisuseError


class PortError(MisuseError):
    """There is no such port, or this user may not open it."""


class PortBusyError(IkeletError):
    """Somebody else has the port open."""


def present() -> list[tuple[str, str]]:
    """(name, what is behind it) of each USB serial port."""
    found = [port for port in list_ports.comports() if port.vid is not None]
    return [(port.device, port.description or "") for port in sorted(found)]


def find(usb: str = "", mac: str = "", location: str = "") -> str:
    """The port of the board with this USB serial number, MAC or place; PortError.

    A chip's own USB has its MAC as serial number; of other boards the MAC cannot be seen here.
    """
    for port in list_ports.comports():
        serial = port.serial_number or ""
        hexadecimal = re.sub(r"[^0-9a-f]", "", serial.lower())
        if (usb and serial == usb) or (location and port.location == location):
            return port.device
        if mac and hexadecimal == re.sub(r"[^0-9a-f]", "", mac.lower()):
            return port.device
    wanted = f"USB serial number {usb}" if usb else f"MAC {mac}" if mac else f"place {location}"
    raise PortError(f"no port has {wanted}{_there_are()}")


def check(url: str) -> None:
    """PortError or PortBusyError where a serial device cannot be used; a URL is let through."""
    if "://" in url:
        return
    if os.name == "nt":
        if url.upper() not in [port.device.upper() for port in list_ports.comports()]:
            raise PortError(_absent(url))
        return  # opening it says the rest
    path = Path(url)
    if not path.exists():
        raise PortError(_absent(url))
    if not path.is_char_device():
        raise PortError(f"{url} is no serial port{_there_are()}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PortError(f"no permission to use {url}; {_permission(path)}")
    holders = list(users(path))
    if holders:
        raise PortBusyError(f"{url} is in use by {', '.join(holders)}")


def users(path: Path) -> Iterator[str]:
    """Other processes that have a device open, as "name (process number)"; Linux only, and only
    those that this user may look at."""
    wanted = os.path.realpath(path)
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        try:
            open_files = [os.readlink(entry) for entry in (folder / "fd").iterdir()]
            name = (folder / "comm").read_text().strip()
        except OSError:
            continue  # another user's, or gone by now
        if wanted in open_files:
            yield f"{name} (process {folder.name})"


def _absent(url: str) -> str:
    return f"there is no port {url}{_there_are()}"


def _there_are() -> str:
    names = [f"{name} ({what})" if what else name for name, what in present()]
    return f"; there is {', '.join(names)}" if names else "; no USB serial port is plugged in"


def _permission(path: Path) -> str:
    try:
        owner = path.group()
    except (KeyError, OSError, NotImplementedError):
        owner = "that owns it"
    return f"join the group {owner}: sudo usermod -aG {owner} $USER, then log in again"

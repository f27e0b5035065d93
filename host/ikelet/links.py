"""Links: the byte stream to a board, opened by URL.

A URL is a device (/dev/ttyUSB0, COM3, a PTY), or one that pyserial knows: socket://host:port,
rfc2217://host:port.
"""

import select
import socket
import time
from typing import Protocol
from urllib.parse import urlsplit

import serial

from ikelet.errors import IkeletError

BAUD = 115200


class LinkError(IkeletError):
    """The link cannot be opened, or is gone."""


class Link(Protocol):
    """A byte stream to a board."""

    url: str

    def read(self, timeout: float) -> bytes:
        """What has come, waiting at most `timeout` seconds; b"" for nothing; LinkError."""

    def write(self, data: bytes) -> None:
        """Send all of `data`; LinkError."""

    def close(self) -> None: ...


class SerialLink:
    """A Link through pyserial."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            # pyserial's RFC 2217 has no deadline for writing.
            patience = None if url.startswith("rfc2217://") else 10
            self._port = serial.serial_for_url(
                url, baudrate=BAUD, timeout=0, write_timeout=patience
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise LinkError(f"cannot open {url}: {_reason(error)}") from error

    def read(self, timeout: float) -> bytes:
        try:
            if self._port.timeout != timeout:  # over RFC 2217 this asks the other side
                self._port.timeout = timeout
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial raises TypeError when the port is closed by another thread in a read.
            raise LinkError(f"{self.url} is gone: {_reason(error)}") from error

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkError(f"{self.url}: the board does not read") from error
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self.url} is gone: {_reason(error)}") from error

    def lines(self, *, dtr: bool, rts: bool) -> None:
        """Set the two lines that ESP boards reset by: RTS alone is reset, DTR alone pulls the boot
        pin low, both together do nothing."""
        try:
            self._port.dtr, self._port.rts = dtr, rts
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self.url} is gone: {_reason(error)}") from error

    def boot_strapped(self) -> None:
        """Reset the chip; pull the boot pin low once its ROM has looked at it, until lines()."""
        for dtr, rts, seconds in ((False, True, 0.1), (False, False, 0.1), (True, False, 0.0)):
            self.lines(dtr=dtr, rts=rts)
            time.sleep(seconds)

    def close(self) -> None:
        self._port.close()


class SocketLink:
    """A Link to a serial line behind TCP: socket://host:port.

    pyserial has one, but each close of it takes 0.3 s, and leaks the socket when the other side
    went first.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            where = urlsplit(url)
            if not where.hostname or not where.port:
                raise ValueError("write socket://host:port")
            self._socket = socket.create_connection((where.hostname, where.port), timeout=5)
        except (OSError, ValueError) as error:
            raise LinkError(f"cannot open {url}: {_reason(error)}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Of writing only: one thread may read while another writes, and a socket has one timeout.
        self._socket.settimeout(10)

    def read(self, timeout: float) -> bytes:
        try:
            if not select.select([self._socket], [], [], timeout)[0]:
                return b""
            received = self._socket.recv(4096)
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            raise LinkError(f"{self.url} is gone: {_reason(error)}") from error
        if not received:
            raise LinkError(f"{self.url} is gone: closed by the other side")
        return received

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError as error:
            raise LinkError(f"{self.url}: the board does not read") from error
        except OSError as error:
            raise LinkError(f"{self.url} is gone: {_reason(error)}") from error

    def close(self) -> None:
        self._socket.close()


def open_link(url: str) -> Link:
    """The Link that `url` names; LinkError says why it cannot be had."""
    return SocketLink(url) if url.startswith("socket://") else SerialLink(url)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) == 2:
        return "there is no such device"
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == 13:
        return "no permission (on Linux, join the device's group: dialout or uucp)"
    if (
        isinstance(error, OSError)
        and error.strerror
        and not isinstance(error, serial.SerialException)
    ):
        return error.strerror
    return str(error).removeprefix("[Errno ").strip()

"""What peers that run in a thread of ours share: life, events, the key log."""

from __future__ import annotations

import os
import socket
import threading
from abc import ABC, abstractmethod
from typing import Self

from .base import Address, Datagram, PeerConfig, PeerError, PeerEvent


class ThreadedPeer(ABC):
    """Runs `_loop` in a thread from start to stop; `_changed` guards all that both sides see."""

    def __init__(self, config: PeerConfig) -> None:
        self.config = config
        self.events: list[PeerEvent] = []
        self.datagrams: list[Datagram] = []
        self._changed = threading.Condition(threading.RLock())
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    @abstractmethod
    def _loop(self) -> None:
        """Runs in the thread until `_wake` has an x to read."""

    def start(self) -> None:
        if self._thread:
            raise PeerError("the peer is already running")
        self._socket = self._bind()
        self._wake, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if not self._thread:
            return
        self._waker.send(b"x")
        self._thread.join()
        self._thread = None
        for each in (self._wake, self._waker, self._socket):
            if each:
                each.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def address(self) -> Address:
        if not self._thread:
            raise PeerError("the peer has no address before it is started")
        return self._socket.getsockname()[:2] if self._socket else self.config.local

    def wait_event(self, kind: str, timeout: float, after: int = 0) -> PeerEvent | None:
        with self._changed:
            find = lambda: next((e for e in self.events[after:] if e.kind == kind), None)  # noqa: E731
            return self._changed.wait_for(find, timeout)

    def _bind(self) -> socket.socket | None:
        host, port = self.config.local
        bound = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        )
        try:
            bound.bind((host, port))
        except OSError as error:
            bound.close()
            raise PeerError(f"cannot listen on {host} port {port}: {error.strerror}") from None
        return bound

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException as error:  # wait() and start() raise it, where a user looks
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _woken(self) -> bool:
        """Whether the wake-up that is waiting means stop."""
        return b"x" in self._wake.recv(64)

    def _emit(self, event: PeerEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()
        if self.config.on_event:
            self.config.on_event(event)

    def _log_key(self, initiator_cookie: str, ka: bytes) -> None:
        """One line of Wireshark's `ikev1_decryption_table`, only where a key log is asked for."""
        if self.config.keylog:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            with os.fdopen(os.open(self.config.keylog, flags, 0o600), "a") as file:
                file.write(f"{initiator_cookie},{ka.hex()}\n")

"""strongSwan as a peer: a real charon, configured and driven over VICI.

In its private network namespace charon listens on 127.0.0.1 port 500; a thread of ours carries
datagrams between that and `config.local` outside, unchanged, and records them. Given `netns`,
charon runs in that namespace with `config.local` as its own address and port, and nothing is
in between.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any

from .base import Address, Datagram, PeerConfig, PeerError, PeerEvent, PeerResult
from .charon import CharonProcess
from .charon_log import CharonLog
from .threaded import ThreadedPeer
from .vici import Vici, ViciError

_NAME = "agent"
_INSIDE = ("127.0.0.1", 500)
_START_TIMEOUT, _CALL_TIMEOUT = 10.0, 5.0


class StrongswanPeer(ThreadedPeer):
    """A charon as a peer gateway. See `base.Peer` for what all peers share.

    `settings` are added to strongswan.conf's charon section, for example
    {"accept_unencrypted_mainmode_messages": "yes"}, `connection` to swanctl.conf's connection, for
    example {"dpd_delay": "2s"}. `log_secrets` keeps SKEYID and the like,
    which charon prints at log level 4, in `log`. `forgiving` makes `wait` ignore errors that
    charon itself survives.
    """

    def __init__(
        self,
        config: PeerConfig,
        netns: str | None = None,
        settings: dict[str, str] | None = None,
        connection: dict[str, str] | None = None,
        log_secrets: bool = False,
        forgiving: bool = False,
    ) -> None:
        super().__init__(config)
        self.forgiving = forgiving
        self._netns = netns
        self._connection = connection or {}
        secret_level = {"ike": "4"} if log_secrets or config.keylog else {}
        self._charon = CharonProcess(_settings(config) | (settings or {}), netns, secret_level)
        self._log = CharonLog(keep_dumps=log_secrets)
        self._ready = False
        self._outcome: PeerEvent | None = None
        self._first: float | None = None
        self._sa: dict = {}
        self._remote: Address | None = config.remote

    # -- life -------------------------------------------------------------------------------

    def start(self) -> None:
        super().start()
        try:
            with self._changed:
                ready = self._changed.wait_for(lambda: self._ready or self._error, _START_TIMEOUT)
            if self._error:
                raise self._error
            if not ready:
                raise PeerError(f"charon did not get ready: {self.log_tail(3)}")
            self._configure()
        except BaseException:
            self.stop()
            raise

    def _bind(self) -> socket.socket | None:
        return super()._bind() if self._netns is None else None

    @property
    def pid(self) -> int:
        """charon's process ID."""
        return self._charon.pid

    @property
    def log(self) -> list[str]:
        """charon's log lines so far."""
        return self._log.lines

    def log_tail(self, count: int = 10) -> str:
        return "\n".join(self._log.lines[-count:])

    # -- what a user asks for ---------------------------------------------------------------

    def initiate(self) -> None:
        if not self._remote or not self._remote[1]:
            raise PeerError("an initiator needs the address and port of the other side")
        with self._changed:
            self._outcome, self._first = None, time.monotonic()
        # A negative timeout makes charon answer at once instead of when the SA is up.
        self._call("initiate", {"ike": _NAME, "timeout": "-1"})

    def wait(self, timeout: float) -> PeerResult:
        with self._changed:
            self._changed.wait_for(lambda: self._outcome or self._error, timeout)
            if self._error:
                raise PeerError(f"charon broke down: {self._error}") from self._error
            outcome, first = self._outcome, self._first
        if outcome and outcome.kind == "established":
            return self._established(outcome, first)
        reason = outcome.text if outcome else self._missing()
        return PeerResult(False, reason, self.config.role)

    def delete(self) -> None:
        """Terminate the SA; charon sends DELETE."""
        self._call("terminate", {"ike": _NAME, "timeout": str(int(_CALL_TIMEOUT * 1000))})

    def list_sas(self) -> list[dict]:
        """charon's IKE SAs, each a dict as in `swanctl --list-sas --raw`."""
        with Vici(self._charon.vici, _CALL_TIMEOUT) as vici:
            events = vici.stream("list-sas", "list-sa")
        return [sa for event in events for sa in event.values()]

    # -- charon's configuration -------------------------------------------------------------

    def _call(self, command: str, message: dict) -> dict:
        try:
            with Vici(self._charon.vici, _CALL_TIMEOUT) as vici:
                return vici.request(command, message)
        except (OSError, ViciError) as error:
            raise PeerError(f"charon: {command}: {error}") from error

    def _configure(self) -> None:
        config = self.config
        self._load_secrets()
        if self._netns is None:
            local, remote = _INSIDE, self._charon.relay.getsockname()
        else:
            local, remote = config.local, config.remote or ("%any", 0)
        ours: dict[str, Any] = {"auth": "psk", "id": config.local_id}
        theirs: dict[str, Any] = {"auth": "psk", "id": config.remote_id or "%any"}
        if config.credentials:
            ours |= {"auth": "pubkey", "certs": [config.credentials.chain[0]]}
            theirs["auth"] = "pubkey"
        connection = {
            "version": "1",
            "local_addrs": [local[0]],
            "remote_addrs": [remote[0]],
            "remote_port": remote[1] or 500,
            "proposals": config.proposals,
            # Without over_time and rand_time, what is negotiated is exactly the lifetime.
            "rekey_time": f"{config.lifetime}s",
            "over_time": "0s",
            "rand_time": "0s",
            "local": ours,
            "remote": theirs,
        } | self._connection
        self._call("load-conn", {_NAME: connection})

    def _load_secrets(self) -> None:
        credentials = self.config.credentials
        if not credentials:
            shared = {"id": _NAME, "type": "IKE", "data": self.config.psk, "owners": []}
            self._call("load-shared", shared)
            return
        self._call("load-key", {"type": "any", "data": credentials.key})
        for certificate in credentials.chain:
            self._call("load-cert", {"type": "X509", "flag": "NONE", "data": certificate})
        for certificate in credentials.anchors:
            self._call("load-cert", {"type": "X509", "flag": "CA", "data": certificate})
        for crl in credentials.crls:
            self._call("load-cert", {"type": "X509_CRL", "flag": "NONE", "data": crl})

    # -- thread -----------------------------------------------------------------------------

    def _loop(self) -> None:
        """Start charon, carry datagrams and read the log until told to stop."""
        try:
            self._charon.start()
            self._carry()
        finally:
            self._charon.stop()

    def _carry(self) -> None:
        log, relay, partial = self._charon.log_fd, self._charon.relay, b""
        sources: list[int | socket.socket] = [log, self._wake]
        if relay and self._socket:
            sources += [relay, self._socket]
        while True:
            readable, _, _ = select.select(sources, [], [])
            if self._wake in readable and self._woken():
                return
            if log in readable:
                data = os.read(log, 65536)
                if not data:
                    raise PeerError(f"charon ended: {self.log_tail(3)}")
                *lines, partial = (partial + data).split(b"\n")
                for line in lines:
                    self._line(line.decode("utf-8", "replace"))
            if self._socket in readable:
                self._carry_in()
            if relay in readable:
                self._carry_out()

    def _carry_in(self) -> None:
        data, source = self._socket.recvfrom(65535)
        if self.config.remote and self.config.remote[1] and source != self.config.remote:
            self._event(PeerEvent("rejected", f"came from {source}, not the other side", "in"))
            return
        self._remote = source
        self.datagrams.append(Datagram(time.monotonic(), source, self.address, data))
        self._charon.relay.sendto(data, _INSIDE)

    def _carry_out(self) -> None:
        data, _ = self._charon.relay.recvfrom(65535)
        self.datagrams.append(Datagram(time.monotonic(), self.address, self._remote, data))
        self._socket.sendto(data, self._remote)

    def _line(self, line: str) -> None:
        if "] spawning " in line:
            with self._changed:
                self._ready = True
                self._changed.notify_all()
        if "is initiating a Main Mode IKE_SA" in line:
            with self._changed:
                self._outcome, self._first = None, time.monotonic()
        for event in self._log.feed(line):
            self._event(event)

    def _event(self, event: PeerEvent) -> None:
        final = event.kind == "established" or (event.kind == "failed" and not self.forgiving)
        if event.kind == "established" and self._log.ka:
            self._log_key(self.list_sas()[-1]["initiator-spi"], self._log.ka)
        with self._changed:
            # The first error is the cause, those after it only follow.
            if final and (event.kind == "established" or not self._outcome):
                self._outcome = event
        self._emit(event)

    # -- results ----------------------------------------------------------------------------

    def _established(self, outcome: PeerEvent, first: float | None) -> PeerResult:
        sas = [sa for sa in self.list_sas() if sa.get("state") == "ESTABLISHED"] or [{}]
        sa = sas[-1]
        return PeerResult(
            True,
            "",
            "initiator" if sa.get("initiator") == "yes" else "responder",
            sa.get("initiator-spi"),
            sa.get("responder-spi"),
            _suite(sa) if sa else None,
            self.config.lifetime,
            sa.get("remote-id"),
            outcome.t - first if first else None,
        )

    def _missing(self) -> str:
        numbers = [event.number for event in self.events if event.kind == "message"]
        if not numbers:
            return "nothing came from the other side"
        return f"not established after message {max(number or 0 for number in numbers)}"


def _settings(config: PeerConfig) -> dict[str, str]:
    """charon's retransmission as near to the configured times as its formula allows."""
    times = config.retransmit
    base = times[1] / times[0] if len(times) > 1 else 1.0
    return {
        "retransmit_timeout": str(times[0]),
        "retransmit_base": str(base),
        "retransmit_tries": str(len(times) - 1),
    }


def _suite(sa: dict) -> str:
    """charon's algorithm names, spelled as a proposal."""
    cipher = sa["encr-alg"].split("_")[0].lower() + sa.get("encr-keysize", "")
    name = sa["prf-alg"].removeprefix("PRF_HMAC_").replace("SHA2_", "SHA").lower()
    return f"{cipher}-{name}-{sa['dh-group'].replace('_', '').lower()}"

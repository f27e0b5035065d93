"""Agents on the board `unix` and charons, each in a network namespace of its own."""

import contextlib
import dataclasses
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ikelet import boards, config, unixboard
from ikelet.agent import Agent, Event
from ikelet.peers import PeerConfig
from ikelet.peers.strongswan import StrongswanPeer

PSK = "7Zq4-mXw9-Rt2k-Ly8c-Vb5n"
SUITE = "aes128-sha256-modp2048"


class Branch:
    """An agent in a namespace; as on a board of its own it initiates by itself, unless not
    `calls`. `events` holds what it told, in order."""

    def __init__(
        self, netns: str, given: dict[str, Any], folder: Path, calls: bool = True
    ) -> None:
        board = dataclasses.replace(boards.find("unix"), autostart=calls)
        self.events: list[Event] = []
        self._program = folder / f"micropython-{netns}"
        if not self._program.exists():
            command = [shutil.which("ip"), "netns", "exec", netns, unixboard.interpreter()]
            line = shlex.join(map(str, command))
            self._program.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
            self._program.chmod(0o700)
        with self._in_namespace():
            self.agent = Agent(board, config.check(given), self.events.append)

    def __enter__(self) -> "Branch":
        return self

    def __exit__(self, *exc: object) -> None:
        self.agent.stop()

    def power_cycle(self) -> None:
        with self._in_namespace():
            self.agent.power_cycle()

    def pull_the_plug(self) -> None:
        """The power goes without a word."""
        os.kill(self.agent.running.pid, 9)  # type: ignore[attr-defined]

    def peer(self, name: str = "gw") -> dict[str, Any]:
        """What status says of a peer."""
        return next(p for p in self.agent.status()["peers"] if p["name"] == name)

    def is_up(self, name: str = "gw") -> bool:
        return bool(self.peer(name)["state"] == "ESTABLISHED")

    def told(self, name: str, **values: Any) -> list[Event]:
        """The events of a name so far, with these values."""
        self.agent.catch_up()
        return [
            event
            for event in list(self.events)
            if event["event"] == name and values.items() <= event.items()
        ]

    @contextlib.contextmanager
    def _in_namespace(self) -> Iterator[None]:
        before = os.environ.get(unixboard.VARIABLE)
        os.environ[unixboard.VARIABLE] = str(self._program)
        try:
            yield
        finally:
            if before is None:
                del os.environ[unixboard.VARIABLE]
            else:
                os.environ[unixboard.VARIABLE] = before


def configuration(address: str, gateway: str, natt: bool = True, **peer: Any) -> dict[str, Any]:
    """An agent at `address`, with one peer at `gateway`; `peer` overrides its settings."""
    network = {"bind": address, "natt_port": 4500 * natt}
    values = {"address": gateway, "psk": PSK, "proposals": [SUITE], "retransmit": "fast"} | peer
    return {"device": {"name": "branch"}, "network": network, "peer": {"gw": values}}


def charon(
    netns: str,
    address: str,
    remote: str | None,
    role: str = "responder",
    local_id: str | None = None,
    remote_id: str | None = None,
    retransmit: tuple[float, ...] = (0.5, 1.0, 2.0),
    lifetime: int = 28800,
    settings: dict[str, str] | None = None,
    **connection: str,
) -> StrongswanPeer:
    """A charon; `settings` and `connection` as StrongswanPeer has them."""
    given = PeerConfig(
        role=role,
        psk=PSK.encode(),
        local=(address, 500),
        remote=(remote, 500) if remote else None,
        local_id=local_id or address,
        remote_id=remote_id,
        proposals=[SUITE],
        retransmit=retransmit,
        lifetime=lifetime,
    )
    return StrongswanPeer(given, netns=netns, settings=settings, connection=connection)


def until(
    condition: Callable[[], Any], seconds: float, why: str = "it did not come to that"
) -> Any:
    """The first true value of `condition`; AssertionError where there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, why
        time.sleep(0.1)
    return value


def up(gateway: StrongswanPeer) -> list[dict[str, Any]]:
    """charon's established SAs."""
    return [sa for sa in gateway.list_sas() if sa.get("state") == "ESTABLISHED"]


@contextlib.contextmanager
def hosts(netns: str, **names: str) -> Iterator[Callable[[str, str], None]]:
    """What names mean in a namespace; a function that changes that."""
    folder = Path("/etc/netns", netns)  # ip netns exec puts its files over those of /etc
    folder.mkdir(parents=True)

    def change(name: str, address: str) -> None:
        names[name] = address
        lines = [f"{address} {name}.example\n" for name, address in names.items()]
        (folder / "hosts").write_text("".join(lines))

    try:
        for name, address in list(names.items()):
            change(name, address)
        yield change
    finally:
        shutil.rmtree(folder)
        with contextlib.suppress(OSError):  # others may have theirs there
            folder.parent.rmdir()

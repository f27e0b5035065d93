"""A labgrid farm on loopback: its own coordinator and exporters, as processes, and what they
offer: a serial line behind TCP and a power switch behind HTTP."""

import contextlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


class Farm:
    """A coordinator; `export` adds a host with boards. Everything ends with the farm."""

    def __init__(self, folder: Path, places: dict[str, Any]) -> None:
        """places: what labgrid-client create, add-match and set-tags would have made."""
        self.folder = folder
        self._ending = contextlib.ExitStack()
        (folder / "places.yaml").write_text(json.dumps(places))  # JSON is YAML
        self.coordinator = self._spawn(
            "coordinator", "--listen", f"{LOOPBACK}:0", stdout=subprocess.PIPE
        )
        assert self.coordinator.stdout
        self.address = self.coordinator.stdout.readline().decode().split()[-1]

    def environment(self, user: str) -> dict[str, str]:
        """What makes labgrid's client somebody's."""
        return {"LG_COORDINATOR": self.address, "LG_HOSTNAME": "bench", "LG_USERNAME": user}

    def export(self, name: str, resources: dict[str, Any]) -> subprocess.Popen[bytes]:
        """A host with boards. resources: class -> parameters; they are the group `box`."""
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps({"box": resources}))
        options = ["--coordinator", self.address, "--name", name, "--hostname", LOOPBACK]
        return self._spawn("exporter", *options, str(file))

    def client(self, user: str, *arguments: str) -> None:
        """labgrid's own command, as somebody uses it."""
        command = [sys.executable, "-m", "labgrid.remote.client", *arguments]
        environment = os.environ | self.environment(user)
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)

    def close(self) -> None:
        self._ending.close()

    def _spawn(
        self, program: str, *arguments: str, stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        log = self._ending.enter_context((self.folder / f"{program}.log").open("ab"))
        process = subprocess.Popen(
            [sys.executable, "-m", f"labgrid.remote.{program}", *arguments],
            cwd=self.folder,
            stdout=log if stdout is None else stdout,
            stderr=log,
        )
        self._ending.enter_context(process)
        self._ending.callback(process.kill)
        return process


def place(exporter: str, **tags: str) -> dict[str, Any]:
    """A place with everything that an exporter has."""
    match = {"exporter": exporter, "group": "box", "cls": "*", "name": None, "rename": None}
    return {"tags": tags, "matches": [match], "created": time.time(), "changed": time.time()}


class Line(socketserver.ThreadingTCPServer):
    """A serial line behind TCP. `serve` is given each client's socket; by default an echo."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, serve: Callable[[socket.socket], None] | None = None) -> None:
        self.serve = serve or _echo
        super().__init__((LOOPBACK, 0), _Client)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def resource(self, protocol: str = "raw") -> dict[str, Any]:
        return {"host": LOOPBACK, "port": self.server_address[1], "protocol": protocol}


class _Client(socketserver.BaseRequestHandler):
    server: Line

    def handle(self) -> None:
        self.server.serve(self.request)


def _echo(client: socket.socket) -> None:
    while received := client.recv(1024):
        client.sendall(received)


class Switch(ThreadingHTTPServer):
    """A power switch of labgrid's model `simplerest`. `states`: what it was switched to, and when
    by time.monotonic(); `on_change` is told."""

    def __init__(self, on_change: Callable[[bool], None] = lambda on: None) -> None:
        super().__init__((LOOPBACK, 0), _Switching)
        self.states: list[tuple[bool, float]] = []
        self.on_change = on_change
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def resource(self) -> dict[str, Any]:
        host = f"http://{LOOPBACK}:{self.server_address[1]}/{{index}}/{{value}}"
        return {"model": "simplerest", "host": host, "index": 1}


class _Switching(BaseHTTPRequestHandler):
    server: Switch

    def do_GET(self) -> None:
        on = self.path == "/1/1"
        self.server.states.append((on, time.monotonic()))
        self.server.on_change(on)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on stderr."""

"""The process that keeps a place of a labgrid farm for a run, and frees it however the run ends.

python -m ikelet_hil.labgrid_keeper PLACE SECONDS   waits at most that long for the place

It is apart from the harness because a coordinator remembers who holds a place even when that
client is gone (a killed run would hold it for ever), and because gRPC's threads do not survive
fork(). The place is freed once standard input ends. Standard output has a JSON object a line:

  {"event": "busy", "reason": ...}    it waits; again when the reason is another one
  {"event": "held", "tags": {...}, "url": ..., "power": null or a resource's name}
  {"event": "url", "url": ...}        the serial line moved, as USB does when its power was cut
  {"event": "lost", "reason": ...}    the place is no longer ours, or no longer works
  {"event": "failed", "reason": ...}  there is nothing to keep; the process ends
"""

import getpass
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from labgrid.remote.common import Place, ResourceEntry
from labgrid.remote.generated.labgrid_coordinator_pb2 import (
    AcquirePlaceRequest,
    ClientInMessage,
    ReleasePlaceRequest,
)
from labgrid.remote.generated.labgrid_coordinator_pb2_grpc import CoordinatorStub
from labgrid.resource import NetworkSerialPort
from labgrid.util import labgrid_version
from labgrid.util.proxy import proxymanager

# What labgrid-client's `power` knows to switch, but for GPIOs, which may be anything.
POWER = (
    "NetworkPowerPort",
    "NetworkSiSPMPowerPort",
    "NetworkUSBPowerPort",
    "NetworkYKUSHPowerPort",
    "PDUDaemonPort",
    "TasmotaPowerPort",
)
SERIAL = ("NetworkSerialPort",)
SCHEMES = {"raw": "socket", "rfc2217": "rfc2217"}

_ANSWER = 10.0  # seconds for the coordinator to answer
_ACQUIRE = 40.0  # it asks the exporter for each resource, and gives each 10 s
_LOOK_AGAIN = 2.0
# As labgrid's own client: a coordinator whose host vanished is noticed within 20 s.
_KEEPALIVE = (
    ("grpc.keepalive_time_ms", 7500),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.http2.ping_timeout_ms", 10000),
    ("grpc.http2.max_pings_without_data", 0),
)

Path = tuple[str, str, str]  # exporter, group, name of a resource
FullPath = tuple[str, str, str, str]  # exporter, group, class, name


class KeeperError(Exception):
    """There is no place to keep; the text is a line for the user."""


class Farm:
    """What the coordinator tells, kept up to date by a thread. `changed` guards all of it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.user = "/".join(
            (
                os.environ.get("LG_HOSTNAME") or socket.gethostname(),
                os.environ.get("LG_USERNAME") or getpass.getuser(),
            )
        )
        self.changed = threading.Condition()
        self.places: dict[str, Any] = {}
        self.resources: dict[Path, Any] = {}
        self.gone = ""
        self.given_up = False  # the harness is: standard input ended
        self._synced = False
        self._channel = grpc.insecure_channel(address, options=_KEEPALIVE)
        self.stub = CoordinatorStub(self._channel)
        self._requests: queue.Queue[Any] = queue.Queue()
        for message in (
            {"startup": {"version": labgrid_version(), "name": self.user}},
            {"subscribe": {"all_places": True}},
            {"subscribe": {"all_resources": True}},
            {"sync": {"id": 1}},
        ):
            self._requests.put(ClientInMessage(**message))
        threading.Thread(target=self._follow, daemon=True).start()
        with self.changed:
            self.changed.wait_for(lambda: self._synced or self.gone, _ANSWER)
            if not self._synced:
                raise KeeperError(
                    f"labgrid's coordinator at {address} does not answer"
                    f" ({self.gone or 'no reason given'}); LG_COORDINATOR says where it is"
                )

    def wait(self, condition: Callable[[], Any], seconds: float | None = None) -> Any:
        """Until `condition` holds, the coordinator is gone or the harness is."""
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.gone or self.given_up, seconds)
            return condition()

    def give_up(self) -> None:
        with self.changed:
            self.given_up = True
            self.changed.notify_all()

    def close(self) -> None:
        self._requests.put(None)
        self._channel.close()

    def _follow(self) -> None:
        try:
            for message in self.stub.ClientStream(iter(self._requests.get, None)):
                with self.changed:
                    for update in message.updates:
                        self._take(update)
                    self._synced |= message.HasField("sync")
                    self.changed.notify_all()
            reason = "it ended the connection"
        except grpc.RpcError as error:
            reason = error.details().rsplit(": ", 1)[-1]  # before it: how gRPC tried
        with self.changed:
            self.gone = reason
            self.changed.notify_all()

    def _take(self, update: Any) -> None:
        kind = update.WhichOneof("kind")
        if kind == "place":
            self.places[update.place.name] = Place.from_pb2(update.place)
        elif kind == "del_place":
            self.places.pop(update.del_place, None)
        elif kind == "resource":
            entry = ResourceEntry(ResourceEntry.data_from_pb2(update.resource))
            self.resources[_path(update.resource.path)] = entry
        elif kind == "del_resource":
            self.resources.pop(_path(update.del_resource), None)


class Keeper:
    """One place of a farm, from the wait for it until it is lost or freed."""

    def __init__(self, farm: Farm, name: str) -> None:
        self.farm = farm
        self.name = self._known(name)
        self.title = f"labgrid place {name}"

    def acquire(self, seconds: float) -> None:
        """KeeperError says what stood in the way until the end."""
        end = time.monotonic() + seconds
        told = ""
        while why := self._obstacle() or self._refused():
            left = end - time.monotonic()
            if left <= 0 or self.farm.gone or self.farm.given_up:
                raise KeeperError(f"{why}; --wait SECONDS waits for it")
            if why != told:
                _tell("busy", reason=why)
            told = why
            self.farm.wait(lambda: not self._obstacle(), min(left, _LOOK_AGAIN))

    def keep(self) -> None:
        """Until the harness or the place is gone."""
        if reason := self._lost():
            raise KeeperError(reason)
        place = self._place()
        serial = self._resource(place, SERIAL, "console")
        if not serial:
            raise KeeperError(f"{self.title} has no serial port ({' or '.join(SERIAL)})")
        power = self._resource(place, POWER, "power")
        if not self.farm.wait(lambda: self._socket(serial), _ANSWER):
            raise KeeperError(self._lost() or f"{self.title}: its serial port does not come up")
        _tell("held", tags=place.tags, url=self._url(serial), power=power and power[-1])
        self._follow(serial)

    def _follow(self, serial: FullPath) -> None:
        at = self._socket(serial)

        def moved() -> bool:
            return self._socket(serial) not in (at, None)

        while self.farm.wait(lambda: self._lost() or moved()):
            if reason := self._lost():
                _tell("lost", reason=reason)
                self.farm.wait(lambda: False)
                return
            at = self._socket(serial)
            _tell("url", url=self._url(serial))

    def free(self) -> None:
        """Free the place where it is still ours."""
        if self._is_ours() and not self.farm.gone:
            request = ReleasePlaceRequest(placename=self.name, fromuser=self.farm.user)
            self.farm.stub.ReleasePlace(request, timeout=_ACQUIRE)

    def _known(self, name: str) -> str:
        for place in self.farm.places.values():
            if name == place.name or name in place.aliases:
                return str(place.name)
        there = ", ".join(sorted(self.farm.places)) or "none"
        where = f"labgrid's coordinator at {self.farm.address}"
        raise KeeperError(f"{where} knows no place {name}; there is: {there}")

    def _place(self) -> Any:
        """The place as it is now; None once it was deleted."""
        return self.farm.places.get(self.name)

    def _is_ours(self) -> bool:
        return bool((place := self._place()) and place.acquired == self.farm.user)

    def _obstacle(self) -> str:
        """Why the place cannot be had now, as far as one can see from here."""
        place = self._place()
        if not place:
            return f"{self.title} was deleted"
        if place.acquired:
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(place.changed))
            ours = f" (you: `labgrid-client -p {self.name} release` frees it)"
            hint = ours if place.acquired == self.farm.user else ""
            return f"{self.title} is held by {place.acquired}{hint} since {since}"
        with self.farm.changed:
            resources = list(self.farm.resources.items())
        there = [(*path[:2], entry.cls, path[2]) for path, entry in resources]
        if missing := place.unmatched(there):
            return f"{self.title}: no exporter offers {missing!r}"
        return ""

    def _refused(self) -> str:
        """Ask for the place: why the coordinator says no, or ""."""
        try:
            self.farm.stub.AcquirePlace(AcquirePlaceRequest(placename=self.name), timeout=_ACQUIRE)
        except grpc.RpcError as error:
            return f"{self.title}: {error.details()}"
        with self.farm.changed:  # its news of it come on another way
            self.farm.changed.wait_for(lambda: self._is_ours() or self.farm.gone, _ANSWER)
        return ""

    def _resource(self, place: Any, classes: Sequence[str], preferred: str) -> FullPath | None:
        """The one resource of these classes, or of several the one that goes by that name."""
        found = {}
        for path in place.acquired_resources:
            if path[2] in classes:
                found[place.getmatch(path).rename or path[3]] = tuple(path)
        if len(found) > 1 and preferred not in found:
            raise KeeperError(
                f"{self.title} has {' and '.join(sorted(found))}: "
                f'name the one to use "{preferred}" (labgrid-client add-named-match)'
            )
        return found.get(preferred) or next(iter(found.values()), None)

    def _entry(self, path: FullPath) -> Any:
        return self.farm.resources.get((path[0], path[1], path[3]))

    def _socket(self, path: FullPath) -> tuple[str, int] | None:
        """(host, port) of a serial port, which exporters open for whoever holds the place."""
        entry = self._entry(path)
        if not entry or not entry.avail or not entry.args.get("port"):
            return None
        return entry.args["host"], entry.args["port"]

    def _url(self, path: FullPath) -> str:
        """The link to a serial port, through SSH where the exporter asks for that."""
        entry = self._entry(path)
        resource = NetworkSerialPort(None, None, **entry.args)
        resource.extra = entry.extra
        if resource.protocol not in SCHEMES:
            raise KeeperError(f'{self.title}: its serial port speaks "{resource.protocol}"')
        host, port = proxymanager.get_host_and_port(resource)
        return f"{SCHEMES[resource.protocol]}://{host}:{port}"

    def _lost(self) -> str:
        """Why the place is no longer ours, or of no use any more; "" while all is well."""
        if self.farm.gone:
            return f"labgrid's coordinator at {self.farm.address} is gone ({self.farm.gone})"
        place = self._place()
        if not place or not place.acquired:
            return f"{self.title} was {'released' if place else 'deleted'} by somebody else"
        if place.acquired != self.farm.user:
            return f"{self.title} was taken away: {place.acquired} holds it"
        for exporter, group, _, name in place.acquired_resources:
            if (exporter, group, name) not in self.farm.resources:
                return f"labgrid exporter {exporter}, which offers place {self.name}, is gone"
        return ""


def _path(path: Any) -> Path:
    return path.exporter_name, path.group_name, path.resource_name


def _tell(event: str, **data: Any) -> None:
    print(json.dumps({"event": event, **data}), flush=True)


def _await_end(farm: Farm) -> None:
    sys.stdin.read()
    farm.give_up()


def main(name: str, seconds: float) -> int:
    try:
        farm = Farm(os.environ.get("LG_COORDINATOR") or "127.0.0.1:20408")
        threading.Thread(target=_await_end, args=(farm,), daemon=True).start()
        keeper = Keeper(farm, name)
        keeper.acquire(seconds)
        try:
            keeper.keep()
        finally:
            keeper.free()
    except KeeperError as error:
        _tell("failed", reason=str(error))
        return 1
    farm.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))

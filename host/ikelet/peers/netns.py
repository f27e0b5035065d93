"""Network namespaces joined by cables, each with its own port 500.

For runs that want real addresses on both sides: a pair with nothing in between, or a NAT between
several and one. Needs root (or the right to add namespaces) and iproute2; the NAT nftables and
conntrack too.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Self

from .base import PeerUnavailableError

_DIRECTORY = Path("/run/netns")
# Names embed the process that made them, so that those of a killed run can be told.
_NAME = re.compile(r"ikelet-(\d+)-\d+[a-z]")
_count = itertools.count()

# 9 bytes of UDP: its header and one byte
_WATCH = """
table ip watch {
  counter keepalives { }
  chain passing {
    type filter hook forward priority 0
    oifname "wan" udp length 9 counter name keepalives
  }
}
"""
_TRANSLATE = """
table ip nat
delete table ip nat
table ip nat {{
  chain out {{
    type nat hook postrouting priority 100
    oifname "wan" meta l4proto udp masquerade{to}
  }}
}}
"""
_FORWARD = """
table ip nat {{
  chain in {{
    type nat hook prerouting priority -100
    iifname "wan" udp dport {{ 500, 4500 }} dnat to {inside}
  }}
}}
"""


class _Namespaces:
    """Named network namespaces, made on entry and removed on exit."""

    def __init__(self, count: int) -> None:
        stem = f"ikelet-{os.getpid()}-{next(_count)}"
        self.names = tuple(f"{stem}{letter}" for letter in "abcdefgh"[:count])

    def __enter__(self) -> Self:
        if not shutil.which("ip"):
            raise PeerUnavailableError("ip is not installed (apt install iproute2)")
        remove_stale()
        try:
            for name in self.names:
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            self._join()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Take the namespaces away, and with them the cables."""
        for name in self.names:
            if (_DIRECTORY / name).exists():
                _ip("netns", "delete", name)

    def command(self, side: int, arguments: list[str]) -> list[str]:
        """The command line that runs `arguments` in a namespace."""
        return ["ip", "netns", "exec", self.names[side], *arguments]

    def _join(self) -> None:
        raise NotImplementedError

    def _cable(self, left: tuple[str, str, str], right: tuple[str, str, str]) -> None:
        """Between two ends, each (namespace, device, address/prefix)."""
        names = ("type", "veth", "peer", "name", right[1], "netns", right[0])
        _ip("link", "add", left[1], "netns", left[0], *names)
        for name, device, address in (left, right):
            # nodad: an IPv6 address is of use at once.
            flags = ("nodad",) if ":" in address else ()
            _ip("-n", name, "addr", "add", address, "dev", device, *flags)
            _ip("-n", name, "link", "set", device, "up")


class NetnsPair(_Namespaces):
    """Namespaces `names` with `addresses`, made on entry and removed on exit.

    with NetnsPair() as pair:
        left = StrongswanPeer(config, netns=pair.names[0])
        process = subprocess.Popen(pair.command(1, ["micropython", "main.py"]))
    """

    def __init__(
        self, addresses: tuple[str, str] = ("10.9.0.1", "10.9.0.2"), prefix: int = 24
    ) -> None:
        super().__init__(2)
        self.addresses = addresses
        self._prefix = prefix

    def _join(self) -> None:
        ends = [
            (name, "eth0", f"{address}/{self._prefix}")
            for name, address in zip(self.names, self.addresses, strict=True)
        ]
        self._cable(ends[0], ends[1])

    def plug(self, side: int, inserted: bool) -> None:
        """Take the cable out of a side, or put it in again."""
        _ip("-n", self.names[side], "link", "set", "eth0", "up" if inserted else "down")


class NetnsNat(_Namespaces):
    """A NAT, `inside` namespaces behind it and one outside, each side with its own addresses.

    Everything sent from inside comes from `address`; from a port of its own where two have the
    same. `forward` is the number of the namespace inside that gets what comes to the NAT's ports
    500 and 4500.
    """

    address = "203.0.113.7"
    outside_address = "203.0.113.1"

    def __init__(self, inside: int = 1, forward: int | None = None) -> None:
        super().__init__(inside + 2)
        self.inside = self.names[:inside]
        self.router, self.outside = self.names[inside:]
        self.inside_addresses = tuple(f"192.168.{number + 1}.2" for number in range(inside))
        self._forward = forward

    def change_mappings(self, ports: str) -> None:
        """Forget every mapping, as after a restart; new ones get outside ports of a range."""
        self._translate(ports)
        self._run(["conntrack", "-F"])

    def keepalives(self) -> int:
        """How many NAT keepalives (of one byte) have come from inside."""
        counter = self._run(["nft", "list", "counter", "ip", "watch", "keepalives"])
        return int(re.search(r"packets (\d+)", counter)[1])

    def _join(self) -> None:
        wide = f"{self.address}/24"
        self._cable(
            (self.router, "wan", wide), (self.outside, "eth0", f"{self.outside_address}/24")
        )
        for number, (name, address) in enumerate(
            zip(self.inside, self.inside_addresses, strict=True)
        ):
            gateway = address.removesuffix("2") + "1"
            self._cable(
                (name, "eth0", f"{address}/24"), (self.router, f"lan{number}", f"{gateway}/24")
            )
            _ip("-n", name, "route", "add", "default", "via", gateway)
        self._run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
        self._run(["nft", _WATCH])
        self._translate("")

    def _translate(self, ports: str) -> None:
        to = f" to :{ports}" if ports else ""
        rules = _TRANSLATE.format(to=to)
        if self._forward is not None:
            rules += _FORWARD.format(inside=self.inside_addresses[self._forward])
        self._run(["nft", rules])

    def _run(self, arguments: list[str]) -> str:
        command = self.command(self.names.index(self.router), arguments)
        return _checked(command)


def remove_stale() -> list[str]:
    """Remove the namespaces of runs that were killed; their names."""
    stale = []
    for path in _DIRECTORY.glob("ikelet-*"):
        match = _NAME.fullmatch(path.name)
        if match and not Path("/proc", match[1]).exists():
            try:
                _ip("netns", "delete", path.name)
            except PeerUnavailableError:
                if path.exists():  # else another run was faster
                    raise
                continue
            stale.append(path.name)
    return stale


def _ip(*arguments: str) -> None:
    _checked(["ip", *arguments])


def _checked(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise PeerUnavailableError(f"{' '.join(command)}: {why}")
    return done.stdout

"""A pair of network namespaces joined by a cable, each end with its own port 500.

For runs that want real addresses on both sides and nothing in between. Needs root (or the
right to add namespaces) and iproute2.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

from .base import PeerUnavailableError

_DIRECTORY = Path("/run/netns")
# Names embed the process that made them, so that those of a killed run can be told.
_NAME = re.compile(r"ikelet-(\d+)-\d+[ab]")
_count = itertools.count()


class NetnsPair:
    """Namespaces `names` with `addresses`, made on entry and removed on exit.

    with NetnsPair() as pair:
        left = StrongswanPeer(config, netns=pair.names[0])
        process = subprocess.Popen(pair.command(1, ["micropython", "main.py"]))
    """

    def __init__(
        self, addresses: tuple[str, str] = ("10.9.0.1", "10.9.0.2"), prefix: int = 24
    ) -> None:
        self.addresses = addresses
        self._prefix = prefix
        stem = f"ikelet-{os.getpid()}-{next(_count)}"
        self.names = (f"{stem}a", f"{stem}b")

    def __enter__(self) -> NetnsPair:
        if not shutil.which("ip"):
            raise PeerUnavailableError("ip is not installed (apt install iproute2)")
        remove_stale()
        try:
            for name in self.names:
                _ip("netns", "add", name)
            self._join()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Take both namespaces away, and with them the cable."""
        for name in self.names:
            if (_DIRECTORY / name).exists():
                _ip("netns", "delete", name)

    def command(self, side: int, arguments: list[str]) -> list[str]:
        """The command line that runs `arguments` in namespace 0 or 1."""
        return ["ip", "netns", "exec", self.names[side], *arguments]

    def _join(self) -> None:
        left, right = self.names
        cable = ("type", "veth", "peer", "name", "eth0", "netns", right)
        _ip("link", "add", "eth0", "netns", left, *cable)
        for name, address in zip(self.names, self.addresses, strict=True):
            _ip("-n", name, "addr", "add", f"{address}/{self._prefix}", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", name, "link", "set", device, "up")


def remove_stale() -> list[str]:
    """Remove the namespaces of runs that were killed; their names."""
    stale = []
    for path in _DIRECTORY.glob("ikelet-*"):
        match = _NAME.fullmatch(path.name)
        if match and not Path("/proc", match[1]).exists():
            _ip("netns", "delete", path.name)
            stale.append(path.name)
    return stale


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise PeerUnavailableError(f"ip {' '.join(arguments)}: {why}")

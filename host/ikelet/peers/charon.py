"""A charon process of our own, in namespaces of its own, that cannot outlive us.

Without a given network namespace it gets a private one, so that many can run side by side,
each on its own port 500, with or without root; `relay` is then a socket inside it. (Two ports
other than 500 on one host would not do: charon then puts a non-ESP marker before every
message, as if NAT traversal had been agreed.)
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from .base import PeerUnavailableError

CHARON_PATHS = (
    "/usr/lib/ipsec/charon",
    "/usr/libexec/ipsec/charon",
    "/usr/lib/strongswan/charon",
    "/usr/libexec/strongswan/charon",
    "/usr/local/libexec/ipsec/charon",
)
_PACKAGES = "strongswan-charon strongswan-swanctl libstrongswan-standard-plugins"
# Only what phase 1 needs: a charon with all of Debian's plugins takes longer to start.
_PLUGINS = (
    "random nonce aes des sha1 sha2 md5 hmac kdf gmp openssl kernel-netlink socket-default vici "
    "pem pkcs1 pkcs8 pubkey x509 revocation constraints"
)
_LAUNCHER = Path(__file__).with_name("charon_launcher.py")
_STOP_TIMEOUT = 5.0
# Names of directories embed the process that made them, so that those of a killed run can be told.
_PREFIX = "ikelet-charon-"


def find_charon() -> str:
    """Path of the binary: $IKELET_CHARON, or where distributions put it."""
    chosen = os.environ.get("IKELET_CHARON")
    if chosen:
        if os.access(chosen, os.X_OK):
            return chosen
        raise PeerUnavailableError(f"IKELET_CHARON names {chosen}, which cannot be executed")
    for path in CHARON_PATHS:
        if os.access(path, os.X_OK):
            return path
    raise PeerUnavailableError(
        f"strongSwan's charon is not installed (Debian, Ubuntu: apt install {_PACKAGES})"
    )


def check_available() -> str:
    """The charon binary; PeerUnavailableError says in one line what is missing."""
    if sys.platform != "linux":
        raise PeerUnavailableError("charon is run in Linux namespaces; this is not Linux")
    charon = find_charon()
    plugins = Path(charon).with_name("plugins")
    if plugins.is_dir() and not (plugins / "libstrongswan-vici.so").exists():
        raise PeerUnavailableError(
            "strongSwan's vici plugin is not installed (Debian, Ubuntu: "
            "apt install strongswan-swanctl)"
        )
    if not shutil.which("unshare"):
        raise PeerUnavailableError("unshare is not installed (apt install util-linux)")
    return charon


def remove_stale() -> None:
    """Remove the directories of runs that were killed; their charons died with them."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = path.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)


class CharonProcess:
    """`start` returns at once; the log, on `log_fd`, says when charon is ready.

    To be started from the thread that lives as long as charon shall: the kernel kills charon
    when that thread ends.
    """

    def __init__(self, settings: dict[str, str], netns: str | None, log_level: dict) -> None:
        self._settings = settings
        self._netns = netns
        self._log_level = log_level
        self._process: subprocess.Popen | None = None
        self._directory: Path | None = None
        self.relay: socket.socket | None = None

    def start(self) -> None:
        charon = check_available()
        remove_stale()
        self._directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        try:
            self._launch(charon)
        except BaseException:
            self.stop()
            raise

    @property
    def vici(self) -> Path:
        return self._directory / "vici"

    @property
    def log_fd(self) -> int:
        return self._process.stdout.fileno()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._process = None
        if self.relay:
            self.relay.close()
            self.relay = None
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def _launch(self, charon: str) -> None:
        configuration = self._directory / "strongswan.conf"
        configuration.write_text(self._configuration())
        ours, theirs = socket.socketpair()
        with ours, theirs:
            private = self._netns is None
            channel = theirs.fileno() if private else -1
            command = [
                *self._namespaces(),
                *(sys.executable, "-S", "-E", str(_LAUNCHER)),
                *(str(os.getpid()), str(channel), charon),
            ]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[channel] if private else [],
                env=os.environ | {"STRONGSWAN_CONF": str(configuration)},
            )
            theirs.close()
            if private:
                self.relay = self._receive_relay(ours)

    def _namespaces(self) -> list[str]:
        if self._netns is not None:
            return ["ip", "netns", "exec", self._netns, "unshare", "--mount"]
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *user, "--mount", "--net"]

    def _receive_relay(self, channel: socket.socket) -> socket.socket:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not descriptors:
            why = os.read(self.log_fd, 4096).decode("utf-8", "replace").strip()
            raise PeerUnavailableError(
                "charon needs namespaces of its own: run as root, or allow unprivileged user "
                f"namespaces ({why})"
            )
        return socket.socket(fileno=descriptors[0])

    def _configuration(self) -> str:
        # The log goes to a path, because charon flushes lines to files only.
        levels = {"path": "/dev/stdout", "flush_line": "yes", "default": "1"} | self._log_level
        charon = {
            "load": _PLUGINS,
            "install_routes": "no",
            **self._settings,
            "plugins": {"vici": {"socket": f"unix://{self.vici}"}},
            "filelog": {"out": levels},
        }
        return _section("charon", charon)


def _section(name: str, values: dict) -> str:
    """strongswan.conf syntax."""
    lines = [
        _section(key, value) if isinstance(value, dict) else f"{key} = {value}\n"
        for key, value in values.items()
    ]
    return f"{name} {{\n{''.join(lines)}}}\n"

"""Runs as a process of its own, in fresh namespaces, and becomes charon.

    charon_launcher.py PARENT_PID SOCKET_FD CHARON

Before that it hides /run behind an empty file system, because charon's pid file there would
keep a second charon from starting. With a SOCKET_FD of 0 or more the network namespace is new
as well: its loopback is brought up, and a UDP socket bound inside it is passed back over that
unix socket, so that the parent, outside, can talk to charon's port 500.

Standard library only: it is run as a file, without the package, to start fast.
"""

import array
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys

RELAY_ADDRESS = "127.0.0.2"

_PR_SET_PDEATHSIG = 1
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def main(parent: int, channel: int, charon: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    hide_run(libc)
    if channel >= 0:
        bring_loopback_up()
        pass_relay_socket(channel)
    # charon must not outlive the process that started it, even if that is killed.
    check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(charon, [charon])


def hide_run(libc: ctypes.CDLL) -> None:
    check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "make / private")
    check(libc.mount(b"tmpfs", b"/run", b"tmpfs", 0, None), "mount on /run")


def bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16xH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[0]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def pass_relay_socket(channel: int) -> None:
    with (
        socket.socket(fileno=channel) as parent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay,
    ):
        relay.bind((RELAY_ADDRESS, 0))
        descriptors = array.array("i", [relay.fileno()])
        parent.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])


def check(result: int, what: str) -> None:
    if result:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

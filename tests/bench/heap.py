"""The heap that the agent takes when idle, and that a handshake takes above it.

How much is in use at some moment says little: most of it is garbage that was not collected yet.
So memory is taken away from an idle agent until a handshake no longer succeeds; what it then needs
free, garbage and fragmentation included, is found by bisection, each step on a board just booted.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from ikelet import boards, build, config, peers, psk
from ikelet.agent import Agent, Event
from ikelet.boards import Board
from ikelet.demo import LOOPBACK, free_port
from ikelet.errors import IkeletError
from ikelet_hil import lab
from report import Figure, Report, Table, Tell, UnavailableError
from uptime.hub import hub

TITLE = "Heap"
SUITE = "aes256-sha256-modp2048"
HANDSHAKE_LIMIT = 24 * 1024
IDLE_LIMIT, IDLE_AIM = 80 * 1024, 60 * 1024
BOARDS = ("unix", "qemu-rv32")
CERTIFICATE_BOARD, CERTIFICATE_LIMIT = "qemu-rv32", 48 * 1024
HUB_BOARD, HUB_PEERS = "qemu-rv32", 16
KEYS = ("rsa2048", "ecdsa256")
_STEP = 256  # bytes: how exact a bisection is
_REST = 0.5  # seconds
_TIMEOUT = 15  # seconds for a handshake
_MAIN = Path(__file__).with_name("on_board") / "occupied_main.py"
_FILES = build.files


class OutOfMemoryError(IkeletError):
    """The agent dropped a message for want of memory, or crashed and booted again."""


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    report = Report()
    rows = []
    for name in BOARDS:
        board = boards.find(name)
        why = boards.usable(board)
        if why:
            report.notes.append(f"{name} left out: {why}")
            continue
        rows.append([name, *(f"{value:,}" for value in _measure(board, report, tell))])
    if not rows:
        raise UnavailableError("; ".join(report.notes))
    columns = ["board", "heap", "idle", "free", "handshake", "scattered"]
    report.tables.append(Table(f"bytes of heap, {SUITE}", columns, rows))
    _certificates(report, tell)
    _hub(report, tell)
    _smallest_heaps(boards.find("unix"), report, tell)
    report.notes += [
        "handshake: what must be free above idle, in one piece",
        "scattered: the same where only the gaps of a worn heap are left, its large pieces gone",
        f"found by bisection, to within {_STEP} bytes",
    ]
    return report


def _measure(board: Board, report: Report, tell: Tell) -> tuple[int, ...]:
    """Heap, used and free when idle, what a handshake needs in one piece and scattered."""
    tell(f"{board.name}: idle")
    with _running(board) as agent:
        idle = _idle(agent)

    needed = [_needed(board, idle["free"], scattered, tell) for scattered in (False, True)]
    bits = {"unix": 64}.get(board.name, 32)
    limited = (IDLE_LIMIT, IDLE_AIM) if bits == 32 else (None, None)
    what = f"on {board.name} ({bits} bit)"
    report.figures += [
        Figure(f"heap-idle-{board.name}", f"heap {what}: idle", idle["used"], "bytes", *limited),
        Figure(
            f"heap-handshake-{board.name}",
            f"heap {what}: a handshake, above idle",
            needed[0],
            "bytes",
            HANDSHAKE_LIMIT,
        ),
    ]
    return idle["free"] + idle["used"], idle["used"], idle["free"], *needed


def _certificates(report: Report, tell: Tell) -> None:
    """What a handshake takes with certificates: each side sends its own and one intermediate."""
    board = boards.find(CERTIFICATE_BOARD)
    why = boards.usable(board)
    if why:
        return
    rows = []
    for kind in KEYS:
        tell(f"{board.name}: {kind}")
        with _running(board, kind) as agent:
            idle = _idle(agent)
            before = _operations(agent)
            _handshake(agent)
            after = _operations(agent)
        done = {op: number - before.get(op, 0) for op, number in after.items()}
        needed = _needed(board, idle["free"], False, tell, kind)
        told = ", ".join(f"{number} {op}" for op, number in sorted(done.items()) if number)
        rows.append([kind, f"{idle['used']:,}", f"{idle['free']:,}", f"{needed:,}", told])
        report.figures.append(
            Figure(
                f"heap-certificates-{kind}",
                f"heap on {board.name}: a handshake with {kind} and a chain of 2, above idle",
                needed,
                "bytes",
                CERTIFICATE_LIMIT,
            )
        )
    columns = ["key", "idle", "free", "handshake", "operations"]
    report.tables.append(
        Table(f"certificates on {board.name}: bytes of heap, {SUITE}, chain of 2", columns, rows)
    )


def _hub(report: Report, tell: Tell) -> None:
    """What many peers take: those that are configured, and an SA with each."""
    board = boards.find(HUB_BOARD)
    if boards.usable(board):
        return
    rows = []
    with hub(HUB_BOARD, HUB_PEERS) as there:
        for number in range(HUB_PEERS + 1):
            tell(f"{board.name}: {number} of {HUB_PEERS} peers are up")
            if number:
                there.call(number - 1)
            if number in (0, 1, HUB_PEERS):
                _idle(there.agent)
                heap = there.agent.status()["heap"]
                rows.append([f"{number}", f"{heap['used']:,}", f"{heap['free']:,}"])
    columns = ["SAs", "in use", "free"]
    report.tables.append(Table(f"{HUB_PEERS} peers on {board.name}: bytes of heap", columns, rows))


def _operations(agent: Agent) -> dict[str, int]:
    """How often an engine has exponentiated, or multiplied a point."""
    engines = agent.call("counters")["engines"]
    return {op: sum(engines.get(op, {}).values()) for op in ("modexp", "ec", "ec_sum")}


def _needed(board: Board, most: int, scattered: bool, tell: Tell, kind: str = "") -> int:
    """The bytes that must be free when idle, in one piece or scattered, for a handshake; `kind`
    as in _running."""

    def succeeds(free: int) -> bool:
        where = "scattered" if scattered else "in one piece"
        tell(f"{board.name}: a handshake with {free:,} bytes free, {where}")

        def work(agent: Agent) -> None:
            _idle(agent)
            agent.call("occupy", {"free": free, "scattered": scattered})
            _handshake(agent)

        return _attempt(board, work, tell, kind)

    return _bisect(succeeds, 0, most)


def _smallest_heaps(board: Board, report: Report, tell: Tell) -> None:
    """The smallest heaps with which the interpreter boots the agent, and does a handshake."""
    found = []
    for what, work in (("idle", _idle), ("a handshake", _handshake)):

        def succeeds(size: int, what: str = what, work: Callable[[Agent], Any] = work) -> bool:
            tell(f"{board.name}: {what} with a heap of {size:,} bytes")
            return _attempt(dataclasses.replace(board, heap=size), work, tell)

        found.append(_bisect(succeeds, 32 * 1024, board.heap))
    rows = [["boot, then idle", f"{found[0]:,}"], ["boot, then a handshake", f"{found[1]:,}"]]
    report.tables.append(
        Table(f"smallest -X heapsize, {board.name}", ["that does", "bytes"], rows)
    )
    report.data["smallest_heaps"] = found


def _bisect(succeeds: Callable[[int], bool], low: int, high: int) -> int:
    """The smallest size that succeeds, to within _STEP."""
    if not succeeds(high):
        raise RuntimeError(f"not even {high:,} bytes are enough")
    while high - low > _STEP:
        middle = (low + high) // 2
        low, high = (low, middle) if succeeds(middle) else (middle, high)
    return high


def _attempt(board: Board, work: Callable[[Agent], Any], tell: Tell, kind: str = "") -> bool:
    try:
        with _running(board, kind) as agent:
            work(agent)
    except IkeletError as error:
        tell(f"  no: {error}")
        return False
    return True


def _idle(agent: Agent) -> dict[str, int]:
    """The heap's figures once the agent has made its key pair ahead, and rests."""
    deadline = time.monotonic() + _TIMEOUT
    while not agent.call("counters")["engines"].get("modexp"):
        if time.monotonic() > deadline:
            raise IkeletError("no key pair was made ahead")
        time.sleep(0.1)
    time.sleep(_REST)  # what it loaded for a proof of its key goes
    heap: dict[str, int] = agent.call("counters")["heap"]
    return heap


def _handshake(agent: Agent) -> None:
    _idle(agent)
    outcome = agent.bring_up("gw", _TIMEOUT)
    if not outcome.established:
        raise IkeletError(outcome.reason)


@contextlib.contextmanager
def _running(board: Board, kind: str = "") -> Iterator[Agent]:
    """An agent on a board, opposite the built-in gateway; with certificates for keys of a kind,
    else a pre-shared key."""
    port = free_port()
    more, mine, his = _signed(kind) if kind else _shared()
    theirs = peers.PeerConfig(
        local=(LOOPBACK, 0), remote=(LOOPBACK, port), proposals=[SUITE], **his
    )
    with peers.make_peer("builtin", theirs) as peer:
        given = config.check(
            {
                "device": {"name": "bench"},
                "network": {"bind": LOOPBACK, "port": port},
                "peer": {
                    "gw": {
                        "address": LOOPBACK,
                        "port": peer.address[1],
                        "proposals": [SUITE],
                        **mine,
                    }
                },
                **more,
            }
        )
        watch = _Watch()
        with mock.patch.object(build, "files", _with_occupy):
            agent = Agent(board, given, watch)
        with agent:
            try:
                yield agent
            finally:
                watch.armed = False


# (more sections of the agent's configuration, of its peer, of the gateway)
_Sides = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _shared() -> _Sides:
    key = psk.generate()
    theirs = {"psk": psk.decoded(key), "local_id": LOOPBACK, "remote_id": LOOPBACK}
    return {}, {"psk": key}, theirs


def _signed(kind: str) -> _Sides:
    """A certificate of an intermediate CA's for each side."""
    issuer, anchors = lab.authority(kind, "root", 1), [lab.authority(kind, "root")]
    ours, theirs = (lab.holder(kind, name, issuer) for name in (lab.AGENT, lab.GATEWAY))
    ours.anchors = theirs.anchors = anchors
    return (
        {"certificate": ours.for_agent()},
        {"auth": "cert", "local_id": lab.AGENT, "remote_id": lab.GATEWAY},
        {"credentials": theirs.for_peer(), "local_id": lab.GATEWAY, "remote_id": lab.AGENT},
    )


def _with_occupy(board: Board) -> dict[str, bytes]:
    return _FILES(board) | {"main.py": _MAIN.read_bytes()}


class _Watch:
    """Told every event; while armed, ends the attempt at the first sign of want of memory."""

    def __init__(self) -> None:
        self.armed = True
        self._boots = 0

    def __call__(self, event: Event) -> None:
        self._boots += event["event"] == "boot"
        if self.armed and (self._boots > 1 or event.get("reason") == "no-memory"):
            raise OutOfMemoryError(f"out of memory: {event}")

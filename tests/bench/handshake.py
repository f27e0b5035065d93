"""A handshake on the wire: our agent as initiator, beside charon as initiator.

Both call the same charon from the other end of a virtual cable, by turns, so that what else the
machine does hits both alike. Time counts from message 1 to message 6, by the kernel's time stamps
on the initiator's end of the cable. Each has half a second of rest after its SA was taken down,
in which the agent makes the key pair of its next exchange ahead, as it does on a board.

All three run at real-time priority where that is allowed, so that they are measured and not what
else runs here: on a crowded machine charon's few milliseconds slip in between, the agent's thirty
do not.
"""

import contextlib
import os
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from capture import Capture, gaps, main_mode
from ikelet import boards, config, psk, unixboard
from ikelet.agent import Agent
from ikelet.peers import PeerConfig, PeerUnavailableError
from ikelet.peers.netns import NetnsPair
from ikelet.peers.strongswan import StrongswanPeer
from report import Figure, Report, Table, Tell, UnavailableError

TITLE = "Handshake with charon, on the wire"
GROUPS = ("modp2048", "modp4096")
LIMIT, AIM = 3.0, 2.0
_GATEWAY, _BRANCH = "10.9.0.1", "10.9.0.2"
_AGENT_PORT = 5500  # 500 is the calling charon's, at the same address
_REST = 0.5  # seconds
_TIMEOUT = 20.0
_SIDES = ("ikelet", "charon")

# Brings the SA up, and takes it down again.
Caller = tuple[Callable[[], None], Callable[[], None]]


def run(rounds: int, tell: Tell) -> Report:
    report = Report()
    priority = _may_prefer()
    for group in GROUPS:
        suite = f"aes256-sha256-{group}"
        try:
            times = _measure(suite, rounds, priority, tell)
        except PeerUnavailableError as error:
            raise UnavailableError(str(error)) from error
        _add(report, group, times)
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    report.notes += [
        f"{rounds} rounds each, alternating; {os.cpu_count()} CPUs, load average {load}",
        "at real-time priority" if priority else "at ordinary priority: load counts, too",
        "the agent's key pair is made ahead while idle, charon's is not",
    ]
    report.data["load"] = os.getloadavg()
    return report


def _measure(suite: str, rounds: int, priority: bool, tell: Tell) -> dict[str, list[list[int]]]:
    """For each side the times in ns of messages 1 to 6 of each round."""
    times: dict[str, list[list[int]]] = {side: [] for side in _SIDES}
    with contextlib.ExitStack() as ending:
        enter = ending.enter_context
        pair = enter(NetnsPair((_GATEWAY, _BRANCH)))
        key = psk.generate()
        gateway = enter(StrongswanPeer(_charon("responder", key, suite), pair.names[0]))
        caller = enter(StrongswanPeer(_charon("initiator", key, suite), pair.names[1]))
        agent = enter(_agent(key, suite, pair.names[1]))
        capture = enter(Capture(pair.names[1]))
        if priority:
            for name in pair.names:
                _prefer(_processes(name))
        callers: dict[str, Caller] = {
            "ikelet": (
                lambda: _established(agent.bring_up("gateway", _TIMEOUT)),
                lambda: agent.call("down", {"peer": "gateway"}),
            ),
            "charon": (
                lambda: _established(_initiated(caller)),
                caller.delete,
            ),
        }
        time.sleep(_REST)
        for number in range(rounds):
            for side, (up, down) in callers.items():
                tell(f"{suite}: round {number + 1} of {rounds}, {side}")
                capture.take()
                up()
                times[side].append(main_mode(capture.take()))
                down()
                _gone(gateway)
                time.sleep(_REST)
    return times


def _charon(role: str, key: str, suite: str) -> PeerConfig:
    local, remote = (_GATEWAY, _BRANCH) if role == "responder" else (_BRANCH, _GATEWAY)
    return PeerConfig(
        role=role,
        local=(local, 500),
        remote=None if role == "responder" else (remote, 500),
        psk=psk.decoded(key),
        local_id=local,
        remote_id=remote,
        proposals=[suite],
    )


@contextlib.contextmanager
def _agent(key: str, suite: str, namespace: str) -> Iterator[Agent]:
    """The agent on the board `unix`, its interpreter in a network namespace."""
    given = config.check(
        {
            "device": {"name": "bench"},
            "network": {"bind": _BRANCH, "port": _AGENT_PORT},
            "peer": {"gateway": {"address": _GATEWAY, "psk": key, "proposals": [suite]}},
        }
    )
    with tempfile.TemporaryDirectory(prefix="ikelet-bench-") as folder:
        wrapper = Path(folder) / "micropython"
        inside = shlex.join(["/usr/bin/env", "ip", "netns", "exec", namespace])
        wrapper.write_text(
            "#!/bin/sh\nPATH=/usr/sbin:/sbin:$PATH\n"
            f'exec {inside} {shlex.quote(str(unixboard.interpreter()))} "$@"\n'
        )
        wrapper.chmod(0o700)
        with _environment(unixboard.VARIABLE, str(wrapper)):
            agent = Agent(boards.find("unix"), given)
        with agent:
            yield agent


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _processes(namespace: str) -> list[int]:
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]


def _may_prefer() -> bool:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def _prefer(processes: list[int]) -> None:
    """Real-time priority for every thread: before all that is not measured."""
    for pid in processes:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))


def _initiated(caller: StrongswanPeer) -> Any:
    caller.initiate()
    return caller.wait(_TIMEOUT)


def _established(outcome: Any) -> None:
    if not outcome.established:
        raise RuntimeError(f"a handshake failed: {outcome.reason}")


def _gone(gateway: StrongswanPeer) -> None:
    deadline = time.monotonic() + 5
    while gateway.list_sas():
        if time.monotonic() > deadline:
            raise RuntimeError("the gateway's SA did not go with the delete")
        time.sleep(0.01)


def _add(report: Report, group: str, times: dict[str, list[list[int]]]) -> None:
    """The figures and tables of one suite."""
    totals = {side: [(each[-1] - each[0]) / 1e6 for each in times[side]] for side in _SIDES}
    medians = {side: statistics.median(totals[side]) for side in _SIDES}
    limited = group == "modp2048"
    report.figures += [
        Figure(
            f"handshake-{group}",
            f"handshake at {group}: ikelet / charon",
            medians["ikelet"] / medians["charon"],
            "times",
            LIMIT if limited else None,
            AIM if limited else None,
        ),
        *(
            Figure(f"handshake-{group}-{side}", f"handshake at {group}: {side}", value, "ms")
            for side, value in medians.items()
        ),
    ]
    report.tables += [
        Table(
            f"aes256-sha256-{group}: ms from message 1 to message 6",
            ["initiator", "median", "quartiles", "least", "most"],
            [[side, *_spread(totals[side])] for side in _SIDES],
        ),
        Table(
            f"aes256-sha256-{group}: median ms from each message to the next",
            ["initiator", *(f"{n} → {n + 1}" for n in range(1, 6))],
            [[side, *_steps(times[side])] for side in _SIDES],
        ),
    ]
    report.data[group] = {"ms": totals}


def _spread(values: list[float]) -> list[str]:
    quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return [
        f"{statistics.median(values):.1f}",
        f"{quartiles[0]:.1f} to {quartiles[2]:.1f}",
        f"{min(values):.1f}",
        f"{max(values):.1f}",
    ]


def _steps(times: list[list[int]]) -> list[str]:
    columns = zip(*(gaps(each) for each in times), strict=True)
    return [f"{statistics.median(column):.1f}" for column in columns]

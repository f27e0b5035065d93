"""What one test leaves behind: a folder with everything that tells how it went.

result.json         the record of the test, of which page and metrics are made
timeline.txt        serial line, datagrams, power, steps on one clock; timeline.jsonl: the same
capture.pcapng      what passed between agent and peer; `wireshark/` opens it decrypted
config.json         the agent's configuration, without its secrets
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ikelet import boards, build, config, credentials, psk
from ikelet.boards import Board
from ikelet.console import decode
from ikelet_hil import capture
from ikelet_hil.canary import Canary, Find
from ikelet_hil.heapcheck import HeapCheck
from ikelet_hil.outline import outline
from ikelet_hil.passage import TO_AGENT
from ikelet_hil.timeline import NoTimeline, Timeline

if TYPE_CHECKING:
    from ikelet.agent import Agent, Event
    from ikelet.peers import PeerEvent
    from ikelet_hil.bench import Bench
    from ikelet_hil.passage import Passage

_LINE = 160  # characters of a serial line that the timeline shows


class NoEvidence:
    """Where none is asked for. It is also what a Bench needs of it."""

    timeline: Timeline = NoTimeline()

    def psk(self) -> str:
        """The key to use, as a configuration spells it."""
        return psk.generate()

    def peer_settings(self) -> dict[str, Any]:
        """Settings that every peer gets."""
        return {}

    def line(self, direction: str, line: bytes) -> None:
        """A line passed on the console: "in" from the board or "out" to it."""

    def started(self, bench: Bench) -> None:
        """The bench has a running agent."""


class Evidence(NoEvidence):
    """Of one test, in a `folder` of its own, which is made when there is something to put in it.

    `facts` are told of the board: title, kind, chip, firmware, image.
    """

    def __init__(self, folder: Path, test: str, board: str, canary: Canary) -> None:
        self.folder = folder
        self.test = test
        self.board = board
        self.facts: dict[str, Any] = {}
        self.timeline = Timeline()
        self._epoch = time.time() - time.monotonic()
        self._canary = canary
        self._benches: list[Bench] = []
        self._heaps: list[HeapCheck] = []
        self._negotiations: list[dict[str, Any]] = []
        self._written = 0.0

    # -- what a bench tells -----------------------------------------------------------------------

    def psk(self) -> str:
        return self._canary.text

    def peer_settings(self) -> dict[str, Any]:
        keylog = self._path(capture.CONFIG_FOLDER, capture.KEYLOG)
        return {"keylog": keylog, "on_event": self._peer_event}

    def started(self, bench: Bench) -> None:
        agent = bench.agent
        agent.console.on_line = self.line
        if bench not in self._benches:
            self._benches.append(bench)
        for peer in agent.config.peers.values():
            if "psk" in peer:
                self._canary.watch(peer["psk"])
        own = agent.config.board.get("certificate")
        if own:
            self._canary.watch("0x" + credentials.secret_part(own["key"]).hex())
        self._heaps.append(HeapCheck(agent))
        self.facts = facts(agent)
        self.timeline.add("harness", f"{agent.board.name} runs the agent", **self.facts)
        shown = json.dumps(config.redacted(agent.config.board), indent=2) + "\n"
        self._path("config.json").write_text(shown)

    def line(self, direction: str, line: bytes) -> None:
        message = decode(line) or {}
        method, params = message.get("method"), message.get("params", {})
        if method == "event":
            self._event(params)
        elif method == "udp" and direction == "in":
            self.timeline.add("serial", f"<- a datagram for the relay, {len(line)} characters")
        elif method in ("udp", "config.put"):
            self.timeline.add("serial", f"-> {method}, {len(line)} characters")
        else:
            text = line.decode(errors="backslashreplace")
            cut = {"line": text} if len(text) > _LINE else {}
            arrow = "<-" if direction == "in" else "->"
            self.timeline.add("serial", f"{arrow} {text[:_LINE]}{' ...' if cut else ''}", **cut)

    def _event(self, event: Event) -> None:
        if event.get("event") == "established":
            keys = ("peer", "role", "suite", "cookies", "timings_ms")
            self._negotiations.append({key: event.get(key) for key in keys})
        self.timeline.add("agent", _told(event), **event)

    def _peer_event(self, event: PeerEvent) -> None:
        told = event.as_dict()
        t, kind = told.pop("t"), told.pop("kind")
        words = [kind, told.get("direction", ""), *_numbered(told.get("number"))]
        words += [*told.get("payloads", ()), told.get("text", "")]
        self.timeline.add_at(t, "peer", " ".join(filter(None, words)), kind=kind, **told)

    def go_on_from(self, last: Evidence) -> None:
        """Take over what was told after the test before was written down."""
        for entry in last.timeline.entries:
            if entry.t > last._written:
                self.timeline.add_at(entry.t, entry.source, entry.text, **entry.data)

    # -- the end ----------------------------------------------------------------------------------

    def settle(self) -> list[str]:
        """Once the test is over and its boards still run: what leaked."""
        firsts = [
            data
            for bench in self._benches
            for passage in bench.wire.passages
            if passage.number == 1 and passage.direction == TO_AGENT
            for _, data in passage.delivered
        ]
        return [leak for heap in self._heaps if (leak := heap.settle(firsts))]

    def write(self) -> list[Find]:
        """Write all but the result, once nothing runs any more; the keys found in it."""
        for bench in self._benches:
            bench.agent.console.on_line = None  # it may go on and serve another test
        self._written = self.timeline.clock()
        self._path("timeline.txt").write_text(self.timeline.as_text())
        self._path("timeline.jsonl").write_text(self.timeline.json_lines())
        for number, bench in enumerate(self._benches, 1):
            name = "capture.pcapng" if number == 1 else f"capture-{number}.pcapng"
            agent, peer = bench.agent.config.board["network"], bench.peer.config.local
            ends = f"{agent['bind']} port {agent['port']}", f"{peer[0]}"
            capture.write(self._path(name), self.test, ends, bench.wire.passages, self._epoch)
        return self._canary.find_below(self.folder)

    def write_result(self, outcome: dict[str, Any]) -> list[Find]:
        """Write the record of the test: what is known here, and how it ended; the keys found."""
        began = self.timeline.began
        record = {
            "format": 1,
            "test": self.test,
            "board": self.board,
            "began": round(began + self._epoch, 3),
            **outcome,
            "facts": self.facts,
            "recoveries": [
                {"t": round(entry.t - began, 3), "text": entry.text, **entry.data}
                for entry in self.timeline.entries
                if "recovery" in entry.data
            ],
            "heap": [heap.as_result() for heap in self._heaps],
            "negotiations": self._negotiations,
            "wire_seeds": [bench.wire.seed for bench in self._benches],
            "passages": [
                as_record(passage, began)
                for bench in self._benches
                for passage in bench.wire.passages
            ],
            "files": sorted(
                str(path.relative_to(self.folder))
                for path in self.folder.rglob("*")
                if path.is_file()
            ),
        }
        written = json.dumps(record, indent=1, default=str)
        path = self._path("result.json")
        path.write_text(written + "\n")
        return self._canary.find_in(written.encode(), str(path))

    def find_in(self, text: str, where: str) -> list[Find]:
        """The run's key, where what the test printed has it. Keys that a test chose itself stand
        in its source, which a failure shows."""
        return Canary(self._canary.text).find_in(text.encode(), where)

    def _path(self, *names: str) -> Path:
        path = self.folder.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def as_record(passage: Passage, began: float) -> dict[str, Any]:
    """A passage as data, its times in seconds since `began`."""
    return {
        "t": round(passage.t - began, 6),
        "direction": passage.direction,
        "number": passage.number,
        "bytes": len(passage.data),
        "fate": passage.fate,
        "cause": passage.cause,
        "delivered": [round(when - began, 6) for when, _ in passage.delivered],
        **outline(passage.data),
    }


def facts(agent: Agent) -> dict[str, Any]:
    """What is known of a board that runs the agent."""
    board = agent.board
    return {
        "title": board.title,
        "rung": board.kind,
        "chip": board.chip,
        "firmware": agent.boot.get("version"),
        "image": image(board.name),
        "id": getattr(agent.running, "id", "") or board.url,
    }


@functools.cache
def image(name: str) -> str:
    """SHA-256 of all files that a board gets but its configuration, in hex."""
    digest = hashlib.sha256()
    board: Board = boards.fitted(boards.find(name))
    for path, content in sorted(build.files(board).items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _told(event: Event) -> str:
    """An event of the agent in one line."""
    words = [str(event.get("event")), event.get("direction", ""), *_numbered(event.get("number"))]
    words += [*event.get("payloads", ()), str(event.get("suite") or "")]
    words += [str(event.get(key)) for key in ("type", "code", "reason") if event.get(key)]
    return " ".join(filter(None, words))


def _numbered(number: object) -> list[str]:
    return [] if number is None else [str(number)]

"""The program around the core: boot, then one loop over serial line, network and timers."""

import gc
import json
import sys

from agent.clock import Clock
from agent.console import Console, Refused

VERSION = "0.1.0"
_MAX_WAIT_MS = 1000
_BURST = 8  # datagrams taken before the others get their turn; lwIP queues 6
_RETRY_MS = 10000


class Fatal(Exception):
    """The agent cannot run. `args` = (code, reason)."""


def main(path=""):
    """Boot and run for ever. `path`: where board.json and config.json are."""
    with open(path + "board.json") as file:
        board = json.load(file)
    port = _port(board)
    clock = Clock(port.ticks_ms)
    agent = Agent(board, port, clock)
    try:
        agent.boot(path)
    except Fatal as fatal:
        code, reason = fatal.args
        agent.event({"event": "fatal", "code": code, "reason": reason})
        raise SystemExit(1)
    agent.run()


def _port(board):
    if board.get("port") == "rv32":
        from agent import port_rv32 as port
    else:
        from agent import port_select as port
    return port


class Agent:
    """One device: its engine, its link to the network, its console."""

    def __init__(self, board, port, clock):
        self.board = board
        self.port = port
        self.clock = clock
        self.engine = None
        self.link = None
        self.hal = None
        self.config = None
        self.proven = {}
        self.high_water = 0
        self._retry = {}  # peer name: when to initiate again
        self.console = Console(
            port.write_serial,
            {
                "status": self._status,
                "up": self._up,
                "down": self._down,
                "counters": self._counters,
                "selftest": self._selftest,
                "config.get": self._config,
                "reset": self._reset,
            },
        )

    # --- boot -----------------------------------------------------------------------------------

    def boot(self, path):
        """Configuration, HAL and its known answers, network; Fatal where one of them fails."""
        self._load(path)
        _unload("agent.config")
        import hal

        self.hal = hal.select(self.board, self.event)
        peers = self._peers()
        gc.collect()
        self._open_link()
        from ike.engine import Engine

        gc.collect()
        self._prove(peers)
        device = self.config["device"]
        self.engine = Engine(self.hal, peers, self.link.local, self.clock, device["strict"])
        _unload("hal.selftest")
        if self.board.get("autostart"):
            for peer in peers:
                if peer.role == "initiator":
                    self._retry[peer.name] = self.clock()
        gc.collect()
        self.event(
            {
                "event": "boot",
                "version": VERSION,
                "device": device["name"],
                "board": self.board.get("name"),
                "heap_free": gc.mem_free(),
                "selftest": self.proven,
            }
        )

    def _load(self, path):
        from agent import config

        try:
            self.config = config.load(path + "config.json", path + "agent/schema.json")
        except config.ConfigError as error:
            raise Fatal("bad-configuration", str(error))
        except OSError:
            raise Fatal("not-provisioned", "no configuration on the board")
        for values in self.config["peer"].values():
            values["psk"] = config.psk_bytes(values["psk"])

    def _peers(self):
        """The configured peers; from here on they alone hold the keys."""
        from ike.policy import Peer, PolicyError

        peers = []
        for name, given in self.config["peer"].items():
            values = dict(given)
            given["psk"] = "(set)"
            for key in ("auth", "allow_weak_psk"):
                values.pop(key, None)
            values["strict"] = self.config["device"]["strict"]
            if "local_id" not in values:
                raise Fatal(
                    "bad-configuration",
                    "peer.%s.local_id: needed while network.bind is a wildcard" % name,
                )
            try:
                peers.append(Peer(name, **values))
            except PolicyError as error:
                raise Fatal("bad-configuration", "peer.%s: %s" % (name, error))
        return peers

    def _open_link(self):
        network = self.config["network"]
        if self.board.get("link") == "uart":
            from agent import link_uart

            self.link = link_uart.Link(network["bind"], network["port"], self.console)
            return
        from agent import link_udp

        try:
            self.link = link_udp.Link(network["bind"], network["port"])
        except OSError as error:
            raise Fatal(*_network_reason(error, network["bind"], network["port"]))

    def _prove(self, peers):
        """The known answers of every operation that the configured suites may need."""
        from ike import registry

        wanted = {("random", None), ("hash", "sha256")}
        for peer in peers:
            for suite in peer.suites:
                _, bits, _, _, operation = registry.CIPHERS[suite.cipher]
                wanted.add((operation, bits or None))
                wanted.add(("hash", suite.hash))
                wanted.add(("modexp", registry.GROUPS[suite.group][1]))
        self._prove_all(wanted)

    def _prove_all(self, wanted):
        for op, what in wanted:
            name = op if what is None else "%s/%s" % (op, what)
            verdicts = self.proven[name] = self.hal.prove(op, what)
            if "ok" not in verdicts.values():
                raise Fatal("no-engine", "no engine of this board can do %s" % name)
            gc.collect()

    # --- the loop -------------------------------------------------------------------------------

    def run(self):
        """Serve for ever. Ctrl-C ends it in development mode only."""
        while True:
            try:
                self._turn()
            except KeyboardInterrupt:
                if self.config["device"]["development"]:
                    raise SystemExit

    def _turn(self):
        data = self.port.read_serial()
        if data:
            self.console.feed(data)
        for _ in range(_BURST):
            received = self.link.receive()
            if received is None:
                break
            self.engine.receive(received[0], received[1], self.clock())
        self._flush()
        more = self.engine.poll(self.clock())
        self._flush()
        self._start_due()
        idle = not more and received is None and not data
        if idle and not self.engine.prepare():
            self.port.wait(self._idle_ms(), self.link.socket)

    def _flush(self):
        used = gc.mem_alloc()
        if used > self.high_water:
            self.high_water = used
        for path, datagram in self.engine.take_datagrams():
            self.link.send(path, datagram)
        self.link.flush()
        for event in self.engine.take_events():
            self._react(event)
            self.event(event)

    def _react(self, event):
        """A peer that we are to keep up comes up again some time after it went down."""
        if event["event"] in ("failed", "deleted") and event["peer"] in self._retry:
            self._retry[event["peer"]] = self.clock() + _RETRY_MS

    def _start_due(self):
        now = self.clock()
        for name, due in self._retry.items():
            if due is not None and now >= due:
                self._retry[name] = None
                self.engine.initiate(name, now)

    def _idle_ms(self):
        now = self.clock()
        times = [self.engine.deadline()] + list(self._retry.values())
        soonest = min([due for due in times if due is not None] + [now + _MAX_WAIT_MS])
        return max(0, soonest - now)

    def event(self, event):
        """Tell the host; the HAL calls it too."""
        if "t_ms" not in event:
            event["t_ms"] = self.clock()
        if event["event"] == "established":
            event["engines"] = self.hal.counts
            event["heap"] = self._heap()
        self.console.notify("event", event)

    # --- the console's methods ------------------------------------------------------------------

    def _status(self, params):
        engine = self.engine
        peers = []
        for peer in engine.peers:
            sa = engine.find(peer.name)
            entry = {
                "name": peer.name,
                "address": peer.address,
                "port": peer.port,
                "role": peer.role,
                "auth": peer.auth,
                "state": sa.state if sa else "DOWN",
            }
            if sa and sa.suite:
                from ike.engine import cookies

                entry["suite"] = sa.suite.name
                entry["cookies"] = cookies(sa)
            if sa and sa.established is not None:
                entry["age_s"] = (self.clock() - sa.established) // 1000
            if peer.name in engine.last_failure:
                entry["code"], entry["reason"] = engine.last_failure[peer.name]
            peers.append(entry)
        answer = self._counters(params)
        answer.update(
            {
                "version": VERSION,
                "device": self.config["device"]["name"],
                "board": self.board.get("name"),
                "uptime_ms": self.clock(),
                "mode": "development" if self.config["device"]["development"] else "production",
                "peers": peers,
                "selftest": self.proven,
            }
        )
        return answer

    def _counters(self, params):
        drops = dict(self.engine.drops.by_reason)
        if self.link.empty_datagrams:
            drops["empty-datagram"] = self.link.empty_datagrams
        return {
            "engines": self.hal.counts,
            "engine_failures": self.hal.failures,
            "drops": drops,
            "send_failures": self.link.send_failures,
            "heap": self._heap(),
        }

    def _heap(self):
        """Bytes: live after a collection, and the most ever seen in use, garbage included."""
        gc.collect()
        return {"free": gc.mem_free(), "used": gc.mem_alloc(), "high_water": self.high_water}

    def _up(self, params):
        self._known(params)
        self.engine.initiate(params["peer"], self.clock())
        return {"ok": True}

    def _down(self, params):
        self._known(params)
        self._retry.pop(params["peer"], None)
        ended = self.engine.terminate(params["peer"])
        self._flush()
        return {"ok": True, "ended": ended}

    def _known(self, params):
        if params.get("peer") not in [peer.name for peer in self.engine.peers]:
            raise Refused("no such peer; status lists them")

    def _selftest(self, params):
        for name in self.proven:
            op, _, what = name.partition("/")
            bits = int(what) if what.isdigit() else what or None
            self.proven[name] = self.hal.prove(op, bits)
        return self.proven

    def _config(self, params):
        return self.config

    def _reset(self, params):
        self.port.reset()


def _unload(name):
    """Free a module that only boot needs."""
    package, _, module = name.partition(".")
    if sys.modules.pop(name, None) and hasattr(sys.modules[package], module):
        delattr(sys.modules[package], module)
    gc.collect()


def _network_reason(error, address, port):
    where = "%s:%d" % (address, port)
    known = {
        98: ("port-in-use", "UDP port %d on %s is in use" % (port, address)),
        112: ("port-in-use", "UDP port %d on %s is in use" % (port, address)),
        99: ("no-such-address", "network.bind: %s is no address of this device" % address),
        125: ("no-such-address", "network.bind: %s is no address of this device" % address),
        13: ("port-forbidden", "no permission to use UDP port %d; take one above 1023" % port),
    }
    return known.get(
        error.errno, ("no-network", "cannot open %s: error %d" % (where, error.errno))
    )

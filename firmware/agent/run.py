"""The agent's life: boot, then one loop over serial line, network and timers."""

import gc
import json
import sys

from micropython import const

import modules
from agent import VERSION, methods
from agent.clock import Clock
from agent.console import Console

_MAX_WAIT_MS = const(1000)
_BURST = const(8)  # datagrams taken before the others get their turn; lwIP queues 6
_MAX_STARVED = const(1000)  # turns in a row without memory
_RELIEF = const(10)  # after so many of them what is not authenticated makes room
_NO_NETWORK_MS = const(30000)  # until a board that found no network begins anew
_RELIEVE_MS = const(300)  # after a datagram was dropped: not at each, as it costs rivals
_COMMON = const(("message", "retransmit", "drop"))
_MAX_FRESH = const(8)  # events that wait for a quiet moment


def main(path="", present=False):
    """Boot and run for ever. `path`: where board.json, the configuration and the modules are;
    `present`: somebody has the board in his hands, who got to its prompt by the boot button.

    A board that cannot run says why, and then listens to its console only: it can be provisioned,
    asked and reset; one that found no network tries again. A crash is kept for the next boot to
    tell, and ends in a reset.
    """
    with open(path + "board.json") as file:
        board = json.load(file)
    agent = Agent(board, _port(board), path)
    agent.open = present
    try:
        if board.get("nic"):
            from agent import net, room

            agent.interface = net.switch_on(board["nic"])
            agent.room = room.Room()
        agent.start()
        agent.run()
    except Exception as error:
        agent.crashed(error)
        raise


def _port(board):
    if board.get("port") == "rv32":
        from agent import port_rv32 as port
    else:
        from agent import port_select as port
    return port


class Agent:
    """One device: its engine, its link to the network, its console."""

    def __init__(self, board, port, path=""):
        self.board = board
        self.port = port
        self.path = path
        self.clock = Clock(port.ticks_ms)
        self.config = None
        self.hal = None
        self.interface = None
        self.room = None  # on a board with an interface of its own
        self.heap = None  # as it was when the console was last asked, see methods
        self.link = None
        self.engine = None
        self.credentials = None  # where a peer is authenticated by certificates
        self.wall = None
        self.syslog = None
        self.fatal = None  # (code, reason) where the agent cannot run
        self.proven = {}  # "op/what": {engine: "ok" or a code}
        self.received = ""  # a configuration on its way in
        self.last_crash = ""  # why the agent began anew by itself
        self.anew_at = None  # when it does, for want of a network
        self.open = False  # whether everybody at the console may provision, and get to the prompt
        self.open_until = 0  # ... or for a while whoever knew the password: see agent.access
        self.verifier = self.challenge = None
        self.failed_at = 0
        self.kept = b""  # the last events, see agent.ring ...
        self._fresh = []  # ... and those that are to go there
        self._short = 0  # how many datagrams were dropped for want of memory, when ...
        self._relieve_at = 0  # ... room was last made, and from when on again
        self._untidy = False  # whether there is the garbage of an exchange
        self.watchdog = None
        self.upkeep = None  # where the agent initiates by itself
        self.names = None  # where a peer has a DNS name
        self.helpers = ()  # what has a turn of its own: run(now), deadline()
        self.console = Console(
            port.write_serial,
            methods.methods(self),
            lambda name: methods.find(self, name),
            self._relieve,
        )

    # --- boot -----------------------------------------------------------------------------------

    def start(self):
        """Boot; where that fails, `fatal` says why."""
        from agent import boot

        gc.collect()
        try:
            boot.boot(self, self.path)
        except boot.Fatal as fatal:
            self.fatal = fatal.args
        modules.unload("agent.config", "agent.store", "agent.net", "hal.selftest", "agent.boot")
        (self.port.leave_serial if self.open else self.port.take_serial)()
        if self.fatal:
            code, reason = self.fatal
            if code == "no-network" and self.interface:
                self.anew_at = self.clock() + _NO_NETWORK_MS
            self.event({"event": "fatal", "code": code, "reason": reason})
            return
        methods.add_running(self)
        self.event(
            {
                "event": "boot",
                "version": VERSION,
                "device": self.config["device"]["name"],
                "board": self.board.get("name"),
                "heap_free": self.room.heap_free() if self.room else gc.mem_free(),
                "selftest": self.proven,
                "last_crash": self.last_crash,
            }
        )

    def _lighten(self):
        """Unload the modules that only an exchange needs with certificates, curves or rivals."""
        loaded = sys.modules
        if "pki.der" in loaded or "hal.curves" in loaded or "ike.folded" in loaded:
            modules.unload("pki.", "ike.folded", *modules.PUBLIC_KEYS)

    # --- the loop -------------------------------------------------------------------------------

    def run(self):
        """Serve for ever. Ctrl-C ends it where the board is open: that leaves the prompt, while
        SystemExit would boot the ESP32 port anew."""
        starved = 0
        while True:
            try:
                self.turn()
                starved = 0
            except MemoryError:
                # What it was about is dropped; a board that never gets out of it crashes, and
                # begins anew.
                starved += 1
                if self.engine is None or starved > _MAX_STARVED:
                    raise
                if starved % _RELIEF:
                    gc.collect()
                else:
                    self._relieve()
                try:
                    self.engine.drops.count("no-memory")
                except MemoryError:
                    pass  # the table of reasons had to grow
            except KeyboardInterrupt:
                if self.open:
                    self.take_down()
                    return

    def take_down(self):
        """End every SA, and tell the peers, before the agent goes."""
        if self.engine:
            for peer in self.engine.peers:
                try:
                    self.engine.terminate(peer.name)
                except MemoryError:
                    pass  # who is not told will find out
            self.flush()
            self.keep()

    def turn(self):
        """Once around: serial line, network, timers; sleeps where there is nothing to do."""
        if self.watchdog:
            self.watchdog.feed()
        data = self.port.read_serial()
        if data:
            self.console.feed(data)
        if self.engine is None:
            if self.anew_at and data:  # not while somebody is about to mend it
                self.anew_at = max(self.anew_at, self.clock() + _NO_NETWORK_MS)
            elif self.anew_at and self.clock() >= self.anew_at:
                self.port.reset()
            if not data:
                self.port.wait(_MAX_WAIT_MS)
            return
        for _ in range(_BURST):
            received = self.link.receive()
            if received is None:
                break
            self.engine.receive(received[0], received[1], self.clock())
        short = self.engine.drops.by_reason.get("no-memory", 0)
        if short != self._short and self.clock() >= self._relieve_at:
            self._short = short  # of what was dropped the next may be the peer's own again
            self._relieve_at = self.clock() + _RELIEVE_MS
            self._relieve()
        self.flush()
        more = self.engine.poll(self.clock(), received is not None)
        self.flush()
        if self.wall:
            expires = self.credentials and self.credentials.expires
            self.wall.tend(expires, self.event, self._is_settled())
        for helper in self.helpers:
            helper.run(self.clock())
        idle = not more and received is None and not data
        if idle and not self.engine.prepare():
            settled = self._is_settled()
            if settled:
                self._lighten()
            self.keep()
            if settled and self._untidy:
                # What lasts of the next exchange then goes into the gaps, not behind the garbage
                # of this one: strewn over the heap, it leaves no piece that is large enough.
                gc.collect()
                self._untidy = False
            self.port.wait(self._idle_ms(), self.link.sockets)

    def _is_settled(self):
        """Whether no exchange is under way."""
        return all(sa.state == "ESTABLISHED" for sa in self.engine.sas)

    def flush(self):
        """Send and tell what the engine has for the network and for the host."""
        for path, datagram in self.engine.take_datagrams():
            self.link.send(path, datagram)
        self.link.flush()
        for event in self.engine.take_events():
            self._untidy = True
            self.event(event)

    def wanted(self, peer, wanted):
        """Whether to initiate to a peer again, by ourselves, when its SA has gone."""
        if self.upkeep and wanted:
            self.upkeep.want(peer, None)
        elif self.upkeep:
            self.upkeep.forget(peer)

    def event(self, event):
        """Tell the host; the HAL calls it too."""
        if "t_ms" not in event:
            event["t_ms"] = self.clock()
        # Neither what comes with every exchange, nor what anybody can say without proof.
        if event["event"] not in _COMMON and event.get("authenticated", True):
            self._fresh.append(event)
            if len(self._fresh) > _MAX_FRESH:
                self.keep()
        self.console.notify("event", event)

    def keep(self):
        """Keep the fresh events, and log them. That takes a module: not amid an exchange."""
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        try:
            from agent import ring

            for event in fresh:
                text = ring.line(event)
                self.kept = ring.added(self.kept, event["t_ms"] // 1000, text)
                if self.syslog:
                    self.syslog.tell(event, text)
        except MemoryError:
            pass  # the host is told all the same
        modules.unload("agent.ring")

    def _relieve(self):
        """Memory is short: let go what nobody has authenticated."""
        gc.collect()
        if self.engine:
            try:
                from ike import folded

                folded.relieve(self.engine)
            except MemoryError:  # not even for that: one goes that message 3 brings back
                for sa in self.engine.sas:
                    if sa.state == "MAIN_R1" and not sa.spare:
                        self.engine.abandoned(sa)
                        break
            gc.collect()

    def _idle_ms(self):
        now = self.clock()
        times = [helper.deadline() for helper in self.helpers] + [self.engine.deadline()]
        soonest = min([due for due in times if due is not None] + [now + _MAX_WAIT_MS])
        return max(0, soonest - now)

    def crashed(self, error):
        """Keep the reason, and begin anew, in production: whatever fails here too, as behind it
        is the prompt."""
        try:
            gc.collect()
            from agent import crash

            crash.keep(self, error)
        finally:
            if not self.open:
                self.port.reset()

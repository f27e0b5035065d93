"""Two agents on one board, opposite each other, counted by the instruction. Runs on qemu-rv32.

Each is the whole agent that `main.py` would start; only its port is one of memory. What one writes
to its serial line is read here and, where it is a datagram for the relay, written to the other's.
A side's count is that of its turns in which there was something to do.
"""

import gc
import json

import virt

from agent import run

_NOW = 1000  # the clock stands still, so that no retransmission comes in between
_WRAP = 0x3FFFFFFF  # the clock counts to here


class Port:
    """See agent.port_select."""

    def __init__(self):
        self.incoming = b""
        self.outgoing = bytearray()
        self.waited = False

    def ticks_ms(self):
        return _NOW

    def read_serial(self):
        data, self.incoming = self.incoming, b""
        return data

    def write_serial(self, data):
        self.outgoing.extend(data)

    def wait(self, ms, socket=None):
        self.waited = True

    def take_serial(self):
        pass

    def reset(self):
        raise SystemExit


class Counter:
    """Clock ticks by kind of work; what is done within other work counts for itself only.

    `spent` is {kind: [ticks, calls, calls of other kinds within]}.
    """

    def __init__(self):
        self.spent = {}
        self._open = []
        self._since = 0

    def enter(self, kind):
        if self._open:
            parent = self.spent[self._open[-1]]
            parent[0] += virt.ticks() - self._since & _WRAP
            parent[2] += 1
        self.spent.setdefault(kind, [0, 0, 0])[1] += 1
        self._open.append(kind)
        self._since = virt.ticks()

    def leave(self):
        self.spent[self._open.pop()][0] += virt.ticks() - self._since & _WRAP
        self._since = virt.ticks()

    def counted(self, kind, function):
        def call(*arguments):
            self.enter(kind)
            try:
                return function(*arguments)
            finally:
                self.leave()

        return call

    def watch(self, target, **kinds):
        """Count methods of an object: watch(hal, hash="hash")."""
        for name, kind in kinds.items():
            setattr(target, name, self.counted(kind, getattr(target, name)))

    def cost(self):
        """Ticks that counting itself adds to a call, and to the work that it is a part of."""
        calls = 500
        call = self.counted("nothing", _nothing)
        self.spent = {}
        self.enter("calls")
        for _ in range(calls):
            call()
        self.leave()
        counted, self.spent = self.spent, {}
        self.enter("calls")
        for _ in range(calls):
            _nothing()
        self.leave()
        plain = self.spent["calls"][0]
        return counted["nothing"][0] / calls, (counted["calls"][0] - plain) / calls


def _nothing():
    pass


class Heap:
    """Stands for the module gc in the agent's own modules, to be counted."""

    def __init__(self, counter):
        for name in ("collect", "mem_alloc", "mem_free"):
            setattr(self, name, counter.counted("gc." + name, getattr(gc, name)))


counter = Counter()


class Side:
    """One agent and what its turns have taken."""

    def __init__(self, path, board):
        self.port = Port()
        self.agent = run.Agent(board, self.port, path)
        self.agent.start()
        if self.agent.fatal:
            raise RuntimeError(self.agent.fatal)
        counter.watch(self.agent.hal, modexp="modexp")
        self.spent = {}
        self.take_lines()

    def turn(self):
        """One turn; False, and not counted, where there was nothing to do."""
        before = {kind: list(counts) for kind, counts in self.spent.items()}
        counter.spent = self.spent
        self.port.waited = False
        counter.enter("turn")
        self.agent.turn()
        counter.leave()
        if self.port.waited:
            self.spent = before
        return not self.port.waited

    def take(self):
        """What its turns have taken since the last call."""
        spent, self.spent = self.spent, {}
        return spent

    def request(self, method, params):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.port.incoming += json.dumps(request).encode() + b"\n"

    def take_lines(self):
        """Datagrams that the agent has for the relay."""
        found = []
        for line in bytes(self.port.outgoing).split(b"\n")[:-1]:
            said = json.loads(line)
            if "error" in said:
                raise RuntimeError(said["error"])
            if said.get("method") == "udp":
                found.append(said["params"])
        self.port.outgoing = bytearray()
        return found

    def profile(self):
        """From now on tell the kinds of work apart."""
        agent, watch = self.agent, counter.watch
        watch(agent.hal, hash="hash", hmac="hmac", aes_cbc="aes", random="random")
        watch(agent.engine, receive="protocol", poll="protocol", initiate="protocol")
        watch(agent.console, feed="feed")
        watch(agent.link, send="send", receive="send")
        watch(agent, event="events")


def settle(sides):
    """Turns, until nobody has anything to do. Each begins with a clean heap, so that it need not
    be collected in between, at a moment that any change to the code would shift."""
    busy = True
    while busy:
        busy = False
        for side, other in (sides, (sides[1], sides[0])):
            gc.collect()
            while side.turn():
                gc.collect()
                busy = True
            for params in side.take_lines():
                local, port, remote, remote_port = params["path"]
                path = [remote, remote_port, local, port]
                other.request("udp", {"path": path, "data": params["data"]})
                busy = True


def handshake(sides):
    """One exchange, and its end: what either side spent on the exchange, in ticks."""
    for side in sides:
        side.take()
    sides[0].request("up", {"peer": "gw"})
    settle(sides)
    if None in [side.agent.engine.find("gw") for side in sides]:
        raise RuntimeError("not established")
    spent = [side.take() for side in sides]
    sides[0].request("down", {"peer": "gw"})
    settle(sides)
    return spent


def main():
    """Prints as JSON what handshakes took: two as they are, one told apart by kind of work, each
    [initiator, responder] of Counter.spent; what counting takes; and a collection of the heap."""
    with open("/board.json") as file:
        board = json.load(file)
    sides = [Side("/initiator/", board), Side("/responder/", board)]
    settle(sides)
    plain = [handshake(sides), handshake(sides)]
    for side in sides:
        side.profile()
    run.gc = Heap(counter)
    told_apart = handshake(sides)
    cost = counter.cost()
    since = virt.ticks()
    gc.collect()
    collection = virt.ticks() - since & _WRAP
    print(
        json.dumps({"plain": plain, "profile": told_apart, "cost": cost, "collection": collection})
    )

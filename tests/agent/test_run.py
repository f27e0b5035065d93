# micropython: heapsize=1m
"""What the loop does where the board cannot run, and what is behind a crash."""

import os
import sys

from agent import access, methods, run, store
from agent.console import Refused
from agent.names import Names
from pair import Clock

if not hasattr(sys, "print_exception"):  # CPython has no such function

    def print_exception(error, file=None):
        print("%s: %s" % (type(error).__name__, error), file=file or sys.stdout)

    sys.print_exception = print_exception


class Reset(BaseException):
    """The board begins anew."""


class Port:
    def __init__(self):
        self.ms = 0
        self.typed = b""
        self.written = b""

    def ticks_ms(self):
        return self.ms

    def wait(self, ms, sockets=()):
        self.ms += ms

    def read_serial(self):
        typed, self.typed = self.typed, b""
        return typed

    def write_serial(self, data):
        self.written += data

    def take_serial(self):
        pass

    def leave_serial(self):
        pass

    def reset(self):
        raise Reset


def stopped(code, interface=True):
    """An agent whose boot failed."""
    from agent import boot

    port = Port()
    agent = run.Agent({"name": "board"}, port)
    agent.interface = interface

    def fail(agent, path):
        raise boot.Fatal(code, "why")

    # Nothing is unloaded: other tests have these modules too.
    real = boot.boot, run.modules.unload
    boot.boot, run.modules.unload = fail, lambda *names: None
    try:
        agent.start()
    finally:
        boot.boot, run.modules.unload = real
    return agent, port


def lasts(agent, port, ms, typing=0):
    """How long it goes on, at most `ms`; somebody types every `typing` ms."""
    began = port.ms
    try:
        while port.ms - began < ms:
            if typing:
                port.typed = b"\n"
                port.ms += typing
            agent.turn()
    except Reset:
        pass
    return port.ms - began


def test_a_board_that_found_no_network_begins_anew():
    agent, port = stopped("no-network")
    assert 30000 <= lasts(agent, port, 600000) <= 31000


def test_not_while_somebody_is_about_to_mend_it():
    agent, port = stopped("no-network")
    assert lasts(agent, port, 600000, 20000) >= 600000
    assert 10000 <= lasts(agent, port, 600000) <= 31000


def test_not_before_a_wait_after_wrong_passwords_is_over():
    """A new boot would begin the wait anew, and nobody could ever mend it."""

    class Secrets:
        def read(self, name):
            return b"8"

    agent, port = stopped("no-network")
    agent.verifier = "1000$00$00"
    real, store.secrets_of = store.secrets_of, lambda path: Secrets()
    unload, access.unload = access.unload, lambda *names: None
    try:
        access.auth(agent, {})
    except Refused as refused:
        assert str(refused) == "after 8 wrong passwords in a row wait 128 s"
    else:
        raise AssertionError("it was not refused")
    finally:
        store.secrets_of, access.unload = real, unload
    port.typed = b"\n"  # as every call is
    assert 128000 + 30000 < lasts(agent, port, 600000) < 200000


def test_what_a_new_beginning_does_not_mend():
    for code, interface in (("bad-configuration", True), ("no-network", None)):
        agent, port = stopped(code, interface)
        assert lasts(agent, port, 600000) >= 600000


def crashed(path, config, is_open):
    agent = run.Agent({"name": "board"}, Port(), path)
    agent.config, agent.open = config, is_open
    try:
        agent.crashed(ValueError("why"))
    except Reset:
        return "reset"
    return "prompt"


def test_behind_a_crash_is_no_prompt():
    assert crashed("no/such/folder/", {}, False) == "reset"  # what is left to say finds no room
    try:
        assert crashed("", {}, False) == "reset"
        assert crashed("", {}, True) == "prompt"
        from agent import boot

        assert boot.last_crash("crash.txt") == "ValueError: why"
        assert boot.last_crash("crash.txt") == ""  # told once
    finally:
        if "crash.txt" in os.listdir():
            os.remove("crash.txt")


def test_a_board_goes_though_there_is_no_memory_to_tell_its_peers():
    class Peer:
        name = "gw"

    class Engine:
        peers = (Peer, Peer)
        asked = 0

        def terminate(self, name):
            self.asked += 1
            raise MemoryError

        def take_datagrams(self):
            return ()

        take_events = take_datagrams

    class Link:
        def flush(self):
            pass

    agent = run.Agent({"name": "board"}, Port())
    agent.engine, agent.link = Engine(), Link()
    try:
        methods.reset(agent, {})
    except Reset:
        assert agent.engine.asked == 2
    else:
        raise AssertionError("it did not go")


def test_up_does_not_ask_for_the_name_of_a_peer_that_is_up():
    class Peer:
        name = "gw"
        role = "initiator"

    class Engine:
        peers = (Peer,)
        last_failure = {}
        up = True
        begun = 0

        def find(self, name):
            return self.up or None

        def initiate(self, name, now):
            self.begun += 1

        def unreached(self, name, code, reason):
            if not self.up:  # as the engine does
                self.last_failure[name] = code, reason, 0

    class Agent:
        clock = Clock()
        engine = Engine()

        def wanted(self, peer, wanted):
            pass

    class Failing(Names):
        def _resolved(self, name):
            raise OSError(-2)

    agent = Agent()
    agent.names = Failing(agent, {"gw": "gw.example"}, ())
    assert methods.up(agent, {"peer": "gw"}) == {"ok": True}
    assert agent.engine.begun == 1
    agent.engine.up = False
    try:
        methods.up(agent, {"peer": "gw"})
    except Refused as refused:
        assert str(refused) == "gw.example cannot be resolved: -2"
    else:
        raise AssertionError("it was not refused")
    assert agent.engine.begun == 1


def test_where_there_is_no_memory_to_make_room_with_one_that_comes_back_goes():
    class Sa:
        def __init__(self, state, spare=False):
            self.state, self.spare = state, spare

    class Engine:
        sas = [Sa("ESTABLISHED"), Sa("MAIN_R1", True), Sa("MAIN_R1"), Sa("MAIN_R1")]
        gone = []

        def abandoned(self, sa):
            self.sas.remove(sa)
            self.gone.append(sa)

    agent = run.Agent({"name": "board"}, Port())
    agent.engine = Engine()
    first = agent.engine.sas[2]
    from ike import folded

    def fail(engine):
        raise MemoryError

    real, folded.relieve = folded.relieve, fail
    try:
        agent._relieve()
    finally:
        folded.relieve = real
    assert agent.engine.gone == [first]


def test_datagrams_dropped_for_want_of_memory_make_room():
    """The peer's own may be next; but not at each, as that costs others their places."""

    class Drops:
        by_reason = {}

    class Engine:
        drops = Drops()
        sas = ()

        def receive(self, datagram, path, now):
            short = self.drops.by_reason.get("no-memory", 0)
            self.drops.by_reason["no-memory"] = short + 1

        def take_datagrams(self):
            return ()

        take_events = take_datagrams

        def poll(self, now, busy):
            return True

    class Link:
        waiting = 0

        def receive(self):
            self.waiting -= 1
            return (b"", ()) if self.waiting >= 0 else None

        def flush(self):
            pass

    agent = run.Agent({"name": "board"}, Port())
    agent.engine, agent.link = Engine(), Link()
    made = []
    agent._relieve = lambda: made.append(agent.port.ms)
    for ms in range(1000, 2000, 50):
        agent.port.ms, agent.link.waiting = ms, 3
        agent.turn()
    assert made == [1000, 1300, 1600, 1900]
    for ms in range(2000, 3000, 50):
        agent.port.ms = ms
        agent.turn()
    assert made[4:] == [2200]  # what was dropped since

# micropython: heapsize=1m
"""What keeps tunnels up beside the engine: attempts, DNS names, backups, the network interface."""

import modules
from agent import names, netwatch, standby
from agent.upkeep import Upkeep
from cheap import CheapHal
from ike import dpd, policy
from ike.engine import Engine
from ike.policy import Peer
from pair import PSK, SUITE, Clock

HOST = "gw.example"
OURS = ("10.9.0.2", 500)


class Dns:
    """A resolver: `found` is an address or None; every question takes `takes` ms."""

    AF_INET = 2
    AF_INET6 = 10

    def __init__(self, clock, known=(HOST,)):
        self.clock = clock
        self.known = known
        self.found = "10.9.0.1"
        self.takes = 0
        self.asked = []  # when
        self.hosts = []  # what

    def getaddrinfo(self, host, port):
        assert host in self.known
        self.asked.append(self.clock.now)
        self.hosts.append(host)
        self.clock.now += self.takes
        if self.found is None:
            raise OSError(-2)
        other = (self.AF_INET6, 1, 6, "", ("fd00::1", port, 0, 0))
        return [other, (self.AF_INET, 1, 6, "", (self.found, port))]


class Link:
    sockets = ("a socket",)

    def __init__(self, local=OURS):
        self.local = local
        self.closed = False

    def decode(self, sender):
        return sender[:2]

    def close(self):
        self.closed = True


class Port:
    def __init__(self):
        self.forgotten = []

    def forget(self, sockets):
        self.forgotten += sockets


class Agent:
    """As much of an agent as the helpers see. `peers`: {name: values}."""

    def __init__(self, **peers):
        self.clock = Clock()
        made = []
        for name, given in peers.items():
            values = {"psk": PSK, "local_id": OURS[0], "proposals": [SUITE], "retransmit": "fast"}
            values.update(given)
            values.setdefault("remote_id", "0.0.0.0")
            made.append(Peer(name, **values))
        self.engine = Engine(CheapHal(b"x"), made, OURS, self.clock)
        self.link = Link()
        self.port = Port()
        self.names = self.upkeep = self.interface = None
        self.helpers = []
        self.config = {"network": {"bind": OURS[0]}, "peer": peers}
        self.events = []
        self.sent = []  # (time, path)

    def event(self, event):
        self.events.append(event)

    def run(self, until):
        """Time passes; nobody answers."""
        while self.clock.now < until:
            while self.engine.poll(self.clock.now):
                pass
            for helper in self.helpers:
                helper.run(self.clock.now)
            self.sent += [(self.clock.now, path) for path, _ in self.engine.take_datagrams()]
            self.events += self.engine.take_events()
            dues = [helper.deadline() for helper in self.helpers] + [self.engine.deadline()]
            soonest = min([due for due in dues if due is not None] + [until])
            self.clock.now = max(soonest, self.clock.now + 1)

    def told(self, name):
        return [event for event in self.events if event["event"] == name]

    def establish(self, name):
        """Pretend that a peer's SA is up."""
        self.engine.terminate(name)
        self.engine.initiate(name, self.clock.now)
        sa = self.engine.find(name)
        sa.suite = sa.peer.suites[0]
        sa.established = self.clock.now
        sa.enter("ESTABLISHED")
        sa.expires = None
        sa.skeyid_a, sa.ka, sa.iv = bytearray(32), bytearray(32), bytes(16)
        self.engine.last_failure.pop(name, None)
        return sa

    def lose(self, name):
        """An SA is gone: its peer does not answer."""
        dpd.dead(self.engine.find(name), "no answer")


# --- names --------------------------------------------------------------------------------------


def named(role="initiator", **others):
    given = dict(others, gw={"address": HOST, "role": role})
    agent = Agent(**given)
    dns = Dns(agent.clock)
    names.socket = dns
    agent.names = names.Names(agent, {"gw": HOST}, ["gw"])
    agent.helpers = [agent.names]
    if role != "responder":
        agent.upkeep = Upkeep(agent.engine, agent.names.ready)
        agent.upkeep.want("gw", 0)
        agent.helpers.append(agent.upkeep)
    return agent, dns


def test_a_name_is_resolved_anew_before_each_attempt():
    agent, dns = named()
    agent.run(10)
    peer = agent.engine.peers[0]
    assert peer.address == "10.9.0.1" and agent.sent[0][1] == OURS + ("10.9.0.1", 500)
    assert peer.remote_id == policy.identity("10.9.0.1")
    assert agent.told("resolved") == [
        {"event": "resolved", "peer": "gw", "address": "10.9.0.1", "t_ms": 0}
    ]
    assert len(dns.asked) == 1
    dns.found = "10.9.0.7"  # while the attempt goes on nobody asks
    agent.run(20000)
    assert len(dns.asked) == 1
    agent.run(60000)
    assert len(agent.told("failed")) == 2
    assert len(dns.asked) >= 2
    assert peer.address == "10.9.0.7" and peer.remote_id == policy.identity("10.9.0.7")
    assert agent.sent[-1][1] == OURS + ("10.9.0.7", 500)


def test_a_name_that_cannot_be_resolved_is_a_failure_with_back_off():
    agent, dns = named()
    dns.found = None
    agent.run(3600000)
    assert agent.engine.last_failure["gw"][:2] == (
        "no-address",
        HOST + " cannot be resolved: -2",
    )
    assert agent.sent == []
    pauses = [b - a for a, b in zip(dns.asked, dns.asked[1:])]
    assert 1000 <= pauses[0] <= 2000 and 150000 <= pauses[-1] <= 300000
    assert len(agent.told("failed")) == len(dns.asked) < 30
    dns.found = "10.9.0.1"
    agent.run(3600000 + 300000)
    assert agent.sent


def test_the_address_of_before_stays_where_dns_fails():
    agent, dns = named("responder")
    agent.run(10)
    assert agent.engine.peer_at(OURS + ("10.9.0.1", 500)).name == "gw"
    dns.found = None
    agent.run(200000)
    assert len(dns.asked) >= 3
    assert agent.engine.peer_at(OURS + ("10.9.0.1", 500)).name == "gw"


def test_the_address_of_before_is_called_where_dns_fails():
    """The name server may be behind the tunnel."""
    agent, dns = named()
    agent.run(10)
    dns.found = None
    agent.run(600000)
    called_at = [when for when, path in agent.sent if path[2] == "10.9.0.1"]
    assert len(dns.asked) > 3 and called_at[-1] > 300000
    assert agent.engine.last_failure["gw"][0] == "no-answer"
    assert agent.told("unresolved")[0]["reason"] == HOST + " cannot be resolved: -2"


def many_named(number, role):
    given = {"b%d" % i: {"address": "b%d.example" % i, "role": role} for i in range(number)}
    agent = Agent(other={"address": "10.9.0.9"}, **given)
    hosts = {name: values["address"] for name, values in given.items()}
    dns = names.socket = Dns(agent.clock, hosts.values())
    agent.names = names.Names(agent, hosts, ())
    agent.helpers = [agent.names]
    if role == "initiator":
        agent.upkeep = Upkeep(agent.engine, agent.names.ready)
        agent.helpers.append(agent.upkeep)
        for name in hosts:
            agent.upkeep.want(name, 0)
    return agent, dns


def test_a_name_server_that_does_not_answer_leaves_time_for_the_peers():
    for role in ("responder", "initiator"):
        agent, dns = many_named(16, role)
        dns.found, dns.takes = None, 14000
        while agent.clock.now < 3600000:
            before = agent.clock.now
            for helper in agent.helpers:
                helper.run(agent.clock.now)
            assert agent.clock.now - before <= dns.takes  # one question in a turn of the loop
            agent.clock.now += 500
        gaps = [b - a for a, b in zip(dns.asked, dns.asked[1:])]
        assert min(gaps) >= dns.takes + 30000
        assert len(dns.hosts) > 60 and min([dns.hosts.count(host) for host in dns.hosts]) >= 3
        assert len(set(dns.hosts)) == 16
        # It answers again; the first that asks finds out.
        dns.found, dns.takes = "10.9.0.1", 50
        agent.run(agent.clock.now + 60000)
        assert agent.told("resolved")


def test_known_addresses_are_called_while_the_name_server_is_left_alone():
    agent, dns = many_named(2, "initiator")
    for peer in agent.engine.peers:
        if peer.name != "other":
            peer.address = "10.9.0." + peer.name[1:]
    dns.found, dns.takes = None, 14000
    agent.run(20000)
    assert len(dns.asked) == 1
    assert called(agent) == {"10.9.0.0", "10.9.0.1"}


def test_a_responder_believes_the_resolved_address_only():
    agent, dns = named("responder")
    path = OURS + ("10.9.0.1", 500)
    assert refused(agent, path)  # nobody was asked yet
    agent.run(10)
    assert not refused(agent, path)
    dns.found = "10.9.0.7"
    agent.run(130000)
    assert refused(agent, path)
    assert not refused(agent, OURS + ("10.9.0.7", 500))
    # While its SA is up nobody asks.
    agent.establish("gw")
    asked = len(dns.asked)
    agent.run(agent.clock.now + 600000)
    assert len(dns.asked) == asked
    agent.lose("gw")
    agent.run(agent.clock.now + 61000)
    assert len(dns.asked) > asked


def refused(agent, path):
    from ike.wire import Drop

    try:
        agent.engine.peer_at(path)
    except Drop as drop:
        return drop.args[0] == "unknown-peer"
    return False


def test_another_peers_sa_is_served_first():
    agent, dns = named(other={"address": "10.9.0.9"})
    sa = agent.establish("other")
    sa.expires = 2000  # a timer is near, again and again

    def postponed(now):
        sa.expires = now + 2000

    sa.tick = postponed
    agent.run(29000)
    assert dns.asked == []
    agent.run(40000)
    assert 30000 <= dns.asked[0] <= 31000  # but it does not wait for ever
    agent, dns = named(other={"address": "10.9.0.9"})
    agent.engine.initiate("other", 0)  # an exchange is under way, for 22 s
    agent.run(40000)
    assert dns.asked and dns.asked[0] > 20000
    agent, dns = named(other={"address": "10.9.0.9"})
    agent.establish("other").expires = 30000  # no timer is near
    agent.run(10)
    assert dns.asked == [0]


def test_a_name_with_the_address_of_another_peer():
    agent, _ = named(other={"address": "10.9.0.1"})
    agent.run(10)
    assert agent.engine.last_failure["gw"][1] == HOST + " has the address of peer.other"
    assert agent.engine.peer_at(OURS + ("10.9.0.1", 500)).name == "other"


def test_a_name_without_an_address_of_our_family():
    agent, dns = named()
    agent.link.local = ("fd00::2", 500)
    agent.run(10)
    assert agent.engine.peers[0].address == "fd00::1"
    agent, dns = named()
    dns.AF_INET = 3
    entry = (2, 1, 6, "", ("10.9.0.1", 500))
    dns.getaddrinfo = lambda host, port: [entry]
    agent.run(10)
    assert "family" in agent.engine.last_failure["gw"][1]


# --- attempts -----------------------------------------------------------------------------------


def first_message(source, engine, number=0):
    """What somebody sends in the name of a peer of `engine`, from `source`'s address, each with a
    cookie of its own."""
    other = Engine(
        CheapHal(b"y%d" % number),
        [
            Peer(
                "us",
                OURS[0],
                psk=PSK,
                local_id=source[0],
                remote_id=OURS[0],
                proposals=[SUITE],
                retransmit="fast",
            )
        ],
        source,
        engine.clock,
    )
    other.initiate("us", 0)
    return other.take_datagrams()[0][1]


def test_what_others_begin_in_a_peers_name_is_not_waited_for():
    """One message 1 every 25 s, which anybody can send, and there is always an exchange."""
    agent = with_backup("both")
    gateway = ("10.9.0.1", 500)
    for number in range(40):
        message = first_message(gateway, agent.engine, number)
        agent.engine.receive(message, OURS + gateway, agent.clock.now)
        assert agent.engine.find("first", True)
        agent.engine.take_datagrams()
        agent.run(25000 * (number + 1))
    assert len(called(agent)) == 2  # both, as nobody answers
    attempts = [event for event in agent.told("failed") if event["peer"] == "first"]
    assert len(attempts) >= 5 and {event["code"] for event in attempts} == {"no-answer"}
    assert agent.engine.last_failure["first"][0] == "no-answer"
    agent.engine.receive(first_message(gateway, agent.engine), OURS + gateway, agent.clock.now)
    assert agent.engine.terminate("first") >= 1  # but down ends it


def test_a_gateway_that_lets_nobody_stay_is_called_less_often():
    """It authenticates and deletes at once: of the licence, say."""
    agent = Agent(gw={"address": "10.9.0.1"})
    agent.upkeep = Upkeep(agent.engine)
    agent.upkeep.want("gw", 0)
    agent.helpers = [agent.upkeep]
    ups = []
    while agent.clock.now < 3600000:
        agent.run(agent.clock.now + 100)
        if agent.engine.sas:
            agent.establish("gw")
            agent.run(agent.clock.now + 100)
            agent.lose("gw")
            ups.append(agent.clock.now)
    assert len(ups) < 30 and 150000 <= ups[-1] - ups[-2] <= 301000
    agent.run(ups[-1] + 400)
    while not agent.engine.sas:
        agent.run(agent.clock.now + 100)
    agent.establish("gw")
    agent.run(agent.clock.now + 61000)  # this time it lasts
    agent.run(agent.clock.now + 100)
    agent.lose("gw")
    lost = agent.clock.now
    agent.run(lost + 2100)
    assert agent.engine.find("gw")


def test_what_is_told_of_an_sa_that_dies_while_its_renewal_is_under_way():
    agent = with_backup()
    sa = agent.establish("first")
    agent.run(100)
    sa.expires = 28800000
    agent.engine.renew(sa, agent.clock.now)
    assert len(agent.engine.sas) == 2
    dpd.dead(sa, "no answer")
    assert agent.engine.last_down["first"][0] == "dead-peer"
    assert agent.engine.last_failure["first"][0] == "dead-peer"
    since = agent.clock.now
    agent.run(since + 10)
    assert "10.9.0.3" in called(agent, since)


# --- backups ------------------------------------------------------------------------------------


def with_backup(role="initiator"):
    agent = Agent(first={"address": "10.9.0.1", "role": role}, second={"address": "10.9.0.3"})
    agent.upkeep = Upkeep(agent.engine)
    agent.upkeep.want("first", 0)
    agent.helpers = [
        agent.upkeep,
        standby.Standby(agent.engine, agent.upkeep, {"first": "second"}),
    ]
    return agent


def called(agent, since=0):
    return {path[2] for when, path in agent.sent if when >= since}


def test_the_backup_is_called_when_the_first_does_not_answer():
    agent = with_backup()
    agent.run(20000)
    assert called(agent) == {"10.9.0.1"}
    agent.run(30000)
    assert called(agent) == {"10.9.0.1", "10.9.0.3"}
    assert [e["active"] for e in agent.told("standby")] == [True]


def test_back_to_the_first_when_it_answers_again():
    agent = with_backup()
    agent.establish("first")
    agent.run(600000)
    assert called(agent, 10) == set()
    agent.lose("first")
    since = agent.clock.now
    agent.run(since + 100)
    assert called(agent, since) == {"10.9.0.3"}  # at once
    agent.establish("second")
    agent.run(since + 1000000)
    # The first is tried all the time, the second is left alone.
    assert len([1 for when, path in agent.sent if when > since + 500000]) > 3
    assert called(agent, since + 1000) == {"10.9.0.1"}
    agent.establish("first")
    agent.run(agent.clock.now + 59000)
    assert agent.engine.is_up("first") and agent.engine.is_up("second")  # it may not last
    pass_seconds(agent, 3)
    assert [sa.peer.name for sa in agent.engine.sas] == ["first"]
    assert agent.told("deleted")[-1]["peer"] == "second"
    now = agent.clock.now
    agent.run(now + 3600000)
    assert called(agent, now + 1) == set()  # and is not called again


def pass_seconds(agent, number):
    """As the loop does: it comes by every second."""
    for _ in range(number):
        agent.run(agent.clock.now + 1000)


def test_a_first_that_lets_nobody_stay_has_its_backup():
    """It authenticates, and deletes at once."""
    agent = with_backup()
    stays = []
    for _ in range(1200):
        pass_seconds(agent, 1)
        if agent.engine.find("first"):
            agent.establish("first")
            agent.run(agent.clock.now + 200)
            agent.engine.deleted(agent.engine.find("first"), "peer")
        elif agent.engine.find("second") and not agent.engine.is_up("second"):
            agent.establish("second")
        stays.append(agent.engine.is_up("second"))
    assert [e["active"] for e in agent.told("standby")] == [True]
    assert stays.index(True) < 20 and all(stays[20:])


def test_one_sa_that_the_first_deletes_does_not_call_the_backup():
    agent = with_backup()
    agent.establish("first")
    pass_seconds(agent, 61)
    agent.engine.deleted(agent.engine.find("first"), "peer")
    pass_seconds(agent, 3)
    assert agent.engine.find("first") and not agent.told("standby")


def test_a_backup_that_cannot_be_told_goes_later():
    agent = with_backup()
    agent.establish("second")
    agent.engine.last_failure["first"] = ("no-answer", "", 0)
    agent.run(10)
    agent.establish("second")
    agent.establish("first")
    real, tries = agent.engine.terminate, []

    def terminate(name):
        tries.append(name)
        if len(tries) < 3:
            raise MemoryError
        return real(name)

    agent.engine.terminate = terminate
    failed = 0
    for _ in range(70):
        try:
            pass_seconds(agent, 1)
        except MemoryError:
            failed += 1
            agent.clock.now += 1000
    assert failed == 2 and tries == ["second"] * 3
    assert [sa.peer.name for sa in agent.engine.sas] == ["first"]
    assert [e["active"] for e in agent.told("standby")] == [True, False]


def test_one_backup_for_two():
    agent = Agent(
        a={"address": "10.9.0.1"}, b={"address": "10.9.0.3"}, spare={"address": "10.9.0.5"}
    )
    agent.upkeep = Upkeep(agent.engine)
    backups = {"a": "spare", "b": "spare"}
    agent.helpers = [agent.upkeep, standby.Standby(agent.engine, agent.upkeep, backups)]
    for name in backups:
        agent.upkeep.want(name, 0)
        agent.establish(name)
    agent.lose("a")
    agent.run(100)
    agent.establish("spare")
    agent.establish("a")
    agent.lose("b")
    agent.run(agent.clock.now + 1000)
    assert agent.engine.find("spare")
    agent.establish("b")
    pass_seconds(agent, 62)
    assert agent.engine.find("spare") is None


# --- the interface ------------------------------------------------------------------------------


class Interface:
    def __init__(self):
        self.up = True
        self.address = OURS[0]

    def isconnected(self):
        return self.up

    def ifconfig(self):
        return (self.address, "255.255.255.0", "10.9.0.254", "10.9.0.254")


class Boot:
    """agent.boot, which opens the sockets."""

    class Fatal(Exception):
        pass

    fails = False

    def open_link(self, agent):
        if self.fails:
            raise self.Fatal("no-network", "cannot open")
        return Link((agent.config["network"]["bind"], 500))

    def unload(self, *names):
        pass


def on_a_board(fixed=False):
    import sys

    import agent as package

    agent = Agent(gw={"address": "10.9.0.1"})
    del agent.config["peer"]["gw"]
    agent.config["peer"]["gw"] = {}
    agent.interface = Interface()
    agent.upkeep = Upkeep(agent.engine)
    agent.upkeep.want("gw", 0)
    agent.helpers = [agent.upkeep, netwatch.Watch(agent, fixed)]
    boot = Boot()
    sys.modules["agent.boot"] = package.boot = boot
    netwatch.unload = boot.unload
    return agent, boot


def cleaned(test):
    """The real agent.boot is for other tests."""
    import sys

    import agent as package

    def run():
        before = sys.modules.get("agent.boot")
        try:
            test()
        finally:
            netwatch.unload = modules.unload
            sys.modules.pop("agent.boot", None)
            if hasattr(package, "boot"):
                del package.boot
            if before:
                sys.modules["agent.boot"] = package.boot = before

    return run


@cleaned
def test_another_address_by_dhcp():
    agent, _ = on_a_board()
    agent.establish("gw")
    agent.run(5000)
    assert agent.engine.sas and agent.told("link") == []
    old = agent.link
    agent.interface.address = "10.9.0.77"
    agent.run(10000)
    assert old.closed and agent.port.forgotten == ["a socket"]
    assert agent.engine.local == ("10.9.0.77", 500)
    assert agent.told("deleted")[0]["by"] == "address-change"
    assert agent.engine.peers[0].local_id == policy.identity("10.9.0.77")
    assert {path[:3] for when, path in agent.sent if when > 5000} == {
        ("10.9.0.77", 500, "10.9.0.1")
    }
    assert agent.told("link") == [{"event": "link", "up": True, "address": "10.9.0.77"}]


@cleaned
def test_another_address_where_memory_is_short():
    """What was begun is done, whenever there is some."""
    agent, _ = on_a_board()
    agent.establish("gw")
    agent.run(5000)
    agent.interface.address = "10.9.0.77"
    real = agent.engine.deleted

    def deleted(sa, by):
        agent.engine.deleted = real
        raise MemoryError

    agent.engine.deleted = deleted
    try:
        agent.run(10000)
    except MemoryError:
        pass
    else:
        raise AssertionError("it was not short")
    assert agent.told("link") == []
    agent.run(20000)
    assert agent.told("deleted")[0]["by"] == "address-change"
    assert agent.engine.peers[0].local_id == policy.identity("10.9.0.77")
    assert agent.told("link") == [{"event": "link", "up": True, "address": "10.9.0.77"}]


@cleaned
def test_an_identity_that_was_configured_stays():
    agent, _ = on_a_board()
    agent.config["peer"]["gw"]["local_id"] = OURS[0]
    agent.interface.address = "10.9.0.77"
    agent.run(2000)
    assert agent.engine.peers[0].local_id == policy.identity(OURS[0])


@cleaned
def test_the_link_goes_and_comes():
    """The SA stays where it was; what was down is tried at once, whatever the back-off was."""
    agent, _ = on_a_board()
    agent.run(1000)
    agent.interface.up = False
    agent.run(2000000)
    agent.interface.up = True
    since = agent.clock.now
    agent.run(since + 5000)
    assert [event["up"] for event in agent.told("link")] == [False, True]
    assert [when for when, _ in agent.sent if since < when < since + 4000]
    agent, _ = on_a_board()
    sa = agent.establish("gw")
    agent.run(1000)
    agent.interface.up = False
    agent.run(5000)
    agent.interface.up = True
    agent.run(10000)
    assert agent.engine.sas == [sa] and agent.told("deleted") == []


@cleaned
def test_no_address_yet_and_a_fixed_one():
    agent, _ = on_a_board()
    agent.interface.address = "0.0.0.0"  # DHCP is under way
    agent.run(5000)
    assert agent.engine.local == OURS and not agent.link.closed
    agent.interface.address = "10.9.0.78"
    agent.run(10000)
    assert agent.engine.local == ("10.9.0.78", 500)
    agent, _ = on_a_board(True)
    agent.interface.address = "10.9.0.79"
    agent.run(5000)
    assert agent.engine.local == OURS


@cleaned
def test_an_address_that_cannot_be_used_yet():
    agent, boot = on_a_board()
    boot.fails = True
    agent.interface.address = "10.9.0.77"
    agent.run(5000)
    assert agent.engine.local == OURS and not agent.link.closed
    assert agent.told("link")[0]["reason"] == "cannot open"
    boot.fails = False
    agent.run(10000)
    assert agent.engine.local == ("10.9.0.77", 500)

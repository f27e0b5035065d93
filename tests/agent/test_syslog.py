"""Syslog messages are well-formed, bounded in number, and never in anybody's way."""

from agent import ring, syslog
from rfc5424 import Malformed, Message

_SETTINGS = {"address": "10.9.0.9", "port": 514, "facility": "daemon"}


class Network:
    """A Syslog and what it sent; `refuse`: how many datagrams the stack does not take."""

    def __init__(self, facility="daemon", now=None):
        self.sent = []
        self.refuse = 0
        self.now = now
        settings = dict(_SETTINGS, facility=facility)
        self.syslog = syslog.Syslog(settings, "branch-17", lambda: self.now, self._send)

    def _send(self, datagram):
        if self.refuse:
            self.refuse -= 1
            raise OSError(12)
        self.sent.append(datagram)

    def tell(self, name, t_ms=0, **values):
        values["event"] = name
        values["t_ms"] = t_ms
        self.syslog.tell(values, ring.line(values))

    def messages(self):
        return [Message(datagram) for datagram in self.sent]


def test_a_message():
    network = Network(now=1800000000)
    network.tell("failed", 61234, peer="hq", code="no-answer", reason="no answer to message 1")
    (message,) = network.messages()
    assert message.priority == 3 * 8 + 4
    assert message.timestamp == "2027-01-15T08:00:00Z"
    assert (message.host, message.app, message.process) == ("branch-17", "ikelet", None)
    assert message.id == "failed"
    assert message.data == {"meta": {"sequenceId": "1", "sysUpTime": "6123"}}
    assert message.text == "failed hq no-answer no answer to message 1"


def test_without_a_clock_there_is_no_time():
    network = Network()
    network.tell("boot", device="branch-17")
    assert network.messages()[0].timestamp is None
    network.now = 1700000000
    network.tell("boot", device="branch-17")
    assert network.messages()[1].timestamp == "2023-11-14T22:13:20Z"


def test_facilities_and_severities():
    for facility, name, priority in (
        ("user", "fatal", 8 + 2),
        ("daemon", "engine", 24 + 3),
        ("auth", "established", 32 + 5),
        ("authpriv", "drop", 80 + 6),
        ("local0", "boot", 128 + 5),
        ("local7", "something-new", 184 + 6),
    ):
        network = Network(facility)
        network.tell(name)
        assert network.messages()[0].priority == priority


def test_every_facility_of_the_schema_has_a_number():
    import json

    folder = syslog.__file__.rpartition("/")[0]
    with open(folder + "/schema.json") as file:
        choices = json.load(file)["syslog"]["facility"]["choices"]
    for facility in choices:
        network = Network(facility)
        network.tell("boot")
        assert network.messages()[0].priority % 8 == 5


def test_whatever_an_event_holds_the_message_is_well_formed():
    network = Network(now=1800000000)
    for nasty in ('"]\\', "[x y=z]", "a\nb", "\x00\xff", "\ufeff", " ", "-", "<34>1", "x" * 900):
        network.syslog._tokens = 8
        network.tell("failed", peer=nasty, code=nasty, reason=nasty)
        network.tell("e" * 60)
    for message in network.messages():
        assert message.host == "branch-17" and len(message.data) == 1


def test_a_storm_is_bounded_and_what_was_lost_is_told():
    network = Network()
    for ms in range(0, 10000, 10):
        network.tell("drop", ms, reason="unknown-peer")
    assert len(network.sent) == 8 + 9
    messages = network.messages()
    numbers = [int(message.data["meta"]["sequenceId"]) for message in messages]
    assert numbers == list(range(1, 18))
    assert messages[7].text == "drop unknown-peer"
    assert messages[8].text == "drop unknown-peer (92 before were lost)"
    network.tell("boot", 100000)
    assert network.messages()[-1].text == "boot (99 before were lost)"
    for _ in range(20):
        network.tell("boot", 100000)
    assert len(network.sent) == 8 + 9 + 8


def test_a_stack_that_is_full_loses_messages_and_nothing_else():
    network = Network()
    network.refuse = 3
    for _ in range(5):
        network.tell("boot")
    assert [message.text for message in network.messages()] == [
        "boot (3 before were lost)",
        "boot",
    ]
    assert [m.data["meta"]["sequenceId"] for m in network.messages()] == ["1", "2"]


class Link:
    local = ("10.9.0.2", 500)

    def __init__(self):
        self.sent = []

    def send(self, path, datagram):
        self.sent.append((path, datagram))


class Agent:
    """A board without a network of its own."""

    board = {"link": "uart"}
    config = {"device": {"name": "b"}, "network": {}, "syslog": _SETTINGS}
    wall = None

    def __init__(self):
        self.link = Link()

    def clock(self):
        return 0


def test_over_a_relay():
    agent = Agent()
    syslog.start(agent).tell({"event": "boot", "t_ms": 5}, "boot b")
    ((path, datagram),) = agent.link.sent
    assert path == ("10.9.0.2", 500, "10.9.0.9", 514)
    assert Message(datagram).text == "boot b"
    assert agent.wall is not None, "somebody has to set the clock"


def test_the_reader_is_strict():
    good = b'<30>1 2027-01-15T08:00:00Z b ikelet - boot [meta sequenceId="1"] boot b'
    assert Message(good).text == "boot b"
    for old, new in (
        (b"<30>", b"<030>"),
        (b"<30>", b"<192>"),
        (b">1 ", b">2 "),
        (b"T08", b" 08"),
        (b"-15T", b"-32T"),
        (b" b ", b"  "),
        (b"ikelet", b"ik\xc3\xa9let"),
        (b" - ", b"  "),
        (b'"1"', b"1"),
        (b'"1"', b'"]"'),
        (b"[meta", b"[me=ta"),
        (b"] boot", b"]boot"),
        (b"boot b", b"boot b" + bytes(480)),
    ):
        try:
            Message(good.replace(old, new))
        except Malformed:
            continue
        raise AssertionError(new)

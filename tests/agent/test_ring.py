"""The ring of recent events: bounded, in order, and without what must not be in it."""

from agent.ring import added, line


def event(name, t_ms=1000, **values):
    values["event"] = name
    values["t_ms"] = t_ms
    return values


def kept(*events):
    found = b""
    for each in events:
        found = added(found, each["t_ms"] // 1000, line(each))
    return found.decode().split("\n")[:-1]


def test_an_event_is_a_line():
    assert kept(
        event("established", 12999, peer="hq", suite="aes", cookies={"initiator": "00"}),
        event("failed", 61000, peer="hq", code="no-answer", reason="no answer to message 1"),
        event("drop", 61000, reason="bad-hash"),
        event("clock", 61000, error="110"),
    ) == [
        "12 established hq",
        "61 failed hq no-answer no answer to message 1",
        "61 drop bad-hash",
        "61 clock",
    ]


def test_only_known_values_are_kept():
    (told,) = kept(event("boot", device="branch", psk="canary", key=b"canary", text="canary"))
    assert told == "1 boot branch"


def test_a_line_is_short_and_printable():
    text = line(event("failed", peer="hq", reason="a\nb\x00\x7f\xe4" + "c" * 500))
    assert text == "failed hq a?b???" + "c" * (96 - 16)


def test_a_repetition_counts():
    failed = [event("failed", second * 1000, peer="hq", code="no-answer") for second in range(12)]
    assert kept(*failed) == ["11 failed hq no-answer (12 times)"]
    told = kept(*failed[:3] + [event("boot", 9000)] + failed[10:11])
    assert told == ["2 failed hq no-answer (3 times)", "9 boot", "10 failed hq no-answer"]


def test_what_only_begins_alike_is_no_repetition():
    told = kept(event("drop", reason="bad"), event("drop", reason="bad-hash"), event("drop"))
    assert told == ["1 drop bad", "1 drop bad-hash", "1 drop"]
    told = kept(
        event("failed", reason="none came (last: bad)"), event("failed", reason="none came")
    )
    assert told == ["1 failed none came (last: bad)", "1 failed none came"]
    told = kept(event("failed", reason="it (two times)"), event("failed", reason="it"))
    assert told == ["1 failed it (two times)", "1 failed it"]


def test_the_oldest_make_room():
    """The newest lines that fit, whole, whatever their lengths and however long it goes on."""
    octets = b""
    expected = []
    for number in range(200):
        peer = "p" * (1 + number * 7 % 83) + str(number)
        for _ in range(1 + number % 3):
            octets = added(octets, number * 977 // 1000, "failed " + peer)
        times = " (%d times)" % (1 + number % 3) if number % 3 else ""
        expected.append("%d failed %s%s" % (number * 977 // 1000, peer, times))
        lines = octets.decode().split("\n")[:-1]
        assert lines == expected[-len(lines) :]
        assert len(octets) <= 512
        assert len(lines) == len(expected) or len(octets) + len(expected[-len(lines) - 1]) >= 512

"""The time of day: the port's own clock, the provisioned floor, and what is told about them."""

from agent import wall

EARLY = 1500000000  # before anything was made: a clock that nobody has set
LATE = 1800000000


class Ticks:
    def __init__(self):
        self.ms = 0

    def __call__(self):
        return self.ms


class Port:
    """Stands in for the port's clock while a test runs."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        self._real = wall._port_time
        wall._port_time = lambda: self.seconds
        return self

    def __exit__(self, *_):
        wall._port_time = self._real


def test_a_clock_that_was_set_counts():
    with Port(LATE):
        assert wall.Wall(Ticks(), 0).now() == LATE
        assert wall.Wall(Ticks(), LATE - 10).now() == LATE


def test_an_unset_clock_is_no_time_at_all():
    for seconds in (0, EARLY):
        with Port(seconds):
            assert wall.Wall(Ticks(), 0).now() is None


def test_from_the_floor_on_the_uptime_counts():
    ticks = Ticks()
    for seconds in (0, EARLY, LATE - 1):
        with Port(seconds):
            ticks.ms = 0
            clock = wall.Wall(ticks, LATE)
            assert clock.now() == LATE
            ticks.ms = 90500
            assert clock.now() == LATE + 90


def test_expiry_is_told_once_a_day():
    ticks = Ticks()
    told = []
    day = 86400
    with Port(LATE) as port:
        clock = wall.Wall(ticks, 0)
        clock.tend(LATE + 40 * day, told.append)
        assert told == []
        ticks.ms, port.seconds = 86400000, LATE + 15 * day
        clock.tend(LATE + 40 * day, told.append)
        clock.tend(LATE + 40 * day, told.append)
        expected = {"event": "certificate-expires", "expires": LATE + 40 * day, "days": 25}
        assert told == [expected]
        ticks.ms += 86400000
        clock.tend(LATE, told.append)
        assert told[1]["days"] == 0


def test_a_time_server_that_does_not_answer_is_asked_again_soon():
    ticks = Ticks()
    told = []
    asked = []

    def ask(server):
        asked.append(server)
        if len(asked) < 3:
            raise OSError(110)

    real, wall._ask = wall._ask, ask
    try:
        with Port(LATE):
            clock = wall.Wall(ticks, 0, "time.example")
            for ms in (0, 599999, 600000, 1200000, 1800000, 1200000 + 86400000):
                ticks.ms = ms
                clock.tend(LATE * 2, told.append)
    finally:
        wall._ask = real
    assert asked == ["time.example"] * 4
    assert [event["event"] for event in told] == ["clock", "clock"]


def test_exchanges_that_others_begin_all_the_time_do_not_keep_the_clock_from_being_set():
    ticks = Ticks()
    asked = []
    real, wall._ask = wall._ask, asked.append
    try:
        with Port(LATE):
            clock = wall.Wall(ticks, 0, "time.example")
            for ms in (0, 29999, 30000, 40000):
                ticks.ms = ms
                clock.tend(LATE * 2, None, settled=False)
                assert len(asked) == (ms >= 30000)
            ticks.ms += 86400000
            clock.tend(LATE * 2, None)
            assert len(asked) == 2
    finally:
        wall._ask = real


def test_a_time_server_that_answers_nonsense_is_one_that_does_not_answer():
    """ntptime takes a datagram apart without a look at its size."""
    ticks = Ticks()
    told = []

    def ask(server):
        raise ValueError("buffer too small")

    real, wall._ask = wall._ask, ask
    try:
        with Port(LATE):
            wall.Wall(ticks, 0, "time.example").tend(LATE * 2, told.append)
    finally:
        wall._ask = real
    assert told == [{"event": "clock", "server": "time.example", "error": "buffer too small"}]


def test_the_ports_own_clock():
    now = wall._port_time()
    assert now == 0 or now > EARLY

"""Deadlines of phases, and the recovery ladder's order and counters."""

import time

import pytest

from ikelet import boards
from ikelet.errors import IkeletError
from ikelet_hil import recovery
from ikelet_hil.phases import DeadlineError, Phases
from ikelet_hil.recovery import DeadError, Ladder, Rung
from ikelet_hil.targets import Held


def test_a_phase_that_takes_too_long_is_named():
    phases = Phases(slowness=2)
    with (
        pytest.raises(DeadlineError, match=r"deadline of the phase banner: 0\.1 s") as found,
        phases.phase("banner", 0.05),
    ):
        time.sleep(60)
    assert found.value.phase == "banner"
    assert phases.current is None


def test_an_inner_phase_stops_the_outer_ones_clock():
    now = [0.0]
    phases = Phases(clock=lambda: now[0])
    with phases.phase("test", 100) as outer:
        now[0] += 3
        with phases.phase("flash", 100):
            now[0] += 50
        now[0] += 4
        assert outer.left == pytest.approx(97)
    assert phases.totals() == {"test": 7, "flash": 50}


def test_the_outer_deadline_holds_again_after_the_inner_phase():
    phases = Phases()

    def too_long() -> None:
        with phases.phase("test", 0.2):
            with phases.phase("flash", 0):
                time.sleep(0.3)
            time.sleep(60)

    with pytest.raises(DeadlineError, match="phase test"):
        too_long()


class Steps:
    """A ladder of three rungs; the probe answers from `helps` on."""

    def __init__(self, helps: str) -> None:
        self.done: list[str] = []
        self.helps = helps
        rungs = [self._rung(name) for name in ("gentle", "firm", "harsh")]
        self.ladder = Ladder(
            (rungs[0], Rung("absent", lambda _: "no relay", rungs[0].act), *rungs[1:])
        )
        self.patient = Held(boards.find("unix"))

    def _rung(self, name: str) -> Rung:
        return Rung(name, lambda _: "", lambda _: self.done.append(name))

    def probe(self, patient: object) -> None:
        if self.helps not in self.done:
            raise IkeletError("silent")


def test_the_first_rung_that_helps_ends_the_climb():
    steps = Steps("firm")
    told: list[str] = []
    rung = steps.ladder.climb(steps.patient, steps.probe, lambda text, **_: told.append(text))
    assert rung == "firm"
    assert steps.done == ["gentle", "firm"]
    counters = {name: (one.tried, one.helped) for name, one in steps.ladder.counters.items()}
    assert counters == {"gentle": (1, 0), "firm": (1, 1)}
    assert "recovery: no absent: no relay" in told


def test_where_no_rung_helps():
    steps = Steps("none of them")
    with pytest.raises(DeadError, match="gentle: silent; firm: silent; harsh: silent"):
        steps.ladder.climb(steps.patient, steps.probe)


def test_beginning_further_up():
    steps = Steps("harsh")
    assert steps.ladder.climb(steps.patient, steps.probe, first="harsh") == "harsh"
    assert steps.done == ["harsh"]


def test_which_rungs_a_board_has():
    real = boards.plugged(boards.find("olimex-esp32-poe"), "/dev/ttyUSB0")
    lacks = {rung.name: rung.lacks(Held(real)) for rung in recovery.ladder(real).rungs}
    assert list(lacks) == ["soft-reset", "dtr-rts", "boot-enable", "power", "reflash"]
    assert [name for name, why in lacks.items() if why] == ["power"]
    served = boards.plugged(boards.find("qemu-rv32"), "socket://127.0.0.1:9")
    lacks = {rung.name: rung.lacks(Held(served)) for rung in recovery.ladder(served).rungs}
    assert [name for name, why in lacks.items() if not why] == ["soft-reset"]
    assert [rung.name for rung in recovery.ladder(boards.find("unix")).rungs] == ["restart"]

"""What a board can do: by its file, and by what the bench has for it."""

import pytest

from ikelet import boards
from ikelet_hil.capabilities import lacking
from ikelet_hil.power import Command
from ikelet_hil.targets import Held

SWITCH = Command("true", "true")
POE = boards.plugged(boards.find("olimex-esp32-poe"), "/dev/ttyUSB0")
C3 = boards.plugged(boards.find("esp32-generic-c3"), "/dev/ttyUSB1")
SERVED = boards.plugged(boards.find("qemu-rv32"), "socket://127.0.0.1:9")


@pytest.mark.parametrize(
    ("held", "capability", "why"),
    [
        (Held(POE), "network", ""),
        (Held(SERVED), "network", "the host relays its datagrams"),
        (Held(POE), "accelerator:4096", ""),
        (Held(C3), "accelerator:4096", "its accelerator takes 3072 bits at most"),
        (Held(boards.find("unix")), "accelerator", "it computes in software"),
        (Held(POE, SWITCH), "power", ""),
        (Held(POE), "power", "nothing switches it: [board.NAME.power] in bench.toml"),
        (Held(boards.find("qemu-rv32")), "power", ""),
        (Held(POE), "reset", ""),
        (Held(SERVED), "reset", "no reset line goes over a socket"),
        (Held(POE), "flash", ""),
        (Held(SERVED), "flash", "it is no board that esptool flashes"),
        (Held(POE), "clock", ""),
        (Held(SERVED), "clock", "it has no clock that tells the date"),
    ],
)
def test_what_is_lacking(held: Held, capability: str, why: str) -> None:
    assert lacking(held, capability) == why


def test_a_name_that_is_no_capability() -> None:
    with pytest.raises(ValueError, match="unknown capability 'radio': one of network, "):
        lacking(Held(POE), "radio")


SKIPPED = """
@pytest.mark.requires("accelerator:2048")
def test_it(station):
    pass
"""


def test_a_skip_names_what_is_missing(harness):
    """And it is a failure where the run must have it."""
    harness.suite(SKIPPED)
    outcome = harness.run("--board", "unix")
    assert outcome.tests == {"test_it[unix]": "skipped"}, outcome.said
    assert "needs accelerator: unix: it computes in software" in outcome.said
    harness.environment["IKELET_REQUIRE"] = "accelerator"
    required = harness.run("--board", "unix")
    assert required.tests == {"test_it[unix]": "failed"}, required.said
    assert "required here, but missing: accelerator" in required.said

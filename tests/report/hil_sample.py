"""Tests for a run whose reports are then looked at: run by test_page.py, not by themselves."""

import pytest

from ikelet import psk
from ikelet_hil.bench import Bench
from ikelet_hil.rules import At, corrupt, drop, duplicate, inject


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_plain(bench: Bench, role: str) -> None:
    bench.start("builtin", role)
    assert bench.negotiate()[0].established


def test_disturbed(bench: Bench) -> None:
    bench.start("builtin", "initiator", forgiving=True)
    bench.wire.add(
        drop(At(2)), corrupt(At(5), offset=60), duplicate(At(3)), inject(At(6), lambda _: [b"?"])
    )
    assert bench.negotiate()[0].established


def test_that_fails(bench: Bench) -> None:
    bench.start("builtin", "initiator", {"psk": psk.generate()})
    outcome, _ = bench.negotiate(3)
    assert outcome.established, "<b>on purpose</b>"


@pytest.mark.xfail(reason="known", strict=True)
def test_expected_to_fail(bench: Bench) -> None:
    bench.start("builtin", "initiator")
    raise AssertionError


def test_skipped(bench: Bench) -> None:
    pytest.skip("needs something")

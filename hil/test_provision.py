"""A board gets another configuration, or another image, and is what it then should be."""

import contextlib
import copy
from collections.abc import Iterator

import pytest

from ikelet import boards, flash, provision, psk
from ikelet.config import Config
from ikelet.device import DEADLINE, Device
from ikelet.progress import Silent
from ikelet.provision import ProvisionError
from ikelet.rehearsal import reopened
from ikelet_hil.bench import Bench
from ikelet_hil.station import Station

SUITE = "aes256-sha256-modp1024"
ROLES = ("initiator", "responder")
OPEN = {"development": True}  # in production it would ask for a password first


def with_key(bench: Bench, name: str, key: str) -> Config:
    """The configuration that the board has, with another name and key."""
    found = copy.deepcopy(bench.agent.config)
    found.board["device"]["name"] = name
    found.board["peer"]["gw"]["psk"] = key
    found.board |= boards.in_its_terms(bench.board, found.board)
    return found


@contextlib.contextmanager
def met(bench: Bench) -> Iterator[Device]:
    """The board as `ikelet provision` meets it."""
    deadline = DEADLINE * bench.board.slowness
    with (
        bench.agent.lent() as running,
        Device(running.url, deadline=deadline, reopen=lambda: reopened(running)) as device,
    ):
        yield device


@pytest.mark.parametrize("role", ROLES)
def test_another_key(bench: Bench, role: str) -> None:
    """The peer has a key that the board has not, until it is given it."""
    key = psk.generate()
    theirs = {"psk": psk.decoded(key)}
    bench.start("builtin", role, peer=theirs, suite=SUITE, device=OPEN, forgiving=True)
    assert not bench.negotiate(timeout=3)[0].established
    board = bench.board
    with met(bench) as device:
        event = provision.run(device, with_key(bench, "renamed", key), board, Silent())
    assert (event["device"], event["board"]) == ("renamed", board.name)
    bench.replace_peer()
    outcome, theirs = bench.negotiate()
    assert outcome.established and theirs.established, outcome.reason or theirs.reason


def test_a_refused_configuration_changes_nothing(bench: Bench) -> None:
    bench.start("builtin", "initiator", suite=SUITE, device=OPEN)
    wrong = with_key(bench, "wrong", psk.generate())
    wrong.board["peer"]["gw"]["port"] = 0
    with (
        met(bench) as device,
        pytest.raises(ProvisionError, match=r"refused.*peer\.gw\.port: 0"),
    ):
        provision.run(device, wrong, bench.board, Silent())
    assert bench.agent.status()["device"] == "bench"
    assert bench.negotiate()[0].established


@pytest.mark.requires("flash")
def test_an_image_is_flashed_once(station: Station) -> None:
    """The second time all is there already; the board tells the agent's version."""
    held = station.held
    flash.run(held.board, held.board.url, held.image, False, Silent())
    again = flash.run(held.board, held.board.url, held.image, False, Silent())
    assert (again.wrote_image, again.files) == (False, 0)
    assert again.agent == flash.agent_version()

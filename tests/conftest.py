"""Shared by all tests: `from ikelet_hil.capabilities import require`, or the fixture."""

import gc
from collections.abc import Callable, Iterator

import pytest

from ikelet.peers.netns import NetnsPair
from ikelet_hil.capabilities import require as require_capability

_module: object = None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The agent collects its garbage often, which costs little on a board. Here each time would
    take 100 ms, for what pytest and the tests before hold: that is left out, module by module."""
    global _module
    if item.parent is not _module:
        _module = item.parent
        gc.collect()
        gc.freeze()


@pytest.fixture
def require() -> Callable[[str], None]:
    """require("tshark") skips the test, or fails it where IKELET_REQUIRE lists the capability."""
    return require_capability


@pytest.fixture
def namespaces(require: Callable[[str], None]) -> Iterator[NetnsPair]:
    """Two hosts on a cable, for the agent on `unix` and charon."""
    for capability in ("root", "netns", "strongswan", "micropython"):
        require(capability)
    with NetnsPair() as pair:
        yield pair

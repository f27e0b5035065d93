"""Shared by all tests: `from ikelet_hil.capabilities import require`, or the fixture."""

import gc
from collections.abc import Callable

import pytest

from ikelet_hil.capabilities import require as require_capability


def pytest_collection_finish() -> None:
    """The agent collects after each message that needs it: without this, 50 ms each time for what
    pytest and the peers hold anyway."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def require() -> Callable[[str], None]:
    """require("tshark") skips the test, or fails it where IKELET_REQUIRE lists the capability."""
    return require_capability

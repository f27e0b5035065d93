"""Shared by all tests: `from ikelet_hil.capabilities import require`, or the fixture."""

from collections.abc import Callable

import pytest

from ikelet_hil.capabilities import require as require_capability


@pytest.fixture
def require() -> Callable[[str], None]:
    """require("tshark") skips the test, or fails it where IKELET_REQUIRE lists the capability."""
    return require_capability

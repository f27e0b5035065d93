"""Shared by all tests: `from capabilities import require`, or the fixture of that name."""

from collections.abc import Callable

import pytest

import capabilities
from capabilities import require as require_capability


@pytest.fixture
def require() -> Callable[[str], None]:
    """require("tshark") skips the test, or fails it where IKELET_REQUIRE lists the capability."""
    return require_capability


def pytest_configure() -> None:
    known = set(capabilities.MISSING) | {"qemu-esp32", "qemu-esp32c3"}
    unknown = capabilities.required() - known
    if unknown:
        names = ", ".join(sorted(unknown)), ", ".join(sorted(known))
        raise pytest.UsageError("IKELET_REQUIRE: unknown {}; known: {}".format(*names))

"""Where the files are that the host ships but never imports: firmware/ and boards/."""

from functools import cache
from pathlib import Path


@cache
def root() -> Path:
    """The folder that holds firmware/ and boards/: in the wheel, or of the source tree."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "_data", package.parent.parent):
        if (candidate / "firmware" / "agent" / "schema.json").is_file():
            return candidate
    raise FileNotFoundError(f"ikelet's firmware is missing beside {package}: install it again")


def firmware() -> Path:
    return root() / "firmware"


def boards() -> Path:
    return root() / "boards"

"""`ikelet provision`: a configuration onto a board, which comes up with it or says why not.

The board writes it so that power lost at any moment leaves the old one or the new one; see
firmware/agent/store.py.
"""

from typing import Any

from ikelet import access
from ikelet.boards import Board
from ikelet.config import Config
from ikelet.console import ConsoleError
from ikelet.device import Device, send_configuration
from ikelet.errors import IkeletError
from ikelet.progress import Progress

_PLAIN = (
    "the flash of this board is not encrypted: whoever holds the board can read its keys "
    "(docs/devices.md tells what to do)"
)
_NO_PASSWORD = (
    "without device.password_file only the boot button lets this board be provisioned again"
)
_UNKNOWN = (
    "it is not known whether the flash of this board is encrypted; if it is not, whoever holds "
    "the board can read its keys"
)


class ProvisionError(IkeletError):
    """The board did not take the configuration, or does not run with it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def run(
    device: Device,
    config: Config,
    board: Board | None,
    progress: Progress,
    password: str | None = None,
) -> dict[str, Any]:
    """Provision the board behind `device`; its `boot` event. ProvisionError has its reason.

    `password`: that of the board so far, where it is not the new one too.
    """
    device.expect(board)
    if device.status.get("code") == "provisioning-lost":
        progress.warn("the keys of this board were lost from its NVS; it is provisioned anew")
    encrypted = device.status.get("flash_encrypted")
    if not encrypted:
        progress.warn(_UNKNOWN if encrypted is None else _PLAIN)
    new = config.board["device"]
    if not new["development"] and "password" not in new:
        progress.warn(_NO_PASSWORD)
    access.unlock(device, password or config.password)
    progress.say(f"sending the configuration of {config.board['device']['name']}")
    try:
        send_configuration(device, config.board)
    except ConsoleError as error:
        raise ProvisionError(f"the board refused the configuration: {error}", "refused") from error
    progress.say("restarting the board")
    event = device.restart()
    if event["event"] == "fatal":
        raise ProvisionError(
            f"the board has the configuration, but cannot run: {event.get('reason')}",
            str(event.get("code")),
        )
    expected = config.board["device"]["name"]
    if event.get("device") != expected:
        raise ProvisionError(f"the board came back as {event.get('device')}, not as {expected}")
    return event

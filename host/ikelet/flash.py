"""`ikelet flash`: stock MicroPython and the agent onto a board, and nothing twice."""

import re
from dataclasses import dataclass

from ikelet import build, image, ports, prompt, resources
from ikelet.boards import Board
from ikelet.device import DEADLINE, Device, patience
from ikelet.errors import IkeletError, MisuseError
from ikelet.esptool import Esptool
from ikelet.image import Image
from ikelet.progress import Progress

_PATIENCE = 120.0  # seconds: a file system is formatted, somebody resets the board by hand


class FlashError(IkeletError):
    """The board does not have what was put on it."""


@dataclass
class Flashed:
    """What a board has now. `wrote_image`: MicroPython was not there before; `files`: how many
    were written; `provisioned`: it has a configuration, by the agent's own word."""

    board: str
    port: str
    image: str
    sha256: str
    micropython: str
    agent: str
    wrote_image: bool
    files: int
    provisioned: bool

    def as_event(self) -> dict[str, object]:
        return {"event": "result", "flashed": True, **vars(self)}


def run(board: Board, url: str, wanted: str | None, erase: bool, progress: Progress) -> Flashed:
    """Flash a board; `wanted` names the image (see image.find). IkeletError in one line."""
    if board.kind != "serial":
        raise MisuseError(f"{board.name} is emulated: there is nothing to flash")
    ports.check(url)
    files = build.files(board)
    path = image.find(board, wanted)
    found = image.load(board, path)
    odd = image.warning(board, path)
    if odd:
        progress.warn(odd)
    tool = Esptool(board, url)
    wrote = _micropython(tool, found, erase, progress)
    micropython, written = _agent(tool, files, wrote, progress)
    agent, provisioned = _read_back(url, board, progress)
    return Flashed(
        board.name, url, path.name, found.sha256, micropython, agent, wrote, written, provisioned
    )


def _micropython(tool: Esptool, found: Image, erase: bool, progress: Progress) -> bool:
    """Write the image unless it is there. What the board keeps in NVS and its file system stays,
    as long as they stay where they were."""
    if tool.by_hand:
        progress.say(f"the board at {tool.url} must be in download mode: {tool.hint()}")
    progress.say(f"looking for {found.path.name} on the board")
    if not erase and tool.holds(found.code()):
        progress.say("it is there already")
        tool.leave()
        return False
    keep = not erase and tool.holds([found.table()])
    parts = found.code() if keep else [(found.offset, found.content)]
    progress.say(f"writing {found.path.name}" + ("" if keep else " to the erased flash"))
    tool.write(parts, erase_all=not keep, progress=progress.percent)
    progress.done()
    return True


def _agent(
    tool: Esptool, files: dict[str, bytes], fresh: bool, progress: Progress
) -> tuple[str, int]:
    """(MicroPython's version, files written)."""
    if tool.by_hand:
        progress.say("now reset the board, out of download mode")
    seconds = patience(_PATIENCE if fresh or tool.by_hand else DEADLINE)
    progress.say("looking for the agent on the board")
    with prompt.prompt(tool.board, tool.url, seconds) as repl:
        version = prompt.check_micropython(repl, _abi(files))
        count = prompt.install(
            repl, files, lambda _, now, total: progress.percent(100 * now / total)
        )
    progress.done()
    progress.say(f"wrote {count} files of the agent" if count else "it is there already")
    return version, count


def _read_back(url: str, board: Board, progress: Progress) -> tuple[str, bool]:
    """(the agent's version, whether it is provisioned), from the agent that now runs."""
    progress.say("starting the agent")
    with Device(url, patient=True) as there:
        status = there.status
    expected = agent_version()
    if (status.get("version"), status.get("board")) != (expected, board.name):
        raise FlashError(
            f"the agent says it is {status.get('version')} on {status.get('board')}, not "
            f"{expected} on {board.name}: flash again"
        )
    return expected, status.get("code") not in ("not-provisioned", "provisioning-lost")


def agent_version() -> str:
    """The version of the agent that this host ships."""
    text = (resources.firmware() / "agent" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^VERSION = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise FlashError("the firmware has no version: install ikelet again")
    return found[1]


def _abi(files: dict[str, bytes]) -> int:
    """The .mpy version that mpy-cross made: the second byte of each module."""
    (version,) = {content[1] for name, content in files.items() if name.endswith(".mpy")}
    return version

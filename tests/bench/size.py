"""How many bytes of compiled code a board carries, and how much of it a pre-shared key needs.

The limit is that of an agent with pre-shared keys; what is loaded only for certificates and
curves, or only to keep tunnels up, is counted apart.
"""

from collections import Counter
from pathlib import PurePath

from ikelet import boards, build, resources
from report import Figure, Report, Table, Tell

TITLE = "Size of the compiled code"
LIMIT = 60 * 1024
# What is loaded only where a configuration asks for it, by the beginning of a module's path.
FEATURES = {
    "certificates and curves": (
        "pki/",
        "ike/certs.",
        "ike/fragments.",
        "agent/certificate.",
        "agent/enroll.",
        "agent/keystore.",
        "agent/wall.",
        "hal/curves.",
        "hal/ecd",
        "hal/field",
        "hal/machine.",
        "hal/modular.",
        "hal/rsa.",
        "hal/software_ec.",
        "hal/software_x25519.",
    ),
    "keeping tunnels up": (
        "ike/dpd.",
        "ike/halfopen.",
        "ike/lifetime.",
        "ike/natt.",
        "ike/rivals.",
        "agent/upkeep.",
        "agent/inet6.",
        "agent/names.",
        "agent/natt_sockets.",
        "agent/netwatch.",
        "agent/standby.",
        "agent/udp6.",
    ),
    "syslog": ("agent/syslog.",),
}
BOARDS = ("unix", "qemu-rv32")

Modules = dict[str, int]


def run(rounds: int, tell: Tell) -> Report:
    del rounds
    tell("compiling firmware/")
    files = {name: build.files(boards.find(name)) for name in BOARDS}
    carried = {name: _sizes(shipped, "mpy") for name, shipped in files.items()}
    everything = _everything()
    for part in [part for parts in FEATURES.values() for part in parts]:
        if not _size_of(everything, (part,)):
            raise ValueError(f"no module's path begins with {part}")
    report = Report(data={"modules": everything})
    columns = [*map(_by_folder, carried.values()), _by_folder(everything)]
    folders = sorted(set().union(*columns))
    rows = [[folder, *(f"{column[folder]:,}" for column in columns)] for folder in folders]
    rows.append(["total", *(f"{column.total():,}" for column in columns)])
    report.tables = [
        Table("bytes of .mpy", ["folder", *BOARDS, "all of firmware/"], rows),
        Table("the largest", ["module", "bytes"], _largest(everything)),
    ]
    for name, sizes in carried.items():
        apart = {feature: _size_of(sizes, parts) for feature, parts in FEATURES.items()}
        basic = sum(sizes.values()) - sum(apart.values())
        what = f"compiled code on {name}, pre-shared key"
        report.figures.append(Figure(f"size-{name}", what, basic, "bytes", LIMIT))
        report.figures += [
            Figure(f"size-{name}-{index}", f"{name}, more for {feature}", size, "bytes")
            for index, (feature, size) in enumerate(apart.items(), 1)
        ]
    beside = _sizes(files["unix"], "py") | _sizes(files["unix"], "json")
    listed = ", ".join(f"{name} {size:,}" for name, size in beside.items())
    report.notes.append(f"beside it, not compiled, in bytes: {listed}")
    return report


def _sizes(files: dict[str, bytes], suffix: str) -> Modules:
    return {name: len(content) for name, content in files.items() if name.endswith(f".{suffix}")}


def _size_of(modules: Modules, parts: tuple[str, ...]) -> int:
    return sum(size for name, size in modules.items() if name.startswith(parts))


def _everything() -> Modules:
    """Every module that is compiled, those too that only other boards carry."""
    root, sizes = resources.firmware(), {}
    for path in sorted(root.rglob("*.py")):
        name, source = path.relative_to(root).as_posix(), path.read_bytes()
        if name != "main.py" and not source.startswith(build.SOURCE_MARK.encode()):
            sizes[name.removesuffix("py") + "mpy"] = len(build.compiled(name, source))
    return sizes


def _by_folder(modules: Modules) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for name, size in modules.items():
        sizes[f"{PurePath(name).parent}/"] += size
    return sizes


def _largest(modules: Modules) -> list[list[str]]:
    ranked = sorted(modules.items(), key=lambda item: -item[1])
    return [[name, f"{size:,}"] for name, size in ranked[:10]]

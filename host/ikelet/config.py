"""The configuration as the host sees it: TOML, checked against the board's own schema.json.

All errors are found at once; each names the key, what was found and what would do, and none
holds a secret.
"""

import difflib
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from ikelet import access, credentials, psk, resources
from ikelet.errors import MisuseError

Table = dict[str, Any]

_SECTIONS = ("device", "network", "certificate", "syslog", "peer")
_ANYWHERE = "any"  # the address, or the identity, of a peer that its certificate tells apart
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NAME = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TYPES = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a fraction",
    list: "a list",
    dict: "a table",
}
_SAMPLES = {"ipv4": '"10.9.0.254"', "netmask": '"255.255.255.0"'}


class ConfigError(MisuseError):
    """The configuration cannot be used; `errors` holds one line for each reason."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass
class Config:
    """A checked configuration: `board` is the JSON for the board, `warnings` for the user,
    `password` what device.password_file holds."""

    board: Table
    warnings: list[str] = field(default_factory=list)
    password: str | None = field(default=None, repr=False)

    @property
    def peers(self) -> dict[str, Table]:
        peers: dict[str, Table] = self.board["peer"]
        return peers


@cache
def schema() -> Table:
    loaded: Table = json.loads((resources.firmware() / "agent" / "schema.json").read_text())
    return loaded


def load(path: Path, *, allow_weak_psk: bool = False) -> Config:
    """Read and check a TOML file; ConfigError, whose lines start with the file's name."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 text"]) from error
    except ValueError as error:
        # tomllib tells a position and what it expected, never the text itself.
        raise ConfigError([f"{path}: not TOML: {error}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{path}: not a configuration: nested too deeply"]) from error
    try:
        return check(raw, path.parent, allow_weak_psk=allow_weak_psk)
    except ConfigError as error:
        raise ConfigError([f"{path}: {line}" for line in error.errors]) from error


def check(raw: Table, folder: Path = Path(), *, allow_weak_psk: bool = False) -> Config:
    """Check decoded TOML and fill the defaults in; `folder` is what psk_file is relative to."""
    checker = _Checker(folder, allow_weak_psk)
    board = checker.configuration(raw)
    if checker.errors:
        raise ConfigError(checker.errors)
    return Config(board, checker.warnings, checker.password)


def redacted(board: Table) -> Table:
    """A copy that may be shown: the keys are told of, not told."""

    def hidden(section: Table) -> Table:
        secret = ("psk", "wifi_key", "key", "password")
        return {key: "(set)" if key in secret else value for key, value in section.items()}

    peers = {name: hidden(peer) for name, peer in board["peer"].items()}
    shown = {**board, "peer": peers}
    shown |= {name: hidden(board[name]) for name in ("device", "network")}
    if "certificate" in board:
        shown["certificate"] = hidden(board["certificate"])
    return shown


class _Checker:
    def __init__(self, folder: Path, allow_weak_psk: bool) -> None:
        self.folder = folder
        self.allow_weak_psk = allow_weak_psk
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.password: str | None = None

    def configuration(self, raw: Table) -> Table:
        for name in raw:
            if name not in _SECTIONS:
                self.errors.append(_unknown(name, "", list(_SECTIONS), "section"))
        board: Table = {"version": schema()["version"]}
        for name in ("device", "network"):
            board[name] = self._section(raw.get(name, {}), name, schema()[name])
        self._password(board["device"])
        board["peer"] = self._peers(raw.get("peer", {}))
        if "certificate" in raw:
            board["certificate"] = self._certificate(raw["certificate"])
        if "syslog" in raw:
            board["syslog"] = self._section(raw["syslog"], "syslog", schema()["syslog"])
        if not self.errors:
            self._check_together(board)
            for peer in board["peer"].values():
                if peer["auth"] == "psk":
                    _fill_identities(peer, board["network"]["bind"])
        return board

    def _password(self, device: Table) -> None:
        """From password_file to what the board is told: no more than checks the password."""
        file = device.pop("password_file", None)
        if not isinstance(file, str):
            return
        try:
            self.password = access.read_password(self.folder / file)
        except ValueError as error:
            self.errors.append(f"device.password_file {error}")
            return
        if access.is_weak(self.password, schema()["psk"]["words"]):
            self.errors.append(
                f"device.password_file holds a password of less than {access.MINIMUM_BITS} bits "
                f"of entropy; use one from `ikelet psk --format text`"
            )
            return
        self._warn_of_readers(self.folder / file)
        device["password"] = access.verifier(self.password)

    def _certificate(self, given: object) -> Table:
        """The section's files, read: what the board gets of them."""
        table = schema()["certificate"]
        host = {key: spec for key, spec in table.items() if spec.get("host")}
        plain = {key: table[key] for key in ("crl_required",)}
        ready = isinstance(given, dict) and "chain" in given  # as the board has it
        filled = self._section(given, "certificate", table if ready else host | plain)
        if ready or self.errors:
            return filled
        files = {key.removesuffix("_file"): filled.pop(key) for key in host if key in filled}
        if ("pkcs12" in files) == ("certificate" in files):
            self.errors.append(
                "certificate needs either pkcs12_file, or certificate_file with key_file (without "
                "it: the key that the board made, see `ikelet enroll`)"
            )
            return filled
        where = credentials.Files(**{name: self.folder / path for name, path in files.items()})
        try:
            filled |= credentials.section(where)
        except credentials.CredentialsError as error:
            self.errors.append(f"certificate.{error}")
        self.warnings += where.warnings
        return filled

    def _section(self, given: object, path: str, keys: Table) -> Table:
        """The section's valid keys and its defaults; what is wrong goes to `errors`."""
        if not isinstance(given, dict):
            self.errors.append(f"{path} is {_what(given)}; write it as a section [{path}]")
            return {}
        filled: Table = {}
        for key, value in given.items():
            if key not in keys:
                self.errors.append(_unknown(key, f"{path}.", list(keys), "key"))
                continue
            wrong = _why_not(value, keys[key])
            if wrong:
                self.errors.append(f"{path}.{key} {wrong}")
            filled[key] = value
        for key, spec in keys.items():
            if spec.get("required") and key not in given:
                self.errors.append(f"{path}.{key} is missing; add {_example(key, spec)}")
            elif "default" in spec:
                filled.setdefault(key, spec["default"])
        return filled

    def _peers(self, given: object) -> Table:
        limit = schema()["peers"]
        if not isinstance(given, dict) or any(not isinstance(p, dict) for p in given.values()):
            self.errors.append("peer is not a table of peers; write each as a section [peer.NAME]")
            return {}
        if not limit["min"] <= len(given) <= limit["max"]:
            self.errors.append(
                f"{len(given)} peers are configured; "
                f"have {limit['min']} to {limit['max']} sections [peer.NAME]"
            )
        return {name: self._peer(peer, name) for name, peer in given.items()}

    def _peer(self, given: Table, name: str) -> Table:
        path = f"peer.{name}"
        if not 1 <= len(name) <= 32 or not set(name) <= set(_NAME):
            self.errors.append(f"{path}: a peer's name is 1 to 32 letters, digits, - or _")
        before = len(self.errors)
        peer = self._section(given, path, schema()["peer"])
        if peer.get("auth") == "cert":
            self._check_signed(given, peer, path)
        else:
            self._check_keyed(peer, path)
            self._psk(given, peer, path)
        if len(self.errors) == before and not peer["legacy"]:
            self._refuse_legacy(peer, path)
        return peer

    def _check_signed(self, given: Table, peer: Table, path: str) -> None:
        for key in ("psk", "psk_file"):
            if key in given:
                self.errors.append(
                    f'{path}.{key} is of no use with auth = "cert"; in Main Mode both sides have '
                    f"the same pre-shared key, or both have certificates: take it out"
                )
        if "remote_id" not in given:
            self.errors.append(
                f"{path}.remote_id is missing; give the identity in the peer's certificate, such "
                f'as "gw.example" or "C=DE, O=Example, CN=gw", or "any" for whoever has one'
            )
        if peer.get("address") == _ANYWHERE and peer.get("role") != "responder":
            self.errors.append(
                f'{path}.address is "any", and nobody can be called there; give an address, or '
                f'role = "responder"'
            )

    def _check_keyed(self, peer: Table, path: str) -> None:
        """Main Mode tells peers with a pre-shared key apart by their address alone."""
        if peer.get("address") == _ANYWHERE:
            self.errors.append(
                f'{path}.address is "any"; with a pre-shared key the address chooses the key '
                f'(RFC 2409, section 5.4): give it, or use certificates (auth = "cert")'
            )
        for key in ("local_id", "remote_id"):
            value = peer.get(key)
            if isinstance(value, str) and not _is_address(value):
                self.errors.append(
                    f"{path}.{key} is {_quoted(value)}, {_identity_kind(value)}; with a "
                    f"pre-shared key Main Mode tells peers apart by their address alone (RFC "
                    f'2409, section 5.4): use an IP address, or certificates (auth = "cert")'
                )

    def _psk(self, given: Table, peer: Table, path: str) -> None:
        """The key from psk or psk_file into `peer`, if it is strong enough."""
        if "psk" in given and "psk_file" in given:
            self.errors.append(f"{path} has both psk and psk_file; keep one of them")
            return
        file = peer.pop("psk_file", None)
        if isinstance(file, str):
            peer["psk"] = self._read_psk(file, path)
        elif "psk" not in given and "psk_file" not in given:
            self.errors.append(f"{path}.psk is missing; add psk or psk_file")
        key = peer.get("psk")
        if not isinstance(key, str) or _why_not(key, schema()["peer"]["psk"]):
            return
        rule = schema()["psk"]
        bits = psk.estimated_bits(key, rule["words"])
        if bits >= rule["bits"]:
            return
        short = f"{path}.psk has about {bits:.0f} bits of entropy, below {rule['bits']}"
        if self.allow_weak_psk or peer.get("allow_weak_psk") is True:
            peer["allow_weak_psk"] = True
            self.warnings.append(f"{short}: it can be guessed by anyone who poses as a peer")
        else:
            self.errors.append(
                f"{short}; use one from `ikelet psk`, "
                f"or for a lab allow_weak_psk = true or --allow-weak-psk"
            )

    def _read_psk(self, file: str, path: str) -> str | None:
        place = self.folder / file
        try:
            # "-sig": some editors put a mark before the text, which is no part of the key.
            text = place.read_text(encoding="utf-8-sig")
            text = text.removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            if "\0" in file:
                reason = "no name of a file"
            self.errors.append(f"{path}.psk_file cannot be read: {place}: {reason}")
            return None
        self._warn_of_readers(place)
        wrong = _why_not(text, schema()["peer"]["psk"])
        if wrong:
            self.errors.append(f"{path}.psk_file: its content {wrong}")
        return text

    def _warn_of_readers(self, place: Path) -> None:
        if os.name == "posix" and place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.warnings.append(f"{place} can be read by other users: chmod 600 {place}")

    def _refuse_legacy(self, peer: Table, path: str) -> None:
        for proposal in peer["proposals"]:
            for word, part in zip(proposal.split("-"), schema()["proposal"], strict=True):
                if word in part["legacy"]:
                    self.errors.append(
                        f"{path}.proposals: {word} in {proposal} is a legacy {part['part']}; use "
                        f"{_or(part['known'])}, or set legacy = true for a peer that has no better"
                    )

    def _check_together(self, board: Table) -> None:
        self._check_network(board["network"])
        bind = ip_address(board["network"]["bind"])
        seen: dict[str, str] = {}
        for name, peer in board["peer"].items():
            if peer["auth"] == "cert" and "certificate" not in board:
                self.errors.append(
                    f'peer.{name}.auth is "cert"; add a section [certificate] with '
                    f"certificate_file, key_file and ca_file"
                )
            if "backup" in peer and (why := _why_no_backup(name, board["peer"])):
                self.errors.append(f"peer.{name}.backup is {_quoted(peer['backup'])}, {why}")
            if peer["address"] == _ANYWHERE:
                continue
            literal = _is_address(peer["address"])
            address = ip_address(peer["address"]) if literal else peer["address"].lower()
            if not isinstance(address, str) and address.version != bind.version:
                self.errors.append(
                    f"peer.{name}.address is IPv{address.version}, but network.bind ({bind}) is "
                    f"IPv{bind.version}; give both of one family"
                )
            if not isinstance(address, str) and (why := _why_nobodys(address)):
                self.errors.append(f"peer.{name}.address is {address}, {why}; give the gateway's")
            other = seen.setdefault(str(address), name)
            if other != name:
                self.errors.append(
                    f"peer.{name}.address {address} is also that of peer.{other}; the address "
                    f"chooses the pre-shared key, so each peer needs its own"
                )

    def _check_network(self, network: Table) -> None:
        for key, needed in (("wifi_key", "ssid"), ("gateway", "netmask")):
            if key in network and needed not in network:
                self.errors.append(f"network.{key} is of no use without network.{needed}; add it")
        if network["port"] == network["natt_port"]:
            self.errors.append(
                f"network.natt_port is {network['natt_port']}, as network.port is; give it "
                f"another (4500 is usual), or 0 for none"
            )
        if "netmask" not in network:
            return
        bind = ip_address(network["bind"])
        if bind.version != 4 or bind.is_unspecified:
            self.errors.append(
                "network.netmask belongs to an address of the board's own; give it in "
                "network.bind, or leave both away for DHCP"
            )
            return
        own = ip_network(f"{bind}/{network['netmask']}", strict=False)
        gateway = network.get("gateway")
        if gateway and ip_address(gateway) not in own:
            self.errors.append(f"network.gateway is {gateway}, which is not within {own}")


def _why_nobodys(address: IPv4Address | IPv6Address) -> str | None:
    """Why no single host can have an address, as the end of a sentence."""
    if address.is_multicast:
        return "which is a group's"
    first = int(address) >> 24
    if address.is_unspecified or (address.version == 4 and (first == 0 or first >= 240)):
        return "which no host has"
    return None


def _why_no_backup(name: str, peers: Table) -> str | None:
    """Why a peer cannot have the backup that it names, as the end of a sentence."""
    backup = peers[name]["backup"]
    others = [other for other in peers if other != name]
    if backup not in others:
        known = f"; there are: {', '.join(others)}" if others else ", and there is none"
        return f"which is no other peer{known}"
    if "responder" in (peers[name]["role"], peers[backup]["role"]):
        return 'which only an initiator has a use for; give both role = "initiator" or "both"'
    if "backup" in peers[backup]:
        return "which has a backup itself; name only one for each"
    return None


def _fill_identities(peer: Table, bind: str) -> None:
    if _is_address(peer["address"]):
        peer.setdefault("remote_id", peer["address"])
    if not ip_address(bind).is_unspecified:
        peer.setdefault("local_id", bind)


def _why_not(value: object, spec: Table) -> str | None:
    """What is wrong with `value`, as the end of a sentence that starts with its key."""
    kind: str = spec["type"]
    lists = {"proposals": list, "certificates": list}
    expected = {"int": int, "bool": bool, **lists}.get(kind, str)
    if type(value) is not expected:
        return f"is {_what(value)}; write {_TYPES[expected]}, such as {_sample(kind)}"
    match value:
        case int() if kind == "int" and not spec["min"] <= value <= spec["max"]:
            return f"is {value}; use a whole number from {spec['min']} to {spec['max']}"
        case list() if kind == "proposals":
            return _why_not_proposals(value, spec)
        case str():
            return _why_not_text(value, kind, spec)
    return None


def _why_not_text(value: str, kind: str, spec: Table) -> str | None:
    if kind == "choice" and value not in spec["choices"]:
        return f"is {_quoted(value)}; use {_or(spec['choices'])}"
    if kind == "name" and not (0 < len(value) <= spec["max"] and set(value) <= {*_NAME, "."}):
        return f"is {_quoted(value)}; use 1 to {spec['max']} letters, digits, - _ or ."
    anywhere = spec.get("any") and value == _ANYWHERE
    named = spec.get("name") and _is_host_name(value)
    if kind == "address" and not _is_address(value) and not anywhere and not named:
        name = ', or a name such as "gw.example"' if spec.get("name") else ""
        return f'is {_quoted(value)}; use an IPv4 or IPv6 address such as "10.9.0.1"{name}'
    if kind == "identity" and not 1 <= len(value) <= 255:
        return f"has {len(value)} characters; use 1 to 255"
    if kind == "text" and not spec["min"] <= len(value.encode()) <= spec["max"]:
        return f"has {len(value.encode())} bytes; use {spec['min']} to {spec['max']}"
    if kind == "verifier" and not re.fullmatch(
        r"[1-9][0-9]{3,7}\$[0-9a-f]{32}\$[0-9a-f]{64}", value
    ):
        return "is not made here; put the password into a file and name that in password_file"
    if kind in ("ipv4", "netmask"):
        return _why_not_ipv4(value, kind)
    if kind == "psk":
        try:
            size = len(psk.decoded(value))
        except ValueError as error:
            return str(error)
        if not 1 <= size <= spec["max"]:
            return f"has {size} bytes; use 1 to {spec['max']}"
    return None


def _why_not_ipv4(value: str, kind: str) -> str | None:
    if _is_address(value) and ip_address(value).version == 4:
        host = ~int(ip_address(value)) & 0xFFFFFFFF
        if kind == "ipv4" or host & (host + 1) == 0:
            return None
    sample = "a netmask such as" if kind == "netmask" else "an IPv4 address such as"
    return f"is {_quoted(value)}; use {sample} {_SAMPLES[kind]}"


def _why_not_proposals(value: list[object], spec: Table) -> str | None:
    if not 1 <= len(value) <= spec["max"]:
        return f"has {len(value)} entries; list 1 to {spec['max']} proposals"
    for proposal in value:
        wrong = _why_not_proposal(proposal)
        if wrong:
            return f"has {_quoted(proposal)}: {wrong}"
        if value.count(proposal) > 1:
            return f"has {_quoted(proposal)} twice; keep one"
    return None


def _why_not_proposal(proposal: object) -> str | None:
    parts = schema()["proposal"]
    words = proposal.split("-") if isinstance(proposal, str) else []
    for word in words:
        if word in schema()["never"]:
            return f"{word} is never offered, whatever legacy says; take it out"
    if len(words) != len(parts):
        return 'write cipher-hash-group, such as "aes256-sha256-modp2048"'
    for word, part in zip(words, parts, strict=True):
        if word not in part["known"] + part["legacy"]:
            return f"{_quoted(word)} is no {part['part']} known here; use {_or(part['known'])}"
    return None


def _is_address(text: str) -> bool:
    try:
        # No zone; nor an IPv4 address within one of IPv6, which never comes on a wire.
        odd = "%" in text or (":" in text and "." in text)
        return not odd and bool(ip_address(text))
    except ValueError:
        return False


def _is_host_name(text: str) -> bool:
    """Of two labels at least, so that no slip passes for a name."""
    labels = text.split(".")
    return (
        len(text) <= 253
        and len(labels) > 1
        and not labels[-1].isdigit()
        and all(_LABEL.fullmatch(label) for label in labels)
    )


def _identity_kind(text: str) -> str:
    if "=" in text:
        return "a distinguished name"
    return "a user's name" if "@" in text else "a domain name"


def _unknown(key: str, path: str, known: list[str], what: str) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {path}{near[0]}?" if near else f"known: {', '.join(_suggested(known))}"
    return f"{path}{key} is an unknown {what}; {hint}"


def _suggested(keys: list[str]) -> Iterator[str]:
    return (key for key in keys if key != "allow_weak_psk")


def _what(value: object) -> str:
    """The kind of a value: never the value itself, which may be a secret in the wrong place."""
    return _TYPES.get(type(value), "a date or time")


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        return _what(value)
    return json.dumps(value if len(value) <= 60 else value[:57] + "...", ensure_ascii=False)


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _sample(kind: str) -> str:
    samples = {"int": "500", "bool": "true", "proposals": '["aes256-sha256-modp2048"]'}
    return samples.get(kind, '"..."')


def _example(key: str, spec: Table) -> str:
    sample = {"address": '"10.9.0.1"', "name": '"branch-17"'}
    return f"{key} = {sample.get(spec['type'], '...')}"

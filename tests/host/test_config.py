"""The host's check: every error names the key, what was found and what would do."""

import base64
import copy
from pathlib import Path
from typing import Any

import pytest

import agent.config
from ikelet import config, psk

STRONG = "q9Vd-2mXr7_LtZw4.Kc8"
CANARY = "canary-in-the-coal-mine"
GOOD: dict[str, Any] = {
    "device": {"name": "branch-17"},
    "network": {"bind": "10.9.0.2"},
    "peer": {"hq": {"address": "10.9.0.1", "psk": STRONG}},
}

# (key path, value, words the error must hold: what was found, what would do)
WRONG = [
    ("device.name", "", ['""', "1 to 63 letters"]),
    ("device.name", "a b", ['"a b"', "letters"]),
    ("device.strict", "yes", ["a text", "true or false"]),
    ("device.colour", "red", ["unknown key", "known: name"]),
    ("network.bind", "eth0", ['"eth0"', "IPv4 or IPv6"]),
    ("network.port", 0, ["is 0", "1 to 65535"]),
    ("network.port", 65536, ["65536", "1 to 65535"]),
    ("network.port", "500", ["a text", "a whole number"]),
    ("network.port", True, ["true or false", "a whole number"]),
    ("network.prot", 500, ["unknown key", "did you mean network.port?"]),
    ("network.netmask", "255.0.255.0", ['"255.0.255.0"', '"255.255.255.0"']),
    ("network.netmask", "/24", ['"/24"', '"255.255.255.0"']),
    ("network.gateway", "fe80::1", ['"fe80::1"', "IPv4 address"]),
    ("network.gateway", "10.9.0.254", ["without network.netmask"]),
    ("network.ssid", "", ["0 bytes", "1 to 32"]),
    ("network.ssid", "ü" * 17, ["34 bytes", "1 to 32"]),
    ("network.wifi_key", "seven77", ["7 bytes", "8 to 63"]),
    ("network.wifi_key", "long enough", ["without network.ssid"]),
    ("syslog.address", "logs.example", ['"logs.example"', "IPv4 or IPv6 address"]),
    ("peer.hq.address", "hq", ['"hq"', "address", "or a name"]),
    ("peer.hq.address", "-hq.example", ['"-hq.example"', "or a name"]),
    ("peer.hq.address", "10.9.1", ['"10.9.1"', "or a name"]),
    ("peer.hq.address", "0.0.0.0", ["0.0.0.0", "no host has"]),
    ("peer.hq.address", "255.255.255.255", ["no host has"]),
    ("peer.hq.address", "224.0.0.1", ["a group's"]),
    ("peer.hq.remote_id", "::ffff:10.9.0.9", ["IP address"]),
    ("network.natt_port", 500, ["is 500", "as network.port is", "4500"]),
    ("peer.hq.backup", "other", ['"other"', "no other peer"]),
    ("peer.hq.backup", "hq", ["no other peer"]),
    ("peer.hq.backup", 7, ["a whole number", "a text"]),
    ("peer.hq.role", "client", ['"client"', "initiator, responder or both"]),
    ("peer.hq.auth", "rsa", ['"rsa"', "use psk or cert"]),
    ("peer.hq.address", "any", ["chooses the key", "certificates"]),
    ("peer.hq.auth", "xauth", ['"xauth"', "use psk"]),
    ("peer.hq.local_id", "branch.example", ["domain name", "an IP address", "certificates"]),
    ("peer.hq.local_id", "me@branch.example", ["user's name", "certificates"]),
    ("peer.hq.remote_id", "CN=hq, O=example", ["distinguished name", "certificates"]),
    ("peer.hq.lifetime", 59, ["is 59", "60 to 604800"]),
    ("peer.hq.lifetime", 1.5, ["fraction", "whole number"]),
    ("peer.hq.retransmit", "never", ['"never"', "strongswan or fast"]),
    ("peer.hq.proposals", "aes256-sha256-modp2048", ["a text", "a list"]),
    ("peer.hq.proposals", [], ["0 entries", "1 to 16"]),
    ("peer.hq.proposals", ["aes256-sha256"], ["aes256-sha256", "cipher-hash-group"]),
    ("peer.hq.proposals", ["aes256-sha3-modp2048"], ["no hash", "sha256, sha384 or sha512"]),
    ("peer.hq.proposals", ["aes256-sha256-modp2048"] * 2, ["twice", "keep one"]),
    ("peer.hq.proposals", ["des-sha256-modp2048"], ["des is never offered"]),
    ("peer.hq.proposals", ["aes256-sha256-modp768"], ["modp768 is never offered"]),
    ("peer.hq.proposals", ["3des-sha256-modp2048"], ["legacy cipher", "legacy = true"]),
    ("peer.hq.proposals", ["aes128-md5-modp2048"], ["legacy hash", "legacy = true"]),
    ("peer.hq.proposals", ["aes128-sha256-modp1024"], ["legacy group", "legacy = true"]),
    ("peer.hq.psk", "", ["0 bytes", "1 to 256"]),
    ("peer.hq.psk", 1234, ["a whole number", "a text"]),
    ("peer.hq.psk", "0xabc", ["0x", "hexadecimal"]),
    ("peer.hq.psk", "0s!!!", ["0s", "base64"]),
    ("peer.hq.psk", "password", ["80", "ikelet psk", "--allow-weak-psk"]),
    ("peer.hq.psk_fiel", "key", ["unknown key", "did you mean peer.hq.psk_file?"]),
]
IDS = [f"{path}={value}" for path, value, _ in WRONG]


def _with(path: str, value: object) -> dict[str, Any]:
    raw = copy.deepcopy(GOOD)
    *sections, key = path.split(".")
    table = raw
    for section in sections:
        table = table.setdefault(section, {})
    table[key] = value
    return raw


def _errors(raw: dict[str, Any], folder: Path = Path()) -> list[str]:
    with pytest.raises(config.ConfigError) as caught:
        config.check(raw, folder)
    return caught.value.errors


@pytest.mark.parametrize(("path", "value", "words"), WRONG, ids=IDS)
def test_error_names_key_finding_and_remedy(path: str, value: object, words: list[str]) -> None:
    errors = _errors(_with(path, value))
    assert len(errors) == 1
    assert errors[0].startswith(path)
    assert [word for word in words if word not in errors[0]] == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": 1514}, "syslog.address is missing"),
        ({"address": "10.9.0.9", "facility": "kern"}, 'syslog.facility is "kern"; use user, dae'),
        ({"address": "10.9.0.9", "port": 0}, "syslog.port is 0"),
        ({"address": "10.9.0.9", "prot": 1}, "did you mean syslog.port?"),
    ],
)
def test_a_section_that_need_not_be_there(given: dict[str, Any], words: str) -> None:
    (error,) = _errors(GOOD | {"syslog": given})
    assert words in error
    assert len(agent.config.check(GOOD | {"syslog": given}, config.schema())) == 1


def test_syslog_has_defaults() -> None:
    board = config.check(GOOD | {"syslog": {"address": "10.9.0.9"}}).board
    assert board["syslog"] == {"address": "10.9.0.9", "port": 514, "facility": "daemon"}
    assert agent.config.complete(board, config.schema())["syslog"] == board["syslog"]


@pytest.mark.parametrize(("path", "value"), [w[:2] for w in WRONG], ids=IDS)
def test_board_refuses_what_the_host_refuses(path: str, value: object) -> None:
    errors = agent.config.check(_with(path, value), config.schema())
    assert [e for e in errors if e.startswith(path + ": ")], errors


def test_all_errors_at_once() -> None:
    raw = _with("network.port", 0)
    raw["peer"]["hq"] |= {"role": "client", "lifetime": 1}
    raw["peers"] = {}
    del raw["device"]["name"]
    assert sorted(e.split()[0] for e in _errors(raw)) == [
        "device.name", "network.port", "peer.hq.lifetime", "peer.hq.role", "peers",
    ]  # fmt: skip


def test_board_accepts_and_completes_what_the_host_makes() -> None:
    loaded = config.check(GOOD)
    assert agent.config.check(loaded.board, config.schema()) == []
    assert agent.config.complete(loaded.board, config.schema()) == loaded.board
    assert agent.config.complete(GOOD, config.schema()) == loaded.board


def test_missing_peer_key_and_address() -> None:
    assert "peer.hq.psk is missing; add psk or psk_file" in _errors(_with("peer.hq", {}))
    assert any("peer.hq.address is missing" in e for e in _errors(_with("peer.hq", {})))
    assert "0 peers" in _errors(_with("peer", {}))[0]


def test_peers_with_one_address() -> None:
    raw = copy.deepcopy(GOOD)
    raw["peer"]["other"] = dict(raw["peer"]["hq"])
    assert "also that of peer.hq" in _errors(raw)[0]


def test_a_name_for_an_address() -> None:
    """Its identity is the address that it will turn out to have, on the host and on the board."""
    raw = _with("peer.hq.address", "gw.hq-1.example")
    loaded = config.check(raw)
    assert "remote_id" not in loaded.peers["hq"]
    assert loaded.peers["hq"]["local_id"] == "10.9.0.2"
    assert agent.config.check(loaded.board, config.schema()) == []
    assert agent.config.complete(raw, config.schema()) == loaded.board
    raw["peer"]["other"] = raw["peer"]["hq"] | {"address": "GW.hq-1.example"}
    assert "also that of peer.hq" in _errors(raw)[0]
    assert agent.config.check(raw, config.schema())


def test_backups() -> None:
    raw = copy.deepcopy(GOOD)
    raw["peer"]["spare"] = raw["peer"]["hq"] | {"address": "10.9.0.3"}
    raw["peer"]["hq"]["backup"] = "spare"
    assert agent.config.check(config.check(raw).board, config.schema()) == []
    for changes, why in (
        ({"spare": {"role": "responder"}}, "only an initiator"),
        ({"hq": {"role": "responder"}}, "only an initiator"),
        ({"spare": {"backup": "hq"}}, "has a backup itself"),
    ):
        wrong = copy.deepcopy(raw)
        for name, values in changes.items():
            wrong["peer"][name] |= values
        assert any(why in error for error in _errors(wrong)), why
        errors = agent.config.check(wrong, config.schema())
        assert any(error.startswith("peer.hq.backup: ") for error in errors), errors


def test_families_must_match() -> None:
    assert "IPv6" in _errors(_with("peer.hq.address", "fd00::1"))[0]


def test_netmask_needs_an_address_of_its_own() -> None:
    for bind in ("0.0.0.0", "fd00::2"):
        raw = _with("network.bind", bind)
        raw["network"]["netmask"] = "255.255.255.0"
        raw["peer"]["hq"]["address"] = "10.9.0.1" if bind == "0.0.0.0" else "fd00::1"
        assert "network.netmask" in _errors(raw)[0]
        on_board = agent.config.check(raw, config.schema())
        assert [e.split(":")[0] for e in on_board] == ["network.netmask"]


def test_gateway_is_within_the_network() -> None:
    raw = _with("network.netmask", "255.255.255.252")
    raw["network"]["gateway"] = "10.9.0.5"
    assert _errors(raw) == ["network.gateway is 10.9.0.5, which is not within 10.9.0.0/30"]
    raw["network"]["gateway"] = "10.9.0.3"
    assert config.check(raw).board["network"]["gateway"] == "10.9.0.3"
    assert agent.config.check(raw, config.schema()) == []


def test_allow_weak_psk_warns_instead() -> None:
    for loaded in (
        config.check(_with("peer.hq.psk", "password"), allow_weak_psk=True),
        config.check(_with("peer.hq", GOOD["peer"]["hq"] | {"psk": "pw", "allow_weak_psk": True})),
    ):
        assert "peer.hq.psk has about" in loaded.warnings[0]
        assert loaded.peers["hq"]["allow_weak_psk"] is True
        assert agent.config.check(loaded.board, config.schema()) == []


class TestPskFile:
    def _raw(self, file: str) -> dict[str, Any]:
        return _with("peer.hq", {"address": "10.9.0.1", "psk_file": file})

    def test_is_relative_to_the_configuration(self, tmp_path: Path) -> None:
        key = tmp_path / "hq.key"
        key.write_text(STRONG + "\n")
        key.chmod(0o600)
        loaded = config.check(self._raw("hq.key"), tmp_path)
        assert loaded.peers["hq"]["psk"] == STRONG
        assert "psk_file" not in loaded.peers["hq"]
        assert loaded.warnings == []

    def test_open_permissions_warn(self, tmp_path: Path) -> None:
        key = tmp_path / "hq.key"
        key.write_text(STRONG)
        key.chmod(0o644)
        (warning,) = config.check(self._raw("hq.key"), tmp_path).warnings
        assert "chmod 600" in warning

    def test_absent_empty_or_binary(self, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        assert "No such file" in _errors(self._raw("absent"), tmp_path)[0]
        assert "0 bytes" in _errors(self._raw("empty"), tmp_path)[0]
        assert "not UTF-8" in _errors(self._raw("binary"), tmp_path)[0]

    def test_excludes_psk(self, tmp_path: Path) -> None:
        raw = self._raw("hq.key")
        raw["peer"]["hq"]["psk"] = STRONG
        assert "both psk and psk_file" in _errors(raw, tmp_path)[0]


@pytest.mark.parametrize(
    "peer",
    [
        {"psk": CANARY, "port": 0},
        {"psk": "0x" + CANARY},
        {"psk": "0s" + CANARY + "!"},
        {"psk": [CANARY]},
        {"psk": {CANARY: 1}},
        {"pks": CANARY},
        {"psk": CANARY + "a" * 300},
        {"psk": "password" + CANARY, "psk_file": "x"},
    ],
)
def test_no_error_holds_the_key(peer: dict[str, Any]) -> None:
    raw = _with("peer.hq", {"address": "10.9.0.1"} | peer)
    assert CANARY not in "\n".join(_errors(raw))
    assert CANARY not in "\n".join(agent.config.check(raw, config.schema()))


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    with pytest.raises(config.ConfigError, match="No such file"):
        config.load(path)
    path.write_text(f"[peer.hq]\nport = {CANARY}\n")
    with pytest.raises(config.ConfigError, match=r"c\.toml: not TOML: .*line 2") as caught:
        config.load(path)
    assert CANARY not in str(caught.value)
    path.write_bytes(b"\xff")
    with pytest.raises(config.ConfigError, match="not UTF-8"):
        config.load(path)


def test_redacted_hides_only_the_keys() -> None:
    raw = _with("network.wifi_key", CANARY)
    raw["network"]["ssid"] = "branch"
    board = config.check(raw).board
    shown = config.redacted(board)
    assert STRONG not in str(shown)
    assert CANARY not in str(shown)
    assert shown["network"]["ssid"] == "branch"
    assert shown["peer"]["hq"]["address"] == "10.9.0.1"
    assert board["peer"]["hq"]["psk"] == STRONG


SPELLINGS = (
    "Winter2024!",
    "0x" + b"Winter2024!".hex(),
    "0s" + base64.b64encode(b"Winter2024!").decode(),
    "0x" + b"password-branch".hex(),
    "Headquarters2025",
)


@pytest.mark.parametrize("key", SPELLINGS)
def test_a_weak_text_is_weak_however_it_is_spelled(key: str) -> None:
    rule = config.schema()["psk"]
    assert psk.estimated_bits(key, rule["words"]) < rule["bits"]
    as_text = psk.decoded(key).decode()
    assert psk.estimated_bits(key, rule["words"]) == psk.estimated_bits(as_text, rule["words"])


def test_estimate_agrees_with_the_boards() -> None:
    rule = config.schema()["psk"]
    samples = [
        *("password" * n for n in range(1, 12)),
        *("xK9_mQ2-vL7.pR4,tB8:nC3;wF6"[:n] for n in range(1, 28)),
        *(psk.generate() for _ in range(20)),
        *("0x" + "5fa1c39e"[:8] * n for n in range(1, 9)),
        "abcdefghijklmnopqrstuvwxyz0123456789", "9876543210", "aAbBcCdDeEfF", "Zwölf Boxkämpfer",
        *SPELLINGS,
    ]  # fmt: skip
    for key in samples:
        weak = psk.estimated_bits(key, rule["words"]) < rule["bits"]
        assert agent.config.is_weak(key, rule) == weak, key


def test_generated_keys_are_strong_and_differ() -> None:
    keys = {psk.generate() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert len(psk.decoded(key)) == 24
        assert psk.estimated_bits(key, config.schema()["psk"]["words"]) > 150


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "1" * 5000, "not TOML"),
        ("a = " + "[" * 20000, "nested too deeply"),
        (
            '[device]\nname = "b"\n[peer.hq]\naddress = "10.9.0.1"\npsk_file = "a\\u0000b"',
            "no name",
        ),
    ],
)
def test_odd_files(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "branch.toml"
    file.write_text(text)
    with pytest.raises(config.ConfigError, match=words):
        config.load(file)


def test_a_mark_before_a_key_is_no_part_of_it(tmp_path: Path) -> None:
    key = psk.generate()
    (tmp_path / "hq.key").write_text("\ufeff" + key)
    (tmp_path / "hq.key").chmod(0o600)
    raw = {"device": {"name": "b"}, "peer": {"hq": {"address": "10.9.0.1", "psk_file": "hq.key"}}}
    assert config.check(raw, tmp_path).peers["hq"]["psk"] == key

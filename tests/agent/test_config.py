"""The board's own check of its configuration: the host's schema, whoever wrote it."""

import json

import agent.config as config

_HERE = config.__file__.rpartition("/")[0]
_STRONG = "q9Vd-2mXr7_LtZw4.Kc8"
_CANARY = "canary-in-the-coal-mine"


def _schema():
    with open(_HERE + "/schema.json") as file:
        return json.load(file)


def _config(**changes):
    peer = {"address": "10.9.0.1", "psk": _STRONG}
    peer.update(changes)
    for key in [key for key, value in peer.items() if value is None]:
        del peer[key]
    return {"device": {"name": "b"}, "network": {"bind": "10.9.0.2"}, "peer": {"hq": peer}}


def _errors(**changes):
    return config.check(_config(**changes), _schema())


def test_defaults_are_filled_in():
    schema = _schema()
    assert config.check(_config(), schema) == []
    full = config.complete(_config(), schema)
    peer = full["peer"]["hq"]
    assert full["network"] == {"bind": "10.9.0.2", "port": 500, "natt_port": 0}
    assert (peer["local_id"], peer["remote_id"]) == ("10.9.0.2", "10.9.0.1")
    assert peer["proposals"][0] == "aes256-sha256-modp2048"
    assert (peer["lifetime"], peer["role"], peer["auth"]) == (28800, "initiator", "psk")
    assert full["device"]["strict"] is True


def test_identity_is_left_open_where_the_address_is():
    given = _config()
    del given["network"]
    assert config.check(given, _schema()) == []
    assert "local_id" not in config.complete(given, _schema())["peer"]["hq"]


def test_each_wrong_value_is_named():
    for key, value in (
        ("address", "gateway"),
        ("address", "10.9.0.256"),
        ("address", 7),
        ("port", 0),
        ("port", 65536),
        ("port", True),
        ("port", "500"),
        ("role", "client"),
        ("auth", "rsa"),
        ("auth", []),
        ("local_id", "branch.example"),
        ("remote_id", "CN=hq"),
        ("remote_id", None),
        ("lifetime", 59),
        ("lifetime", 604801),
        ("lifetime", 60.5),
        ("legacy", 1),
        ("proposals", []),
        ("proposals", "aes256-sha256-modp2048"),
        ("proposals", ["aes256-sha256"]),
        ("proposals", ["aes256-sha256-modp2048", 3]),
        ("proposals", ["aes256-sha256-modp2048"] * 2),
        ("proposals", ["des-sha256-modp2048"]),
        ("proposals", ["aes256-sha256-modp768"]),
        ("psk", "0xabc"),
        ("psk", "0s!"),
        ("psk", ""),
        ("psk", 12),
        ("psk_file", "/key"),
        ("colour", "red"),
    ):
        given = _config()
        given["peer"]["hq"][key] = value
        errors = config.check(given, _schema())
        assert any(e.startswith("peer.hq.%s: " % key) for e in errors), (key, value, errors)


def test_legacy_algorithms_need_the_switch():
    for word in ("3des-sha256-modp2048", "aes128-sha1-modp2048", "aes128-md5-modp1024"):
        assert _errors(proposals=[word])
        assert _errors(proposals=[word], legacy=True) == []
    assert _errors(proposals=["des-md5-modp768"], legacy=True)


def test_weak_keys_need_the_switch():
    for weak in ("password", "aaaaaaaaaaaaaaaaaaaaaaaa", "correct-horse", "0x" + "00" * 32):
        assert _errors(psk=weak), weak
        assert _errors(psk=weak, allow_weak_psk=True) == [], weak
    for strong in (_STRONG, "0x9f3c5ae1d27b60488315", "0sn4Zq0y1mB7t3Vw9k2Rc6Xw=="):
        assert _errors(psk=strong) == [], strong


def test_missing_and_extra():
    assert _errors(psk=None) == ["peer.hq.psk: missing"]
    assert _errors(address=None) == ["peer.hq.address: missing"]
    schema = _schema()
    for given in ({}, [], None, 3, {"device": []}, {"peer": {"hq": None}}, {"peer": {"a b": {}}}):
        assert config.check(given, schema)
    given = _config()
    given["wifi"] = {}
    assert config.check(given, schema) == ["wifi: unknown section"]


def test_two_peers_cannot_share_an_address():
    given = _config()
    given["peer"]["other"] = dict(given["peer"]["hq"])
    assert len(config.check(given, _schema())) == 1
    given["peer"]["other"]["address"] = "10.9.0.3"
    assert config.check(given, _schema()) == []
    given["peer"]["other"]["address"] = "fd00::3"
    assert len(config.check(given, _schema())) == 1


def test_addresses():
    for text in ("0.0.0.0", "255.255.255.255", "10.9.0.1"):
        assert config.address_family(text) == 4
    for text in ("::", "::1", "fe80::1", "1:2:3:4:5:6:7:8", "1::2:3:4:5:6:7"):
        assert config.address_family(text) == 6, text
    for text in ("", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.-4", "1.2.3.4 ", "1:2", "1::2::3"):
        assert config.address_family(text) == 0, text
    for text in (
        ":1",
        "1:2:3:4:5:6:7:8:9",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7::8",
        "12345::",
        "::ffff:1.2.3.4",
        "1.2.3.4::",
        None,
        4,
    ):
        assert config.address_family(text) == 0, text


def test_no_error_and_no_copy_tells_the_key():
    given = _config(psk=_CANARY, port=0, local_id="x.example")
    assert _CANARY not in repr(config.check(given, _schema()))
    given = _config(psk="0x" + _CANARY)
    assert _CANARY not in repr(config.check(given, _schema()))
    given = _config(psk=[_CANARY])
    assert _CANARY not in repr(config.check(given, _schema()))


def test_key_spellings():
    assert config.psk_bytes("0x00ff") == b"\x00\xff"
    assert config.psk_bytes("0sAP8=") == b"\x00\xff"
    assert config.psk_bytes("schl\u00fcssel") == b"schl\xc3\xbcssel"


def test_network_of_the_board():
    schema = _schema()
    for network, found in (
        ({"bind": "10.9.0.2", "netmask": "255.255.255.0", "gateway": "10.9.0.1"}, []),
        ({"bind": "10.9.0.2", "netmask": "255.255.255.255"}, []),
        ({"ssid": "branch", "wifi_key": _CANARY}, []),
        ({"ssid": "open"}, []),
        ({"bind": "10.9.0.2", "netmask": "255.255.0.255"}, ["network.netmask"]),
        ({"bind": "10.9.0.2", "netmask": "ffff::"}, ["network.netmask"]),
        ({"netmask": "255.255.255.0"}, ["network.netmask"]),
        ({"bind": "10.9.0.2", "gateway": "10.9.0.1"}, ["network.gateway"]),
        ({"wifi_key": _CANARY}, ["network.wifi_key"]),
        ({"ssid": "s", "wifi_key": "short"}, ["network.wifi_key"]),
        ({"ssid": "s", "wifi_key": _CANARY * 3}, ["network.wifi_key"]),
        ({"ssid": "s" * 33}, ["network.ssid"]),
        ({"ssid": 7}, ["network.ssid"]),
    ):
        errors = config.check(dict(_config(), network=network), schema)
        assert [error.partition(":")[0] for error in errors] == found, (network, errors)
        assert _CANARY not in str(errors)

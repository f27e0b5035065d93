"""Provisioning, interrupted anywhere: the board has the old configuration or the new one."""

from binascii import hexlify

from agent.store import Empty, Lost, Store
from flash import Flash, PowerLost, Supply

OLD = {
    "device": {"name": "old"},
    "network": {"ssid": "branch", "wifi_key": "old-canary-wifi"},
    "peer": {"hq": {"address": "10.0.0.1", "psk": "old-canary-psk"}},
}
NEW = {
    "device": {"name": "new"},
    "network": {"bind": "10.0.0.2"},
    "peer": {
        "hq": {"address": "10.0.0.1", "psk": "new-canary-psk"},
        "dc": {"address": "10.0.0.9", "psk": "0xc0ffee"},
    },
}
THIRD = dict(NEW, device={"name": "third"})
TAGS = (b"0123456789abcdef", b"fedcba9876543210", b"zyxwvutsrqponmlk")


def _board(kind="torn"):
    supply = Supply()
    return supply, Flash(supply, kind), Flash(supply, kind)


def _outcome(files, secrets):
    try:
        return Store(files, secrets).load()
    except Empty:
        return "empty"
    except Lost:
        return "lost"


def _provisioned(kind, configs):
    supply, files, secrets = _board(kind)
    for config, tag in zip(configs, TAGS):
        Store(files, secrets).save(config, tag)
    return supply, files, secrets


def _interrupt_everywhere(kind, before, new, expected_before, spoil=None):
    """Save `new` with power for 0, 1, 2 ... steps; how often the old and the new was found."""
    seen = {"old": 0, "new": 0}
    steps = 0
    while True:
        supply, files, secrets = _provisioned(kind, before)
        if spoil:
            spoil(files, secrets)
        supply.left = steps
        interrupted = False
        try:
            Store(files, secrets).save(new, TAGS[2])
        except PowerLost:
            interrupted = True
        supply.left = 1 << 29
        found = _outcome(files, secrets)
        assert found in (expected_before, new), (kind, steps, found)
        seen["new" if found == new else "old"] += 1
        # Whatever was left half done, the board can be provisioned again.
        Store(files, secrets).save(THIRD, b"A" * 16)
        assert _outcome(files, secrets) == THIRD, (kind, steps)
        _no_other_keys(files, secrets, THIRD)
        if not interrupted:
            assert found == new
            return seen
        steps += 1


def _no_other_keys(files, secrets, config):
    assert len(secrets.content) == 1
    assert len(files.content) == 1
    text = b"".join(secrets.content.values()) + b"".join(files.content.values())
    assert b"old-canary" not in text
    for peer in config["peer"].values():
        assert peer["psk"].encode() not in b"".join(files.content.values())


def test_what_is_saved_is_loaded():
    for config in (OLD, NEW):
        _, files, secrets = _provisioned("torn", [config])
        assert Store(files, secrets).load() == config


def test_saving_leaves_the_given_configuration_alone():
    given = {"network": dict(OLD["network"]), "peer": {"hq": dict(OLD["peer"]["hq"])}}
    _provisioned("torn", [given])
    assert given["peer"]["hq"]["psk"] == "old-canary-psk"
    assert given["network"]["wifi_key"] == "old-canary-wifi"


def test_secrets_are_not_in_the_files():
    _, files, secrets = _provisioned("torn", [OLD])
    text = b"".join(files.content.values())
    assert b"canary" not in text
    assert b"branch" in text
    kept = b"".join(secrets.content.values())
    assert b"old-canary-psk" in kept and b"old-canary-wifi" in kept


def test_old_keys_are_removed_after_the_switch():
    _, files, secrets = _provisioned("torn", [OLD, NEW])
    _no_other_keys(files, secrets, NEW)


def test_a_plain_configuration_is_removed_after_the_switch():
    _, files, secrets = _board()
    files.content["config.json"] = b"old-canary"
    Store(files, secrets).save(NEW, TAGS[0])
    _no_other_keys(files, secrets, NEW)


def test_interrupted_at_every_byte():
    for kind in ("torn", "mixed", "whole"):
        seen = _interrupt_everywhere(kind, [OLD], NEW, OLD)
        assert seen["old"] > 200 and seen["new"] > 1, seen


def test_interrupted_at_every_byte_in_the_other_slot():
    _interrupt_everywhere("torn", [NEW, OLD], NEW, OLD)


def test_interrupted_at_every_byte_of_the_first_provisioning():
    _interrupt_everywhere("torn", [], NEW, "empty")


def test_interrupted_at_every_byte_after_a_loss():
    """A loss stays a loss until a new configuration is whole: never a board that seems new."""

    def lose(files, secrets):
        secrets.content.clear()

    _interrupt_everywhere("torn", [OLD], NEW, "lost", lose)


def test_interrupted_twice():
    """The second attempt begins on what the first left."""
    supply, files, secrets = _provisioned("torn", [OLD])
    before = dict(files.content), dict(secrets.content)
    Store(files, secrets).save(NEW, TAGS[1])
    total = len(b"".join(files.content.values()) + b"".join(secrets.content.values())) + 3
    for first in range(0, total, 7):
        for second in range(0, total, 31):
            files.content, secrets.content = dict(before[0]), dict(before[1])
            for steps, tag in ((first, TAGS[1]), (second, TAGS[2])):
                supply.left = steps
                try:
                    Store(files, secrets).save(NEW, tag)
                except PowerLost:
                    pass
            supply.left = 1 << 29
            assert _outcome(files, secrets) in (OLD, NEW), (first, second)


def test_lost_secrets_are_told_from_an_empty_board():
    _, files, secrets = _provisioned("torn", [OLD, NEW])
    secrets.content.clear()
    assert _outcome(files, secrets) == "lost"
    files.content.clear()
    assert _outcome(files, secrets) == "empty"


def test_secrets_of_another_configuration_do_not_count():
    _, files, secrets = _provisioned("torn", [OLD])
    _, _, others = _provisioned("torn", [OLD, NEW, OLD])
    assert list(others.content) == list(secrets.content)
    assert _outcome(files, others) == "lost"


def test_a_spoilt_file_does_not_count():
    _, files, secrets = _provisioned("torn", [OLD])
    (name,) = files.content
    whole = files.content[name]
    for i in range(len(whole)):
        files.content[name] = whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :]
        assert _outcome(files, secrets) == "empty", i


def test_what_cannot_be_read_back_for_want_of_memory_does_not_count():
    _, files, secrets = _provisioned("short", [OLD])
    short = Store(files, secrets)
    real, slots = short._slot, []

    def read(slot):
        slots.append(slot)
        if len(slots) == 3:
            raise MemoryError
        return real(slot)

    short._slot = read
    try:
        short.save(NEW, TAGS[1])
    except MemoryError:
        assert Store(files, secrets).load() == OLD
    else:
        raise AssertionError("not noticed")


def test_a_write_that_does_not_stick_is_refused():
    class Deaf(Flash):
        def write(self, name, data):
            pass

    supply = Supply()
    for files, secrets in (
        (Deaf(supply), Flash(supply)),
        (Flash(supply), Deaf(supply)),
    ):
        try:
            Store(files, secrets).save(NEW, TAGS[0])
        except OSError as error:
            assert "read back" in str(error)
        else:
            raise AssertionError("not noticed")


def test_tags_are_stored_readably():
    _, files, _ = _provisioned("torn", [OLD])
    assert hexlify(TAGS[0]) in b"".join(files.content.values())

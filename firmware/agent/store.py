"""The configuration on the board: two slots, so that what interrupts a write leaves old or new.

A slot is a file, its first line the SHA-256 of the rest, and the secrets, in NVS where the board
has it: pre-shared keys and the Wi-Fi key. Saving writes the slot that is not in use: the secrets
first, the file last; only with its last byte does the slot become valid, and the newest valid slot
counts. A random tag in both halves tells whether they belong together.
"""

import hashlib
import json
import os
from binascii import hexlify

from micropython import const

_SLOTS = ("a", "b")
_TAG_BYTES = const(16)
_SECRETS = (
    ("network", "wifi_key"),
    ("certificate", "key"),
    ("device", "password"),
)  # and every peer's psk
FAILURES = const("wrong_proofs")  # see agent.access
_PLAIN = const(
    "config.json"
)  # a bench's configuration, keys and all; it counts where no slot does


class Empty(Exception):
    """Nothing was ever provisioned."""


class Lost(Exception):
    """A configuration is there, but its secrets are gone: the board must be provisioned again."""


class Files:
    """Small files of the board's file system, below `path`."""

    def __init__(self, path=""):
        self._path = path

    def read(self, name):
        """The content, None where there is none."""
        try:
            with open(self._path + name, "rb") as file:
                return file.read()
        except OSError:
            return None

    def write(self, name, data):
        with open(self._path + name, "wb") as file:
            file.write(data)

    def remove(self, name):
        try:
            os.remove(self._path + name)
        except OSError:
            pass  # it was not there


class Nvs:
    """The same, in the ESP32's non-volatile storage: plaintext, unless flash is encrypted."""

    def __init__(self):
        import esp32

        self._nvs = esp32.NVS("ikelet")

    def read(self, name):
        buffer = bytearray(4000)
        try:
            return bytes(buffer[: self._nvs.get_blob(name, buffer)])
        except OSError:
            return None

    def write(self, name, data):
        self._nvs.set_blob(name, data)
        self._nvs.commit()

    def remove(self, name):
        try:
            self._nvs.erase_key(name)
            self._nvs.commit()
        except OSError:
            pass  # it was not there


class Store:
    """`files` and `secrets` each have read(name), write(name, data), remove(name)."""

    def __init__(self, files, secrets):
        self._files = files
        self._secrets = secrets

    def load(self):
        """The configuration, keys included; Empty, Lost."""
        slots = self._slots()
        if not slots:
            raise Empty
        if not slots[-1][0]:
            raise Lost
        return slots[-1][3]

    def save(self, config, tag):
        """Make `config` the one that load() returns. `tag`: 16 random bytes."""
        slots = self._slots()
        generation, slot = 1, _SLOTS[0]
        if slots:
            _, generation, used, _ = slots[-1]
            generation += 1
            slot = _other(used)
        public, secrets = _parted(config)
        content = {"generation": generation, "tag": hexlify(tag).decode(), "config": public}
        data = json.dumps(content).encode()
        self._secrets.write(_secret(slot), bytes(tag) + json.dumps(secrets).encode())
        self._files.write(_file(slot), _checksum(data) + b"\n" + data)
        slots = public = secrets = content = data = None  # reading takes as much again
        try:
            written = self._slot(slot)
        except MemoryError:
            self._files.remove(_file(slot))  # what is refused must not count
            raise
        if not written or not written[0] or written[1] != generation:
            raise OSError("what was written cannot be read back")
        # The old keys have no use any more, and wrong guesses were about the old password.
        self._secrets.remove(FAILURES)
        self._secrets.remove(_secret(_other(slot)))
        self._files.remove(_file(_other(slot)))
        self._files.remove(_PLAIN)

    def _slots(self):
        """[(has its secrets, generation, slot, configuration)] of the whole slots, best last."""
        found = [slot for slot in [self._slot(name) for name in _SLOTS] if slot]
        return sorted(found, key=lambda entry: entry[:2])

    def _slot(self, slot):
        """One of them, None where it is not whole."""
        checksum, _, data = (self._files.read(_file(slot)) or b"").partition(b"\n")
        if not data or checksum != _checksum(data):
            return None
        content = json.loads(data.decode())
        secret = self._secrets.read(_secret(slot)) or b""
        config = None
        if hexlify(secret[:_TAG_BYTES]).decode() == content["tag"]:
            config = _joined(content["config"], json.loads(secret[_TAG_BYTES:].decode()))
        return config is not None, content["generation"], slot, config


def open_store(path=""):
    """The board's own store."""
    files = Files(path)
    try:
        return Store(files, Nvs())
    except ImportError:
        return Store(files, files)


def current(path=""):
    """The configuration that counts; Empty, Lost, ValueError."""
    try:
        return open_store(path).load()
    except Empty:
        pass
    try:
        with open(path + _PLAIN) as file:
            return json.load(file)
    except OSError:
        raise Empty


def secrets_of(path=""):
    """What holds the board's secrets."""
    try:
        return Nvs()
    except ImportError:
        return Files(path)


def _parted(config):
    """(the configuration without its secrets, the secrets alone)."""
    public = dict(config, peer={})
    secrets = {"psk": {}}
    for name, peer in config["peer"].items():
        public["peer"][name] = kept = dict(peer)
        if "psk" in kept:
            secrets["psk"][name] = kept.pop("psk")
    for section, key in _SECRETS:
        if key in config.get(section, ()):
            public[section] = kept = dict(config[section])
            secrets[key] = kept.pop(key)
    return public, secrets


def _joined(config, secrets):
    for name, key in secrets["psk"].items():
        config["peer"][name]["psk"] = key
    for section, key in _SECRETS:
        if key in secrets:
            config[section][key] = secrets[key]
    return config


def _other(slot):
    return _SLOTS[1 - _SLOTS.index(slot)]


def _file(slot):
    return "config_%s.json" % slot


def _secret(slot):
    return "secret_" + slot


def _checksum(data):
    return hexlify(hashlib.sha256(data).digest())

"""The configuration on the board: two slots, so that what interrupts a write leaves old or new.

A slot is a file, its first line the SHA-256 of the rest, and a secret: the pre-shared keys, in
NVS where the board has it. Saving writes the slot that is not in use: the secret first, the file
last; only with its last byte does the slot become valid, and the newest valid slot counts. A
random tag in both halves tells whether they belong together.
"""

import hashlib
import json
import os
from binascii import hexlify

_SLOTS = ("a", "b")
_TAG_BYTES = 16


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
        slots, lost = self._slots()
        if slots:
            return slots[-1][2]
        if lost:
            raise Lost
        raise Empty

    def save(self, config, tag):
        """Make `config` the one that load() returns. `tag`: 16 random bytes."""
        slots, _ = self._slots()
        generation, slot = 1, _SLOTS[0]
        if slots:
            generation, used, _ = slots[-1]
            generation += 1
            slot = _SLOTS[1 - _SLOTS.index(used)]
        keys = {}
        public = dict(config, peer={})
        for name, peer in config["peer"].items():
            public["peer"][name] = kept = dict(peer)
            keys[name] = kept.pop("psk", None)
        content = {"generation": generation, "tag": hexlify(tag).decode(), "config": public}
        data = json.dumps(content).encode()
        self._secrets.write("psk_" + slot, bytes(tag) + json.dumps(keys).encode())
        self._files.write(_file(slot), _checksum(data) + b"\n" + data)
        if self._slots()[0][-1][1] != slot:
            raise OSError("what was written cannot be read back")
        for other in _SLOTS:
            if other != slot:  # the old keys have no use any more
                self._secrets.remove("psk_" + other)
                self._files.remove(_file(other))

    def _slots(self):
        """([(generation, slot, configuration)] of the valid slots, the newest last; any lost)."""
        found = []
        lost = False
        for slot in _SLOTS:
            content = self._content(slot)
            if content is None:
                continue
            secret = self._secrets.read("psk_" + slot)
            if secret is None or hexlify(secret[:_TAG_BYTES]).decode() != content["tag"]:
                lost = True
                continue
            config = content["config"]
            for name, key in json.loads(secret[_TAG_BYTES:].decode()).items():
                config["peer"][name]["psk"] = key
            found.append((content["generation"], slot, config))
        return sorted(found, key=lambda item: item[0]), lost

    def _content(self, slot):
        checksum, _, data = (self._files.read(_file(slot)) or b"").partition(b"\n")
        return json.loads(data.decode()) if data and checksum == _checksum(data) else None


def open_store(path=""):
    """The board's own store."""
    files = Files(path)
    try:
        return Store(files, Nvs())
    except ImportError:
        return Store(files, files)


def _file(slot):
    return "config_%s.json" % slot


def _checksum(data):
    return hexlify(hashlib.sha256(data).digest())

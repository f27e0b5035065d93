"""The cases of tests/vectors/pki.jsonl, for both interpreters: one in memory at a time."""

import binascii
import gc
import hashlib
import json

from pki import Refused
from pki.certificate import Certificate

# Beside the tests, wherever they were started.
_FILE = __file__.rsplit("/", 2)[0] + "/vectors/pki.jsonl"


class Cases:
    def __init__(self):
        self._at = {}  # label of a certificate, or name of a case -> where its line begins
        self._good = set()  # the marks of the good signatures of all that was read
        self.names = []
        at = 0
        with open(_FILE, "rb") as file:
            for line in file:
                start = line[:400].decode()
                kind, name = start.split('"', 4)[1:4:2]
                self._at[name] = at
                if kind == "name":
                    self.names.append(name)
                at += len(line)
                gc.collect()  # or what is kept lies strewn all over a small heap

    def __getitem__(self, name):
        with open(_FILE, "rb") as file:
            file.seek(self._at[name])
            return json.loads(file.readline())

    def der(self, label):
        line = self[label]
        if "mark" in line:
            self._good.add(line["mark"])
        return binascii.a2b_base64(line["der"])

    def chain(self, name):
        return [self.der(label) for label in self[name]["chain"]]

    def anchors(self, name):
        return [Certificate(self.der(label)) for label in self[name]["anchors"]]

    def crls(self, name):
        return [self.der(label) for label in self[name]["crls"]]

    def verify(self, key, name, message, signature):
        """As pyca/cryptography found when the vectors were made."""
        public = (
            b"".join([bytes(part) for part in key.public]) if key.kind == "rsa" else key.public
        )
        digests = [hashlib.sha256(bytes(part)).digest() for part in (public, message, signature)]
        mark = binascii.hexlify(hashlib.sha256(b"".join(digests)).digest())[:16]
        return mark.decode() in self._good


def refused(function, *arguments):
    """The code for which `function` refuses what it is given, None where it does not."""
    try:
        function(*arguments)
    except Refused as refused:
        return refused.code
    return None

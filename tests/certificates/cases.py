"""The cases of tests/vectors/pki.json, for both interpreters."""

import binascii
import hashlib
import json

from pki import Refused
from pki.certificate import Certificate

# Beside the tests, wherever they were started.
_FILE = __file__.rsplit("/", 2)[0] + "/vectors/pki.json"


class Cases:
    def __init__(self):
        with open(_FILE) as file:
            content = json.load(file)
        self._certificates = content["certificates"]
        self._good = set(content["good"])
        self._cases = {case["name"]: case for case in content["cases"]}
        self.names = [case["name"] for case in content["cases"]]

    def __getitem__(self, name):
        return self._cases[name]

    def der(self, label):
        return binascii.a2b_base64(self._certificates[label])

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

"""One certificate (RFC 5280 section 4), read once and completely: what is there is well-formed.

Whether it may be used for something is for `pki.path` to say.
"""

from micropython import const

from pki import Refused, der, times
from pki.name import check

MAX_SIZE = const(4096)  # a key of 4096 bits takes 1.1 KB with its signature; the rest is names

DIGITAL_SIGNATURE = const(0x80)  # keyUsage (section 4.2.1.3), first byte
NON_REPUDIATION = const(0x40)
KEY_CERT_SIGN = const(0x04)
CRL_SIGN = const(0x02)

DNS_NAME = const(0x82)  # subjectAltName (section 4.2.1.6): tags of GeneralName
RFC822_NAME = const(0x81)
IP_ADDRESS = const(0x87)

_MIN_RSA = const(2048)
_MAX_RSA = const(4096)
_MAX_SERIAL = const(21)  # 20 and the sign's (section 4.1.2.2)

# Whole AlgorithmIdentifiers: the parameters, or that there are none, belong to the algorithm.
RSA = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
_EC = const(b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01")
CURVES = {
    b"\x30\x13" + _EC + b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07": ("ecp256", 256),
    b"\x30\x10" + _EC + b"\x06\x05\x2b\x81\x04\x00\x22": ("ecp384", 384),
    b"\x30\x10" + _EC + b"\x06\x05\x2b\x81\x04\x00\x23": ("ecp521", 521),
}
_RSA_WITH = const(b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01")  # + algorithm, NULL
_ECDSA_WITH = const(b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03")  # + algorithm
_HASHES_RSA = {4: "md5", 5: "sha1", 11: "sha256", 12: "sha384", 13: "sha512"}
_HASHES_ECDSA = {2: "sha256", 3: "sha384", 4: "sha512"}
_ECDSA_SHA1 = const(b"\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01")

# Extensions of section 4.2.1 by the last byte of 2.5.29.x; the RFC 4945 section 5.1.3.12 purposes.
_STANDARD = const(b"\x55\x1d")
_CONSTRAINTS = const(b"\x1e\x24\x36")  # of names, of policies, inhibitAnyPolicy
_PURPOSES = (
    b"\x2b\x06\x01\x05\x05\x07\x03\x11",  # id-kp-ipsecIKE
    b"\x55\x1d\x25\x00",  # anyExtendedKeyUsage
)


class Key:
    """A public key: `kind` "rsa" or "ec", its size in `bits`, and `public` as the HAL takes it.

    RSA: (n, e), big-endian without leading zeros. EC, on `curve` "ecp256", "ecp384", "ecp521":
    the point x || y, of which nobody has checked yet that it is on the curve.
    """

    def __init__(self, spki):
        reader = der.only(spki)
        algorithm = bytes(reader.whole(der.SEQUENCE))
        bits = reader.bits()
        reader.end()
        if algorithm == RSA:
            self._rsa(bits)
        elif algorithm in CURVES:
            self.kind = "ec"
            self.curve, self.bits = CURVES[algorithm]
            if len(bits) != 1 + 2 * ((self.bits + 7) // 8) or bits[0] != 4:
                raise Refused("bad-key")  # compressed, or of another curve
            self.public = bits[1:]
        else:
            raise Refused("unsupported-algorithm")

    def _rsa(self, bits):
        reader = der.only(bits)
        modulus, exponent = der.unsigned(reader.integer()), der.unsigned(reader.integer())
        reader.end()
        self.kind, self.curve = "rsa", None
        self.public = modulus, exponent
        self.bits = 8 * len(modulus)
        top = modulus[0]
        while self.bits and not top & 0x80:
            self.bits -= 1
            top = top << 1 | 1
        if self.bits < _MIN_RSA:
            raise Refused("weak-key")
        e = int.from_bytes(exponent[:4], "big")
        if self.bits > _MAX_RSA or not modulus[-1] & 1 or len(exponent) > 4 or e < 3 or not e & 1:
            raise Refused("bad-key")


class Certificate:
    """`encoded` (DER, kept as it is) read into views of it; Refused.

    tbs, serial, issuer, subject, signature: memoryviews, the names with their tags.
    not_before, not_after: Unix seconds. signer, hash: "rsa" or "ec", "sha256" ... "md5".
    ca, pathlen (None: any), key_usage (first byte; None: absent), for_ike (None: no extended key
    usage), ski, aki (key identifiers or None). key: a Key, or None.

    `flaw` is the code for which a well-formed certificate can never be used, or None: it is for
    the caller to raise, once he knows who says so.
    """

    def __init__(self, encoded):
        if len(encoded) > MAX_SIZE:
            raise Refused("too-large")
        self.encoded = encoded
        self.tbs, algorithm, self.signature = der.signed(encoded)
        self.signer, self.hash = signature_algorithm(algorithm)
        tbs = der.only(self.tbs)
        if tbs.optional(0xA0) != b"\x02\x01\x02":
            raise Refused("unsupported-version")
        self.serial = serial_number(tbs)
        if tbs.whole(der.SEQUENCE) != algorithm:
            raise Refused("algorithm-mismatch")
        self.issuer = tbs.whole(der.SEQUENCE)
        validity = tbs.enter()
        self.not_before, self.not_after = times.read(validity), times.read(validity)
        validity.end()
        self.subject = tbs.whole(der.SEQUENCE)
        if not check(self.issuer):
            raise der.malformed()
        check(self.subject)
        self.flaw = self.key = None
        try:
            self.key = Key(tbs.whole(der.SEQUENCE))
        except Refused as refused:
            self._flawed(refused.code)
        tbs.optional(0x81)  # unique identifiers of the issuer and the subject
        tbs.optional(0x82)
        self.ca, self.pathlen, self.key_usage, self.for_ike = False, None, None, None
        self.ski = self.aki = self._names = None
        if tbs.more():
            for kind, critical, value in extensions(tbs.take(0xA3)):
                self._extension(kind, critical, value)
        tbs.end()

    def alternatives(self):
        """The subjectAltName: yields (tag of the GeneralName, content)."""
        if self._names is not None:
            reader = der.only(self._names)
            while reader.more():
                yield reader.any()

    def _extension(self, kind, critical, value):
        if kind == 0x0E:
            self.ski = _single(value, der.OCTET_STRING)
        elif kind == 0x0F:
            self.key_usage = _key_usage(_single(value, der.BIT_STRING))
        elif kind == 0x11:
            self._names = value
            if value == b"\x30\x00":
                raise der.malformed()
            for tag, content in self.alternatives():
                _check_alternative(tag, content)
        elif kind == 0x13:
            reader = der.only(value)
            self.ca = reader.true()
            if reader.more():
                self.pathlen = reader.small()
            reader.end()
            if self.pathlen is not None and not self.ca:
                raise der.malformed()
        elif kind in _CONSTRAINTS:
            self._flawed("constraints")  # not enforced here, so that nobody may rely on them
        elif kind == 0x23:
            self.aki = key_identifier(value)
        elif kind == 0x25:
            reader = der.only(value)
            self.for_ike = False
            while reader.more():
                self.for_ike = bytes(reader.oid()) in _PURPOSES or self.for_ike
        elif critical:
            self._flawed("critical-extension")

    def _flawed(self, code):
        if code == "malformed-der":
            raise Refused(code)
        self.flaw = self.flaw or code


def signature_algorithm(algorithm):
    """Of a whole AlgorithmIdentifier: ("rsa" or "ec", the hash's name); Refused."""
    size = len(algorithm)
    kind, name = None, None
    if size == 15 and algorithm[:12] == _RSA_WITH and algorithm[13:] == b"\x05\x00":
        kind, name = "rsa", _HASHES_RSA.get(algorithm[12])
    elif size == 12 and algorithm[2:11] == _ECDSA_WITH:
        kind, name = "ec", _HASHES_ECDSA.get(algorithm[11])
    elif algorithm == _ECDSA_SHA1:
        kind, name = "ec", "sha1"
    if not name:
        raise Refused("unsupported-algorithm")
    return kind, name


def algorithm_of(kind, name):
    """The AlgorithmIdentifier, DER, of a key's kind and a hash's name; ValueError."""
    numbers = _HASHES_RSA if kind == "rsa" else _HASHES_ECDSA
    for number, known in numbers.items():
        if known == name:
            if kind == "rsa":
                return _RSA_WITH + bytes((number, der.NULL, 0))
            return b"\x30\x0a" + _ECDSA_WITH + bytes((number,))
    raise ValueError("hash")


def serial_number(reader):
    """Take a serial number: positive, of 20 bytes at most (section 4.1.2.2)."""
    serial = reader.integer()
    if len(serial) > _MAX_SERIAL or not any(serial):
        raise der.malformed()
    return serial


def extensions(content):
    """The content of an [n] EXPLICIT Extensions: yields (kind, critical, value), each kind once.

    `kind` is the last part of an OID 2.5.29.kind, else 0.
    """
    listed = der.only(content)
    seen = set()
    if not listed.more():
        raise der.malformed()
    while listed.more():
        extension = listed.enter()
        oid = bytes(extension.oid())
        critical = extension.true()
        value = extension.take(der.OCTET_STRING)
        extension.end()
        if oid in seen:
            raise der.malformed()
        seen.add(oid)
        yield (oid[2] if len(oid) == 3 and oid[:2] == _STANDARD else 0), critical, value


def key_identifier(value):
    """Of an authorityKeyIdentifier: the key identifier, or None."""
    reader = der.only(value)
    identifier = reader.optional(0x80)
    # The issuer's own issuer and serial number: both or neither, and not used.
    if (reader.optional(0xA1) is None) is not (reader.optional(0x82) is None):
        raise der.malformed()
    reader.end()
    return identifier


def _single(value, tag):
    """The content of the one element in an extension's value."""
    reader = der.Reader(value)
    content = reader.take(tag)
    reader.end()
    return content


def _key_usage(content):
    """The first byte of the bits; the ninth, decipherOnly, is for key agreement."""
    if not 2 <= len(content) <= 3 or content[0] > 7 or content[-1] & ((1 << content[0]) - 1):
        raise der.malformed()
    return content[1]


def _check_alternative(tag, content):
    if tag in (DNS_NAME, RFC822_NAME, 0x86):  # IA5String, in which neither blanks nor controls do
        fits = len(content) and min(content) > 0x20 and max(content) < 0x7F
    elif tag == IP_ADDRESS:
        fits = len(content) in (4, 16)
    elif tag == 0xA4:
        check(content)
        fits = True
    elif tag == 0xA0:  # otherName
        reader = der.Reader(content)
        reader.oid()
        value = reader.enter(0xA0)
        value.any()
        value.end()
        reader.end()
        fits = True
    else:  # registeredID; nobody has x400Address or ediPartyName
        fits = tag == 0x88 and der.is_oid(content)
    if not fits:
        raise der.malformed()

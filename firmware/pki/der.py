"""DER (X.690), read with bounds: definite minimal lengths, one-byte tags, nothing left over.

The reader follows the grammar of its caller and never the nesting of its input, so that there is
no depth to bound; every element is checked against what is left of the one around it.
"""

from micropython import const

from pki import Refused

BOOLEAN = const(0x01)
INTEGER = const(0x02)
BIT_STRING = const(0x03)
OCTET_STRING = const(0x04)
NULL = const(0x05)
OID = const(0x06)
ENUMERATED = const(0x0A)
UTF8_STRING = const(0x0C)
PRINTABLE_STRING = const(0x13)
IA5_STRING = const(0x16)
UTC_TIME = const(0x17)
GENERALIZED_TIME = const(0x18)
SEQUENCE = const(0x30)
SET = const(0x31)

_LENGTH_BYTES = const(2)  # nothing that is read here comes near 64 KB


def malformed():
    return Refused("malformed-der")


class Reader:
    """Takes the elements of `data` (a memoryview, or a bytes-like) one after the other."""

    def __init__(self, data):
        self.data = memoryview(data)
        self.at = 0

    def more(self):
        """True unless all was taken."""
        return self.at < len(self.data)

    def peek(self):
        """The tag of the next element; 0, which no element here has, at the end."""
        return self.data[self.at] if self.at < len(self.data) else 0

    def _next(self, tag):
        """Where the content of the next element begins, and where it ends."""
        data = self.data
        at = self.at
        left = len(data) - at
        if left < 2 or data[at] != tag:
            raise malformed()
        length = data[at + 1]
        at += 2
        left -= 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= _LENGTH_BYTES or left < size:
                raise malformed()
            length = data[at]
            if size == 2:
                length = length << 8 | data[at + 1]
            if length < (0x80 if size == 1 else 0x100):  # a shorter form would have done
                raise malformed()
            at += size
            left -= size
        if length > left:
            raise malformed()
        return at, at + length

    def take(self, tag):
        """The content of the next element, whose tag it must be, as a memoryview."""
        begin, self.at = self._next(tag)
        return self.data[begin : self.at]

    def whole(self, tag):
        """The next element with its tag and length."""
        at = self.at
        self.at = self._next(tag)[1]
        return self.data[at : self.at]

    def optional(self, tag):
        """The content of the next element if it has this tag, else None."""
        return self.take(tag) if self.peek() == tag else None

    def enter(self, tag=SEQUENCE):
        """A reader of the content of the next element."""
        return Reader(self.take(tag))

    def any(self):
        """The next element, of any one-byte tag: (tag, content)."""
        tag = self.peek()
        if not tag or tag & 0x1F == 0x1F:
            raise malformed()
        return tag, self.take(tag)

    def end(self):
        """Nothing may be left."""
        if self.at != len(self.data):
            raise malformed()

    def integer(self, tag=INTEGER):
        """The content of an INTEGER that is not negative, in as few bytes as it takes."""
        content = self.take(tag)
        if not len(content) or content[0] & 0x80:
            raise malformed()
        if len(content) > 1 and not content[0] and not content[1] & 0x80:
            raise malformed()
        return content

    def oid(self):
        """The content of an OBJECT IDENTIFIER whose parts are whole, and not padded."""
        content = self.take(OID)
        if not is_oid(content):
            raise malformed()
        return content

    def small(self):
        """An INTEGER below 2**15, as a number."""
        content = self.integer()
        if len(content) > 2:
            raise malformed()
        return int.from_bytes(content, "big")

    def true(self):
        """An optional BOOLEAN that is FALSE by default, and then, in DER, absent."""
        content = self.optional(BOOLEAN)
        if content is None:
            return False
        if len(content) != 1 or content[0] != 0xFF:
            raise malformed()
        return True

    def bits(self):
        """The bytes of a BIT STRING that has whole bytes: a key, a signature."""
        content = self.take(BIT_STRING)
        if len(content) < 2 or content[0]:
            raise malformed()
        return content[1:]


def only(data, tag=SEQUENCE):
    """A reader of the one element that `data` is."""
    reader = Reader(data)
    inner = reader.enter(tag)
    reader.end()
    return inner


def signed(data):
    """The parts of a SIGNED element, as certificates and CRLs are: what was signed and its
    algorithm, each with its tag, and the signature's bytes."""
    outer = only(data)
    parts = outer.whole(SEQUENCE), outer.whole(SEQUENCE), outer.bits()
    outer.end()
    return parts


def unsigned(content):
    """An INTEGER's content (see `Reader.integer`) without the zero byte of its sign."""
    return content[1:] if len(content) > 1 and not content[0] else content


def is_oid(content):
    """True of the content of an OBJECT IDENTIFIER: its parts are whole, and not padded."""
    first = True
    for byte in content:
        if first and byte == 0x80:
            return False
        first = byte < 0x80
    return len(content) > 0 and first

"""Distinguished names, and whether a certificate belongs to an IKE identity (RFC 4945 section 3).

Within a chain of certificates names are compared byte for byte; identities, which people write,
are compared without regard to the kind of string, to case, and to runs of blanks.
"""

from micropython import const

from pki import der

ID_IPV4 = const(1)  # RFC 2407 section 4.6.2.1
ID_FQDN = const(2)
ID_USER_FQDN = const(3)
ID_IPV6 = const(5)
ID_DN = const(9)
ID_KEY_ID = const(11)

_TELETEX = const(0x14)  # as OpenSSL wrote before 2000, and compared as it is
_TEXT = (der.UTF8_STRING, der.PRINTABLE_STRING, der.IA5_STRING)
# Identity -> tag of the GeneralName that may hold it.
ALTERNATIVES = {ID_IPV4: 0x87, ID_IPV6: 0x87, ID_FQDN: 0x82, ID_USER_FQDN: 0x81}


def attributes(name):
    """Of a Name (DER): yields (number of its RDN, OID, tag and content of the value); Refused."""
    sequence = der.only(name)
    number = 0
    while sequence.more():
        names = sequence.enter(der.SET)
        last, kinds = b"", []
        while names.more() or not kinds:
            encoded = bytes(names.whole(der.SEQUENCE))
            attribute = der.only(encoded)
            oid = attribute.oid()
            tag, value = attribute.any()
            attribute.end()
            # The parts of an RDN are a SET OF: in the order of their encodings, each kind once.
            if encoded <= last or oid in kinds or not is_text(tag, value):
                raise der.malformed()
            last = encoded
            kinds.append(oid)
            yield number, oid, tag, value
        number += 1


def is_text(tag, value):
    """True if an attribute's value is text. Of rare kinds of string only TeletexString passes."""
    if tag == der.UTF8_STRING:
        try:
            str(value, "utf-8")
        except ValueError:
            return False
        return True
    if tag == der.PRINTABLE_STRING:
        return all(printable(byte) for byte in value)
    if tag == der.IA5_STRING:
        return all(byte < 0x80 for byte in value)
    return tag == _TELETEX


def printable(byte):
    """True of the characters of a PrintableString."""
    return 0x61 <= byte | 0x20 <= 0x7A or 0x30 <= byte <= 0x39 or byte in b" '()+,-./:=?"


def check(name):
    """Refused unless it is a well-formed Name; the number of its attributes."""
    return sum(1 for _ in attributes(name))


def same(a, b):
    """True if two Names (DER) are the same to a reader; Refused where one is none."""
    return a == b or _plain(a) == _plain(b)


def matches(kind, data, certificate):
    """True if the certificate says that its owner has this identity (type and data of an ID).

    A DN is its subject, an address, FQDN or USER_FQDN a subjectAltName, exactly: wildcards stand
    for themselves. A KEY_ID is its subject key identifier, as strongSwan has it.
    """
    if kind == ID_DN:
        return len(data) > 2 and same(data, certificate.subject)
    if kind == ID_KEY_ID:
        return certificate.ski is not None and data == certificate.ski
    tag = ALTERNATIVES.get(kind)
    for found, content in certificate.alternatives():
        if found == tag and equal(kind, data, kind, content):
            return True
    return False


def equal(kind, data, other_kind, other):
    """True if two identities are the same."""
    if kind != other_kind:
        return False
    if kind == ID_DN:
        return same(data, other)
    data, other = bytes(data), bytes(other)
    if kind == ID_FQDN:
        return data.lower() == other.lower()
    if kind == ID_USER_FQDN:  # who reads the mail is a matter of case, where is not
        user, _, host = data.partition(b"@")
        other_user, _, other_host = other.partition(b"@")
        return user == other_user and host.lower() == other_host.lower()
    return data == other


def _plain(name):
    plain = []
    for number, oid, tag, value in attributes(name):
        value = bytes(value)
        if tag in _TEXT:
            tag, value = 0, b" ".join(value.lower().split())
        plain.append((number, bytes(oid), tag, value))
    return plain

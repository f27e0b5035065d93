"""Identities: how they are written, and which certificate they belong to."""

from binascii import unhexlify

from certificates.cases import refused
from pki import der, dn, name
from pki.encode import element


class Owner:
    """As much of a certificate as an identity is compared with."""

    def __init__(self, subject="CN=x", alternatives=(), ski=None):
        self.subject = memoryview(dn.encode(subject))
        self.ski = ski
        self._alternatives = alternatives

    def alternatives(self):
        return iter(self._alternatives)


def fails(function, *arguments):
    try:
        function(*arguments)
    except ValueError:
        return True
    return False


def test_a_dn_is_encoded_as_strongswan_does():
    # strongSwan 5.9.8: pki --self --type ecdsa --dn "C=DE, O=Lab, CN=gw.example"
    made = dn.encode("C=DE, O=Lab, CN=gw.example")
    assert made == unhexlify(
        "3030310b3009060355040613024445310c300a060355040a13034c6162311330110603550403130a67772e"
        "6578616d706c65"
    )
    assert dn.encode("/C=DE/O=Lab/CN=gw.example") == made
    assert dn.encode("c=DE,o=Lab,cn=gw.example") == made


def test_the_kind_of_string_is_the_least_that_will_do():
    def tags(text):
        return [tag for _, _, tag, _ in name.attributes(dn.encode(text))]

    assert tags("CN=aZ 09'()+\\,-./:=?") == [der.PRINTABLE_STRING]
    assert tags("CN=a_b") == [der.UTF8_STRING]
    assert tags("CN=\u00e4") == [der.UTF8_STRING]
    assert tags("E=a@b, DC=example") == [der.IA5_STRING, der.IA5_STRING]


def test_dn_round_trip():
    for text in (
        "C=DE, O=Lab, CN=gateway",
        "C=DE, ST=Bayern, L=Ort, O=Lab, OU=a, OU=b, CN=c, E=a@b.example",
        "O=Lab\\, Inc., CN=back\\\\slash",
        "DC=example, DC=org, UID=u, SN=17, S=s, G=g, N=n, T=t, D=d, I=i",
        "CN=m\u00fcller",
    ):
        assert dn.text(dn.encode(text)) == text
    assert dn.encode("emailAddress=a@b") == dn.encode("E=a@b")


def test_dn_shown_cannot_break_a_line():
    assert dn.text(dn.encode("CN=a\nb")) == "CN=#610a62"
    broken = element(0x30, element(0x31, element(0x30, b"\x06\x03\x55\x04\x63", b"\x14\x01\xff")))
    assert dn.text(broken) == "#550463=#ff"
    two = (
        element(0x30, b"\x06\x03\x55\x04\x03\x13\x01b"),
        element(0x30, b"\x06\x03\x55\x04\x0a\x13\x01a"),
    )
    assert dn.text(element(0x30, element(0x31, *two))) == "CN=b + O=a"


def test_dn_refusals():
    for text in ("", "CN", "CN=", "=x", "XX=a", "CN=a,,O=b", "CN=a, ", "/", "//CN=a"):
        assert fails(dn.encode, text), text


def test_identities():
    expected = {
        "C=DE, CN=a": (name.ID_DN, dn.encode("C=DE, CN=a")),
        "dn:CN=a": (name.ID_DN, dn.encode("CN=a")),
        "gw.example": (name.ID_FQDN, b"gw.example"),
        "@gw.example": (name.ID_FQDN, b"gw.example"),
        "fqdn:a@b": (name.ID_FQDN, b"a@b"),
        "a@b.example": (name.ID_USER_FQDN, b"a@b.example"),
        "@@a@b.example": (name.ID_USER_FQDN, b"a@b.example"),
        "email:a": (name.ID_USER_FQDN, b"a"),
        "@#00ff": (name.ID_KEY_ID, b"\x00\xff"),
        "keyid:0x00ff": (name.ID_KEY_ID, b"\x00\xff"),
        "keyid:branch 17": (name.ID_KEY_ID, b"branch 17"),
    }
    for text, identity in expected.items():
        assert dn.identity(text) == identity, text
    for text in ("", "@", "@#", "@#0", "@#zz", "a b", "m\u00fcller.example", "CN="):
        assert fails(dn.identity, text), text


def test_names_are_the_same_but_for_case_blanks_and_kind_of_string():
    def utf8(text):
        return dn.encode(text).replace(b"\x13", b"\x0c")

    assert name.same(dn.encode("C=DE, CN=a b"), utf8("C=de, CN=A  B"))
    for other in ("C=DE", "C=DE, CN=a", "CN=a b, C=DE", "C=DE, O=a b", "C=DE, CN=a b, CN=a b"):
        assert not name.same(dn.encode("C=DE, CN=a b"), dn.encode(other)), other
    one = (
        element(0x30, b"\x06\x03\x55\x04\x03\x13\x01b"),
        element(0x30, b"\x06\x03\x55\x04\x0a\x13\x01a"),
    )
    joined = element(0x30, element(0x31, *one))
    assert not name.same(joined, dn.encode("CN=b, O=a"))
    assert refused(name.same, b"\x30\x02\x31\x00", dn.encode("CN=a")) == "malformed-der"


def test_a_dn_is_the_subject():
    assert name.matches(name.ID_DN, dn.encode("C=DE, CN=GW"), Owner("C=DE, CN=gw"))
    assert not name.matches(name.ID_DN, dn.encode("CN=gw"), Owner("C=DE, CN=gw"))
    assert not name.matches(name.ID_DN, b"\x30\x00", Owner("CN=gw"))
    owner = Owner("CN=x")
    owner.subject = b"\x30\x00"
    assert not name.matches(name.ID_DN, b"\x30\x00", owner)
    assert refused(name.matches, name.ID_DN, b"\x30\x05\x31\x00", owner) == "malformed-der"


def test_others_are_alternative_names():
    names = [(0x82, b"GW.example"), (0x81, b"Ann@Mail.example"), (0x87, b"\x0a\x00\x00\x01")]
    names.append((0x87, bytes(15) + b"\x01"))
    owner = Owner("CN=cn.example", names)
    assert name.matches(name.ID_FQDN, b"gw.EXAMPLE", owner)
    assert name.matches(name.ID_USER_FQDN, b"Ann@mail.example", owner)
    assert not name.matches(name.ID_USER_FQDN, b"ann@mail.example", owner)
    assert name.matches(name.ID_IPV4, b"\x0a\x00\x00\x01", owner)
    assert name.matches(name.ID_IPV6, bytes(15) + b"\x01", owner)
    for kind, data in (
        (name.ID_FQDN, b"cn.example"),  # a common name is no FQDN
        (name.ID_FQDN, b"gw.example\x00"),
        (name.ID_FQDN, b"Ann@Mail.example"),
        (name.ID_USER_FQDN, b"gw.example"),
        (name.ID_IPV4, b"\x0a\x00\x00\x02"),
        (name.ID_IPV4, bytes(15) + b"\x01"[:0]),
        (name.ID_IPV6, b"\x0a\x00\x00\x01" + bytes(12)),
        (4, b"\x0a\x00\x00\x01\xff\xff\xff\xff"),
        (name.ID_KEY_ID, b""),
        (name.ID_KEY_ID, b"gw.example"),
    ):
        assert not name.matches(kind, data, owner), (kind, data)


def test_wildcards_stand_for_themselves():
    owner = Owner(alternatives=[(0x82, b"*.example")])
    assert not name.matches(name.ID_FQDN, b"gw.example", owner)
    assert not name.matches(
        name.ID_FQDN, b"*.example", Owner(alternatives=[(0x82, b"gw.example")])
    )


def test_a_key_id_is_the_subject_key_identifier():
    assert name.matches(name.ID_KEY_ID, b"\x01\x02", Owner(ski=b"\x01\x02"))
    assert not name.matches(name.ID_KEY_ID, b"\x01", Owner(ski=b"\x01\x02"))
    assert not name.matches(name.ID_KEY_ID, b"", Owner())


def test_identities_of_different_kinds_differ():
    assert name.equal(name.ID_FQDN, b"a", name.ID_FQDN, b"A")
    assert not name.equal(name.ID_FQDN, b"a", name.ID_KEY_ID, b"a")
    assert not name.equal(name.ID_KEY_ID, b"a", name.ID_KEY_ID, b"A")
    assert name.equal(name.ID_DN, dn.encode("CN=a"), name.ID_DN, dn.encode("CN=A"))

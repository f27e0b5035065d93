"""The reader: lengths minimal and definite, values canonical, nothing left over."""

from certificates.cases import refused
from pki import der
from pki.encode import bits, element, integer


def reader(text):
    return der.Reader(bytes([int(pair, 16) for pair in text.split()]))


def test_lengths():
    for size in (0, 1, 127, 128, 255, 256, 1000):
        one = der.Reader(element(der.OCTET_STRING, bytes(size)))
        assert len(one.take(der.OCTET_STRING)) == size
        one.end()


def test_lengths_refused():
    for text in (
        "04",
        "04 01",
        "04 80",  # indefinite
        "04 80 00 00",
        "04 81",
        "04 81 01 00",  # would have fitted
        "04 81 7f" + " 00" * 127,
        "04 82 00 80" + " 00" * 128,
        "04 82 01",
        "04 83 00 00 01 00",
        "04 84 ff ff ff ff",
        "04 ff 00",
        "04 02 00",
    ):
        assert refused(reader(text).take, der.OCTET_STRING) == "malformed-der", text


def test_another_tag_is_refused_and_nothing_taken():
    one = reader("05 00 04 01 07")
    assert refused(one.take, der.OCTET_STRING) == "malformed-der"
    assert one.optional(der.OCTET_STRING) is None
    assert one.any() == (der.NULL, b"")
    assert one.peek() == der.OCTET_STRING
    assert bytes(one.whole(der.OCTET_STRING)) == b"\x04\x01\x07"
    assert one.peek() == 0 and refused(one.any) == "malformed-der"
    one.end()


def test_tags_of_more_than_a_byte_are_refused():
    assert refused(reader("1f 01 00").any) == "malformed-der"
    assert refused(reader("00 00").any) == "malformed-der"


def test_integers():
    for text in ("02 00", "02 02 00 7f", "02 02 00 00", "02 01 80", "02 01 ff", "02 02 ff 80"):
        assert refused(reader(text).integer) == "malformed-der", text
    assert reader("02 01 00").integer() == b"\x00"
    assert reader("02 02 00 80").integer() == b"\x00\x80"
    assert der.unsigned(b"\x00\x80") == b"\x80" and der.unsigned(b"\x00") == b"\x00"
    assert reader("02 02 7f ff").small() == 0x7FFF
    assert refused(reader("02 03 00 80 00").small) == "malformed-der"
    for value in (b"\x00", b"\x01", b"\x7f", b"\x80", b"\x00\x80", b"\x01\x00"):
        content = der.Reader(integer(value)).integer()
        assert bytes(der.unsigned(content)) == (value[1:] if value == b"\x00\x80" else value)


def test_booleans():
    assert reader("01 01 ff").true() is True
    assert reader("05 00").true() is False and reader("").true() is False
    for text in ("01 01 00", "01 01 01", "01 02 ff ff", "01 00"):
        assert refused(reader(text).true) == "malformed-der", text


def test_bit_strings():
    assert bytes(der.Reader(bits(b"key")).bits()) == b"key"
    for text in ("03 00", "03 01 00", "03 02 01 80", "03 02 08 00"):
        assert refused(reader(text).bits) == "malformed-der", text


def test_object_identifiers():
    assert reader("06 03 55 1d 0f").oid() == b"\x55\x1d\x0f"
    for text in ("06 00", "06 01 80", "06 02 80 01", "06 03 55 80 01", "06 02 55 81"):
        assert refused(reader(text).oid) == "malformed-der", text


def test_nothing_may_be_left():
    assert refused(reader("05 00 05 00").end) == "malformed-der"
    assert refused(der.only, b"\x30\x00\x00") == "malformed-der"
    der.only(b"\x30\x00").end()
    zero = der.Reader(b"\x00")
    assert zero.more() and refused(zero.any) == refused(zero.end) == "malformed-der"

"""Times: the calendar, and the two ways to write it."""

from certificates.cases import refused
from pki import der, times
from pki.encode import element


def read(text):
    tag = der.UTC_TIME if len(text) == 13 else der.GENERALIZED_TIME
    return times.read(der.Reader(element(tag, text.encode())))


def test_known_moments():
    assert read("700101000000Z") == 0
    assert read("000101000000Z") == times.EPOCH_2000
    assert read("19700101000000Z") == 0
    assert read("491231235959Z") == read("20491231235959Z") == 2524607999
    assert read("500101000000Z") == -631152000
    assert read("99991231235959Z") == 253402300799
    assert read("000229120000Z") == times.EPOCH_2000 + 59 * 86400 + 43200
    assert read("20240301000000Z") - read("20240228000000Z") == 2 * 86400
    assert read("21000301000000Z") - read("21000228000000Z") == 86400


def test_every_day_of_a_year_follows_the_one_before():
    for year in (2023, 2024, 2100, 2400):
        last = None
        for month in range(1, 13):
            for day in range(1, 32):
                text = "%04d%02d%02d000000Z" % (year, month, day)
                if refused(read, text):
                    assert day > 28
                    continue
                found = read(text)
                assert last is None or found == last + 86400, text
                last = found
        assert read("%04d0101000000Z" % (year + 1)) == last + 86400


def test_refusals():
    for text in (
        "7001010000000",
        "700101000000z",
        "700001000000Z",
        "701301000000Z",
        "700100000000Z",
        "700132000000Z",
        "230229000000Z",
        "700431000000Z",
        "700101240000Z",
        "700101006000Z",
        "700101000060Z",
        "7x0101000000Z",
        "70010100000 Z",
        "197001010000Z",
        "19700101000000",
        "19700101000000.5Z",
        "19700101000000+0000",
        "",
        "7",
    ):
        assert refused(read, text) == "malformed-der", text
    assert refused(times.read, der.Reader(b"\x16\x0d700101000000Z")) == "malformed-der"

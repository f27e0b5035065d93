"""Flash encryption, told from the chip's fuses."""

from agent import efuse


def test_an_odd_count_of_fuses_is_on():
    for bits, on in ((0, False), (1, True), (3, False), (7, True), (0x7F, True), (0x3F, False)):
        memory = {0x3FF5A000: 0x800FFFFF | bits << 20}
        assert efuse.flash_encrypted("esp32", memory) is on, bits
    for chip, address, shift in (
        ("esp32s3", 0x60007034, 18),
        ("esp32c3", 0x60008834, 18),
        ("esp32c5", 0x600B4834, 16),
        ("esp32c6", 0x600B0834, 18),
        ("esp32p4", 0x5012D034, 18),
    ):
        for bits, on in ((0, False), (1, True), (3, False), (7, True)):
            others = 0xFFFFFFFF & ~(7 << shift)
            assert efuse.flash_encrypted(chip, {address: others | bits << shift}) is on, chip


def test_unknown_where_there_are_no_fuses():
    assert efuse.flash_encrypted("unix") is None
    assert efuse.flash_encrypted(None) is None

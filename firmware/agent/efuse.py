"""Whether the chip encrypts its flash: without that, whoever holds the board can read its keys.

The register and bits of the counter FLASH_CRYPT_CNT (ESP32) or SPI_BOOT_CRYPT_CNT (later chips),
from Espressif's technical reference manuals; encryption is on where an odd number of them is set.
"""

_COUNTERS = {
    "esp32": "3ff5a000:7f00000",
    "esp32s2": "3f41a034:1c0000",
    "esp32s3": "60007034:1c0000",
    "esp32c3": "60008834:1c0000",
    "esp32c5": "600b4834:70000",
    "esp32c6": "600b0834:1c0000",
    "esp32h2": "600b0834:1c0000",
    "esp32p4": "5012d034:1c0000",
}


def flash_encrypted(chip, memory=None):
    """True or False; None where it is not known. `memory`: address -> 32 bits, by default the
    chip's own."""
    if chip not in _COUNTERS:
        return None
    if memory is None:
        from machine import mem32 as memory
    address, mask = [int(text, 16) for text in _COUNTERS[chip].split(":")]
    bits = memory[address] & mask
    odd = False
    while bits:
        bits &= bits - 1
        odd = not odd
    return odd

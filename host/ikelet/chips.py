"""The ESP32 family as far as flashing and board files need it.

`image_id` stands in byte 12 of an image's header, `offset` is where the ROM looks for the
bootloader, `pins` is the number of GPIOs, `max_bits` the longest modulus that the big-number
accelerator takes (Espressif's technical reference manuals).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chip:
    """`name` is what esptool calls it too."""

    name: str
    title: str
    image_id: int
    offset: int
    pins: int
    max_bits: int = 0


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("esp32", "ESP32", 0, 0x1000, 40, 4096),
        Chip("esp32s2", "ESP32-S2", 2, 0x1000, 47, 4096),
        Chip("esp32s3", "ESP32-S3", 9, 0x0, 49, 4096),
        Chip("esp32c3", "ESP32-C3", 5, 0x0, 22, 3072),
        Chip("esp32c5", "ESP32-C5", 23, 0x2000, 29, 3072),
        Chip("esp32c6", "ESP32-C6", 13, 0x0, 31, 3072),
        Chip("esp32h2", "ESP32-H2", 16, 0x0, 28, 3072),
        Chip("esp32p4", "ESP32-P4", 18, 0x2000, 55, 4096),
    )
}
EMULATED = ("unix", "virt")


def by_image(image_id: int) -> str:
    """The title of the chip that an image is for."""
    for chip in CHIPS.values():
        if chip.image_id == image_id:
            return chip.title
    return f"an unknown chip (number {image_id})"

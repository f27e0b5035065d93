"""Stands in for esptool: the same command line, a folder for a chip.

FAKE_FLASH is the folder: flash.bin, chip, calls (one JSON list per call), and fail, which the next
such command says before it fails: "write-flash:the text".
"""

import json
import os
import sys
from pathlib import Path

TITLES = {"esp32": "ESP32", "esp32c3": "ESP32-C3", "virt": "a made-up chip"}


def die(text):
    print(text)
    sys.exit(2)


def main(arguments):
    place = Path(os.environ["FAKE_FLASH"])
    with (place / "calls").open("a") as file:
        file.write(json.dumps(arguments) + "\n")
    options = dict(zip(arguments[:10:2], arguments[1:10:2], strict=True))
    command, *rest = arguments[10:]
    fail = place / "fail"
    if fail.exists() and command in ("write-flash", "verify-flash"):
        text = fail.read_text()
        wanted, _, text = text.partition(":")
        if command == wanted:
            fail.unlink()
            print("Writing at 0x00010b62   1.5% 16.00kB/1.06MB [1s]")
            die(text)
    chip = (place / "chip").read_text()
    if options["--chip"] != chip:
        die(
            f"A fatal error occurred: This chip is {TITLES[chip]}, "
            f"not {TITLES[options['--chip']]}. Wrong chip argument?"
        )
    flash = bytearray((place / "flash.bin").read_bytes())
    erase = "--erase-all" in rest
    rest = [word for word in rest if not word.startswith("--")]
    if erase:
        flash[:] = b"\xff" * len(flash)
    for address, file in zip(rest[::2], rest[1::2], strict=True):
        start, content = int(address, 16), Path(file).read_bytes()
        if command == "verify-flash":
            if flash[start : start + len(content)] != content:
                print("Verification failed (digest mismatch).")
                die("A fatal error occurred: Verification failed.")
        else:
            print(f"Writing at {start:#010x}    50.0% 1kB/2kB [1s]")
            flash[start : start + len(content)] = content
            print(f"Writing at {start:#010x}   100.0% 2kB/2kB [2s]")
    (place / "flash.bin").write_bytes(flash)


main(sys.argv[1:])

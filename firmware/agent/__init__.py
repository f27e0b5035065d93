"""The program around the core: boot, network, console, and the loop that joins them."""

VERSION = "0.1.0"

"""Boards that are emulated by QEMU: what they run, and how to drive them."""

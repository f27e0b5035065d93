"""What the tests of peers share besides the `join` fixture."""

from collections.abc import Callable

from ikelet.peers import Peer

# Not text, with a zero octet: keys are octets.
PSK = bytes.fromhex("00ff6b657920666f722074657374732c206e6f7420666f7220757365")

# The type of the `join` fixture in conftest.py.
Join = Callable[..., tuple[Peer, Peer]]

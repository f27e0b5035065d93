"""IPv6 addresses as text, spelled one way only (RFC 5952), so that texts can be compared.

Loaded only where the configuration has one.
"""

import struct

from ike import policy


def canonical(address):
    """An address as the network's side spells it; what is no IPv6 address stays as it is."""
    packed = policy.packed_address(address) if ":" in address else None
    return address if packed is None else text(packed)


def text(packed):
    """16 bytes as text: the first of the longest runs of zeros, of two at least, becomes ::."""
    words = struct.unpack("!8H", packed)
    best, at = 1, 8
    for start in range(8):
        end = start
        while end < 8 and not words[end]:
            end += 1
        if end - start > best:
            best, at = end - start, start
    spelled = ["%x" % word for word in words]
    if at == 8:
        return ":".join(spelled)
    return ":".join(spelled[:at]) + "::" + ":".join(spelled[at + best :])

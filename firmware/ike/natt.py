"""NAT traversal (RFC 3947, RFC 3948): detection, the move to port 4500, keepalives.

Both sides tell, hashed, between which addresses they see themselves talk; who finds that it is
not so knows of a NAT. The initiator then goes on from port 4500 to port 4500, where every message
has four zero bytes before it. The peer's address and port may change in mid-life, when the NAT
forgets; we follow where a message is authenticated and fresh: message 5, and a question or answer
of dead peer detection. Loaded with the first message that needs it.
"""

import struct

from ike import policy
from ike import registry as R
from ike.wire import Drop

MARKER = bytes(4)
KEEPALIVE = b"\xff"
_KEEPALIVE_MS = 20000


def unmarked(engine, datagram):
    """A message on the port that IKE shares with ESP; None for a keepalive (RFC 3948)."""
    if datagram == KEEPALIVE:
        engine.drops.count("nat-keepalive")
        return None
    if datagram[:4] != MARKER:
        raise Drop("no-marker")
    return datagram[4:]


def payloads(sa):
    """The NAT-D payloads of message 3 or 4: the other side's address first, then ours."""
    local, remote = sa.path[:2], sa.path[2:]
    return [(R.NAT_D, _digest(sa, remote)), (R.NAT_D, _digest(sa, local))]


def _digest(sa, end):
    # HASH(CKY-I | CKY-R | IP | Port)     (RFC 3947 section 3.2)
    address, port = end
    packed = policy.packed_address(address)
    return sa.engine.hal.hash(sa.suite.hash, sa.cky_i, sa.cky_r, packed, struct.pack("!H", port))


def detect(sa, found):
    """Take note of the NATs that the NAT-D payloads of message 3 or 4 show; an initiator moves to
    port 4500 where there is one."""
    told = [bytes(body) for kind, body, _ in found if kind == R.NAT_D]
    if len(told) < 2:
        return
    sa.natt = ""
    if told[0] != _digest(sa, sa.path[:2]):
        sa.natt += "us "
    if _digest(sa, sa.path[2:]) not in told[1:]:
        sa.natt += "peer "
    if sa.natt and sa.initiator and sa.path[1] != sa.engine.natt_port:
        sa.path = (sa.path[0], sa.engine.natt_port, sa.path[2], sa.peer.natt_port)


def keep_alive(sa, now):
    """Send a keepalive where we are behind the NAT, and say when the next is due."""
    if "us" in sa.natt:
        if sa.keepalive_at is not None:
            sa.engine.send_bare(sa.path, KEEPALIVE)
        sa.keepalive_at = now + _KEEPALIVE_MS

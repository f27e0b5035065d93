"""Datagrams that come over the console in pieces. Loaded where the host sends any: a board whose
UART keeps less than a line.

All but the last say "more", each but the first where it belongs: "at".
"""

from micropython import const

from agent.console import Refused

_MAX_DATAGRAM = const(2049)

_begun = [b""]  # the agent has one link


def add(params, piece):
    """The whole datagram, None where more of it is to come; Refused. Offset 0 begins anew."""
    begun, _begun[0] = _begun[0], b""
    at = params.get("at", 0)
    if at not in (0, len(begun)):
        raise Refused("a piece is not what was sent")
    whole = begun[:at] + piece
    if not params.get("more"):
        return whole
    _begun[0] = whole[:_MAX_DATAGRAM]
    return None

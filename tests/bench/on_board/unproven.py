"""What one message costs a responder before its sender has proven anything, by the instruction.

Runs on qemu-rv32. Every case has an engine of its own; each is counted on a heap just collected.
"""

import gc
import json
import struct
import sys

import virt

from hal import Hal, mbed, software
from ike import registry as R
from ike import wire
from ike.engine import Engine
from ike.policy import Peer, Suite

_WRAP = 0x3FFFFFFF  # the clock counts to here
_SUITE = "aes128-sha256-modp2048"
_OURS, _THEIRS = ("10.9.0.1", 500), ("10.9.0.2", 500)
_TRANSFORMS = 49  # as many of ours as an offer of 1400 bytes holds


class Responder:
    """An engine with one peer; `give` counts what one datagram takes."""

    def __init__(self, hal):
        self.now = 0
        peer = Peer(
            "gw", _THEIRS[0], b"a key that is not guessed", _OURS[0], _THEIRS[0], [_SUITE],
            role="responder",
        )  # fmt: skip
        self.engine = Engine(hal, [peer], _OURS, lambda: self.now)
        self.modexps = 0
        self._modexp = hal.modexp

    def give(self, datagram, sender=_THEIRS):
        """Ticks without modexps."""
        engine = self.engine
        spent = [0]

        def modexp(*arguments):
            since = virt.ticks()
            power = self._modexp(*arguments)
            spent[0] += virt.ticks() - since & _WRAP
            return power

        engine.hal.modexp = modexp
        gc.collect()
        since = virt.ticks()
        engine.receive(datagram, _OURS + sender, self.now)
        ticks = virt.ticks() - since & _WRAP
        engine.hal.modexp = self._modexp
        self.answers = [bytes(data) for _, data in engine.take_datagrams()]
        engine.take_events()
        return ticks - spent[0]


def first(number=0, transforms=1, last=_SUITE):
    """A message 1: its offer has so many transforms, of which only the last can be had."""
    bodies = []
    other = Suite("aes256-sha512-modp4096").attributes(R.AUTH_PSK, ())
    for index in range(transforms - 1):
        bodies.append(wire.transform(index + 1, other, True))
    attributes = Suite(last).attributes(R.AUTH_PSK, ())
    bodies.append(wire.transform(transforms, attributes, False))
    cookie = b"unproven"[:4] + struct.pack("!I", number + 1)
    chain = wire.chain([(R.SA, wire.sa_body(bodies))])
    return wire.message(cookie, bytes(8), R.SA, R.ID_PROT, False, 0, chain)


def third(answer, number=0, size=256):
    """A message 3 to what a message 1 was answered."""
    value = b"\x5a" * (size - 1) + bytes([number])
    chain = wire.chain([(R.KE, value), (R.NONCE, bytes(32))])
    return wire.message(answer[:8], answer[8:16], R.KE, R.ID_PROT, False, 0, chain)


def encrypted(answer, exchange, number, size=92):
    """What looks like a message 5, or an informational."""
    content = bytes([number]) * (size - size % 16)
    kind = R.ID if exchange == R.ID_PROT else R.HASH
    msgid = 0 if exchange == R.ID_PROT else 7
    return wire.message(answer[:8], answer[8:16], kind, exchange, True, msgid, content)


def messages_1(hal, spent):
    one = Responder(hal)
    spent["from an address that is no peer's"] = one.give(first(), ("10.9.7.7", 500))
    spent["too short"] = one.give(first()[:20])
    spent["message 1, answered"] = one.give(first())
    if len(one.answers) != 1:
        raise RuntimeError("not answered")
    spent["message 1, again"] = one.give(first())
    long = Responder(hal)
    spent["message 1, answered, 49 transforms"] = long.give(first(1, _TRANSFORMS))
    no = Responder(hal)
    spent["message 1, refused, 49 transforms"] = no.give(
        first(2, _TRANSFORMS, "aes256-sha512-modp4096")
    )
    if len(long.answers) != 1 or no.engine.drops.by_reason != {"no-proposal-chosen": 1}:
        raise RuntimeError("not read to the end")
    full = Responder(hal)
    for number in range(16):
        full.give(first(number))
    spent["message 1, answered, all places taken"] = full.give(first(99))


def messages_3(hal, spent):
    one = Responder(hal)
    one.give(first())
    answer = one.answers[0]
    spent["message 3 with another's cookie"] = one.give(third(answer[:8] + b"another's"))
    one.engine.sas.clear()
    spent["message 3, its exchange brought back"] = one.give(third(answer))
    if len(one.answers) != 1:
        raise RuntimeError("not brought back")
    spent["message 3, again"] = one.give(third(answer))
    spent["another message 3"] = one.give(third(answer, 1))
    while one.engine.poll(one.now):
        pass
    spent["a message 5 that is none"] = one.give(encrypted(answer, R.ID_PROT, 1))
    spent["a message 5 that is none, 1 KB"] = one.give(encrypted(answer, R.ID_PROT, 2, 1024))
    spent["an informational that is none"] = one.give(encrypted(answer, R.INFORMATIONAL, 1))


def main():
    """Prints {message: ticks} as JSON."""
    hal = Hal([mbed.Engine(), software.Engine()])
    hal.prove("modexp", 2048)
    sys.modules.pop("hal.selftest", None)  # as the agent does
    spent = {}
    for cases in (messages_1, messages_3) * 2:  # once for what is loaded on demand, and kept
        gc.collect()
        cases(hal, spent)
    print(json.dumps(spent))

"""Public-key operations, counted by the instruction. Runs on qemu-rv32."""

import gc
import json
import sys
from binascii import unhexlify

import virt

import hal as package
import modules
from hal import Hal, field_plain, machine, mbed, software

_WRAP = 0x3FFFFFFF  # the clock counts to here


class Count:
    """Clock ticks of a call, and of the modexps within it apart."""

    def __init__(self, hal):
        self.hal = hal
        self.ticks = self.modexps = 0
        self._modexp = hal.modexp
        hal.modexp = self.modexp

    def modexp(self, *arguments):
        since = virt.ticks()
        power = self._modexp(*arguments)
        self.ticks += virt.ticks() - since & _WRAP
        self.modexps += 1
        return power

    def __call__(self, function, *arguments):
        """(result, [ticks without modexps, ticks of modexps, modexps])"""
        gc.collect()
        self.ticks = self.modexps = 0
        since = virt.ticks()
        result = function(*arguments)
        ticks = virt.ticks() - since & _WRAP
        return result, [ticks - self.ticks, self.ticks, self.modexps]


def free():
    sys.modules.pop("hal.selftest", None)  # as the agent does
    gc.collect()
    return gc.mem_free()


def main(rsa_keys):
    """Prints as JSON: {what: [ticks without modexps, ticks of modexps, modexps]}, the bytes of
    heap that the modules keep, and the same operations without machine code."""
    rsa_keys = {bits: [unhexlify(x) for x in key] for bits, key in rsa_keys.items()}
    hal = Hal([mbed.Engine(), software.Engine()])
    count = Count(hal)
    hal.random(1)
    hal.hash("sha256", b"")
    before = free()
    counted = {}
    digest = b"\x5a" * 32
    for curve in ("curve25519", "ecp256", "ecp384", "ecp521"):
        hal.prove("ec", curve)
        (private, public), counted["pair " + curve] = count(hal.ec_pair, curve)
        _, counted["ecdh " + curve] = count(hal.ecdh, curve, private, public)
        if curve == "curve25519":
            continue
        hal.prove("ec_sum", curve)
        signature, counted["sign " + curve] = count(hal.ecdsa_sign, curve, private, digest)
        good, counted["verify " + curve] = count(
            hal.ecdsa_verify, curve, public, digest, signature
        )
        if not good:
            raise RuntimeError(curve)
    kept = {"curves": before - free()}
    for bits, key in rsa_keys.items():
        for size in (bits, bits // 2):
            hal.prove("modexp", size)
        signature, counted["sign rsa" + str(bits)] = count(hal.rsa_sign, key, digest)
        verified = count(hal.rsa_verify, key[:2], digest, signature)
        good, counted["verify rsa" + str(bits)] = verified
        if not good:
            raise RuntimeError(bits)
    kept["curves and RSA"] = before - free()
    modules.unload(*modules.PUBLIC_KEYS)
    kept["after unload()"] = before - free()
    machine._kind = field_plain.Machine
    sys.modules["hal.machine"] = package.machine = machine
    plain = {}
    for curve in ("curve25519", "ecp256"):
        _, plain["pair " + curve] = count(hal.ec_pair, curve)
    print(json.dumps({"counted": counted, "plain": plain, "kept": kept}))

"""Bring the board's network interface up, by the data of the board and the configuration.

`nic` of the board file: {"kind": "lan", ...} with the arguments of network.LAN by their names
(pins as numbers, `phy_type` as the name of the constant), or {"kind": "wlan"}.
"""

from time import sleep_ms

import network
from micropython import const

_PINS = ("mdc", "mdio", "reset", "power", "ref_clk", "cs", "int")
_TRIES = const(150)
_TRY_MS = const(100)


class NetError(Exception):
    """No network; the text says what is missing."""


def switch_on(nic):
    """The interface, its driver running.

    To be called early: the driver wants some 50 KB in one piece, of memory that the heap takes
    from it as it grows.
    """
    interface = _lan(nic) if nic["kind"] == "lan" else network.WLAN(network.STA_IF)
    interface.active(True)
    return interface


def connect(interface, nic, settings):
    """Connect an interface that is on; its address. `settings`: [network] of the configuration."""
    if nic["kind"] == "wlan":
        _join(interface, settings)
    if settings.get("netmask"):
        gateway = settings.get("gateway") or settings["bind"]
        interface.ifconfig((settings["bind"], settings["netmask"], gateway, gateway))
    for _ in range(_TRIES):
        if interface.isconnected() and interface.ifconfig()[0] != "0.0.0.0":
            return interface.ifconfig()[0]
        sleep_ms(_TRY_MS)
    what = "Ethernet link" if nic["kind"] == "lan" else "Wi-Fi %s" % settings["ssid"]
    raise NetError("no address on %s within %d s" % (what, _TRIES * _TRY_MS // 1000))


def _lan(nic):
    from machine import Pin

    arguments = {}
    for name, value in nic.items():
        if name in _PINS:
            value = Pin(value)
        elif name in ("phy_type", "ref_clk_mode"):
            value = getattr(network, value) if name == "phy_type" else getattr(Pin, value)
        if name not in ("kind", "spi"):
            arguments[name] = value
    if "spi" in nic:
        from machine import SPI

        bus = nic["spi"]
        arguments["spi"] = SPI(
            bus["id"], sck=Pin(bus["sck"]), mosi=Pin(bus["mosi"]), miso=Pin(bus["miso"])
        )
    return network.LAN(**arguments)


def _join(interface, settings):
    if not settings.get("ssid"):
        raise NetError("network.ssid is not set: the board has Wi-Fi only")
    interface.config(pm=interface.PM_NONE)
    if not interface.isconnected():
        interface.connect(settings["ssid"], settings.get("wifi_key"))

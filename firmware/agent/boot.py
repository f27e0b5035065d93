"""From power-on to a running engine. Unloaded afterwards, to leave its memory to the exchanges."""

import gc
import os
from binascii import a2b_base64

from micropython import const

from modules import PUBLIC_KEYS, unload

# What stays, in the order of dependence. It is loaded before anything that goes again, and with a
# collection after each: what is freed later is then one piece, and large numbers fit into it.
_RESIDENT = (
    "hal",
    "ike.registry",
    "ike.wire",
    "ike.policy",
    "ike.exchange",
    "ike.groups",
    "ike.keys",
    "ike.rivals",
    "ike.sa",
    "ike.mainmode",
    "ike.informational",
    "ike.engine",
)
_CRASH_FILE = const("crash.txt")  # agent.crash writes it; it is not loaded: that leaves a gap
# Bytes allocated between two collections: at boot; then where a full heap would grow.
_THRESHOLD = 4096
_THRESHOLD_GROWING = 16384
_EC_KEY = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"  # id-ecPublicKey (RFC 5480 section 2.1.1)
_NOTHING_THERE = ("not-provisioned", "provisioning-lost")
_WILDCARDS = ("0.0.0.0", "::")


class Fatal(Exception):
    """The agent cannot run. `args` = (code, reason)."""


def boot(agent, path):
    """Load the configuration, prove the engines, open the network; Fatal where one fails.

    Fills in the agent's config, hal, link, engine and proven.
    """
    agent.last_crash = last_crash(path + _CRASH_FILE)
    load_machine_code(path)
    # Often: the heap moves nothing, and what stays should fill the gaps below what goes again.
    gc.threshold(_THRESHOLD)
    for name in _RESIDENT:
        __import__(name)
        gc.collect()
    agent.config = load(agent)
    unload("agent.config", "agent.store")
    import hal

    agent.hal = hal.select(agent.board, agent.event)
    network = agent.config["network"]
    if agent.board.get("link") == "uart":
        network["natt_port"] = 0  # the relay has one socket
    settings = dict(network)
    if "wifi_key" in network:
        network["wifi_key"] = "(set)"
    if agent.board.get("nic"):
        from agent import net

        try:
            address = net.connect(agent.interface, agent.board["nic"], settings)
        except net.NetError as error:
            raise Fatal("no-network", str(error))
        if network["bind"] == "0.0.0.0":
            network["bind"] = address
        unload("agent.net")
    network["bind"] = canonical(network["bind"])
    peers = make_peers(agent)
    gc.collect()
    agent.link = open_link(agent)
    if "syslog" in agent.config:
        from agent import syslog

        try:
            agent.syslog = syslog.start(agent)
        except OSError as error:  # tunnels matter more than what is told of them
            agent.event({"event": "syslog", "reason": "syslog.address: " + str(error)})
    from ike.engine import Engine

    gc.collect()
    for op, what in wanted(peers):
        name = op if what is None else "%s/%s" % (op, what)
        verdicts = agent.proven[name] = agent.hal.prove(op, what, False)
        gc.collect()
        if "ok" not in verdicts.values():
            raise Fatal("no-engine", "no engine of this board can do %s %s" % (op, what or ""))
    if agent.credentials and not agent.credentials.is_pair(agent.hal):
        raise Fatal("bad-configuration", "certificate.key: not the key of the certificate")
    unload(*PUBLIC_KEYS)
    if agent.room:
        gc.threshold(_THRESHOLD_GROWING)
    elif not agent.credentials:  # with certificates, modules come and go all the time
        gc.threshold(-1)
    strict = agent.config["device"]["strict"]
    natt_port = network["natt_port"]
    agent.engine = Engine(agent.hal, peers, agent.link.local, agent.clock, strict, natt_port)
    agent.helpers = helpers(agent)
    _start_watchdog(agent)


def _start_watchdog(agent):
    """Production boards are reset when the loop stops: it must turn within this time."""
    timeout = agent.board.get("watchdog_ms")
    if timeout and not agent.config["device"]["development"]:
        from machine import WDT

        agent.watchdog = WDT(timeout=timeout)


def last_crash(path):
    """The last line of what the last crash left, "" where there was none. Told once: the next
    boot follows another crash, or none."""
    try:
        with open(path) as file:
            told = file.read().strip().split("\n")[-1][:200]
        os.remove(path)
    except OSError:
        return ""
    return told


def helpers(agent):
    """What keeps the tunnels up, as far as the board and its configuration need it."""
    given = agent.config["peer"]
    found = []
    names = {name: values["address"] for name, values in given.items() if is_name(values)}
    if names:
        from agent.names import Names

        own = [name for name in names if "remote_id" not in given[name]]
        agent.names = Names(agent, names, own)
        found.append(agent.names)
    if agent.board.get("autostart"):
        from agent.upkeep import Upkeep

        agent.upkeep = Upkeep(agent.engine, agent.names and agent.names.ready)
        found.append(agent.upkeep)
        backups = {name: values["backup"] for name, values in given.items() if "backup" in values}
        for peer in agent.engine.peers:
            if peer.role != "responder" and peer.name not in backups.values():
                agent.upkeep.want(peer.name, agent.clock())
        if backups:
            from agent.standby import Standby

            found.append(Standby(agent.engine, agent.upkeep, backups))
    if agent.interface:
        from agent.netwatch import Watch

        found += [agent.room, Watch(agent, "netmask" in agent.config["network"])]
    return found


def is_name(values):
    """Whether a peer's address is a DNS name; the configuration's check knows no fourth kind."""
    from ike import policy
    from ike.engine import ANYWHERE

    address = values["address"]
    literal = ":" in address or policy.packed_address(address)
    return not literal and address != ANYWHERE


def load(agent):
    """The checked configuration: what was provisioned, else the file config.json."""
    from agent import config

    try:
        checked = config.checked(read(agent), agent.path + "agent/schema.json")
    except config.ConfigError as error:
        raise Fatal("bad-configuration", str(error))
    if "password" in checked["device"]:
        checked["device"]["password"] = "(set)"
    for values in checked["peer"].values():
        if "psk" in values:
            values["psk"] = config.psk_bytes(values["psk"])
    return checked


def read(agent):
    """The configuration unchecked, and what it says about who may change it: Fatal where there is
    none, and nothing to be kept from anybody."""
    try:
        given = _read(agent.path)
    except Fatal as fatal:
        if fatal.args[0] in _NOTHING_THERE:
            agent.open = True
        raise
    device = given.get("device") if isinstance(given, dict) else None
    if isinstance(device, dict):
        agent.verifier = device.get("password")
        if device.get("development") is True:
            agent.open = True
    return given


def look(agent):
    """Find out whether the agent is open, whatever happens."""
    try:
        read(agent)
    except Exception:
        pass  # then only read() itself can have found it open


def _read(path):
    from agent import store

    try:
        return store.current(path)
    except store.Lost:
        raise Fatal("provisioning-lost", "provisioning lost: the keys are gone from NVS")
    except store.Empty:
        raise Fatal("not-provisioned", "no configuration on the board")
    except ValueError:
        raise Fatal("bad-configuration", "config.json: not JSON")


def load_machine_code(path):
    """Compile what the board's own compiler makes, where the configuration has a use for it: that
    takes much memory for a moment, and what comes of it stays.
    """
    try:
        given = _read(path)
        text = str(given.get("peer"))
        needed = "ecp" in text or "curve25519" in text or "cert" in text and _on_curves(given)
    except (Fatal, AttributeError, KeyError, TypeError, ValueError):
        needed = False  # load() will say it
    given = text = None
    if needed:
        gc.collect()
        from hal import machine

        machine.kind()
        unload(*PUBLIC_KEYS)
    unload("agent.store")


def _on_curves(given):
    """Whether a certificate of ours, or of a CA that we believe, has a key on a curve."""
    section = given["certificate"]
    return any(_EC_KEY in a2b_base64(text) for text in section["chain"] + section["ca"])


def make_peers(agent):
    """The configured peers; from here on they alone hold the keys."""
    config = agent.config
    signed = any(given["auth"] == "cert" for given in config["peer"].values())
    if not signed:
        config.pop("certificate", None)
        return share(
            [make_peer(name, given, config, agent.board) for name, given in config["peer"].items()]
        )
    from agent import certificate

    try:
        made = agent.credentials = certificate.load(agent)
        return share(
            [
                make_peer(
                    name, given, config, agent.board, lambda v: certificate.complete(v, made)
                )
                for name, given in config["peer"].items()
            ]
        )
    except certificate.CertificateError as error:
        raise Fatal("bad-configuration", str(error))
    finally:
        unload("agent.certificate", "pki.")


def share(peers):
    """Peers with the same proposals have them once."""
    for index, peer in enumerate(peers):
        names = [suite.name for suite in peer.suites]
        for other in peers[:index]:
            if other.method == peer.method and [suite.name for suite in other.suites] == names:
                peer.suites = other.suites
                break
    return peers


def make_peer(name, given, config, board, complete=None):
    """One peer of the configuration, in which its key is not left."""
    from ike.policy import Peer, PolicyError

    values = dict(given, strict=config["device"]["strict"])
    values["natt"] = config["network"]["natt_port"] > 0
    values["address"] = canonical(given["address"])
    if "psk" in given:
        given["psk"] = "(set)"
    if values.pop("auth") == "cert":
        complete(values)
    if "local_id" not in values:
        values["local_id"] = config["network"]["bind"]
    if values["local_id"] in _WILDCARDS:
        raise Fatal(
            "bad-configuration",
            "peer.%s.local_id: needed while network.bind is a wildcard" % name,
        )
    values.pop("allow_weak_psk", None)
    values.pop("backup", None)
    if is_name(values):
        if board.get("link") == "uart":
            raise Fatal(
                "bad-configuration",
                "peer.%s.address: a name needs a board with a network of its own" % name,
            )
        values.setdefault("remote_id", "0.0.0.0")  # known with the address, see names
    try:
        return Peer(name, **values)
    except PolicyError as error:
        raise Fatal("bad-configuration", "peer.%s: %s" % (name, error))


def canonical(address):
    """An IPv6 address in the one spelling that paths have."""
    if ":" not in address:
        return address
    from agent import inet6

    return inet6.canonical(address)


def open_link(agent):
    """The link that the board's data names."""
    network = agent.config["network"]
    if agent.board.get("link") == "uart":
        from agent import link_uart

        return link_uart.Link(network["bind"], network["port"], agent.console)
    bind, port, natt_port = network["bind"], network["port"], network["natt_port"]
    if ":" in bind:
        from agent import udp6 as udp

        if not udp.available():
            raise Fatal("no-ipv6", "network.bind: the sockets of this board have no IPv6")
    else:
        from agent import link_udp as udp
    try:
        if natt_port:
            from agent import natt_sockets

            return natt_sockets.Link(udp.Link, bind, port, natt_port)
        return udp.Link(bind, port)
    except OSError as error:
        raise Fatal(*_network_reason(error, bind, natt_port or port))


def wanted(peers):
    """(operation, size or name) of whatever the peers' suites may ask of the HAL."""
    from ike import registry

    yield "random", None
    yield "hash", "sha256"
    for peer in peers:
        for suite in peer.suites:
            _, bits, _, _, operation = registry.CIPHERS[suite.cipher]
            yield operation, bits or None
            yield "hash", suite.hash
            _, bits, c, _ = registry.GROUPS[suite.group]
            yield ("modexp", bits) if c else ("ec", suite.group)


def _network_reason(error, address, port):
    in_use = ("port-in-use", "UDP port %d on %s is in use" % (port, address))
    elsewhere = ("no-such-address", "network.bind: %s is no address of this device" % address)
    known = {
        98: in_use,
        112: in_use,
        99: elsewhere,
        125: elsewhere,
        13: ("port-forbidden", "no permission to use UDP port %d; take one above 1023" % port),
    }
    other = ("no-network", "cannot open %s port %d: error %s" % (address, port, error))
    return known.get(error.errno, other)

"""What the console answers; never a secret: the configuration says "(set)" for one."""

import gc
import json
import sys

from agent import VERSION, efuse
from agent.console import Refused

_MAX_CONFIG = 24576  # characters: certificates are the most of it


def methods(agent):
    """{method name: function(params)} of an agent, provisioned or not."""
    found = {
        "status": lambda params: status(agent),
        "config.put": lambda params: put(agent, params),
        "config.commit": lambda params: commit(agent),
        "reset": lambda params: reset(agent, params),
    }
    return found


def add_running(agent):
    """The methods of an agent that runs."""
    for name, function in (
        ("up", up),
        ("down", down),
        ("counters", lambda agent, params: counters(agent)),
        ("selftest", lambda agent, params: selftest(agent)),
        ("config.get", lambda agent, params: agent.config),
    ):
        agent.console.add(name, lambda params, function=function: function(agent, params))


def status(agent):
    """Everything about the device but its secrets."""
    answer = {
        "version": VERSION,
        "board": agent.board.get("name"),
        "uptime_ms": agent.clock(),
        "last_crash": agent.last_crash,
        "flash_encrypted": efuse.flash_encrypted(agent.board.get("chip")),
    }
    if agent.engine is None:
        answer["mode"] = "stopped"
        answer["code"], answer["reason"] = agent.fatal
        return answer
    answer.update(counters(agent))
    device = agent.config["device"]
    answer["device"] = device["name"]
    answer["mode"] = "development" if device["development"] else "production"
    answer["selftest"] = agent.proven
    if agent.credentials:
        answer["certificate"] = {
            "expires": agent.credentials.expires,
            "now": agent.wall.now(),
            "key": agent.credentials.kind,
        }
    answer["peers"] = [_peer(agent, peer) for peer in agent.engine.peers]
    return answer


def _peer(agent, peer):
    engine = agent.engine
    sa = engine.find(peer.name)
    entry = {
        "name": peer.name,
        "address": peer.address,
        "port": peer.port,
        "role": peer.role,
        "auth": peer.auth,
        "state": sa.state if sa else "DOWN",
    }
    if sa and sa.suite:
        entry["suite"] = sa.suite.name
        entry["cookies"] = sa.cookies()
        entry["remote"] = sa.path[2:]
        if sa.natt:
            entry["nat"] = sa.natt.split()
    if sa and sa.established is not None:
        entry["age_s"] = (agent.clock() - sa.established) // 1000
    if peer.name in engine.last_failure:
        entry["code"], entry["reason"] = engine.last_failure[peer.name]
    return entry


def counters(agent):
    """Engines, drops and heap."""
    drops = dict(agent.engine.drops.by_reason)
    if agent.link.empty_datagrams:
        drops["empty-datagram"] = agent.link.empty_datagrams
    return {
        "engines": agent.hal.counts,
        "engine_failures": agent.hal.failures,
        "drops": drops,
        "send_failures": agent.link.send_failures,
        "heap": heap(),
    }


def heap():
    """Bytes: in use at this moment, garbage included, and after a collection. How many modules are
    loaded tells growth by an import from a leak."""
    before = gc.mem_alloc()
    gc.collect()
    bytes_of = {
        "free": gc.mem_free(),
        "used": gc.mem_alloc(),
        "with_garbage": before,
        "modules": len(sys.modules),
    }
    try:
        from esp32 import HEAP_DATA, idf_heap_info
    except ImportError:
        return bytes_of
    # [free, in one piece, the least ever free] of each region that the radio and lwIP share.
    return dict(bytes_of, system=[list(region[1:]) for region in idf_heap_info(HEAP_DATA)])


def up(agent, params):
    _known(agent, params)
    from hal import HalError

    agent.wanted(params["peer"], True)
    try:
        agent.engine.initiate(params["peer"], agent.clock())
    except HalError as error:
        raise Refused(str(error))
    return {"ok": True}


def down(agent, params):
    _known(agent, params)
    agent.wanted(params["peer"], False)
    ended = agent.engine.terminate(params["peer"])
    agent.flush()
    return {"ok": True, "ended": ended}


def _known(agent, params):
    if params.get("peer") not in [peer.name for peer in agent.engine.peers]:
        raise Refused("no such peer; status lists them")


def selftest(agent):
    """The known answers again, of everything that boot proved."""
    for name in list(agent.proven):
        op, _, what = name.partition("/")
        agent.prove(op, int(what) if what.isdigit() else what or None)
    from agent.boot import unload

    unload("hal.selftest", "agent.boot")
    return agent.proven


def put(agent, params):
    """One piece of a new configuration's JSON: {"offset", "data"}; offset 0 begins anew."""
    offset, data = params.get("offset"), params.get("data")
    if not isinstance(data, str) or offset not in (0, len(agent.received)):
        raise Refused("config.put wants data at offset 0 or %d" % len(agent.received))
    if offset == 0:
        agent.received = ""
    if len(agent.received) + len(data) > _MAX_CONFIG:
        raise Refused("a configuration has at most %d characters" % _MAX_CONFIG)
    agent.received += data
    return {"received": len(agent.received)}


def commit(agent):
    """Check what was put, and make it the configuration of the next boot: all of it or nothing."""
    from os import urandom

    from agent import config, store

    try:
        new = json.loads(agent.received)
        config.checked(new, agent.path + "agent/schema.json")
    except ValueError:
        raise Refused("not JSON")
    except config.ConfigError as error:
        raise Refused(str(error))
    finally:
        agent.received = ""
    try:
        store.open_store(agent.path).save(new, urandom(16))
    except OSError as error:
        raise Refused("cannot be written: %s" % error)
    return {"ok": True}


def reset(agent, params):
    """Start anew; {"stay": true} leaves the agent for the prompt, in development mode only."""
    if params.get("stay"):
        if agent.config and not agent.config["device"]["development"]:
            raise Refused("the prompt is for development mode; or hold the boot button at boot")
        raise KeyboardInterrupt  # what Ctrl-C does
    agent.take_down()
    agent.port.reset()

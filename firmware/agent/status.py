"""What the console tells about the agent, and of its configuration; never a secret: "(set)"
stands for one. Loaded for each call alone.
"""

import json

from micropython import const

from agent import VERSION
from agent.console import Refused
from modules import unload

_ROOM = const(
    700
)  # bytes of peers in an answer: a line has 4096, and a small heap no more to spare


def config_get(agent, params):
    """The configuration as the agent works with it; {"from": n} only the peers from there on."""
    given = agent.config["peer"]
    answer = {} if "from" in params else dict(agent.config)
    page = _page(agent, answer, lambda peer: (peer.name, given[peer.name]), params)
    answer["peer"] = dict(page)
    return answer


def _page(agent, answer, make, params):
    """What `make(peer)` gives for as many peers as a line of the console has room for, from
    params["from"] on; where others follow, `answer` gets the number of the first as "more"."""
    start = params.get("from", 0)
    if type(start) is not int:
        raise Refused("from is not a number")
    found = []
    room = _ROOM
    for peer in agent.engine.peers[start:]:
        entry = make(peer)
        room -= len(json.dumps(entry))
        if found and room < 0:
            answer["more"] = start + len(found)
            break
        found.append(entry)
    return found


def events(agent, params):
    """What happened last, as lines: seconds of uptime, the event, its values."""
    agent.keep()
    return {"uptime_ms": agent.clock(), "events": agent.kept.decode().split("\n")[:-1]}


def status(agent, params):
    """Everything about the device but its secrets; {"from": n} only the peers from there on."""
    answer = {}
    if "from" in params and agent.engine:
        answer["peers"] = _page(agent, answer, lambda peer: _peer(agent, peer), params)
        return answer
    answer = {
        "version": VERSION,
        "board": agent.board.get("name"),
        "uptime_ms": agent.clock(),
        "last_crash": agent.last_crash,
        "access": "open" if agent.open else "password" if agent.verifier else "presence",
        "flash_encrypted": _flash_encrypted(agent.board),
    }
    if agent.engine is None:
        answer["mode"] = "stopped"
        answer["code"], answer["reason"] = agent.fatal
        return answer
    answer.update(counters(agent, params))
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
    answer["peers"] = _page(agent, answer, lambda peer: _peer(agent, peer), params)
    return answer


def _flash_encrypted(board):
    from agent import efuse

    try:
        return efuse.flash_encrypted(board.get("chip"))
    finally:
        unload("agent.efuse")


def _peer(agent, peer):
    engine = agent.engine
    sa = engine.find(peer.name, True)
    entry = {
        "name": peer.name,
        "address": peer.address or agent.config["peer"][peer.name]["address"],
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
        entry["code"], entry["reason"], failed = engine.last_failure[peer.name]
        entry["failed_s"] = (agent.clock() - failed) // 1000
    if peer.name in engine.last_down:
        by, when = engine.last_down[peer.name]
        entry["last_down"] = {"by": by, "ago_s": (agent.clock() - when) // 1000}
    return entry


def counters(agent, params):
    """Engines, drops and heap."""
    drops = agent.engine.drops.by_reason  # no copy: there may be no piece of memory for one
    if agent.link.empty_datagrams:
        drops["empty-datagram"] = agent.link.empty_datagrams
    return {
        "engines": agent.hal.counts,
        "engine_failures": agent.hal.failures,
        "drops": drops,
        "send_failures": agent.link.send_failures,
        "heap": heap(agent),
    }


def heap(agent):
    """Bytes, as they were before this module was loaded: in use, garbage included, and after a
    collection. How many modules are loaded tells growth by an import from a leak."""
    bytes_of = dict(zip(("with_garbage", "used", "free", "modules"), agent.heap))
    try:
        from esp32 import HEAP_DATA, idf_heap_info
    except ImportError:
        return bytes_of
    # ESP-IDF's heap, which the network lives on. MicroPython's could grow into the largest piece
    # of it, and counts that as free.
    _, free, largest, least = zip(*idf_heap_info(HEAP_DATA))
    bytes_of["free"] -= max(largest)
    bytes_of["idf"] = {"free": sum(free), "largest": max(largest), "least": sum(least)}
    return bytes_of

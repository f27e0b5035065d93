"""The configuration, as it comes over the console. Loaded for each call alone."""

import gc
import json

from agent.console import Refused
from modules import unload

NO_MEMORY = "no memory for that: reset the board and try again, or with fewer peers or proposals"
_MAX_CONFIG = 24576  # characters: certificates are the most of it


def config_put(agent, params):
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


def config_commit(agent, params):
    """Check what was put, and make it the configuration of the next boot: all of it or nothing."""
    try:
        accept(agent, taken(agent, "not JSON"))
    except MemoryError:  # what was put is gone: the console need not try again
        raise Refused(NO_MEMORY)
    finally:
        unload("agent.config", "agent.store")
    return {"ok": True}


def taken(agent, why):
    """What was put, as a value; Refused, with `why`, where it is no JSON."""
    gc.collect()
    try:
        return json.loads(agent.received)
    except ValueError:
        raise Refused(why)
    finally:
        agent.received = ""
        gc.collect()


def accept(agent, new):
    """Check a configuration, and make it that of the next boot; Refused."""
    from os import urandom

    from agent import config, store

    try:
        config.checked(new, agent.path + "agent/schema.json")
    except config.ConfigError as error:
        raise Refused(str(error))
    section = new.get("certificate")
    if section and "key" not in section:
        from agent import enroll

        enroll.check(agent, section)
    try:
        store.open_store(agent.path).save(new, urandom(16))
    except OSError as error:
        raise Refused("cannot be written: %s" % error)

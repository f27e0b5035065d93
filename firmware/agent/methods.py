"""What the console can be asked; most of it is in modules that are loaded for the call alone."""

import gc
import sys

from micropython import const

from agent.console import Refused
from modules import unload

OPEN_MS = const(60000)  # a password opens the board for so long after the last call that needed it

_ALWAYS = {"status": "status", "events": "status", "auth": "access"}
_GUARDED = {
    "config.put": "provisioning",
    "config.commit": "provisioning",
    "enroll.request": "enroll",
    "enroll.install": "enroll",
}
_RUNNING = {"counters": "status", "config.get": "status", "selftest": "proving"}


def methods(agent):
    """{method name: function(params)} of an agent, provisioned or not."""
    return {"reset": lambda params: reset(agent, params)}


def add_running(agent):
    """The methods of an agent that runs."""
    agent.console.add("up", lambda params: up(agent, params))
    agent.console.add("down", lambda params: down(agent, params))


def find(agent, name):
    """The function(params) of a method that is in a module of its own; None: there is none."""
    if name in _GUARDED:
        return lambda params: _guarded(agent, name, params)
    module = _ALWAYS.get(name) or (agent.engine and _RUNNING.get(name))
    if module:
        return lambda params: _call(agent, "agent." + module, name.replace(".", "_"), params)


def _guarded(agent, name, params):
    """What changes who the board is: for whoever has it in his hands, or its password."""
    if not agent.open:
        if agent.clock() >= agent.open_until:
            raise Refused("the board is in production: its password, or its boot button")
        agent.open_until = agent.clock() + OPEN_MS
    return _call(agent, "agent." + _GUARDED[name], name.replace(".", "_"), params)


def _call(agent, module, name, params):
    before = gc.mem_alloc()
    gc.collect()
    agent.heap = before, gc.mem_alloc(), gc.mem_free(), len(sys.modules)
    try:
        __import__(module)
        return getattr(sys.modules[module], name)(agent, params)
    finally:
        unload(module)


def up(agent, params):
    _known(agent, params)
    from hal import HalError

    name = params["peer"]
    agent.wanted(name, True)
    is_there = agent.engine.find(name)
    if agent.names and not is_there and not agent.names.ready(name, False):
        raise Refused(agent.engine.last_failure[name][1])
    try:
        agent.engine.initiate(name, agent.clock())
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


def reset(agent, params):
    """Start anew; {"stay": true} leaves the agent for the prompt, unless that is closed."""
    if params.get("stay"):
        if not agent.open:
            raise Refused("the prompt is for development mode; or hold the boot button at boot")
        raise KeyboardInterrupt  # what Ctrl-C does
    agent.take_down()
    agent.port.reset()

"""The engines' known answers: at boot, and asked for over the console. Loaded for that alone."""

import gc

from modules import unload


def prove(agent, op, what, every=True):
    """Run the known answers of an operation: of every engine, or until one has passed. The
    verdicts are kept."""
    name = op if what is None else "%s/%s" % (op, what)
    agent.proven[name] = agent.hal.prove(op, what, every)
    gc.collect()
    return agent.proven[name]


def selftest(agent, params):
    """The known answers again, of everything that boot proved."""
    for name in list(agent.proven):
        op, _, what = name.partition("/")
        prove(agent, op, int(what) if what.isdigit() else what or None)
    unload("hal.selftest")
    return agent.proven

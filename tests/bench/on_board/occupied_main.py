"""The agent as `main.py` starts it, with one more method on its console: `occupy` takes memory
away. It is given {"free": bytes to leave, "scattered": bool}, and answers how many are left."""

import gc

from agent import methods, run

_kept = [None, None]


def occupy(params):
    fill = _fill_pieces if params["scattered"] else _fill_holes
    fill(params["free"])
    return {"free": _left()}


def _fill_holes(free):
    """One block of the heap after the other, the lowest first: what is left is in one piece."""
    chain = None
    while _left() > free:
        for _ in range(16):
            chain = (chain, None)
    _kept[0] = chain


def _fill_pieces(free):
    """The largest pieces first: what is left is scattered, as on a board that ran for long."""
    piece = _left() - free
    while piece >= 32:
        try:
            _kept.append(bytearray(piece))
            piece = _left() - free
        except MemoryError:
            piece //= 2


def _left():
    gc.collect()
    return gc.mem_free()


def add_running(agent, add=methods.add_running):
    add(agent)
    agent.console.add("occupy", occupy)


methods.add_running = add_running
run.main()

"""Every sequence of up to 7 messages, of an alphabet of what can be sent, on both roles.

Exhaustive by memory: two runs that leave the engine with equal contents (keys, cookies, IVs,
lines, what is remembered) have equal futures, because the engine has no clock, socket or
randomness of its own; so each distinct content is continued once. The crypto is cheap, the
protocol code is the real one.
"""

import io
import pickle
import struct
from typing import Any

import pytest

from cheap import CheapHal
from ike import informational, keys, mainmode, wire
from ike import registry as R
from pair import INITIATOR, RESPONDER, Pair, changed

DEPTH = 7
ROLES = {
    "i": {"MAIN_I1", "MAIN_I2", "MAIN_I3", "ESTABLISHED"},
    "r": {"MAIN_R1", "MAIN_R2", "ESTABLISHED"},
}
# Of an SA, what its future does not depend on: links, texts, measurements.
_ASIDE = {"engine", "peer", "hint", "modexp_ms", "started", "path", "retransmitter", "replay"}

Letters = dict[str, bytes]


def begun() -> Pair:
    pair = Pair({"crypto": CheapHal(b"i")}, {"crypto": CheapHal(b"r")})
    pair.i.initiate("gw", 0)
    return pair


def alphabet(side: str) -> Letters:
    """What can be sent to one side: the peer's own messages, and others', with the keys too."""
    pair = begun()
    pair.settle(4)
    sa = pair.i.sas[0]
    hal, suite = pair.i.hal, sa.suite
    ka, skeyid, skeyid_a, iv = (bytes(v) for v in (sa.ka, sa.skeyid, sa.skeyid_a, sa.iv))
    public = sa.g_xi, sa.g_xr, sa.cky_i, sa.cky_r, sa.sai_b
    pair.settle()
    genuine = [bytes(datagram) for _, datagram in pair.log]
    assert len(genuine) == 6
    last = genuine[5][-16:]
    iv5 = keys.phase1_iv(hal, suite, *public[:2])
    iv6 = genuine[4][-16:]
    assert iv == genuine[4][-16:]

    def encrypted(exchange: int, iv: bytes, bodies: Any, msgid: int = 0) -> bytes:
        content, _ = keys.crypt(hal, suite, ka, iv, wire.chain(bodies, 16), True)
        head = sa.cky_i, sa.cky_r, bodies[0][0]
        return bytes(wire.message(*head, exchange, True, msgid, content))

    def told(iv: bytes, kind: int, body: bytes, msgid: int, flip: int = 0) -> bytes:
        digest = keys.informational_hash(
            hal, suite, skeyid_a, msgid, bytes(wire.chain([(kind, body)]))
        )
        digest[0] ^= flip
        iv = keys.exchange_iv(hal, suite, iv, msgid)
        return encrypted(5, iv, [(R.HASH, digest), (kind, body)], msgid)

    spi = sa.cky_i + sa.cky_r
    delete = struct.pack("!IBBH", 1, 1, 16, 1) + spi
    clear = wire.chain([(R.D, delete)])
    letters = {
        "clear delete": wire.message(sa.cky_i, sa.cky_r, R.D, 5, False, 7, clear),
        "delete": told(last, R.D, delete, 9),
        "delete of another": told(last, R.D, delete[:8] + spi[8:] + spi[:8], 10),
        "delete, bad HASH": told(last, R.D, delete, 11, 1),
        "notify": told(last, R.N, informational.notify_body(36136, spi), 12),
        "rubbish": wire.message(sa.cky_i, sa.cky_r, R.ID, 2, True, 0, bytes(64)),
    }
    if side == "i":
        name, receiver, sender, function, iv_next = 6, sa.peer.local_id, "r", keys.hash_r, iv6
        error_iv = iv6
        identity = sa.peer.remote_id
    else:
        name, receiver, sender, function, iv_next = 5, sa.peer.remote_id, "i", keys.hash_i, iv5
        error_iv = iv5
        identity = sa.peer.local_id
    assert sender != side and receiver != identity
    digest = function(hal, suite.hash, skeyid, *public, identity)
    wrong = changed(digest, 0, digest[0] ^ 1)
    mirrored = (keys.hash_i if side == "i" else keys.hash_r)(
        hal, suite.hash, skeyid, *public, identity
    )
    letters |= {
        f"{name}, wrong HASH": encrypted(2, iv_next, [(R.ID, identity), (R.HASH, wrong)]),
        f"{name}, mirrored HASH": encrypted(2, iv_next, [(R.ID, identity), (R.HASH, mirrored)]),
        f"{name}, other ID": encrypted(2, iv_next, [(R.ID, receiver), (R.HASH, digest)]),
        f"{name}, no HASH": encrypted(2, iv_next, [(R.ID, identity)]),
        f"{name}, SIG for HASH": encrypted(2, iv_next, [(R.ID, identity), (R.SIG, digest)]),
        "refusal": told(error_iv, R.N, informational.notify_body(18, spi), 13),
    }
    for index, message in enumerate(genuine):
        letters[str(index + 1)] = message
    # Another of what the side waits for. (Another message 1 begins another exchange, with all of
    # its states beside those of the first; that is the half-open table's business.)
    for number, at in ((2, 8), (4, 99)) if side == "i" else ((3, 99),):
        message = genuine[number - 1]
        letters[f"another {number}"] = bytes(changed(message, at, message[at] ^ 1))
    return {name: bytes(letter) for name, letter in letters.items()}


class Snapshots:
    """Engines as bytes: what never changes (modules, peers, clocks) stays outside."""

    def __init__(self, engine: Any) -> None:
        constant = [engine.halfopen, engine.clock, *engine.peers, *engine.peers[0].suites]
        self._constant = {id(thing): (index, thing) for index, thing in enumerate(constant)}

    def take(self, engine: Any) -> bytes:
        out = io.BytesIO()
        pickler = pickle.Pickler(out, -1)
        pickler.persistent_id = lambda thing: self._constant.get(id(thing), (None,))[0]  # type: ignore[method-assign]
        pickler.dump(engine)
        return out.getvalue()

    def restore(self, data: bytes) -> Any:
        things = [thing for _, thing in self._constant.values()]
        unpickler = pickle.Unpickler(io.BytesIO(data))
        unpickler.persistent_load = lambda index: things[index]  # type: ignore[method-assign]
        return unpickler.load()


def content(engine: Any) -> Any:
    """What an engine's future depends on."""
    found = []
    for sa in engine.sas:
        values = [
            (name, _plain(value)) for name, value in sa.__dict__.items() if name not in _ASIDE
        ]
        found.append((tuple(values), sa.replay.digest))
    firsts = tuple((first.tag, first.since) for first in engine.firsts)
    return tuple(found), firsts, engine.hal._drawn


def _plain(value: Any) -> Any:
    if isinstance(value, bytearray):
        return bytes(value)
    if value is None or isinstance(value, (bytes, int, str)):
        return value
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    return str(sorted(value)) if isinstance(value, (set, frozenset)) else type(value).__name__


def lines(engine: Any) -> dict[int, str]:
    return {index: sa.state for index, sa in enumerate(engine.sas)}


@pytest.mark.parametrize("side", ["i", "r"])
def test_every_sequence(side: str) -> None:
    letters = alphabet(side)
    proof = "6" if side == "i" else "5"
    pair = begun()
    pair.collect("i")
    start = pair.i if side == "i" else pair.r
    path = INITIATOR + RESPONDER if side == "i" else RESPONDER + INITIATOR
    snapshots = Snapshots(start)
    seen = {content(start)}
    states: set[str] = {sa.state for sa in start.sas}
    moves: set[tuple[str, str]] = set()
    front = [snapshots.take(start)]
    count = 0
    for _ in range(DEPTH):
        following = []
        for snapshot in front:
            for name, letter in letters.items():
                engine = snapshots.restore(snapshot)
                count += 1
                before = {id(sa): sa.state for sa in engine.sas}
                had = "ESTABLISHED" in before.values()
                kept = list(engine.sas)  # so that no identity is used again
                engine.receive(letter, path, 0)
                while engine.poll(0):
                    pass
                engine.take_datagrams()
                engine.take_events()
                for sa in engine.sas:
                    was = before.get(id(sa), "START" if sa.state == "MAIN_R1" else sa.state)
                    if was != sa.state:
                        moves.add((was, sa.state))
                    states.add(sa.state)
                has = "ESTABLISHED" in [sa.state for sa in engine.sas]
                assert had or not has or name == proof, f"established by {name}"
                del kept
                now = content(engine)
                if now not in seen:
                    seen.add(now)
                    following.append(snapshots.take(engine))
        front = following
    print(f"{side}: {len(seen)} contents, {count} messages, {len(front)} at the end")
    table = {
        (state, row[3]) for state, row in mainmode.TRANSITIONS.items() if row[3] in ROLES[side]
    }
    if side == "r":
        table = {move for move in table if not move[0].startswith("MAIN_I")}
    else:
        table = {move for move in table if move[0].startswith("MAIN_I")}
    assert states == ROLES[side]
    assert moves == table

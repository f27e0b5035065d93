"""Fuzzes both roles with their keys: 50 000 datagrams, the same in every run."""

import gc
import random
from collections import Counter

import player

DATAGRAMS = 50_000
# What the inputs must reach, or the player plays no longer what he should.
REACHED = {
    "bad-hash",
    "undecipherable",
    "delete-of-unknown-sa",
    "bad-delete",
    "bad-notify",
    "spoofed",
    "half-open-replaced",
    "unexpected-encrypted",
    "already-established",
}


def test_fifty_thousand_datagrams() -> None:
    source = random.Random(2409)
    drops: Counter[str] = Counter()
    given = plays = established = objects = 0
    while given < DATAGRAMS:
        game = player.play(source.randbytes(source.randrange(8, 120)))
        given += game.given
        plays += 1
        established += game.established
        for engine in (game.pair.i, game.pair.r):
            drops.update(engine.drops.by_reason)
        if plays == 500:
            gc.collect()
            objects = len(gc.get_objects())
    del game, engine
    gc.collect()
    assert len(gc.get_objects()) < objects + 500
    assert set(drops) >= REACHED, REACHED - set(drops)
    assert established > plays / 10

# micropython: heapsize=2m deadline=120
"""The fuzzer's corpus, replayed: every input that ever reached something new, in few."""

from binascii import unhexlify

import player


def test_corpus():
    folder = player.__file__.rpartition("/")[0] or "."
    established = 0
    with open(folder + "/fuzz/corpus.txt") as file:
        inputs = file.read().split()
    assert len(inputs) > 20
    for line in inputs:
        established += player.play(unhexlify(line)).established
    assert established > 5

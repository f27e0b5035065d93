"""Every cipher with every hash and group against charon, both roles, on boards that are fast."""

import itertools

import pytest

from ikelet_hil.bench import Bench
from ikelet_hil.capabilities import require
from test_psk import check_established, each_role, need

MATRIX = [
    "-".join(parts)
    for parts in itertools.product(
        ("aes128", "aes192", "aes256"),
        ("sha256", "sha384", "sha512"),
        ("modp2048", "modp3072", "modp4096"),
    )
] + ["aes256-sha256-modp6144", "aes256-sha512-modp8192"]


@each_role
@pytest.mark.parametrize("suite", MATRIX)
def test_matrix(bench: Bench, role: str, suite: str) -> None:
    slow = bench.board.slowness > 1
    require("speed", f"{bench.board.name} takes minutes for the matrix" if slow else "")
    need("strongswan")
    bench.start("strongswan", role, suite=suite)
    check_established(bench, role, suite)

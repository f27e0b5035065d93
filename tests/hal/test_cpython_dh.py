"""Ten thousand Diffie-Hellman exchanges between the software engine and pyca/cryptography."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import dh

from hal import software
from ike import groups

# group: (exchanges, bytes of our exponent). Few in modp1024: the reference does not know its
# prime, and takes 40 ms to look at it every time.
PLAN = {
    "modp1024": (40, 20),
    "modp1536": (6000, 20),
    "modp2048": (3000, 24),
    "modp3072": (560, 24),
    "modp4096": (240, 24),
    "modp6144": (100, 24),
    "modp8192": (60, 24),
}
SHARDS = 4  # tests a group, for those who run them side by side
ENGINE = software.Engine()


def test_the_plan_is_ten_thousand():
    assert sum(exchanges for exchanges, _ in PLAN.values()) == 10000
    assert all(exchanges % SHARDS == 0 for exchanges, _ in PLAN.values())


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("group", PLAN)
def test_exchanges(group, shard):
    exchanges, size = PLAN[group]
    prime = groups.prime(group)
    numbers = dh.DHParameterNumbers(int.from_bytes(prime, "big"), 2)
    parameters = numbers.parameters()
    for _ in range(exchanges // SHARDS):
        secret = os.urandom(size)
        public = ENGINE.modexp(b"\2", secret, prime)
        peer = parameters.generate_private_key()
        peer_public = peer.public_key().public_numbers().y.to_bytes(len(prime), "big")
        shared = ENGINE.modexp(peer_public, secret, prime)
        y = dh.DHPublicNumbers(int.from_bytes(public, "big"), numbers).public_key()
        assert shared == peer.exchange(y), (secret.hex(), peer_public.hex(), shard)


@pytest.mark.parametrize("group", PLAN)
def test_shared_secrets_with_leading_zeros(group):
    # Where implementations disagree; one in 256 by chance, so walk x until g^xy is short.
    prime = groups.prime(group)
    p = int.from_bytes(prime, "big")
    numbers = dh.DHParameterNumbers(p, 2)
    peer = numbers.parameters().generate_private_key()
    y = peer.public_key().public_numbers().y
    x = int.from_bytes(os.urandom(24), "big") | 1 << 191
    for zeros in (1, 1, 1, 2) if len(prime) < 256 else (1, 1, 1):
        shared = 0
        while not shared or shared >> 8 * (len(prime) - zeros):
            x += 1
            shared = shared * y % p if shared else pow(y, x, p)
        secret = x.to_bytes(25, "big")
        ours = ENGINE.modexp(y.to_bytes(len(prime), "big"), secret, prime)
        public = int.from_bytes(ENGINE.modexp(b"\2", secret, prime), "big")
        assert ours[:zeros] == bytes(zeros)
        assert ours == peer.exchange(dh.DHPublicNumbers(public, numbers).public_key()), secret

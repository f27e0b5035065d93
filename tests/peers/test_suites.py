"""Groups computed from their formula, and proposal names."""

import pytest

from ikelet.peers import PeerError
from ikelet.peers.suites import GROUPS, Group, parse


def _is_prime(n: int) -> bool:
    """Miller-Rabin; the bases are enough for numbers nobody chose to deceive us."""
    odd, shifts = n - 1, 0
    while odd % 2 == 0:
        odd, shifts = odd // 2, shifts + 1
    for base in (2, 3):
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(shifts - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


@pytest.mark.parametrize("name", ["modp1024", "modp1536", "modp2048"])
def test_group_is_a_safe_prime(name: str) -> None:
    prime = GROUPS[name].prime
    assert _is_prime(prime)
    assert _is_prime(prime // 2)


@pytest.mark.parametrize(
    "group",
    [group for group in GROUPS.values() if isinstance(group, Group)],
    ids=lambda group: group.name,
)
def test_group_has_the_shape_of_its_rfc(group: Group) -> None:
    prime = group.prime
    assert prime.bit_length() == group.bits
    # 64 ones at both ends, and after the upper ones the first bits of pi
    assert prime >> group.bits - 64 == prime & (1 << 64) - 1 == (1 << 64) - 1
    assert prime >> group.bits - 128 & (1 << 64) - 1 == 0xC90FDAA22168C234
    # the generator 2 has order (p - 1) / 2, which also is a Fermat test of p
    assert pow(2, prime // 2, prime) == 1


def test_proposal_names() -> None:
    suite = parse("aes192-sha384-modp3072")
    assert (suite.cipher.key_size, suite.hash, suite.group.number) == (24, "sha384", 15)
    assert str(suite) == "aes192-sha384-modp3072"


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        ("aes256-sha256", "is not spelled cipher-hash-group"),
        ("des-sha1-modp1024", '"des" is not one of aes128, aes192, aes256, 3des'),
        ("aes256-sha256-modp768", '"modp768" is not one of'),
    ],
)
def test_unknown_proposal_is_explained(proposal: str, message: str) -> None:
    with pytest.raises(PeerError, match=message):
        parse(proposal)

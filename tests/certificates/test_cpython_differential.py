"""Mutated certificates: nothing is accepted that pyca/cryptography refuses.

Each mutant is signed by its issuer, so that what is in it gets looked at; a chain of three has its
gateway's or its intermediate's certificate changed. The reverse is not asked for: what is refused
here alone is refused on purpose, and counted.
"""

import copy
import ipaddress
import random
from collections import Counter

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from certificates import maker, tree
from certificates.maker import NOW, Party, authority
from pki import Refused, path
from pki.certificate import Certificate

REFUSALS = (
    ValueError,
    TypeError,  # a BIT STRING where a name has text
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    verification.VerificationError,
)
READ = {bytes([0x55, 0x1D, kind]) for kind in (0x0E, 0x0F, 0x11, 0x13, 0x1E, 0x23, 0x25)}
# It warns of much that it takes: names that are too long, serial numbers that are 0.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FEW, MANY = 2500, 100_000
FIRST_SEED = 20310506


class Bench:
    """A chain of three that both sides accept, and the two of them."""

    def __init__(self):
        names = [
            x509.DNSName("gateway.example"),
            x509.RFC822Name("a@gateway.example"),
            x509.IPAddress(ipaddress.ip_address("10.9.0.1")),
            x509.DirectoryName(maker.name("directory")),
            x509.UniformResourceIdentifier("ike://gateway.example"),
        ]
        purposes = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.IPSEC_IKE])
        self.root = authority("Root")
        self.middle = authority("Middle", self.root, pathlen=0)
        self.leaf = Party(
            "gateway",
            self.middle,
            extensions=[
                (maker.usage("digital_signature", "content_commitment"), True),
                (x509.BasicConstraints(False, None), True),
                (x509.SubjectAlternativeName(names), False),
                (purposes, False),
            ],
        )
        self.anchors = [Certificate(self.root.der)]
        store = verification.Store([x509.load_der_x509_certificate(self.root.der)])
        permissive = verification.ExtensionPolicy.permit_all()
        policy = verification.PolicyBuilder().store(store).time(NOW.replace(tzinfo=None))
        # Old CAs have basicConstraints that are not critical, and RFC 5280 lets them pass.
        ca_policy = verification.ExtensionPolicy.webpki_defaults_ca().require_present(
            x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
        )
        policy = policy.extension_policies(ca_policy=ca_policy, ee_policy=permissive)
        self.verifier = policy.build_client_verifier()

    def ours(self, leaf, middle):
        """None where we accept it, else why not."""
        try:
            found = path.validate([leaf, middle], self.anchors, maker.unix(NOW), maker.verify)
            maker.public_key(found[0].key)  # as the HAL does before it believes a signature
        except Refused as refused:
            return refused.code
        except ValueError:
            return "bad-key"
        return None

    def theirs(self, leaf, middle):
        """None where pyca/cryptography accepts it, else why not."""
        try:
            loaded = [x509.load_der_x509_certificate(one) for one in (leaf, middle)]
            for der, one in zip((leaf, middle), loaded):
                for part in ("subject", "issuer", "serial_number"):
                    getattr(one, part)
                one.public_key()
                if not others_than_read(der):
                    _ = one.extensions
            self.verifier.verify(loaded[0], loaded[1:])
        except REFUSALS as error:
            return f"{type(error).__name__}: {error}"
        return None


def others_than_read(der):
    """True if there is an extension whose content does not matter to us, as it is not read."""
    kinds = set()
    for _, content in tree.walk(tree.parse(der)):
        if isinstance(content, list) and [one[0] for one in content] in ([6, 4], [6, 1, 4]):
            kinds.add(content[0][1])
    return not kinds <= READ


def mutant(bench, dice):
    """(leaf, intermediate), one of them changed and signed again by its issuer."""
    ders = [bench.leaf.der, bench.middle.der]
    which = dice.randrange(2)
    key = (bench.middle, bench.root)[which].key
    outer = tree.parse(ders[which])
    kind = dice.random()
    if kind < 0.5:
        for _ in range(dice.choice((1, 1, 2, 3))):
            changed_element(outer[0][1][0], dice)
        ders[which] = maker.resigned(outer, key)
    else:
        message = bytearray(tree.encode(outer[0][1][:1]))
        for _ in range(dice.choice((1, 1, 2, 3))):
            changed_byte(message, dice)
        signature = [3, b"\0" + maker.sign(key, bytes(message))]
        content = bytes(message) + tree.encode([outer[0][1][1], signature])
        ders[which] = tree.element(0x30, content)
    return ders


def changed_byte(data, dice):
    if not data:
        return
    at = dice.randrange(len(data))
    kind = dice.randrange(8)
    if kind < 3:
        data[at] ^= 1 << dice.randrange(8)
    elif kind < 5:
        data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, data[at - 1], data[at] + 1 & 0xFF))
    elif kind == 5:
        data.insert(at, dice.randrange(256))
    elif kind == 6:
        del data[at]
    else:
        del data[at + 1 :]


def changed_element(root, dice):
    """Change one element below `root`: its tag, its content, its place, its number."""
    parents = [one for one in tree.walk([root]) if isinstance(one[1], list) and one[1]]
    parent = dice.choice(parents)[1]
    at = dice.randrange(len(parent))
    one = parent[at]
    kind = dice.randrange(9)
    if kind == 0:
        del parent[at]
    elif kind == 1:
        parent.insert(dice.randrange(len(parent) + 1), copy.deepcopy(one))
    elif kind == 2:
        other = dice.choice(list(tree.walk([root])))
        parent[at] = copy.deepcopy(other)
    elif kind == 3:
        one[0] ^= 1 << dice.randrange(8)
    elif kind == 4:
        dice.shuffle(parent)
    elif kind == 5:
        parent.insert(at, [dice.choice((1, 2, 4, 5, 6, 12, 19, 48, 128, 160)), b""])
    elif isinstance(one[1], bytes):
        content = bytearray(one[1] or b"\0")
        changed_byte(content, dice)
        one[1] = bytes(content)
    else:
        one[1] = [] if kind == 6 else [*one[1], *one[1][:1]]


def compared(count, seed):
    """Verdicts of `count` mutants: Counter of (ours accepts, theirs accepts), and differences."""
    bench = Bench()
    assert bench.ours(bench.leaf.der, bench.middle.der) is None
    assert bench.theirs(bench.leaf.der, bench.middle.der) is None
    dice = random.Random(seed)
    verdicts, lenient = Counter(), []
    for _ in range(count):
        leaf, middle = mutant(bench, dice)
        ours, theirs = bench.ours(leaf, middle), bench.theirs(leaf, middle)
        verdicts[ours is None, theirs is None] += 1
        if ours is None and theirs is not None:
            lenient.append((theirs, leaf.hex(), middle.hex()))
    return verdicts, lenient


def check(count, seed):
    verdicts, lenient = compared(count, seed)
    print(f"{count} mutants, (ours accepts, theirs accepts): {dict(verdicts)}")
    for r, _, _ in lenient:
        print(r)
    assert not lenient, lenient[:3]
    # Or nothing was shown: some must be harmless, most must not.
    assert verdicts[True, True] > count // 100
    assert verdicts[False, False] > count // 3


def test_nothing_is_accepted_that_the_other_refuses():
    check(FEW, FIRST_SEED)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_nothing_is_accepted_that_the_other_refuses_of_many():
    check(MANY, random.SystemRandom().randrange(1 << 32))


def test_curves_and_sizes_are_judged_alike():
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        certificate = Certificate(authority("Root", key=maker.ec_key(curve)).der)
        assert certificate.key.bits == curve.key_size

"""From configuration to transforms offered; selection and comparison; the identity rule."""

import struct

from ike import registry as R
from ike import wire
from ike.wire import Drop

_ID_PORTS = ((0, 0), (17, 0), (17, 500), (17, 4500))
_LIFE_TYPES = (R.LIFE_SECONDS, R.LIFE_KILOBYTES)


class PolicyError(Exception):
    """Our own configuration cannot work; the text says which value and what would do."""


class Suite:
    """One proposal: cipher, hash and group by name; `name` in strongSwan's spelling."""

    def __init__(self, name, legacy=False, method=R.AUTH_PSK):
        parts = name.split("-")
        known = len(parts) == 3 and parts[0] in R.CIPHERS and parts[1] in R.HASHES
        if not known or parts[2] not in R.GROUPS:
            raise PolicyError("unknown proposal %s" % name)
        if not legacy and any(part in R.LEGACY for part in parts):
            raise PolicyError("proposal %s needs legacy = true" % name)
        self.name = name
        self.cipher, self.hash, self.group = parts
        self.base = dict(self.attributes(method, ()))

    def attributes(self, auth, lives):
        """The attributes that offer this suite; lives: (seconds, kilobytes), 0 for no limit."""
        algorithm, key_bits = R.CIPHERS[self.cipher][:2]
        found = [(R.ENCRYPTION, algorithm)]
        if key_bits:
            found.append((R.KEY_LENGTH, key_bits))
        found += [
            (R.HASH_ALGORITHM, R.HASHES[self.hash][0]),
            (R.AUTH_METHOD, auth),
            (R.GROUP, R.GROUPS[self.group][0]),
        ]
        for kind, duration in zip(_LIFE_TYPES, lives):
            if duration:
                found += [(R.LIFE_TYPE, kind), (R.LIFE_DURATION, duration)]
        return found


class Peer:
    """A configured peer gateway.

    `address` is its IP address as text, or "any" where certificates tell who it is, and `port`
    its UDP port; `psk` bytes, or None with `credentials` (certs.Credentials); identities are IP
    addresses as text, or bodies of ID payloads; `proposals` names of suites in order of
    preference; `lifetime` seconds, `lifetime_kb` of messages, 0: any number; `dpd` seconds without
    a sign of life before asking for one.
    """

    def __init__(
        self,
        name,
        address,
        psk,
        local_id,
        remote_id,
        proposals,
        port=500,
        role="initiator",
        lifetime=R.DEFAULT_LIFETIME,
        lifetime_kb=0,
        legacy=False,
        strict=True,
        retransmit="strongswan",
        credentials=None,
        dpd=0,
        natt=False,
        natt_port=4500,
    ):
        self.name = name
        self.address = address
        self.port = port
        self.role = role
        self.auth = "cert" if credentials else "psk"
        self.method = credentials.method if credentials else R.AUTH_PSK
        # What our vendor IDs announce, by registry.VENDOR_IDS.
        announced = (("fragmentation", credentials), ("dpd", dpd), ("natt", natt))
        self.capable = tuple([name for name, wanted in announced if wanted])
        self.dpd = dpd
        self.natt_port = natt_port
        self.psk = psk
        self.credentials = credentials
        self.legacy = legacy
        # A responder must choose the key before it sees an identity, so that only the address
        # can tell the peers apart (RFC 2409 section 5.4).
        self.local_id = local_id if credentials else identity(local_id)
        self.remote_id = remote_id if credentials else identity(remote_id)
        self.suites = [Suite(proposal, legacy, self.method) for proposal in proposals]
        self.lives = lifetime, lifetime_kb
        self.strict = strict
        self.retransmit = retransmit


def identity(text):
    """The body of an ID payload for an IP address given as text (RFC 2407 section 4.6.2)."""
    raw = packed_address(text)
    if raw is None:
        raise PolicyError(
            "identity %s: a pre-shared key in Main Mode needs an IP address; use certificates "
            "for any other identity" % text
        )
    return struct.pack("!BBH", R.ID_IPV4 if len(raw) == 4 else R.ID_IPV6, 0, 0) + raw


def packed_address(text):
    """An IP address as 4 or 16 bytes, or None where `text` is not one."""
    try:
        if ":" not in text:
            numbers = [int(part) for part in text.split(".")]
            valid = len(numbers) == 4 and all(0 <= number < 256 for number in numbers)
            return bytes(numbers) if valid else None
        head, gap, tail = text.partition("::")
        left = [int(part, 16) for part in head.split(":")] if head else []
        right = [int(part, 16) for part in tail.split(":")] if tail else []
        if gap:
            left += [0] * (8 - len(left) - len(right))
        words = left + right
        valid = len(words) == 8 and all(0 <= word < 0x10000 for word in words)
        return struct.pack("!8H", *words) if valid else None
    except (ValueError, OverflowError, TypeError):
        return None


def describe_identity(body):
    """An ID payload's body as text, for people: never trusted, never parsed back."""
    kind = body[0] if len(body) >= 4 else 0
    value = bytes(body[4:])
    if kind == R.ID_IPV4 and len(value) == 4:
        return ".".join(str(octet) for octet in value)
    if kind == R.ID_IPV6 and len(value) == 16:
        return ":".join("%x" % word for word in struct.unpack("!8H", value))
    if kind in (R.ID_FQDN, R.ID_USER_FQDN) and all(32 < octet < 127 for octet in value):
        return value.decode()
    return "type %d, %d bytes" % (kind, len(value))


def same_identity(body, expected):
    """Whether a received ID payload names `expected` (type and address; RFC 2407 section 4.6.2).

    Protocol and port may be 0/0 or UDP with port 0, 500 or 4500.
    """
    return is_phase1_id(body) and body[0] == expected[0] and body[4:] == expected[4:]


def is_phase1_id(body):
    """Whether an ID payload names no other service than IKE (RFC 2407 section 4.6.2)."""
    return len(body) >= 4 and (body[1], body[2] << 8 | body[3]) in _ID_PORTS


def offer_body(peer):
    """The body of message 1's SA payload: every suite of the peer, in order of preference."""
    last = len(peer.suites) - 1
    return wire.sa_body(
        [
            wire.transform(index + 1, suite.attributes(peer.method, peer.lives), index < last)
            for index, suite in enumerate(peer.suites)
        ]
    )


def select(peer, body):
    """The responder's choice from an offer: (suite, lives, body of the answer).

    Our order of preference decides. The answer carries the chosen transform byte for byte
    (RFC 2409 section 5), alone: only its next-payload field becomes 0.
    """
    number, parsed = wire.offer(body, peer.strict)
    chosen = None
    best = len(peer.suites)
    for attrs, raw in parsed:
        base, lives = _split(attrs)
        for rank in range(best):
            if base == peer.suites[rank].base:
                best = rank
                chosen = raw, lives
                break
    if chosen:
        answer = bytearray(chosen[0])
        answer[0] = 0
        lives = (
            chosen[1].get(R.LIFE_SECONDS, R.DEFAULT_LIFETIME),
            chosen[1].get(R.LIFE_KILOBYTES, 0),
        )
        return peer.suites[best], lives, wire.sa_body((answer,), number)
    if not any((R.AUTH_METHOD, peer.method) in attrs for attrs, _ in parsed):
        raise Drop("auth-method-mismatch")
    raise Drop("no-proposal-chosen")


def accept(peer, body):
    """The initiator's check of the answer: (suite, lives).

    Exactly one transform, and its attributes are, as a set, those of one that we offered; of two
    lives, each duration belongs to the type before it. charon leaves the kilobytes out: we keep to
    them all the same.
    """
    _, parsed = wire.offer(body, peer.strict)
    if len(parsed) != 1:
        raise Drop("not-one-transform")
    attrs = parsed[0][0]
    for suite in peer.suites:
        for lives in (peer.lives, (peer.lives[0], 0)):
            ours = suite.attributes(peer.method, lives)
            same = len(attrs) == len(ours) and set(attrs) == set(ours)
            if same and (not lives[1] or _split(attrs) == _split(ours)):
                return suite, lives
    if (R.AUTH_METHOD, peer.method) not in attrs:
        raise Drop("auth-method-mismatch")
    raise Drop("attributes-changed")


def _split(attrs):
    """A transform's attributes as ({those that make the suite}, {life type: duration}).

    The first is None where the transform is not acceptable: an attribute twice, a life of no known
    type, or of 0, or of the same type as another.
    """
    lives = {}
    life_type = None
    base = {}
    for kind, value in attrs:
        if kind == R.LIFE_TYPE and life_type is None and value in _LIFE_TYPES:
            life_type = value
        elif kind == R.LIFE_DURATION and value and life_type and life_type not in lives:
            lives[life_type] = value
            life_type = None
        elif kind in base or kind in (R.LIFE_TYPE, R.LIFE_DURATION):
            return None, lives
        else:
            base[kind] = value
    return None if life_type else base, lives

"""Numbers and names that IANA, RFC 2407, RFC 2408 and RFC 2409 assign; suites as data.

Ciphers, hashes and DH groups are tables: a new one is a row here (and an operation of the HAL).
"""

# Payload types (RFC 2408 section 3.1; RFC 3947 section 3.2 for NAT-D and NAT-OA).
SA, KE, ID, CERT, CERTREQ, HASH, SIG, NONCE, N, D, VID = 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
PROPOSAL, TRANSFORM, NAT_D = 2, 3, 20

PAYLOAD_NAMES = {
    SA: "SA",
    KE: "KE",
    ID: "ID",
    CERT: "CERT",
    CERTREQ: "CERTREQ",
    HASH: "HASH",
    SIG: "SIG",
    NONCE: "NONCE",
    N: "N",
    D: "D",
    VID: "VID",
    NAT_D: "NAT-D",
}

# Exchange types (RFC 2408 section 3.1).
ID_PROT, INFORMATIONAL = 2, 5

# Header flags (RFC 2408 section 3.1).
FLAG_ENCRYPTION, FLAG_COMMIT, FLAG_AUTH_ONLY = 1, 2, 4

# Notify message types (RFC 2408 section 3.14.1): name -> number.
NOTIFY = {
    "INVALID-PAYLOAD-TYPE": 1,
    "DOI-NOT-SUPPORTED": 2,
    "SITUATION-NOT-SUPPORTED": 3,
    "INVALID-COOKIE": 4,
    "INVALID-MAJOR-VERSION": 5,
    "INVALID-MINOR-VERSION": 6,
    "INVALID-EXCHANGE-TYPE": 7,
    "INVALID-FLAGS": 8,
    "INVALID-MESSAGE-ID": 9,
    "INVALID-PROTOCOL-ID": 10,
    "INVALID-SPI": 11,
    "INVALID-TRANSFORM-ID": 12,
    "ATTRIBUTES-NOT-SUPPORTED": 13,
    "NO-PROPOSAL-CHOSEN": 14,
    "BAD-PROPOSAL-SYNTAX": 15,
    "PAYLOAD-MALFORMED": 16,
    "INVALID-KEY-INFORMATION": 17,
    "INVALID-ID-INFORMATION": 18,
    "INVALID-HASH-INFORMATION": 23,
    "AUTHENTICATION-FAILED": 24,
    "UNEQUAL-PAYLOAD-LENGTHS": 30,
    "INITIAL-CONTACT": 24578,
}

# Phase 1 attributes (RFC 2409 appendix A).
ENCRYPTION, HASH_ALGORITHM, AUTH_METHOD, GROUP, LIFE_TYPE, LIFE_DURATION, KEY_LENGTH = (
    1,
    2,
    3,
    4,
    11,
    12,
    14,
)
AUTH_PSK = 1
LIFE_SECONDS, LIFE_KILOBYTES = 1, 2
DEFAULT_LIFETIME = 28800  # seconds, when no lifetime is negotiated (RFC 2407 section 4.5)

# Identification types (RFC 2407 section 4.6.2.1).
ID_IPV4, ID_FQDN, ID_USER_FQDN, ID_IPV6 = 1, 2, 3, 5

# name: (encryption algorithm, key length attribute in bits or 0, key bytes, block bytes, HAL op)
CIPHERS = {
    "aes128": (7, 128, 16, 16, "aes_cbc"),
    "aes192": (7, 192, 24, 16, "aes_cbc"),
    "aes256": (7, 256, 32, 16, "aes_cbc"),
    "3des": (5, 0, 24, 8, "des3_cbc"),
}

# name: (hash algorithm, digest bytes)
HASHES = {
    "md5": (1, 16),
    "sha1": (2, 20),
    "sha256": (4, 32),
    "sha384": (5, 48),
    "sha512": (6, 64),
}

# name: (group description, prime bits, c of the prime's formula, private exponent bits).
# The exponents have at least twice the group's strength (RFC 3526 section 8, RFC 7919 section 5.2).
GROUPS = {
    "modp1024": (2, 1024, 129093, 192),
    "modp1536": (5, 1536, 741804, 224),
    "modp2048": (14, 2048, 124476, 256),
    "modp3072": (15, 3072, 1690314, 288),
    "modp4096": (16, 4096, 240904, 336),
    "modp6144": (17, 6144, 929484, 384),
    "modp8192": (18, 8192, 4743158, 448),
}

# Refused unless the peer's configuration says `legacy = true` (RFC 8247, RFC 9395).
LEGACY = ("3des", "md5", "sha1", "modp1024", "modp1536")


def name_of(table, number):
    """The name of `number` in a registry table, or the number itself as text."""
    for name, value in table.items():
        if (value[0] if isinstance(value, tuple) else value) == number:
            return name
    return str(number)

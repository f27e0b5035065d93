"""Numbers and names that IANA, RFC 2407, RFC 2408 and RFC 2409 assign; suites as data.

Ciphers, hashes and DH groups are tables: a new one is a row here (and an operation of the HAL).
"""

# Payload types (RFC 2408 section 3.1; RFC 3947 section 3.2 for NAT-D and NAT-OA).
SA, KE, ID, CERT, CERTREQ, HASH, SIG, NONCE, N, D, VID = 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
PROPOSAL, TRANSFORM, NAT_D = 2, 3, 20
FRAGMENT = 132  # of Cisco's own, in a datagram of its own
PRIVATE = 128  # from here on; Cisco puts one (128) beside HASH

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

# Capabilities told by vendor ID, in messages 1 and 2: name -> what the payload begins with.
VENDOR_IDS = {
    "dpd": b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00",
    "natt": b"\x4a\x13\x1c\x81\x07\x03\x58\x45\x5c\x57\x28\xf2\x0e\x95\x45\x2f",
    "fragmentation": b"\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3",
}

# An initiator that goes on with several messages 2, until one is authenticated, says so by this
# vendor ID: SHA-256 of "ikelet: message 1 may have several answers", 16 bytes. See ike/rivals.py.
SEVERAL = b"\x80\x8b\xff\x7b\x28\x7e\x44\x9b\x14\x8f\x3f\x94\x62\xc0\x54\x3a"

# Exchange types (RFC 2408 section 3.1).
ID_PROT, INFORMATIONAL = 2, 5

# Header flags (RFC 2408 section 3.1).
FLAG_ENCRYPTION, FLAG_COMMIT, FLAG_AUTH_ONLY = 1, 2, 4

# Notify message types (RFC 2408 section 3.14.1); their names are in notifies.
INVALID_ID_INFORMATION, INVALID_SIGNATURE = 18, 25

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
AUTH_PSK, AUTH_RSA = 1, 3
# Signature with ECDSA: authentication method -> (curve, hash of HASH_I and HASH_R) (RFC 4754).
AUTH_ECDSA = {9: ("ecp256", "sha256"), 10: ("ecp384", "sha384"), 11: ("ecp521", "sha512")}
LIFE_SECONDS, LIFE_KILOBYTES = 1, 2
DEFAULT_LIFETIME = 28800  # seconds, when no lifetime is negotiated (RFC 2407 section 4.5)

# Identification types (RFC 2407 section 4.6.2.1).
ID_IPV4, ID_FQDN, ID_USER_FQDN, ID_IPV6, ID_DN, ID_KEY_ID = 1, 2, 3, 5, 9, 11

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

# name: (group description, bits of a public value, c of the prime's formula, private exponent
# bits). The exponents have at least twice the group's strength (RFC 3526 section 8, RFC 7919 5.2).
# Curves (RFC 5903, RFC 8031) have no c: the HAL knows them.
GROUPS = {
    "modp1024": (2, 1024, 129093, 192),
    "modp1536": (5, 1536, 741804, 224),
    "modp2048": (14, 2048, 124476, 256),
    "modp3072": (15, 3072, 1690314, 288),
    "modp4096": (16, 4096, 240904, 336),
    "modp6144": (17, 6144, 929484, 384),
    "modp8192": (18, 8192, 4743158, 448),
    "ecp256": (19, 512, None, 0),
    "ecp384": (20, 768, None, 0),
    "ecp521": (21, 1056, None, 0),
    "curve25519": (31, 256, None, 0),
}

# Refused unless the peer's configuration says `legacy = true` (RFC 8247, RFC 9395).
LEGACY = ("3des", "md5", "sha1", "modp1024", "modp1536")

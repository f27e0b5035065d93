"""One Main Mode negotiation: six messages in, six messages out.

No socket, clock or thread here: `open` takes a datagram apart, `handle` checks it against the
state and returns the answer. Everything the other side sends is verified, and what breaks a
rule raises RejectedError and changes nothing: state and IV advance only after every check passed.

    initiator                         responder
    1  HDR, SA               -->
                             <--  2   HDR, SA
    3  HDR, KE, Ni           -->
                             <--  4   HDR, KE, Nr
    5  HDR*, IDii, HASH_I    -->
                             <--  6   HDR*, IDir, HASH_R        (RFC 2409 5.4)

With certificates CERT and SIG stand for HASH (RFC 2409 5.1); the responder asks for certificates
(CERTREQ) in message 4, the initiator in message 5.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from collections.abc import Mapping, Sequence

from scapy.packet import Packet

from . import fragments
from . import messages as m
from .base import PeerConfig
from .crypto import KeyPair, Keys, derive, key_pair, prf
from .messages import Header, Payload, RejectedError, require
from .parts import Change, unchanged
from .signatures import Holder
from .suites import Suite, parse

_NONCE_SIZE = 32
DONE = 7


class Negotiation:
    """`expected` is the number of the message to come, DONE once the SA is established.

    `fragments`: both sides can put messages together from fragments. `sent` names the payloads of
    the latest message that was made.

    `versions` (by number, of messages 5 and 6) says what is sent for a message: each Change makes
    one of it, before encryption. The negotiation goes on with the last; `forged` has the others.
    """

    def __init__(
        self,
        config: PeerConfig,
        initiator_cookie: bytes | None = None,
        versions: Mapping[int, Sequence[Change]] | None = None,
    ) -> None:
        self.initiator = initiator_cookie is None
        self.expected = 2 if self.initiator else 1
        self.suite: Suite | None = None
        self.lifetime: int | None = None
        self.remote_id: str | None = None
        self.remote_certificate: bytes | None = None
        self.keys: Keys | None = None
        self.forged: list[bytes] = []
        self.fragments = False
        self.sent: tuple[str, ...] = ()
        self._config = config
        self._holder = Holder(config.credentials) if config.credentials else None
        self._method = self._holder.method if self._holder else m.PSK
        self._asked = False
        self._versions = versions or {}
        self._suites = [parse(proposal) for proposal in config.proposals]
        self._cookie_i = initiator_cookie or secrets.token_bytes(8)
        self._cookie_r = bytes(8) if self.initiator else secrets.token_bytes(8)
        self._nonce = secrets.token_bytes(_NONCE_SIZE)
        self._offered: list[m.Transform] = []
        self._sai_b = b""
        self._dh: KeyPair | None = None
        self._publics = (b"", b"")
        self._iv = b""
        self._pending_iv = b""
        self._pending_cookie = b""

    @property
    def role(self) -> str:
        return "initiator" if self.initiator else "responder"

    @property
    def cookies(self) -> tuple[bytes, bytes]:
        return self._cookie_i, self._cookie_r

    @property
    def established(self) -> bool:
        return self.expected == DONE

    def first_message(self) -> bytes:
        """Message 1, offering every configured proposal as one transform."""
        self._offered = [
            m.transform(number, suite, self._config.lifetime, self._method)
            for number, suite in enumerate(self._suites, 1)
        ]
        layer = m.build_sa(1, self._offered)
        self._sai_b = bytes(layer)[4:]
        return self._build([layer, *self._capabilities()])

    def open(self, header: Header, data: bytes) -> list[Payload]:
        """The payloads of the expected message, decrypted if it is message 5 or 6."""
        require(
            header.exchange == m.MAIN_MODE, f"exchange type {header.exchange} is not Main Mode"
        )
        require(header.message_id == bytes(4), "message ID is not zero in phase 1")
        self._check_responder_cookie(header)
        body = data[m.HEADER_SIZE :]
        if self.expected < 5:
            require(not header.encrypted, f"message {self.expected} is encrypted")
            payloads, rest = m.split(header.first, body)
            require(not rest, f"{len(rest)} octets after the last payload")
            return payloads
        require(header.encrypted, f"message {self.expected} is not encrypted")
        payloads, self._pending_iv = self._decrypt(header.first, body, self._iv)
        return payloads

    def handle(self, payloads: list[Payload]) -> bytes | None:
        """Check the expected message, advance, and return the answer, if there is one."""
        if self._holder:
            self._learn(payloads)
        handler = {
            1: self._on_offer,
            2: self._on_choice,
            3: self._on_public,
            4: self._on_public,
            5: self._on_identity,
            6: self._on_identity,
        }[self.expected]
        return handler(payloads)

    def _learn(self, payloads: list[Payload]) -> None:
        """What the other side can do, and whether it wants to see a certificate."""
        for payload in payloads:
            if payload.kind == m.VENDOR_ID and payload.body.startswith(fragments.VENDOR_ID):
                self.fragments = True
            elif payload.kind == m.CERTREQ:
                self._asked = self._holder.answers(payload.body) or self._asked

    def _capabilities(self) -> list[Packet]:
        """With certificates messages grow beyond a packet."""
        return [m.build_vendor_id(fragments.ANNOUNCED)] if self._holder else []

    # -- messages 1 and 2 -------------------------------------------------------------------

    def _on_offer(self, payloads: list[Payload]) -> bytes:
        proposal, transforms = self._parse_sa(payloads)
        numbers = [transform.number for transform in transforms]
        require(len(set(numbers)) == len(numbers), f"transform numbers repeat: {numbers}", 15)
        common = [t for t in transforms if t.suite in self._suites]
        chosen = next((t for t in common if t.method == self._method), None)
        if common and not chosen:
            theirs = m.METHODS.get(common[0].method, f"method {common[0].method}")
            raise RejectedError(
                f"the other side authenticates by {theirs}, this one by {m.METHODS[self._method]}",
                m.NO_PROPOSAL_CHOSEN,
            )
        if chosen is None:
            offered = ", ".join(str(t.suite or t.attributes) for t in transforms)
            wanted = ", ".join(self._config.proposals)
            raise RejectedError(
                f"no proposal in common: offered {offered}; wanted {wanted}", m.NO_PROPOSAL_CHOSEN
            )
        self._sai_b = payloads[0].body
        self._agree(chosen)
        self.expected = 3
        return self._build([m.build_sa(proposal, [chosen]), *self._capabilities()])

    def _on_choice(self, payloads: list[Payload]) -> bytes:
        proposal, transforms = self._parse_sa(payloads)
        require(len(transforms) == 1, f"{len(transforms)} transforms chosen instead of one", 15)
        chosen = transforms[0]
        require(proposal == 1, f"proposal number is {proposal}, offered was 1", 15)
        offered = next((t for t in self._offered if t.number == chosen.number), None)
        require(offered, f"transform {chosen.number} was not offered", 15)
        require(
            offered.attributes == chosen.attributes,
            f"attributes of transform {chosen.number} were changed: offered "
            f"{offered.attributes}, chosen {chosen.attributes}",
            15,
        )
        self._agree(chosen)
        self._cookie_r = self._pending_cookie
        self.expected = 4
        return self._build(self._public_payloads())

    def _parse_sa(self, payloads: list[Payload]) -> tuple[int, list[m.Transform]]:
        (sa,) = m.only(payloads, (m.SA,), also=(m.VENDOR_ID, m.CERTREQ))
        require(payloads[0] is sa, "SA is not the first payload")
        return m.parse_sa(sa)

    def _agree(self, chosen: m.Transform) -> None:
        self.suite = chosen.suite
        self.lifetime = chosen.attributes.get(m.LIFE_DURATION)
        self._dh = key_pair(self.suite.group)

    # -- messages 3 and 4 -------------------------------------------------------------------

    def _public_payloads(self) -> list[Packet]:
        requests = self._requests() if not self.initiator else []
        return [m.build_ke(self._dh.public), m.build_nonce(self._nonce), *requests]

    def _requests(self) -> list[Packet]:
        return [m.build_request(body) for body in self._holder.requests()] if self._holder else []

    def _on_public(self, payloads: list[Payload]) -> bytes:
        ke, nonce = m.only(payloads, (m.KE, m.NONCE), also=(m.VENDOR_ID, m.CERTREQ))
        group = self.suite.group
        require(
            len(ke.body) == group.size,
            f"KE has {len(ke.body)} octets, {group.name} needs {group.size}",
            17,
        )
        require(8 <= len(nonce.body) <= 256, f"nonce has {len(nonce.body)} octets, not 8 to 256")
        nonces = self._ordered(self._nonce, nonce.body)
        self._publics = self._ordered(self._dh.public, ke.body)
        try:
            g_xy = self._dh.shared(ke.body)
        except ValueError as error:
            raise RejectedError(str(error), 17) from None
        psk = None if self._holder else self._config.psk
        keys = derive(self.suite, psk, nonces, self.cookies, self._publics, g_xy)
        self.keys, self._iv = keys, keys.iv
        if self.initiator:
            self.expected = 6
            return self._identity_message()
        self.expected = 5
        return self._build(self._public_payloads())

    # -- messages 5 and 6 -------------------------------------------------------------------

    def _on_identity(self, payloads: list[Payload]) -> bytes | None:
        check = self._check_signature if self._holder else self._check_hash
        identity = check(payloads)
        self._check_identity(identity)
        for payload in payloads:
            if payload.kind == m.NOTIFY:
                self._check_initial_contact(payload.body)
        self.remote_id = m.describe_identity(identity)
        self._iv = self._pending_iv
        self.expected = DONE
        return None if self.initiator else self._identity_message()

    def _check_hash(self, payloads: list[Payload]) -> bytes:
        """The body of ID, which the pre-shared key proves."""
        identity, value = m.only(payloads, (m.ID, m.HASH), also=(m.NOTIFY, m.VENDOR_ID))
        expected = self._hash(not self.initiator, identity.body)
        require(
            hmac.compare_digest(expected, value.body),
            f"HASH_{'R' if self.initiator else 'I'} is wrong: the pre-shared keys differ, "
            "or what was hashed does",
            24,
        )
        return identity.body

    def _check_signature(self, payloads: list[Payload]) -> bytes:
        """The body of ID, which a certificate and its signature prove."""
        also = (m.CERT, m.CERTREQ, m.NOTIFY, m.VENDOR_ID)
        identity, value = m.only(payloads, (m.ID, m.SIG), also)
        digest = self._hash(not self.initiator, identity.body)
        certificates = [payload.body for payload in payloads if payload.kind == m.CERT]
        self.remote_certificate = self._holder.check(
            certificates, identity.body, digest, value.body
        )
        return identity.body

    def _check_identity(self, body: bytes) -> None:
        require(len(body) > 4, "ID is empty", 18)
        _, protocol, port = struct.unpack_from(">BBH", body)
        require(
            (protocol, port) in ((0, 0), (17, 500)),
            f"protocol and port of the ID are {protocol}/{port}, not 0/0 or 17/500",
            18,
        )
        wanted = self._config.remote_id
        if wanted is not None:
            theirs = m.describe_identity(body)
            same = theirs == m.describe_identity(m.identity(wanted))
            require(same, f"ID is {theirs}, expected {wanted}", 18)

    def _check_initial_contact(self, body: bytes) -> None:
        require(len(body) >= 8, "notification is cut off", 16)
        doi, protocol, spi_size, kind = struct.unpack_from(">IBBH", body)
        require(kind == m.INITIAL_CONTACT, f"notification {kind} does not belong here")
        require((doi, protocol) == (1, 1), f"INITIAL-CONTACT has DOI {doi}, protocol {protocol}")
        spi = b"".join(self.cookies)
        require(spi_size == 16 and body[8:] == spi, "SPI of INITIAL-CONTACT is not both cookies")

    def _identity_message(self) -> bytes:
        body = m.identity(self._config.local_id)
        digest = self._hash(self.initiator, body)
        layers = [m.build_id(body), *self._proof(digest)]
        self.sent = m.names(layers)
        made = m.build_chain(layers)
        versions = self._versions.get(5 if self.initiator else 6, [unchanged])
        sealed = [self._sealed(*change(*made)) for change in versions]
        *self.forged, message = [message for message, _ in sealed]
        self._iv = sealed[-1][1]
        return message

    def _proof(self, digest: bytes) -> list[Packet]:
        """HASH, or certificates if they were asked for, and SIG."""
        if not self._holder:
            return [m.build_hash(digest)]
        shown = self._holder.certificates() if self._asked else []
        requests = self._requests() if self.initiator else []
        signature = m.build_signature(self._holder.sign(digest))
        return [*map(m.build_certificate, shown), *requests, signature]

    def _sealed(self, first: int, chain: bytes) -> tuple[bytes, bytes]:
        """A message of these payloads under the current IV, and its last block."""
        encrypted, last = self._encrypt(chain, self._iv)
        return m.build_message(self.cookies, first, encrypted, encrypted=True), last

    def _hash(self, of_initiator: bool, identity: bytes) -> bytes:
        # RFC 2409 5: HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)
        #             HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)
        step = 1 if of_initiator else -1
        parts = self._publics[::step] + self.cookies[::step]
        # RFC 4754 3: of ECDSA the prf is HMAC of the signature's hash.
        name = (self._holder and self._holder.hash) or self.suite.hash
        return prf(name, self.keys.skeyid, *parts, self._sai_b, identity)

    # -- Informational ----------------------------------------------------------------------

    def build_informational(self, *layers: Packet, change: Change = unchanged) -> bytes:
        """`layers` under the SA's protection (RFC 2409 5.7), changed after HASH(1) was made."""
        message_id = secrets.token_bytes(4)
        # HASH(1) = prf(SKEYID_a, M-ID | N/D), where N/D is the whole payload
        _, protected = m.build_chain([*layers])
        value = self.keys.prf(self.keys.skeyid_a, message_id, protected)
        first, chain = change(*m.build_chain([m.build_hash(value), *layers]))
        encrypted, _ = self._encrypt(chain, self.keys.informational_iv(self._iv, message_id))
        return m.build_message(
            self.cookies, first, encrypted, m.INFORMATIONAL, message_id, encrypted=True
        )

    def open_informational(self, header: Header, data: bytes) -> list[Payload]:
        """The payloads behind HASH(1), once that is right."""
        self._check_responder_cookie(header)
        require(header.encrypted, "Informational under an SA is not encrypted")
        require(header.message_id != bytes(4), "message ID of an Informational is zero")
        iv = self.keys.informational_iv(self._iv, header.message_id)
        payloads, _ = self._decrypt(header.first, data[m.HEADER_SIZE :], iv)
        require(payloads and payloads[0].kind == m.HASH, "Informational does not start with HASH")
        protected = b"".join(payload.raw for payload in payloads[1:])
        expected = self.keys.prf(self.keys.skeyid_a, header.message_id, protected)
        require(hmac.compare_digest(expected, payloads[0].body), "HASH(1) is wrong")
        return payloads[1:]

    # -- common -----------------------------------------------------------------------------

    def _check_responder_cookie(self, header: Header) -> None:
        cookie = header.responder_cookie
        if self.expected == 1:
            require(not any(cookie), "responder cookie of message 1 is not zero", 4)
        elif self.expected == 2:
            require(any(cookie), "responder cookie of message 2 is zero", 4)
            self._pending_cookie = cookie
        else:
            require(cookie == self._cookie_r, "responder cookie is not this SA's", 4)

    def _build(self, layers: list[Packet]) -> bytes:
        self.sent = m.names(layers)
        return m.build_message(self.cookies, *m.build_chain(layers))

    def _ordered(self, ours: bytes, theirs: bytes) -> tuple[bytes, bytes]:
        return (ours, theirs) if self.initiator else (theirs, ours)

    def _encrypt(self, chain: bytes, iv: bytes) -> tuple[bytes, bytes]:
        """Ciphertext and its last block; zero padding up to the block (RFC 2409 B)."""
        block = self.suite.cipher.block_size
        encrypted = self.keys.encrypt(iv, chain + bytes(-len(chain) % block))
        return encrypted, encrypted[-block:]

    def _decrypt(self, first: int, body: bytes, iv: bytes) -> tuple[list[Payload], bytes]:
        block = self.suite.cipher.block_size
        require(body and len(body) % block == 0, f"{len(body)} octets are not whole blocks")
        try:
            payloads, padding = m.split(first, self.keys.decrypt(iv, body))
        except RejectedError as error:
            raise RejectedError(
                f"does not decrypt to payloads ({error}): "
                + ("" if self._holder else "the pre-shared keys differ, or ")
                + "the keys or IV do"
            ) from None
        require(not any(padding), "padding is not zero")
        # charon adds a whole block where none is needed; more than that hides something.
        require(len(padding) <= block, f"{len(padding)} octets of padding are too many")
        return payloads, body[-block:]

"""From the configured certificates to what the exchanges work with. Unloaded after boot.

The device's own key comes with the configuration, or was made on the board (`ikelet enroll`).
"""

import gc
from binascii import a2b_base64

import pki
from agent.wall import Wall
from ike import certs
from modules import unload


class CertificateError(Exception):
    """The device's certificates cannot be used; the text says which key and why."""


def load(agent):
    """Credentials (ike.certs) of a checked configuration, which keeps nothing of them."""
    given = agent.config["certificate"]
    encoded = given.pop("key", None)
    # What stays comes before the modules that go: so it lies below the hole that they leave.
    try:
        chain, anchors, crls = [_decoded(given.pop(name)) for name in ("chain", "ca", "crl")]
        gc.collect()
        key = _given(encoded) if encoded else _made_here(agent.path, chain[0])
        agent.wall = Wall(agent.clock, given.get("time", 0), agent.config["network"].get("ntp"))
        credentials = certs.Credentials(
            key, chain, anchors, crls, agent.wall.now, given["crl_required"]
        )
    except pki.Refused as refused:
        raise CertificateError("certificate: " + refused.code)
    gc.collect()
    return credentials


def _decoded(texts):
    found = []
    while texts:
        found.append(a2b_base64(texts.pop(0)))
        gc.collect()
    return found


def _given(encoded):
    from pki import private

    der = bytearray(a2b_base64(encoded))
    try:
        return private.read(der)
    finally:
        der[:] = bytes(len(der))


def _made_here(path, own):
    """(curve, private value) of the pair that was made on this board for its certificate."""
    from agent import keystore
    from pki.certificate import Certificate

    key = Certificate(own).key
    found = keystore.open_keys(path).find(key)
    unload("agent.keystore", "agent.store")
    if not found:
        raise CertificateError("certificate.key: missing, and no key of this board's own is its")
    return key.curve, found[1]


def complete(values, credentials):
    """Put the credentials and the identities, in their IKE form, into a peer's values."""
    values["credentials"] = credentials
    values["psk"] = None
    local, remote = values.get("local_id"), values["remote_id"]
    try:
        values["local_id"] = certs.identity(local or credentials.subject)
        values["remote_id"] = None if remote == "any" else certs.identity(remote)
    except ValueError as error:
        raise CertificateError("identity: %s" % error)

"""Certificates for keys that are made on the board (`ikelet enroll`). Loaded for a call alone.

A key pair is made, and a request for a certificate goes out; the private key never does. What
comes back is kept once it is found to be for that key, and of a CA of the configuration. Until
then the board goes on with what it has, and whatever interrupts it leaves the old certificate,
with its key, or the new one.
"""

import gc
from binascii import a2b_base64, b2a_base64

import hal
import pki
from agent import keystore, provisioning, store
from agent.console import Refused
from modules import PUBLIC_KEYS, unload

_WANTED_BEFORE = "enroll.install wants chain and time by config.put before"


def enroll_request(agent, params):
    """Make a key pair; {"request": PKCS #10}.

    params: "curve", "subject" (a Name), "names" ([identity type, data] ...): DER and data in
    base64, like the answer.
    """
    try:
        curve, subject, names = _wanted(params)
    except (KeyError, TypeError, ValueError, pki.Refused):
        raise Refused("enroll.request wants curve, subject and names")
    keys = keystore.open_keys(agent.path)
    try:
        with _Engines(agent) as engines:
            made = request(engines, keys, in_use(agent.path, keys), curve, subject, names)
    except OSError as error:
        raise Refused("the key cannot be written: %s" % error)
    except hal.HalError as error:
        raise Refused(str(error))
    return {"request": b2a_base64(made).decode().strip()}


def _wanted(params):
    from pki import name

    if params["curve"] not in keystore.CURVES.values():
        raise ValueError
    subject = a2b_base64(params["subject"])
    name.check(subject)
    names = [(kind, a2b_base64(data)) for kind, data in params["names"]]
    for kind, _ in names:
        if kind not in name.ALTERNATIVES:
            raise ValueError
    return params["curve"], subject, names


def enroll_install(agent, params):
    """Take the certificate that was sent with config.put: {"chain", "time"}, see schema.json. It
    counts from the next boot."""
    try:
        return _install(agent, provisioning.taken(agent, _WANTED_BEFORE))
    except MemoryError:  # what was put is gone: the console need not try again
        raise Refused(provisioning.NO_MEMORY)


def _install(agent, given):
    try:
        chain, time = given["chain"], given["time"]
    except (KeyError, TypeError):
        raise Refused(_WANTED_BEFORE)
    try:
        new = store.current(agent.path)
    except (store.Empty, store.Lost, ValueError):
        new = {}
    if "certificate" not in new:
        raise Refused("no section certificate on the board: provision it, with certificate_file")
    section = new["certificate"]
    section["chain"], section["time"] = chain, time
    section.pop("key", None)
    keys = keystore.open_keys(agent.path)
    before = in_use(agent.path, keys)
    provisioning.accept(agent, new)
    if before and before != in_use(agent.path, keys):
        keys.remove(before)  # it has no use any more
    return {"ok": True}


def check(agent, section):
    """Refused unless the board can authenticate with a section `certificate` without a key: one
    of its own is meant."""
    from agent.wall import Wall

    chain, anchors = [[a2b_base64(one) for one in section[name]] for name in ("chain", "ca")]
    now = Wall(agent.clock, section.get("time", 0)).now()
    try:
        with _Engines(agent) as engines:
            verify(engines, keystore.open_keys(agent.path), chain, anchors, now)
    except pki.Refused as refused:
        from pki import reasons

        raise Refused("certificate: " + reasons.sentence(refused.code))


def in_use(path, keys):
    """The place of the key that the board's certificate needs, None where that is none."""
    try:
        section = store.current(path).get("certificate", {})
    except (store.Empty, store.Lost, ValueError):
        return None
    if "key" in section or "chain" not in section:
        return None
    from pki.certificate import Certificate

    try:
        found = keys.find(Certificate(a2b_base64(section["chain"][0])).key)
    except pki.Refused:
        return None
    if not found:
        return None
    hal.wipe(found[1])
    return found[0]


def request(engines, keys, used, curve, subject, names):
    """The request (DER) for a fresh key pair, which is kept, but not in the place `used`."""
    from pki import pkcs10, signature

    private, public = engines.ec_pair(curve)
    try:
        key = _PublicKey(curve, public)
        made = pkcs10.request(subject, key, signature.signer(engines, curve, private), names)
        keys.keep(private, public, used)
    finally:
        hal.wipe(private)
    return made


def verify(engines, keys, chain, anchors, now):
    """Refused, pki.Refused unless a chain (DER) is for a key of `keys`, and leads to an anchor."""
    from pki import path, signature
    from pki.certificate import Certificate

    own = Certificate(chain[0])
    found = keys.find(own.key)
    if not found:
        raise Refused("the certificate is for no key that this board has made")
    try:
        public = engines.ec_public(own.key.curve, found[1])
    finally:
        hal.wipe(found[1])
    if public != own.key.public:
        raise Refused("the key of this certificate was damaged: enroll again")
    trusted = [Certificate(one) for one in anchors]
    path.validate(chain, trusted, now, signature.verifier(engines))


class _PublicKey:
    """As `pki.pkcs10` takes it."""

    kind = "ec"

    def __init__(self, curve, public):
        self.curve = curve
        self.public = public


class _Engines:
    """The crypto for as long as it is needed; a board that cannot run yet has none loaded."""

    def __init__(self, agent):
        self._agent = agent

    def __enter__(self):
        gc.collect()
        return self._agent.hal or hal.select(self._agent.board, self._agent.event)

    def __exit__(self, *error):
        unload(*PUBLIC_KEYS)
        unload("hal.selftest", "pki.")

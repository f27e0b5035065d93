"""The key pairs that were made on this board, in NVS where it has it, else in files.

There are two places: a new pair goes to the one that the certificate in use does not need, so that
the old key stays until the new certificate is in. What an interrupted write leaves belongs to no
certificate, and is written over the next time.
"""

from micropython import const

import hal

_PLACES = ("key_a", "key_b")
CURVES = {96: "ecp256", 144: "ecp384", 198: "ecp521"}  # bytes of private value, x and y
_PRIVATE = const(3)  # a third of them are the private value


class KeyStore:
    """`secrets`: see `agent.store.Store`."""

    def __init__(self, secrets):
        self._secrets = secrets

    def find(self, key):
        """(place, private value as a bytearray) of the pair with a certificate's public key (a
        pki.certificate.Key), or None."""
        for place in _PLACES:
            pair = bytearray(self._secrets.read(place) or b"")
            size = len(pair) // _PRIVATE
            private = pair[:size]
            curve = CURVES.get(len(pair))
            is_its = key and curve and key.curve == curve and key.public == pair[size:]
            hal.wipe(pair)
            if is_its:
                return place, private
            hal.wipe(private)
        return None

    def keep(self, private, public, used=None):
        """Keep a new pair, not in the place that is `used`."""
        pair = bytearray(private) + public
        self._secrets.write(_PLACES[used == _PLACES[0]], pair)
        hal.wipe(pair)

    def remove(self, place):
        self._secrets.remove(place)


def open_keys(path=""):
    """The board's own."""
    from agent import store

    return KeyStore(store.secrets_of(path))

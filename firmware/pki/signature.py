"""The signatures on certificates, CRLs and requests, by the HAL."""

_HASHES = {"ecp384": "sha384", "ecp521": "sha512"}


def verifier(hal):
    """verify(key, hash, message, signature) -> bool, for `pki.path`.

    `key` is a `pki.certificate.Key`, `hash` a name such as "sha256", `signature` PKCS #1 v1.5, or
    the DER of ECDSA's two numbers (RFC 3279 section 2.2.3).
    """

    def verify(key, name, message, signature):
        digest = hal.hash(name, message)
        if key.kind == "rsa":
            return hal.rsa_verify(key.public, digest, signature, name)
        from hal import ecdsa

        try:
            signature = ecdsa.from_der(key.curve, signature)
        except ValueError:
            return False
        return hal.ecdsa_verify(key.curve, key.public, digest, signature)

    return verify


def signer(hal, curve, private):
    """sign(message) -> (hash, signature), for `pki.pkcs10`.

    `curve` and `private` are as `hal.ecdsa_sign` takes them; with the curve None, the private key
    is one of RSA as `hal.rsa_sign` takes it.
    """
    name = _HASHES.get(curve, "sha256")

    def sign(message):
        digest = hal.hash(name, message)
        if curve is None:
            return name, hal.rsa_sign(private, digest, name)
        from hal import ecdsa

        return name, ecdsa.to_der(curve, hal.ecdsa_sign(curve, private, digest))

    return sign

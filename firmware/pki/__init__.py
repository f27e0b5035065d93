"""Certificates (RFC 5280, as IKE uses them: RFC 4945): reading, validating, requesting.

Bytes and the time in, objects and verdicts out: no file, clock, random source or key is touched
here, and the signatures are checked by a function that the caller gives. Times are seconds since
1970 (Unix), whatever the epoch of the board's own clock. Each module is loaded by its user.
"""


class Refused(Exception):
    """A certificate, a CRL or an identity is not accepted; `code` is the reason, in kebab-case.

    `authentic`: the reason is no accident of the wire, as a trusted CA has signed what it is
    about. `pki.reasons` has the sentence and the notification that belong to each code.
    """

    def __init__(self, code, authentic=False):
        super().__init__(code)
        self.code = code
        self.authentic = authentic

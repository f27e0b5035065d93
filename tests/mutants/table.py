"""Checks of the firmware, each with what takes it away: the suites must notice every one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """In `file` of firmware/, `old` becomes `new`; it must be there exactly once.

    `core`: test files and -k of tests/core and tests/agent; `hil`: -k of hil/test_faults.py on the
    board unix. Each that is given must fail.
    """

    name: str
    file: str
    old: str
    new: str
    core: str = ""
    hil: str = ""


_KE_CHECK = 'elif not 1 < int.from_bytes(public, "big") < int.from_bytes(prime(name), "big") - 1:'

MUTANTS = [
    Mutant(
        "HASH_I and HASH_R are not verified",
        "ike/mainmode.py",
        "return _hal.equal(proof_hash(sa, initiators, body), parts[R.HASH])",
        "return True",
        "hash",
        "HASH",
    ),
    Mutant(
        "HASH(1) of an Informational is not verified",
        "ike/informational.py",
        "if not _hal.equal(expected, found[0][1]):",
        "if False:",
        "informational",
        "delete",
    ),
    Mutant(
        "an Informational needs no HASH",
        "ike/informational.py",
        "if not found or found[0][0] != R.HASH:",
        "if not found:",
        hil="delete-without-HASH",
    ),
    Mutant(
        "any public value is taken",
        "ike/groups.py",
        _KE_CHECK,
        "elif False:",
        "key_exchange",
        "KE-0 or KE-1 or KE-p",
    ),
    Mutant(
        "p - 1 is taken",
        "ike/groups.py",
        'int.from_bytes(prime(name), "big") - 1:',
        'int.from_bytes(prime(name), "big"):',
        "key_exchange",
        "KE-p",
    ),
    Mutant(
        "a public value of any length is taken",
        "ike/groups.py",
        "if len(public) != bits // 8:",
        "if False:",
        "key_exchange",
        "KE-short or KE-long",
    ),
    Mutant(
        "the IV advances before the checks",
        "ike/mainmode.py",
        "        content, sa.last = sa.decrypt(content, sa.iv)\n",
        "        content, sa.last = sa.decrypt(content, sa.iv)\n        sa.iv = sa.last\n",
        "iv_advances",
        "HASH or corrupted",
    ),
    Mutant(
        "the end of message 5 or 6 is not checked",
        "ike/ends.py",
        "if doubt or sure < _SURE:",
        "if False:",
        "test_ends",
    ),
    Mutant(
        "no end of message 5 or 6 is in doubt",
        "ike/mainmode.py",
        "if found[-1][0] in (R.HASH, R.SIG) and all(notifies) and not any(content[size:]):",
        "if True:",
        "test_ends",
    ),
    Mutant(
        "the responder's cookie is not compared",
        "ike/engine.py",
        "if sa.cky_r == header.cky_r or waiting:",
        "if True:",
        "table or every_state",
        "responder-cookie-unknown",
    ),
    Mutant(
        "the length field is not compared",
        "ike/wire.py",
        "if length != size and (strict or not HEADER <= length < size):",
        "if False:",
        "malformed",
        "cut-to-28 or behind-the-end",
    ),
    Mutant(
        "a payload's length is not bounded",
        "ike/wire.py",
        "if length < 4 or length > end - at:",
        "if length < 4:",
        "malformed or payload",
        "payload-length-huge",
    ),
    Mutant(
        "the identity is not compared",
        "ike/mainmode.py",
        "if not policy.same_identity(body, sa.peer.remote_id):",
        "if False:",
        "identity",
    ),
    Mutant(
        "a changed transform is accepted",
        "ike/policy.py",
        "same = len(attrs) == len(ours) and set(attrs) == set(ours)",
        "same = True",
        "refuses_changed",
        "initiator-key-length",
    ),
    Mutant(
        "a nonce of any length is taken",
        "ike/mainmode.py",
        'raise Drop("bad-nonce-length")',
        "pass",
        "key_exchange",
        "nonce-of",
    ),
    Mutant(
        "messages 5 and 6 may come in clear",
        "ike/mainmode.py",
        'raise Drop("unexpected-clear")',
        "pass",
        "every_state",
        "no-encryption",
    ),
    Mutant(
        "duplicates are not recognised",
        "ike/exchange.py",
        "return self.digest is not None and digest == self.digest",
        "return False",
        "duplicate",
        "all-twice",
    ),
    Mutant(
        "a reply is repeated without bound",
        "ike/exchange.py",
        "return self._answered <= MAX_REPLAYS",
        "return True",
        "duplicate",
        "withheld",
    ),
    Mutant(
        "RESERVED is not looked at",
        "ike/wire.py",
        'raise Drop("reserved-not-zero")',
        "pass",
        "malformed",
        "RESERVED",
    ),
    Mutant(
        "octets behind the last payload are not looked at",
        "ike/wire.py",
        'raise Drop("trailing-bytes")',
        "pass",
        "malformed or trailing or padding",
    ),
    Mutant(
        "a payload may come twice",
        "ike/mainmode.py",
        'raise Drop("repeated-payload")',
        "pass",
        "hash or malformed",
        "twice",
    ),
    Mutant(
        "an unauthenticated notify is believed",
        "ike/informational.py",
        'raise Drop("unauthenticated-informational")',
        'return [engine.deleted(sa, "peer") for sa in lines]',
        "every_state",
        "spoofed",
    ),
    Mutant(
        "our own question sent back is the peer's",
        "ike/dpd.py",
        "        if self._first <= sequence <= self._sequence:\n",
        "        if False:\n",
        "our_own_question",
    ),
    Mutant(
        "what came before counts again",
        "ike/informational.py",
        "    if msgid in sa.told:\n",
        "    if False:\n",
        "came_before",
    ),
    Mutant(
        "a question that came before is a sign of life",
        "ike/dpd.py",
        "        return new\n",
        "        return True\n",
        "came_before",
    ),
    Mutant(
        "rivals repeat what leads to more of them",
        "ike/mainmode.py",
        "if attempt > 1 and not sa.rival:",
        "if attempt > 1:",
        "wrong_psk",
    ),
    Mutant(
        "an exchange whose first line has ended goes on",
        "ike/rivals.py",
        "if line.spare and line.initiator and all(",
        "if False and all(",
        "now_and_then",
    ),
    Mutant(
        "what the peer gave up is a failure",
        "ike/mainmode.py",
        'sa.state == "MAIN_R2" and is_up and',
        "False and",
        "faster_side",
    ),
    Mutant(
        "what others begin is waited for",
        "ike/engine.py",
        "known = is_up or sa.initiator or anybodys",
        "known = True",
        "not_waited_for",
    ),
    Mutant(
        "any delete is ours",
        "ike/informational.py",
        "_names(sa, body) for",
        "True for",
        "delete_of_something_else",
        "delete-of-an-unknown",
    ),
    Mutant(
        "of an exchange's rivals the first are forgotten first",
        "ike/folded.py",
        "            if (rival[2], True) >= latest:\n",
        "            if last is None:\n",
        "rivals",
    ),
    Mutant(
        "where memory is short rivals go though others could come back",
        "ike/folded.py",
        "    if count >= _ENOUGH:\n",
        "    if False:\n",
        "memory",
    ),
    Mutant(
        "a second offer is answered where the first lost its place",
        "ike/halfopen.py",
        "if cookie == cky_i[4:] and other != tag and age < ANOTHER_MS // 1000:",
        "if False:",
        "another_offer",
    ),
    Mutant(
        "the lifetime of an offer that is not the peer's holds",
        "ike/seldom.py",
        "suite, sa.lives, _ = policy.select",
        "suite, _, _ = policy.select",
        "test_halfopen",
    ),
    Mutant(
        "anyone can go on with any number of exchanges",
        "ike/mainmode.py",
        "leave = sa.engine.halfopen.may_leave_for(sa)",
        "leave = ()",
        "test_halfopen",
    ),
    Mutant(
        "more behind what authenticated the peer is his whatever it is",
        "ike/ends.py",
        "    if any(padding):\n        return\n",
        "",
        "test_ends",
    ),
    Mutant(
        "a proof of the device's password is not looked at",
        "agent/access.py",
        'if not _proves(hal, params["proof"], unhexlify(stored), challenge):',
        "if False:",
        "test_access",
    ),
    Mutant(
        "a proof is good twice",
        "agent/access.py",
        "    agent.challenge = None  # for one proof\n",
        "",
        "test_access",
    ),
    Mutant(
        "wrong passwords cost no time",
        "agent/access.py",
        "if left > 0:",
        "if False:",
        "test_access",
    ),
    Mutant(
        "a wrong password counts when it is known to be wrong only",
        "agent/access.py",
        'secrets.write(store.FAILURES, b"%d" % (failures + 1))',
        "pass",
        "test_access",
    ),
]

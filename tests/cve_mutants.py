"""What each test of test_cve.py stands on: (test, file of the core, a check, without it)."""

_PROOF = "return _hal.equal(proof_hash(sa, initiators, body), parts[R.HASH])"
_SWALLOWED = """try:
            return _hal.equal(proof_hash(sa, initiators, body), parts[R.HASH])
        except _hal.HalError:
            return True"""

MUTANTS = (
    ("public_key_encryption_is_no_method", "policy.py",
     "if base == peer", "if True or base == peer"),
    ("zero_key_size", "policy.py", "same = len(", "same = True or len("),
    ("public_value_zero", "groups.py", "if not 1 < ", "if not -1 < "),
    ("shorter_than_its_header", "wire.py", "if size < HEADER:", "if size < 0:"),
    ("lengths_that_reach_beyond_the_message", "wire.py", "or length > end - at:", "or False:"),
    ("payload_lengths_of_0_to_3_and_loops", "wire.py", "if length < 4 or", "if"),
    ("unknown_situations_and_payloads_are_refused_not_asserted", "wire.py",
     "if strict and situation != 1:", "if False:"),
    ("a_state_that_does_not_exist_is_not_answered", "halfopen.py",
     "raise Drop(\"unknown-cookie\")", "return None"),
    ("a_half_made_state_is_not_reached_by_the_next_message", "mainmode.py",
     "rivals.undo(sa, spare)", "pass"),
    ("the_peers_proof_is_verified", "mainmode.py",
     _PROOF, "return True"),
    ("an_engine_that_fails_is_no_proof", "mainmode.py",
     _PROOF, _SWALLOWED),
    ("identity_types_are_not_confused", "policy.py",
     "and body[0] == expected[0] and", "and"),
    ("informational_without_its_hash_and_no_padding_oracle", "informational.py",
     "if not _hal.equal(", "if False and not _hal.equal("),
    ("a_second_delete_after_the_sa_is_gone", "informational.py",
     "engine.deleted(sa, \"peer\")\n        return", "engine.deleted(sa, \"peer\")"),
    ("a_responder_sends_nothing_by_itself", "exchange.py",
     "return self._answered <= MAX_REPLAYS", "return True"),
    ("a_fragment_before_there_is_an_sa", "engine.py",
     "if not lines:\n                    raise Drop(\"unknown-cookie\")\n", "if True:\n"),
)  # fmt: skip

"""Errors that end a command with one line on stderr, and the exit code that goes with each."""


class IkeletError(Exception):
    """Something did not work: exit code 1. The message is a sentence for the user."""

    exit_code = 1


class MisuseError(IkeletError):
    """The user asked for what cannot be: exit code 2. The message says what would do."""

    exit_code = 2

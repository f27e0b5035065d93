"""The last events, in a few hundred octets, for whoever asks later what happened.

They are lines "SECONDS EVENT VALUES", seconds of uptime, in one bytes object that the agent keeps;
this module is loaded for the moment alone. Of an event its name is kept and those of its values
that are listed here: names, numbers and addresses, never a secret.
"""

from micropython import const

_OCTETS = const(512)
_LINE = const(96)
_FIELDS = ("device", "peer", "engine", "op", "what", "code", "reason", "by", "why", "from", "type")


def line(event):
    """An event in short, printable ASCII: its name, then its values in the order above."""
    words = [event["event"]] + [str(event[name]) for name in _FIELDS if name in event]
    return "".join([c if " " <= c <= "~" else "?" for c in " ".join(words)[:_LINE]])


def added(kept, seconds, text):
    """The octets that are kept from now on: the oldest lines make room for the new one; one that
    says the same as the last only counts."""
    at = kept.rfind(b"\n", 0, -1) + 1
    said = kept[at:-1].decode().partition(" ")[2]
    times = said[len(text) + 2 : -len(" times)")]
    if said == text or (times.isdigit() and said == "%s (%s times)" % (text, times)):
        kept = kept[:at]
        text = "%s (%d times)" % (text, int(times or 1) + 1)
    kept += b"%d %s\n" % (seconds, text.encode())
    over = len(kept) - _OCTETS
    return kept if over <= 0 else kept[kept.find(b"\n", over - 1) + 1 :]

"""A JSON value in pieces, where the heap is in pieces too. Loaded when a line does not fit."""

import json


def write(value, send):
    """Give the text of a value to `send`, some octets at a time."""
    if not value or not isinstance(value, (dict, list)):
        send(json.dumps(value).encode())
        return
    named = isinstance(value, dict)
    before = "{" if named else "["
    for each in value:
        send((before + (json.dumps(each) + ":" if named else "")).encode())
        write(value[each] if named else each, send)
        before = ","
    send(b"}" if named else b"]")

"""A main.py for the unix board that speaks the console's protocol and nothing else."""

import json
import sys


def say(**message):
    message["jsonrpc"] = "2.0"
    print(json.dumps(message))


print("rst:0x1 (POWERON_RESET)")
say(method="event", params={"event": "boot", "t_ms": 1, "device": "stub"})
for line in sys.stdin:
    request = json.loads(line)
    method, number, params = request["method"], request.get("id"), request["params"]
    if method == "echo":
        print("noise before {")
        say(id=number, result=params)
    elif method == "garbage":
        print("x" * 9000)
        print('{"jsonrpc":"2.0","id":{"jsonrpc":"2.0","id":', number, ',"result":"behind"}')
    elif method == "crash":
        raise MemoryError("no more")
    elif method == "exit":
        sys.exit(3)
    elif method == "hang":
        pass
    elif method == "file":
        with open(params["name"]) as file:
            say(id=number, result=file.read())
    else:
        say(id=number, error={"code": -32601, "message": "no such method"})

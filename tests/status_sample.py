"""The status of an agent with something of everything."""

from typing import Any

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "board": "esp32-generic",
    "device": "branch-17",
    "mode": "production",
    "uptime_ms": (3 * 86400 + 4 * 3600 + 59) * 1000,
    "last_crash": "MemoryError: ",
    "flash_encrypted": False,
    "engines": {"modexp": {"mpi": 12, "software": 1}, "aes_cbc": {"mbed": 230}},
    "engine_failures": {"mpi:modexp": {"timeout": 1}},
    "selftest": {"modexp/2048": {"mpi": "wrong-result", "software": "ok"}},
    "drops": {"unknown-peer": 3, "bad-hash": 12},
    "send_failures": 2,
    "heap": {"free": 61440, "used": 79872},
    "certificate": {"expires": 1800000000, "now": 1799000000, "key": "ecdsa256"},
    "peers": [
        {
            "name": "hq",
            "address": "10.9.0.1",
            "port": 500,
            "role": "initiator",
            "auth": "psk",
            "state": "ESTABLISHED",
            "suite": "aes256-sha256-modp2048",
            "remote": ["10.9.0.1", 4500],
            "nat": ["us"],
            "age_s": 7265,
            "last_down": {"by": "dead-peer", "ago_s": 7290},
        },
        {
            "name": "backup",
            "address": "10.9.0.3",
            "port": 500,
            "role": "initiator",
            "auth": "psk",
            "state": "DOWN",
            "code": "no-answer",
            "reason": "no answer to message 1",
            "failed_s": 240,
        },
        {
            "name": "spare",
            "address": "any",
            "port": 500,
            "role": "responder",
            "auth": "cert",
            "state": "DOWN",
        },
    ],
}

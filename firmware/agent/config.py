"""The configuration as the board sees it: JSON written by anyone, checked against schema.json.

The host checks the same schema before anything is written (with longer sentences); the board
does not rely on it. An error is one line, "peer.hq.port: 0 is not within 1..65535", and never
holds a secret.
"""

import json
from binascii import a2b_base64, unhexlify

WILDCARDS = ("0.0.0.0", "::")
_OPTIONAL = ("certificate", "syslog")  # sections that need not be there
ANYWHERE = "any"  # the address of a peer that certificates identify
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."


class ConfigError(Exception):
    """The configuration cannot be used; `errors` holds one line for each reason."""

    def __init__(self, errors):
        super().__init__("; ".join(errors))
        self.errors = errors


def checked(config, schema_path="agent/schema.json"):
    """A decoded configuration with every default filled in; ConfigError."""
    with open(schema_path) as file:
        schema = json.load(file)
    errors = check(config, schema)
    if errors:
        raise ConfigError(errors)
    return complete(config, schema)


def check(config, schema):
    """Every reason why `config` (a decoded JSON value) cannot be used; [] when it can."""
    errors = []
    if not _is_table(config, "configuration", errors):
        return errors
    for key in config:
        if key not in ("version", "device", "network", "peer") + _OPTIONAL:
            errors.append(_name(key) + ": unknown section")
    if config.get("version", schema["version"]) != schema["version"]:
        errors.append("version: this agent reads version %d" % schema["version"])
    _check_section(config.get("device", {}), "device", schema["device"], schema, errors)
    _check_section(config.get("network", {}), "network", schema["network"], schema, errors)
    for name in _OPTIONAL:
        if name in config:
            _check_section(config[name], name, schema[name], schema, errors)
    _check_peers(config.get("peer", {}), schema, errors)
    return errors or _check_together(config)


def complete(config, schema):
    """A copy of a checked configuration with the defaults filled in.

    `local_id` stays away where `bind` is a wildcard: it is then the address that the board has.
    """
    bind = config.get("network", {}).get("bind", schema["network"]["bind"]["default"])
    peers = {}
    for name, given in config["peer"].items():
        peer = peers[name] = _with_defaults(given, schema["peer"])
        if peer["auth"] != "psk":
            continue  # the certificates say who is who
        if "remote_id" not in peer and address_family(peer["address"]):
            peer["remote_id"] = peer["address"]
        if "local_id" not in peer and bind not in WILDCARDS:
            peer["local_id"] = bind
    full = {
        "version": schema["version"],
        "device": _with_defaults(config.get("device", {}), schema["device"]),
        "network": _with_defaults(config.get("network", {}), schema["network"]),
        "peer": peers,
    }
    for name in _OPTIONAL:
        if name in config:
            full[name] = _with_defaults(config[name], schema[name])
    return full


def psk_bytes(text):
    """The key that `text` spells: "0x" + hex, "0s" + base64, or plain text -> bytearray.

    ValueError when it spells none.
    """
    if text[:2] == "0x":
        return bytearray(unhexlify(text[2:]))
    if text[:2] == "0s":
        return bytearray(a2b_base64(text[2:]))
    return bytearray(text.encode())


def address_family(text):
    """4 or 6 for an IP address literal, else 0; an IPv4 address within IPv6 is none."""
    if not isinstance(text, str):
        return 0
    if ":" not in text:
        parts = text.split(".")
        return 4 if len(parts) == 4 and all(_is_octet(part) for part in parts) else 0
    head, gap, tail = text.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    right = left + right
    count = len(right)
    groups = all(0 < len(g) <= 4 and _only(g, "0123456789abcdefABCDEF") for g in right)
    return 6 if groups and (count < 8 if gap else count == 8) else 0


def is_host_name(text):
    """Whether a text may be a DNS name: of two labels at least, so that no slip passes for one."""
    labels = text.split(".") if isinstance(text, str) and len(text) <= 253 else ()
    return (
        len(labels) > 1
        and not _only(labels[-1], "0123456789")
        and all(
            _only(label, _NAME[:63]) and len(label) <= 63 and "-" not in (label[0], label[-1])
            for label in labels
        )
    )


def is_weak(text, rule):
    """Whether a pre-shared key has less than `rule["bits"]` bits by a rough upper estimate.

    The size of the alphabet in use, to the power of the characters that are neither a repeat
    nor a neighbour of the one before; a well-known word counts as one character. What is a text is
    one in hex, too.
    """
    key = bytes(psk_bytes(text))
    pool = 256
    if text[:2] not in ("0x", "0s") or all(32 <= value < 127 for value in key):
        pool = 0
        for members in (b"az\x1a", b"AZ\x1a", b"09\x0a"):
            if any(members[0] <= value <= members[1] for value in key):
                pool += members[2]
        if any(not _only(chr(value), _NAME[:62]) for value in key):
            pool += 33
        text = key.decode().lower()
        for word in rule["words"]:
            text = text.replace(word, "\0")
        key = text.encode()
    count = 0
    for i, value in enumerate(key):
        fresh = not i or not -1 <= value - key[i - 1] <= 1
        if fresh and not (i > 1 and key[i - 2 : i + 1] in key[:i]):
            count += 1
    return pool**count < 1 << rule["bits"]


def _check_section(section, path, keys, schema, errors):
    if not _is_table(section, path, errors):
        return
    for key in section:
        if key not in keys or "host" in keys[key]:
            errors.append("%s.%s: unknown key" % (path, _name(key)))
    for key, spec in keys.items():
        where = path + "." + key
        if key in section and "host" not in spec:
            why = _why(section[key], spec, schema)
            if why:
                errors.append(where + ": " + why)
        elif "required" in spec:
            errors.append(where + ": missing")


def _check_peers(peers, schema, errors):
    limit = schema["peers"]
    if not _is_table(peers, "peer", errors):
        return
    if not limit["min"] <= len(peers) <= limit["max"]:
        errors.append("peer: %d peers; %d..%d will do" % (len(peers), limit["min"], limit["max"]))
    for name, peer in peers.items():
        path = "peer." + _name(name)
        if not _only(name, _NAME[:-1]) or len(name) > 32:
            errors.append(path + ": a name is 1 to 32 letters, digits, - or _")
        before = len(errors)
        _check_section(peer, path, schema["peer"], schema, errors)
        if len(errors) == before:
            _check_peer(peer, path, schema, errors)


def _check_peer(peer, path, schema, errors):
    if peer.get("auth") == "cert":
        if "psk" in peer:
            errors.append(path + ".psk: not with auth cert")
        if "remote_id" not in peer:
            errors.append(path + ".remote_id: missing")
        if peer["address"] == ANYWHERE and peer.get("role") != "responder":
            errors.append(path + ".address: any is for a responder")
    else:
        _check_keyed_peer(peer, path, schema, errors)
    if not peer.get("legacy"):
        for proposal in peer.get("proposals", ()):
            for part, table in zip(proposal.split("-"), schema["proposal"]):
                if part in table["legacy"]:
                    errors.append("%s.proposals: %s needs legacy = true" % (path, part))


def _check_keyed_peer(peer, path, schema, errors):
    if peer["address"] == ANYWHERE:
        errors.append(path + ".address: a pre-shared key demands an IP address")
    for key in ("local_id", "remote_id"):
        # The responder must choose the key before it sees an identity (RFC 2409, section 5.4).
        if key in peer and not address_family(peer[key]):
            why = " is not an IP address, which a pre-shared key demands"
            errors.append("%s.%s: %s%s" % (path, key, _shown(peer[key]), why))
    if "psk" not in peer:
        errors.append(path + ".psk: missing")
    elif not peer.get("allow_weak_psk") and is_weak(peer["psk"], schema["psk"]):
        errors.append(path + ".psk: below %d bits" % schema["psk"]["bits"])


def _check_together(config):
    errors = []
    network = config.get("network", {})
    bind = network.get("bind", "0.0.0.0")
    for key, needed in (("wifi_key", "ssid"), ("gateway", "netmask")):
        if key in network and needed not in network:
            errors.append("network.%s: needs network.%s" % (key, needed))
    if "netmask" in network and (bind in WILDCARDS or address_family(bind) != 4):
        errors.append("network.netmask: needs an IPv4 address in network.bind")
    if network.get("port", 500) == network.get("natt_port", 0):
        errors.append("network.natt_port: the same as network.port")
    seen = {}
    for name, peer in config["peer"].items():
        address = peer["address"].lower()
        where = "peer.%s.address: " % name
        if peer.get("auth") == "cert" and "certificate" not in config:
            errors.append("peer.%s.auth: cert needs the section certificate" % name)
        if address == ANYWHERE:
            continue
        if address in seen:
            errors.append(where + "also that of peer." + seen[address])
        seen[address] = name
        if _is_nobodys(address):
            errors.append(where + _shown(address) + " is no one host")
        if address_family(address) not in (0, address_family(bind)):
            errors.append(where + "not of the family of network.bind")
        if "backup" in peer:
            why = _why_no_backup(name, peer, config["peer"])
            if why:
                errors.append("peer.%s.backup: %s" % (name, why))
    return errors


def _why_no_backup(name, peer, peers):
    backup = peer["backup"]
    if backup == name or backup not in peers:
        return _shown(backup) + " is no other peer"
    if "responder" in (peer.get("role"), peers[backup].get("role")):
        return "of no use to a responder, who does not call"
    if "backup" in peers[backup]:
        return _shown(backup) + " has a backup itself"


def _why(value, spec, schema):
    """Why `value` is not what `spec` asks for; None when it is."""
    kind = spec["type"]
    if kind == "int":
        if type(value) is not int or not spec["min"] <= value <= spec["max"]:
            return "%s is not within %d..%d" % (_shown(value), spec["min"], spec["max"])
    elif kind == "bool":
        if type(value) is not bool:
            return _shown(value) + " is neither true nor false"
    elif kind == "choice":
        if value not in spec["choices"]:
            return "%s is none of %s" % (_shown(value), ", ".join(spec["choices"]))
    elif kind == "name":
        if not _only(value, _NAME) or len(value) > spec["max"]:
            return _shown(value) + " is not a name of letters, digits, - _ ."
    elif kind == "text":
        if not isinstance(value, str) or not spec["min"] <= len(value.encode()) <= spec["max"]:
            return "not a text of %d..%d bytes" % (spec["min"], spec["max"])
    elif kind == "ipv4" or kind == "netmask":
        if address_family(value) != 4 or kind == "netmask" and not _is_netmask(value):
            return "%s is not an IPv4 %s" % (_shown(value), kind if kind[0] == "n" else "address")
    elif kind == "psk":
        return _why_psk(value, spec)
    elif kind == "proposals":
        return _why_proposals(value, spec, schema)
    elif kind == "identity":
        if not isinstance(value, str) or not 0 < len(value) <= 255:
            return _shown(value) + " is no identity"
    elif kind == "peer":
        if not isinstance(value, str):
            return _shown(value) + " is no peer"
    elif kind == "key":
        if not _is_base64(value, spec["max"]):
            return "not a key in base64"
    elif kind == "verifier":
        if not _is_verifier(value):
            return "not ITERATIONS$SALT$KEY"
    elif kind == "certificates":
        if not isinstance(value, list) or not spec["min"] <= len(value) <= spec["max"]:
            return "not a list of %d..%d" % (spec["min"], spec["max"])
        if not all(_is_base64(one, 22000) for one in value):
            return "not all base64"
    elif not address_family(value) and not _stands_for_one(value, spec):
        return _shown(value) + " is not an IP address" + " or name" * ("name" in spec)


def _stands_for_one(value, spec):
    return "any" in spec and value == ANYWHERE or "name" in spec and is_host_name(value)


def _why_psk(value, spec):
    try:
        if not 0 < len(psk_bytes(value)) <= spec["max"]:
            return "not 1..%d bytes" % spec["max"]
    except (TypeError, ValueError, AttributeError):
        return "not a text, nor hex after 0x, nor base64 after 0s"


def _is_verifier(value):
    """See agent.access: at least 1,000 iterations, 16 octets of salt, SHA-256."""
    parts = value.split("$") if isinstance(value, str) else ()
    if len(parts) != 3 or not _only(parts[0], "0123456789") or not 4 <= len(parts[0]) <= 8:
        return False
    if parts[0][0] == "0":
        return False
    digits = _only(parts[1] + parts[2], "0123456789abcdef")
    return digits and len(parts[1]) == 32 and len(parts[2]) == 64


def _is_base64(value, size):
    try:
        return 0 < len(value) <= size and len(a2b_base64(value)) > 0
    except (TypeError, ValueError, AttributeError):
        return False


def _why_proposals(value, spec, schema):
    if not isinstance(value, list) or not 0 < len(value) <= spec["max"]:
        return "not a list of 1..%d proposals" % spec["max"]
    for proposal in value:
        parts = proposal.split("-") if isinstance(proposal, str) else ()
        tables = zip(parts, schema["proposal"])
        if len(parts) != 3 or not all(part in t["known"] + t["legacy"] for part, t in tables):
            return _shown(proposal) + " is not a known cipher-hash-group"
        if value.count(proposal) > 1:
            return proposal + " stands there twice"


def _with_defaults(section, keys):
    filled = dict(section)
    for key, spec in keys.items():
        if key not in filled and "default" in spec:
            filled[key] = spec["default"]
    return filled


def _is_table(value, path, errors):
    if isinstance(value, dict):
        return True
    errors.append(path + ": not a table of keys")
    return False


def _is_netmask(text):
    mask = 0
    for octet in text.split("."):
        mask = mask << 8 | int(octet)
    host = 0xFFFFFFFF - mask
    return host & (host + 1) == 0


def _is_nobodys(address):
    """Whether an address is unspecified, for many, or reserved."""
    if address_family(address) == 4:
        first = int(address.split(".")[0])
        return first == 0 or first >= 224
    return address_family(address) == 6 and (address == "::" or address[:2] == "ff")


def _is_octet(text):
    return (
        _only(text, "0123456789") and len(text) <= 3 and str(int(text)) == text and int(text) < 256
    )


def _only(text, members):
    return isinstance(text, str) and len(text) > 0 and all(c in members for c in text)


def _name(key):
    return repr(key)[1:-1][:32]


def _shown(value):
    """A value as an error shows it: short, and one line."""
    if not isinstance(value, (str, int, float, bool)):
        return "this"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."

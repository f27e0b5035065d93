"""A strict reader of syslog messages, by the ABNF of RFC 5424, section 6; for either Python."""

DIGITS = "0123456789"


class Malformed(Exception):
    """What is wrong, and where."""


class Message:
    """One message: `priority`, `timestamp`, `host`, `app`, `process`, `id` (each a text, None for
    NILVALUE), `data` as {SD-ID: {PARAM-NAME: value}}, and `text`."""

    def __init__(self, octets):
        if len(octets) > 480:
            raise Malformed("longer than every receiver takes (RFC 5426 section 3.2)")
        self._rest = octets.decode()
        self._expect("<")
        digits = self._until(">", 3)
        _check(digits and _all(digits, DIGITS) and (digits == "0" or digits[0] != "0"), "PRI")
        self.priority = int(digits)
        _check(self.priority <= 191, "PRI")
        self._expect("1 ")
        self.timestamp = self._field("TIMESTAMP", 32)
        if self.timestamp:
            _check_time(self.timestamp)
        self.host = self._field("HOSTNAME", 255)
        self.app = self._field("APP-NAME", 48)
        self.process = self._field("PROCID", 128)
        self.id = self._field("MSGID", 32)
        self.data = self._structured_data()
        self.text = ""
        if self._rest:
            self._expect(" ")
            self.text = self._rest

    def _expect(self, text):
        _check(self._rest.startswith(text), "expected " + repr(text))
        self._rest = self._rest[len(text) :]

    def _until(self, end, longest):
        at = self._rest.find(end)
        _check(0 <= at <= longest, "no " + repr(end))
        found, self._rest = self._rest[:at], self._rest[at + len(end) :]
        return found

    def _field(self, name, longest):
        found = self._until(" ", longest)
        _check(found and all("!" <= c <= "~" for c in found), name)
        return None if found == "-" else found

    def _structured_data(self):
        if self._rest[:1] == "-":
            self._expect("-")
            return {}
        found = {}
        while self._rest[:1] == "[":
            self._expect("[")
            head = self._rest.find("]")
            space = self._rest.find(" ")
            name = self._until(" " if 0 <= space < head else "]", 32)
            _check_name(name)
            _check(name not in found, "SD-ID twice")
            found[name] = self._params() if 0 <= space < head else {}
        _check(found, "STRUCTURED-DATA")
        return found

    def _params(self):
        params = {}
        while True:
            name = self._until('="', 32)
            _check_name(name)
            value = ""
            while self._rest[:1] != '"':
                _check(self._rest and self._rest[0] != "]", "PARAM-VALUE")
                if self._rest[0] == "\\" and self._rest[1:2] in ('"', "\\", "]"):
                    self._rest = self._rest[1:]
                value += self._rest[0]
                self._rest = self._rest[1:]
            params[name] = value
            self._expect('"')
            if self._rest[:1] == "]":
                self._expect("]")
                return params
            self._expect(" ")


def _check(good, what):
    if not good:
        raise Malformed(what)


def _check_name(name):
    _check(name and all("!" <= c <= "~" and c not in '="]' for c in name), "SD-NAME " + name)


def _check_time(text):
    """FULL-DATE "T" FULL-TIME, in UTC."""
    shape = "".join(["0" if c in DIGITS else c for c in text])
    _check(shape == "0000-00-00T00:00:00Z", "TIMESTAMP " + text)
    month, day, hour, minute, second = [int(text[i : i + 2]) for i in (5, 8, 11, 14, 17)]
    _check(1 <= month <= 12 and 1 <= day <= 31, "TIMESTAMP " + text)
    _check(hour < 24 and minute < 60 and second < 60, "TIMESTAMP " + text)


def _all(text, members):
    return all(c in members for c in text)

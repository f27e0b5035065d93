"""Times in certificates (RFC 5280 section 4.1.2.5), as seconds since 1970."""

from micropython import const

from pki import der

EPOCH_2000 = const(946684800)  # 2000-01-01 in Unix seconds: where an ESP32 begins to count

_MONTHS = const(b"\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f")


def read(reader):
    """Take a Time: UTCTime YYMMDDHHMMSSZ, or GeneralizedTime YYYYMMDDHHMMSSZ; Unix seconds.

    Both are taken for any year, as RFC 5280 asks of those who read.
    """
    if reader.peek() == der.UTC_TIME:
        text = reader.take(der.UTC_TIME)
        year, digits = _pair(text, 0), 2
        year += 1900 if year >= 50 else 2000
    else:
        text = reader.take(der.GENERALIZED_TIME)
        year, digits = _pair(text, 0) * 100 + _pair(text, 2), 4
    if len(text) != digits + 11 or text[-1] != 0x5A:  # Z
        raise der.malformed()
    month, day, hour, minute, second = [_pair(text, digits + 2 * i) for i in range(5)]
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        raise der.malformed()
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _MONTHS[month - 1] + (leap and month == 2):
        raise der.malformed()
    for i in range(month - 1):
        day += _MONTHS[i]
    if leap and month > 2:
        day += 1
    before = (
        year - 1
    )  # days in all the years before, of the Gregorian calendar, less those to 1970
    days = before * 365 + before // 4 - before // 100 + before // 400 + day - 719163
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def _pair(text, at):
    if at + 2 > len(text):
        raise der.malformed()
    tens, ones = text[at] - 48, text[at + 1] - 48
    if not 0 <= tens <= 9 or not 0 <= ones <= 9:
        raise der.malformed()
    return tens * 10 + ones

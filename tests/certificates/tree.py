"""DER as nested lists, to take certificates apart, change them and put them together again."""


def parse(data):
    """[[tag, content]] of the elements of `data`; the content of a constructed one is such a list.

    For well-formed DER from our own hands: ValueError or IndexError otherwise.
    """
    elements = []
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("overrun")
        content = data[at : at + length]
        elements.append([tag, parse(content) if tag & 0x20 else content])
        at += length
    return elements


def encode(elements):
    """The inverse of `parse`."""
    return b"".join(element(tag, content) for tag, content in elements)


def element(tag, content):
    if isinstance(content, list):
        content = encode(content)
    size = len(content)
    if size < 0x80:
        head = bytes([tag, size])
    else:
        width = (size.bit_length() + 7) // 8
        head = bytes([tag, 0x80 | width]) + size.to_bytes(width, "big")
    return head + content


def walk(elements):
    """Every element of the tree, parents before their children."""
    for one in elements:
        yield one
        if isinstance(one[1], list):
            yield from walk(one[1])

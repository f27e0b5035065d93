"""What MD5, SHA-1 and SHA-2 share: cutting the message into blocks, and the padding."""


def run(compress, state, parts, size, order):
    """The final state of `compress(state, block) -> state` over the padded parts.

    `size` is the block's in bytes; `order` ("big" or "little") that of the length in the padding.
    """
    block = bytearray(size)
    fill = total = 0
    for part in parts:
        part = memoryview(part)
        total += len(part)
        at = 0
        while at < len(part):
            n = min(size - fill, len(part) - at)
            block[fill : fill + n] = part[at : at + n]
            fill += n
            at += n
            if fill == size:
                state = compress(state, block)
                fill = 0
    # A one bit, zeros, and the length in bits in the last eighth of a block.
    block[fill] = 0x80
    _clear(block, fill + 1)
    if fill >= size - size // 8:
        state = compress(state, block)
        _clear(block, 0)
    block[size - 8 :] = (total * 8).to_bytes(8, order)
    state = compress(state, block)
    _clear(block, 0)
    return state


def _clear(block, start):
    block[start:] = bytes(len(block) - start)

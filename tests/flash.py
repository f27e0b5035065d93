"""Memory that loses its power while something is written, for tests of what is kept on a board."""


class PowerLost(Exception):
    pass


class Supply:
    """Power for so many steps: each byte written is one, each removal is one."""

    def __init__(self, steps=1 << 29):
        self.left = steps
        self.used = 0

    def take(self, wanted):
        """How many of `wanted` steps there is power for."""
        granted = min(wanted, self.left)
        self.left -= granted
        self.used += granted
        return granted


class Flash:
    """A backend whose writes end when the supply does, as each of the file systems may.

    What then stands there: "torn", the part written; "mixed", that part and the rest of what was
    there before; "whole", what was there before.
    """

    def __init__(self, supply, kind="torn"):
        self.content = {}
        self.supply = supply
        self.kind = kind

    def read(self, name):
        return self.content.get(name)

    def write(self, name, data):
        granted = self.supply.take(len(data))
        if granted == len(data):
            self.content[name] = bytes(data)
            return
        if self.kind == "torn":
            self.content[name] = bytes(data[:granted])
        elif self.kind == "mixed":
            self.content[name] = bytes(data[:granted]) + self.content.get(name, b"")[granted:]
        raise PowerLost

    def remove(self, name):
        if self.supply.take(1) == 0:
            raise PowerLost
        self.content.pop(name, None)

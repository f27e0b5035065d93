"""The host's side of ikelet: boards, links, console, peers and the `ikelet` command."""

__version__ = "0.1.0"

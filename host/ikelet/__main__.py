"""`python -m ikelet` is the `ikelet` command."""

import sys


def main() -> None:
    """Entry point. A Ctrl-C counts from the first import on, and those take a while."""
    try:
        from ikelet import cli
    except KeyboardInterrupt:
        print("ikelet: interrupted", file=sys.stderr)
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()

"""`python -m ikelet` is the `ikelet` command."""

from ikelet.cli import main

main()

"""The hardware-in-the-loop harness: a pytest plugin, and what its suites are made of."""

"""Started at boot: runs the agent."""

from agent import run

run.main()

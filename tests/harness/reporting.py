"""A pytest plugin for the runs inside: keeps each report as a line of JSON."""

import json
import os
from pathlib import Path


class Reports:
    def pytest_runtest_logreport(self, report):
        kept = {
            "id": report.nodeid.rpartition("::")[2].partition("@board-")[0],
            "when": report.when,
            "outcome": "recovered" if _recovered(report) else report.outcome,
            "text": report.longreprtext if report.failed else str(report.longrepr or ""),
            "sections": dict(report.sections),
            "phases": getattr(report, "phases", {}),
        }
        with open(Path(os.environ["HARNESS"]) / "reports.jsonl", "a") as file:
            file.write(json.dumps(kept) + "\n")


def _recovered(report):
    return report.when == "call" and report.passed and hasattr(report, "recovered")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reports())

"""python tests/report/screenshot.py RUN PNG [TEST]: the page of a run, a test opened beside."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from report.browser import chromium  # the folder of tests is no package that is installed


def main(run: str, png: str, test: str = "") -> None:
    with chromium() as browser:
        browser.size(1440, 1000)
        browser.medium()
        browser.open(f"{Path(run).resolve().joinpath('index.html').as_uri()}#{test}")
        browser.screenshot(Path(png))
        if browser.errors:
            sys.exit("\n".join(browser.errors))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""python -m ikelet_hil.page FOLDER: the page and the metrics of a run, anew."""

import sys
from pathlib import Path

from ikelet_hil import page


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 else None
    if folder is None or not folder.is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    print(page.build(folder.resolve()).as_uri())
    return 0


if __name__ == "__main__":
    sys.exit(main())

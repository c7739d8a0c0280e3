"""Pictures: what they cost, how fast and how well they arrive.

python -m tests.bench.pictures [PART ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.bench.sharing import share
from tests.bench.table import Row, lines
from tests.bench.watching import watching

PARTS: dict[str, Callable[[], list[Row]]] = {"share": share, "watching": watching}


def main() -> None:
    """The table."""
    rows = [row for part in sys.argv[1:] or PARTS for row in PARTS[part]()]
    if rows:
        print("\n".join(lines(rows)))


if __name__ == "__main__":
    main()

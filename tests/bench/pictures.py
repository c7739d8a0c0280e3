"""Pictures: what they cost, how fast and how well they arrive.

python -m tests.bench.pictures [PART ...]

Parts: share pattern screen engines holding looking; about two minutes. aiortc shows the same
pictures at the same size and rate in the same run; where no goal is set, it is the goal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.bench.holding import holding
from tests.bench.looking import looking
from tests.bench.peer_aiortc import missing
from tests.bench.sharing import share
from tests.bench.table import Row, lines
from tests.bench.watching import engines, pattern, screen

PARTS: dict[str, Callable[[], list[Row]]] = {
    "share": share,
    "pattern": pattern,
    "screen": screen,
    "engines": engines,
    "holding": holding,
    "looking": looking,
}


def main() -> None:
    """The table."""
    rows: list[Row] = []
    for part in sys.argv[1:] or PARTS:
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        rows += PARTS[part]()
    if rows:
        print("\n".join(lines(rows)))
    if missing():
        print("aiortc: peer not installed")


if __name__ == "__main__":
    main()

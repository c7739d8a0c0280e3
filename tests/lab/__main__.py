"""All cases of the lab, as a table: ``python -m tests.lab [part of a case's name …]``."""

from __future__ import annotations

import sys
import time

from tests.lab.cases import LONG, SHORT, Case
from tests.lab.meeting import scene
from tests.lab.net import why_impossible


def main(wanted: list[str]) -> int:
    """Run them one after another; 1 if one failed."""
    why = why_impossible()
    if why is not None:
        print(f"lab: error: {why}", file=sys.stderr)
        return 1
    failed = 0
    print(f"{'case':52} {'join → room':>12} {'room → heard':>12}  notes")
    for case in SHORT + LONG:
        if not wanted or any(part in case.__name__ for part in wanted):
            failed += not _show(case)
    return 1 if failed else 0


def _show(case: Case) -> bool:
    name = case.__name__.replace("_", " ")
    begun = time.monotonic()
    try:
        with scene() as made:
            times = case(made)
    except (AssertionError, OSError) as error:
        print(f"{name:52} FAILED after {time.monotonic() - begun:.1f} s: {error}", flush=True)
        return False
    notes = "; ".join(times.notes)
    print(f"{name:52} {times.room:10.2f} s {times.heard:10.2f} s  {notes}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

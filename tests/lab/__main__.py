"""The whole lab: ``python -m tests.lab [grid|stories|pictures|viewers|cases|part of a name …]``.

    grid      all pairs of networks, twice: as they are, and with a STUN server that
              never answers
    stories   what fails under a call
    pictures  a screen over narrow, far and lossy networks
    viewers   five who watch a screen, one of them behind a narrow line
    cases     what the direct rung must do

Without words all of it, about an hour. Needs root; where no namespaces can be made it
says why, and that is no failure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from tests.lab import grid
from tests.lab.cases import LONG, SHORT, Case
from tests.lab.meeting import scene
from tests.lab.net import why_impossible
from tests.lab.pictures import SCENES
from tests.lab.stories import STORIES, Story
from tests.lab.viewers import VIEWERS

T = TypeVar("T")


def main(wanted: list[str]) -> int:
    """Run them one after another; 1 if one failed."""
    why = why_impossible()
    if why is not None:
        print(f"lab: skipped: {why}", file=sys.stderr)
        return 0
    failed = 0
    if _wants(wanted, "grid"):
        failed += not grid.show()
    if _wants(wanted, "grid", "silent_stun"):
        print("with a STUN server that never answers:")
        failed += not grid.show(*grid.SILENT_STUN)
    for group, stories in (("stories", STORIES), ("pictures", SCENES), ("viewers", VIEWERS)):
        for story in stories:
            if _wants(wanted, group, story.__name__):
                failed += not _tell(story)
    cases = [case for case in SHORT + LONG if _wants(wanted, "cases", case.__name__)]
    if cases:
        print(f"{'case':52} {'join → room':>12} {'room → heard':>12}  notes")
    failed += sum(not _show(case) for case in cases)
    return 1 if failed else 0


def _wants(wanted: list[str], *names: str) -> bool:
    return not wanted or any(word == names[0] or word in names[-1] for word in wanted)


def _attempt(name: str, run: Callable[[], T]) -> T | None:
    begun = time.monotonic()
    try:
        return run()
    except (AssertionError, OSError) as error:
        print(f"{name:52} FAILED after {time.monotonic() - begun:.1f} s: {error}", flush=True)
        return None


def _tell(story: Story) -> bool:
    name = story.__name__.replace("_", " ")

    def run() -> bool:
        begun = time.monotonic()
        with scene() as made:
            found = story(made)
        print(f"{name} ({time.monotonic() - begun:.0f} s)")
        for line in found.lines():
            print(f"    {line}", flush=True)
        return not found.shortfalls()

    return bool(_attempt(name, run))


def _show(case: Case) -> bool:
    name = case.__name__.replace("_", " ")

    def run() -> bool:
        with scene() as made:
            times = case(made)
        notes = "; ".join(times.notes)
        print(f"{name:52} {times.room:10.2f} s {times.heard:10.2f} s  {notes}", flush=True)
        return True

    return bool(_attempt(name, run))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

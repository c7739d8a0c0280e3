"""Groups: which viewers get the first encoding of a stream, and which a second, smaller one.

Viewers are sorted by what their paths carry and split at the widest gap; who is far
below the others gets the second encoding, so that it slows nobody. Without a wide gap
all get the first one.

Rule: a viewer that was moved stays for a while, since each move costs a key frame.
"""

from __future__ import annotations

from collections.abc import Mapping

from vc_core.ids import Member

# Implementation
WIDE = 2.2  # ratio between two neighbours that splits
STILL_WIDE = 1.6  # ratio that keeps a split
SIZES = ((1920, 1080, 3e6), (1280, 720, 1.2e6), (960, 540, 0.7e6), (640, 360, 0.3e6))
"""(width, height, bit/s from which it is worth having)."""
SMALLEST = (426, 240)
SLOW_FPS = 15  # of the second encoding below ``SLOW_BPS``
SLOW_BPS = 800_000.0


def split(rates: Mapping[Member, float], before: frozenset[Member]) -> frozenset[Member]:
    """Who should get the second encoding; ``before`` got it until now."""
    order = sorted(rates, key=lambda member: rates[member])
    best, found = 1.0, 0
    for at in range(1, len(order)):
        ratio = rates[order[at]] / max(1.0, rates[order[at - 1]])
        needed = STILL_WIDE if frozenset(order[:at]) == before & rates.keys() else WIDE
        if ratio >= needed and ratio > best:
            best, found = ratio, at
    return frozenset(order[:found])


def size_for(width: int, height: int, fps: int, bps: float) -> tuple[int, int, int]:
    """(width, height, fps) of a second encoding: what ``bps`` can show, in the same shape."""
    highest = next((tall for _, tall, least in SIZES if bps >= least), SMALLEST[1])
    tall = min(highest, height)
    wide = max(2, round(width * tall / height / 2) * 2)
    return wide, max(2, tall // 2 * 2), min(fps, SLOW_FPS if bps < SLOW_BPS else fps)

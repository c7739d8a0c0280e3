"""Exploring: whether the path of a viewer of the second encoding carries more than that.

A rate grows only while it is used, and a small encoding of a simple picture uses little. So
its frames are filled up with parity now and then, by a little more than what has arrived:
if that arrives as well, the path carries it. At the first congestion exploring
rests, longer each time.
"""

from __future__ import annotations

from dataclasses import dataclass

from vc_core.ids import Member
from video.rate import SHORT_QUEUE, RateControl

# Implementation
PAUSE, LONGEST_PAUSE = 4.0, 30.0  # s that it rests after a congestion
FELL = 0.97  # of the highest rate: below, there was one
STEP = 1.4  # times what has arrived
USED = 0.9  # of the rate


@dataclass
class Rest:
    """Of one viewer."""

    until: float = float("-inf")
    pause: float = PAUSE
    top: float = 0.0
    """The highest rate since it explores."""


class Exploring:
    """For one stream."""

    def __init__(self) -> None:
        self._rests: dict[Member, Rest] = {}

    def level(self, member: Member, rate: RateControl, now: float) -> float:
        """bit/s up to which a viewer's path may be filled now; 0: not at all."""
        rest = self._rests.setdefault(member, Rest())
        if now < rest.until:
            return 0.0
        if rate.target < FELL * rest.top:
            rest.until, rest.top = now + rest.pause, 0.0
            rest.pause = min(LONGEST_PAUSE, 2 * rest.pause)
            return 0.0
        rest.top = max(rest.top, rate.target)
        return 0.0 if rate.queue >= SHORT_QUEUE else min(USED * rate.target, STEP * rate.delivered)

    def forget(self, member: Member) -> None:
        """It gets the first encoding, or nothing."""
        self._rests.pop(member, None)

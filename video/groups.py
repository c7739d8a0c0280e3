"""Groups: which viewers get the first encoding of a stream, and which a second, smaller one.

The first encoding must fit the slowest of its viewers. So viewers are sorted by what their
paths carry, and who would slow the others by more than ``WIDE`` gets the second one;
among all such splits that which serves all best, if any serves them better than none: the
sum of the logarithms of what each gets, where the second encoding counts half. When most
are slow there is none, and the first one shrinks; so it does for a moment when we
ourselves were held up, and all paths look slow. Among those of the second encoding the same
holds once more: who is far below even them crawls, and gets key frames when it can.

    first ── falls, at once ──► second      a path that is too narrow harms others
    second ── rises ──► first               when its path has carried enough for a while,
                                            and with a key frame of the first encoding;
                                            later each time that it did not last

A path that carries more than an encoding takes counts as one that carries just that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass

from vc_core.ids import Member
from vc_core.record import record

# Implementation
WIDE = 1.8  # times that the first encoding would be slowed: from there on there is a second
STILL_WIDE = 1.4  # the same while there is one
FAR = (6.0, 4.0)  # the same for who crawls: there is nothing smaller still
SMALLER, SELDOM = 0.5, 0.2  # what the second encoding, and key frames of it, are worth
UNKNOWN = 300_000.0  # bit/s that a path counts as of which nothing is known
LEAST = 1_000.0  # bit/s that any counts as
NEW = 1.0  # s that a newcomer's path must have been near the others' before it rises
FIRST_STAY, LONGEST_STAY = 3.0, 60.0  # s for everybody else: a dip of others is no reason
SETTLED = 1.0  # s on the first encoding after which a viewer may get copies of a forwarder
OWN_FAULT = 3.0  # s after a fall in which loss is that of a queue which we have filled
LASTED = 20.0  # s on the first encoding after which rising was no mistake
SIZES = ((1080, 3e6), (720, 1.5e6), (540, 0.7e6), (360, 0.25e6), (240, 0.0))
"""(pixels of the shorter side, bit/s from which they are worth having)."""
SMALLEST = 240  # lines below which nothing is made smaller
SLOW_FPS = 15  # of the second encoding below ``SLOW_BPS``
SLOW_BPS = 800_000.0
MOST_FPS = 30
MORE, LESS = 1.15, 0.6  # times those bit/s from which a size grows and shrinks: each is a key frame

Shape = tuple[int, int, int]
"""(width, height, fps)."""


def split(
    rates: Mapping[Member, float],
    before: Set[Member],
    ratios: tuple[float, float] = (WIDE, STILL_WIDE),
    worth: float = SMALLER,
) -> frozenset[Member]:
    """Who should be apart from the others (bit/s each); ``before`` was until now.

    ``worth``: of what the others get.
    """
    order = sorted(rates, key=lambda member: rates[member])
    values = [max(LEAST, rates[member]) for member in order]
    needed = ratios[1] if before & rates.keys() else ratios[0]
    best, found = len(order) * math.log(values[0]) if order else 0.0, 0
    for at in range(1, len(order)):
        serves = (len(order) - at) * math.log(values[at]) + at * math.log(worth * values[0])
        if values[at] >= needed * values[0] and serves > best:
            best, found = serves, at
    return frozenset(order[:found])


@record
class Path:
    """Of one viewer, in bit/s."""

    target: float
    """What may be sent."""
    proven: float
    """What it has shown that it carries."""
    known: bool = True
    """Whether anything has arrived yet; nobody is left to crawl before."""


@dataclass
class Stay:
    """Of one viewer."""

    since: float
    """When it came or moved."""
    fits_since: float
    """Since when it has been near the others, on the second encoding."""
    least: float = NEW
    """s of that until it may rise."""
    fell: float = float("-inf")
    """When it was found too slow for the first encoding."""


class Groups:
    """Of one stream."""

    def __init__(self) -> None:
        self.slow: frozenset[Member] = frozenset()
        """Who gets the second encoding, or would if there were one."""
        self.rising: frozenset[Member] = frozenset()
        """Who of them gets the first one from its next key frame on."""
        self.crawling: frozenset[Member] = frozenset()
        """Who of them cannot follow even the second one."""
        self._stays: dict[Member, Stay] = {}

    def decide(
        self, paths: Mapping[Member, Path], needs: tuple[float, float], now: float
    ) -> frozenset[Member]:
        """Look at all viewers; who falls to the second encoding now.

        ``needs``: what the first and the second encoding take of a path at most, in bit/s.
        """
        self._meet(paths, now)
        useful = {member: min(path.proven, needs[0]) for member, path in paths.items()}
        below = split(useful, self.slow)
        fallen = below - self.slow
        self.slow |= fallen
        for member in fallen:
            self._fell(self._stays[member], now)
        for stay in (self._stays[member] for member in below):
            stay.fits_since = now
            if now - stay.since >= FIRST_STAY:  # a newcomer no longer
                stay.least = max(stay.least, FIRST_STAY)
        alone = self.slow >= paths.keys()
        self.rising = frozenset(
            one for one in self.slow - below if alone or self._may_rise(one, now)
        )
        felt = (one for one in self.slow - self.rising if paths[one].known)
        slow = {one: min(paths[one].target, needs[1]) for one in felt}
        self.crawling = split(slow, self.crawling, FAR, SELDOM)
        return fallen

    def _meet(self, paths: Mapping[Member, Path], now: float) -> None:
        for member in paths.keys() - self._stays.keys():
            self._stays[member] = Stay(now, now)
        for member in self._stays.keys() - paths.keys():
            del self._stays[member]
        self.slow &= paths.keys()

    @staticmethod
    def _fell(stay: Stay, now: float) -> None:
        if stay.since < now:  # no newcomer
            lasted = now - stay.since >= LASTED
            longer = FIRST_STAY if lasted else min(LONGEST_STAY, 2 * stay.least)
            stay.least = max(FIRST_STAY, longer)
        stay.since = stay.fell = now

    def _may_rise(self, member: Member, now: float) -> bool:
        stay = self._stays[member]
        return now - stay.fits_since >= stay.least

    def settled(self, member: Member, now: float) -> bool:
        """Whether a viewer has had the first encoding for a while."""
        stay = self._stays.get(member)
        return member not in self.slow and stay is not None and now - stay.since >= SETTLED

    def just_fell(self, member: Member, now: float) -> bool:
        """Whether what is lost on a viewer's path says nothing about that path."""
        stay = self._stays.get(member)
        return stay is not None and now - stay.fell < OWN_FAULT

    def rise(self, now: float) -> frozenset[Member]:
        """A key frame of the first encoding was made; who gets that one from now on."""
        risen, self.rising = self.rising, frozenset()
        self.slow -= risen
        for member in risen:
            self._stays[member].since = now
        return risen


def size_for(width: int, height: int, fps: int, bps: float, before: Shape | None = None) -> Shape:
    """A second encoding that ``bps`` can show, in the same shape: half of the first at most.

    What was decided ``before`` changes only when ``bps`` is well above or below it.
    """
    found = _size(width, height, fps, bps)
    if before is None:
        return found
    larger, smaller = (_size(width, height, fps, bps / times) for times in (MORE, LESS))
    return max(larger, min(before, smaller))


def _size(width: int, height: int, fps: int, bps: float) -> Shape:
    if width < height:
        tall, wide, rare = _size(height, width, fps, bps)
        return wide, tall, rare
    highest = next(lines for lines, least in SIZES if bps >= least)
    tall = min(highest, max(height // 2, min(height, SMALLEST)))
    wide = max(2, round(width * tall / height / 2) * 2)
    return wide, max(2, tall // 2 * 2), min(fps, SLOW_FPS if bps < SLOW_BPS else MOST_FPS)

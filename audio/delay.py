"""How long to wait: the delay of packets, learned.

For each packet the *transit* is its arrival minus its timestamp, in seconds,
two clocks apart; only differences mean anything. The fastest transit of the
last seconds is the *base*; how much later than that a packet comes is its
*lateness*. A histogram of lateness that slowly forgets gives the target: the
delay with which 99 of 100 packets are in time (NetEq's DelayManager, with bins
of 1 ms instead of one packet, since one frame of waiting is most of our budget).
What a call began with is forgotten faster: programs start, roads are found.
"""

from __future__ import annotations

import math

# Implementation
BINS = 500  # bins of 1 ms
BIN = 0.001  # seconds
FORGET = 0.998  # per packet: half is forgotten after 7 s of talk
IN_TIME = 0.99  # share of packets that should not come too late
FIRST_LATENESS = 6  # ms assumed before anything was learned: timers of a busy machine
FIRST_WEIGHT = 200  # packets that this assumption counts as: one stall, two packets, changes little
BEGINNING = 25  # packets; what is found to have come late among them says nothing
EAGER = 3  # the first n packets together weigh (200 / (200 + n / 3)) ** 3: half after 3 s
MARGIN = 0.002  # seconds added to what was learned
LEAST = 0.007  # seconds; no target is less: timers of a busy machine
HEAVY = 1e9  # total weight from which all are made lighter
WINDOW = 5.0  # seconds; the base is the minimum of 5 to 10 s
SMOOTHING = 16.0  # RFC 3550, 6.4.1


class Least:
    """The minimum of the last one to two windows."""

    def __init__(self, window: float) -> None:
        self.value = math.inf
        """The minimum; infinite before the first value."""
        self.full = False
        """Whether at least one whole window was seen."""
        self._window = window
        self._now = math.inf
        self._since: float | None = None

    def add(self, value: float, now: float) -> None:
        """Take one more value."""
        if self._since is None:
            self._since = now
        if now - self._since >= self._window:
            self.value, self._now, self._since, self.full = self._now, math.inf, now, True
        if value < self._now:
            self._now = value
            self.value = min(self.value, value)


class Lateness:
    """How late packets come: a histogram that forgets, and its upper quantile.

    Nothing old is made lighter, each packet is heavier than the one before; and
    the quantile walks from where it was. So a packet costs a few steps, not BINS.
    """

    def __init__(self) -> None:
        self._bins = [0.0] * BINS
        self._bins[FIRST_LATENESS] = self._total = 1.0
        self._memory = float(FIRST_WEIGHT)
        self._above = 0.0
        """Weight of the bins above ``reached``."""
        self.reached = FIRST_LATENESS
        """The lowest bin up to which the share IN_TIME of all weight lies."""

    def learn(self, late: int) -> None:
        """Take a packet that came ``late`` milliseconds after the fastest."""
        self._memory += 1 / EAGER
        forget = min(FORGET, 1.0 - 1.0 / self._memory)
        weight = self._total * (1.0 / forget - 1.0)
        self._total += weight
        self._bins[late] += weight
        if late > self.reached:
            self._above += weight
        if self._total > HEAVY:
            self._weigh()
        self._walk()

    def move(self, shift: int) -> None:
        """All came ``shift`` bins less late than it seemed; what falls out stays at the end."""
        shift = max(-BINS, min(BINS, shift))
        if shift > 0:
            self._bins = self._bins[shift:] + [0.0] * shift
            self._bins[0] += self._total - sum(self._bins)
        else:
            self._bins = ([0.0] * -shift + self._bins)[:BINS]
            self._bins[-1] += self._total - sum(self._bins)
        self._weigh()
        self._walk()

    def _weigh(self) -> None:
        """The same shares with a total of 1, without the rounding of all steps before."""
        total = sum(self._bins)
        self._bins = [weight / total for weight in self._bins]
        self._total = 1.0
        self._above = sum(self._bins[self.reached + 1 :])

    def _walk(self) -> None:
        allowed = (1.0 - IN_TIME) * self._total
        bins, at, above = self._bins, self.reached, self._above
        while above > allowed and at < BINS - 1:
            at += 1
            above -= bins[at]
        while at > 0 and above + bins[at] <= allowed:
            above += bins[at]
            at -= 1
        self.reached, self._above = at, above


class Delay:
    """The delays of one talker's packets."""

    def __init__(self) -> None:
        self.base = math.inf
        """The fastest recent transit in seconds (only differences have a meaning)."""
        self.jitter = 0.0
        """Interarrival jitter of RFC 3550 in seconds."""
        self.target = 0.0
        """Seconds after the fastest packet at which to play."""
        self._least = Least(WINDOW)
        self.forget_lateness()
        self._learned = 0
        self._reference: float | None = None
        self._last_transit: float | None = None

    def learn(self, transit: float, now: float) -> None:
        """Take the transit of a packet that arrived ``now``."""
        if self._last_transit is not None:
            self.jitter += (abs(transit - self._last_transit) - self.jitter) / SMOOTHING
        self._last_transit = transit
        self._least.add(transit, now)
        if self._least.value != self.base:
            self.base = self._least.value
            self._follow_base()
        self._learned += 1
        self._lateness.learn(min(BINS - 1, int((transit - self.base) / BIN)))
        self.target = max(LEAST, self._lateness.reached * BIN + MARGIN)

    def forget_lateness(self) -> None:
        """Begin to learn anew; the base stays."""
        self._lateness = Lateness()
        self.target = FIRST_LATENESS * BIN + MARGIN

    def _follow_base(self) -> None:
        """Move the histogram along when the base moved by whole bins."""
        if self._reference is None:
            self._reference = self.base
        shift = int((self.base - self._reference) / BIN)
        if not shift:
            return
        self._reference += shift * BIN
        if shift < 0 and self._learned < BEGINNING:
            self.forget_lateness()  # the program was busy when the first ones came
            return
        self._lateness.move(shift)

"""When the next picture is taken, when a still one is sent again, what it may cost.

A screen that moves is looked at in its rate. One that has been still for a
moment is looked at less often, so that it costs next to nothing. What was sent
last while it moved may be coarse, so it is refined until it is sharp; afterwards
it is sent again seldom, for whoever has lost it.
"""

from __future__ import annotations

# Implementation (seconds)
DOZE_AFTER = 0.7  # without a change
GLANCE = 0.1  # between two looks at a still picture, where only looking tells
REFINE_EVERY = 1 / 12
REFINE_FOR = 3.0  # after the last change
WORSE = 4  # steps of the quantizer by which a picture that stays came coarser: a key frame
REFRESH_EVERY = 5.0
SHARP = 18
"""Quantizer (H.264's scale) from which a still picture needs no refinement."""
LONGEST_GAP = 0.25  # that counts as one between two pictures
MOST_GENEROUS = 5.0
"""Times its even share that one picture may have where they come rarely."""
EARLY = 0.25  # of an interval that a picture may come too soon
SLOWER, FASTER = 0.2, 0.6  # how quickly a longer and a shorter gap are believed
STEP = 0.25  # of generosity: each new value is work for the encoder
BLIND_REFINEMENTS = 8  # where the encoder does not say how coarse it was


class Rhythm:
    """Monotonic deadlines of looking."""

    def __init__(self, fps: float, now: float, glance: float = GLANCE) -> None:
        """``glance``: seconds between two looks while nothing changes."""
        self.interval = 1 / fps
        self.due = now
        self._glance = max(glance, self.interval)
        self._changed = now

    def looked(self, now: float, *, changed: bool) -> None:
        """Somebody looked at ``now``; sets the next ``due``."""
        if changed:
            self._changed = now
        dozing = now - self._changed >= DOZE_AFTER
        self.due += self._glance if dozing else self.interval
        if self.due < now - self.interval / 2:  # late: what was missed is not made up for
            self.due = now


class Thinning:
    """Which pictures of a faster rhythm a slower rate takes."""

    def __init__(self, fps: float) -> None:
        self._interval = 1 / fps
        self._due = float("-inf")

    def takes(self, captured: float) -> bool:
        """Whether a picture of that time (s) is one of them."""
        if captured < self._due - EARLY * self._interval:
            return False
        if captured - self._due > self._interval / 2:  # what was missed is not made up for
            self._due = captured
        self._due += self._interval
        return True

    @property
    def latest(self) -> float:
        """Until when one that came too soon waits for a newer one."""
        return self._due + EARLY * self._interval


class Stillness:
    """What happens after the last change."""

    def __init__(self, fps: float) -> None:
        """``fps`` of what moves: only what misses two pictures is still."""
        self._refine_every = max(REFINE_EVERY, 2 / fps)
        self._changed = self._sent = 0.0
        self._sharp = True
        self._refined = 0
        self._quantizer: int | None = None

    def sent(self, now: float, quantizer: int | None, *, changed: bool) -> None:
        """A picture was sent; ``quantizer`` is how coarse it was, if that is known.

        What stays and comes coarser than before, since somebody came or lost it, is refined
        like a change.
        """
        first, self._sent = not self._sent, now
        before, self._quantizer = self._quantizer, quantizer
        worse = quantizer is not None and before is not None and quantizer >= before + WORSE
        if changed or first or worse:
            self._changed, self._refined = now, 0
        else:
            self._refined += 1
        if quantizer is None:
            self._sharp = self._refined >= BLIND_REFINEMENTS
        else:
            self._sharp = quantizer <= SHARP

    @property
    def due(self) -> float:
        """When the last picture is to be sent again, if no other comes before."""
        refining = not self._sharp and self._sent - self._changed < REFINE_FOR
        return self._sent + (self._refine_every if refining else REFRESH_EVERY)


class Budget:
    """How much more than its even share of the bitrate a picture may have.

    Encoders divide a bitrate by the rate that they were opened with, and a screen
    seldom changes that often. Who tells them nothing sends a third of what could
    be sent when every third picture comes.
    """

    def __init__(self, fps: float) -> None:
        self._interval = 1 / fps
        self._gap = self._interval
        self._last: float | None = None
        self.generosity = 1.0
        """The factor, from 1."""

    def comes(self, now: float) -> float:
        """A picture is to be encoded; its generosity."""
        if self._last is not None:
            gap = min(max(now - self._last, self._interval), LONGEST_GAP)
            self._gap += (gap - self._gap) * (SLOWER if gap > self._gap else FASTER)
        self._last = now
        exact = min(MOST_GENEROUS, self._gap / self._interval)
        if abs(exact - self.generosity) >= STEP or exact < 1 + STEP / 2:
            self.generosity = max(1.0, round(exact / STEP) * STEP)
        return self.generosity

"""A beat that never drifts.

Beat ``k`` is due at ``origin + k * period`` on the monotonic clock, whenever the
one before it ran. After a stall at most 100 ms are made up for at once; the
other beats are skipped, as a device would have lost them.

A beat that has nothing to do may nap: it is called a few times a second or a minute
then, only to be told how many beats have passed, until somebody wakes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from audio.pcm import FRAME_SECONDS

# Implementation
MOST_AT_ONCE = 0.1  # seconds
NAP = 0.25  # seconds; silence reaches a file no later
EARLY = 0.0005  # seconds: loops count in milliseconds and may call that much too early


def next_frame(now: float) -> float:
    """The next of all frames of the clock ``now``: who begins there shares wake-ups."""
    return (now // FRAME_SECONDS + 1) * FRAME_SECONDS


class Pacer:
    """Calls ``beat(k)`` for each beat and ``skipped(count)`` for those left out."""

    def __init__(
        self,
        beat: Callable[[int], None],
        skipped: Callable[[int], None],
        origin: float,
        clock: Callable[[], float] = time.monotonic,
        period: float = FRAME_SECONDS,
        may_nap: Callable[[], bool] | None = None,
        nap: float = NAP,
    ) -> None:
        """``origin`` is the time of beat 0 on ``clock``; ``period`` and ``nap`` in seconds.

        While ``may_nap()`` beats count as skipped. Needs a running loop.
        """
        self._beat = beat
        self._skipped = skipped
        self._origin = origin
        self._clock = clock
        self._period = period
        self._most = round(MOST_AT_ONCE / period)
        self._next = 0
        self._may_nap = may_nap
        self._nap = nap
        self._napping = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._arm()

    def _arm(self) -> None:
        self._napping = self._may_nap is not None and self._may_nap()
        due = self._origin + self._next * self._period + (self._nap if self._napping else 0.0)
        self._timer = self._loop.call_later(max(0.0, due - self._clock()), self._run)

    def _run(self) -> None:
        due = self._due()
        missed = due - self._next - (0 if self._napping else self._most)
        if missed > 0:
            self._next += missed
            self._skipped(missed)
        try:
            while self._next < due and not self._stopped:
                beat, self._next = self._next, self._next + 1
                self._beat(beat)
        finally:
            if not self._stopped:
                self._arm()

    def _due(self) -> int:
        """The number of beats whose time has come."""
        return int((self._clock() + EARLY - self._origin) // self._period) + 1

    def wake(self) -> None:
        """There is something to do again; the beats that were slept through are skipped."""
        if self._napping and not self._stopped:
            if self._timer is not None:
                self._timer.cancel()
            self._run()

    def stop(self) -> None:
        """No more beats; those of a nap are skipped now."""
        self._stopped = True
        missed = self._due() - self._next
        if self._napping and missed > 0:
            self._napping = False
            self._skipped(missed)
        if self._timer is not None:
            self._timer.cancel()

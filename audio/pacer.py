"""A beat that never drifts.

Beat ``k`` is due at ``origin + k * period`` on the monotonic clock, whenever the
one before it ran. After a stall at most 100 ms are made up for at once; the
other beats are skipped, as a device would have lost them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from audio.pcm import FRAME_SECONDS

# Implementation
MOST_AT_ONCE = 0.1  # seconds
EARLY = 0.0005  # seconds: loops count in milliseconds and may call that much too early


class Pacer:
    """Calls ``beat(k)`` for each beat and ``skipped(count)`` for those left out."""

    def __init__(
        self,
        beat: Callable[[int], None],
        skipped: Callable[[int], None],
        origin: float,
        clock: Callable[[], float] = time.monotonic,
        period: float = FRAME_SECONDS,
    ) -> None:
        """``origin`` is the time of beat 0 on ``clock``; ``period`` in seconds.

        Needs a running loop.
        """
        self._beat = beat
        self._skipped = skipped
        self._origin = origin
        self._clock = clock
        self._period = period
        self._most = round(MOST_AT_ONCE / period)
        self._next = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._arm()

    def _arm(self) -> None:
        due = self._origin + self._next * self._period
        self._timer = self._loop.call_later(max(0.0, due - self._clock()), self._run)

    def _run(self) -> None:
        due = int((self._clock() + EARLY - self._origin) // self._period) + 1
        missed = due - self._next - self._most
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

    def stop(self) -> None:
        """No more beats."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

"""Lips: by how much sound is held back so that it is not played before its pictures.

Both are stamped with when they were taken, on the sharer's clock. Pictures are shown when they
are ready; sound that would be earlier waits, sound that is later stays as it is: it has its
jitter buffer, and pictures are not held back for it.
"""

from __future__ import annotations

# Implementation
ALIKE = 0.03  # seconds of difference that nobody sees
STEP = 0.1  # seconds more or less at a time
MOST = 0.6  # seconds of holding back


class Lips:
    """One track and its pictures."""

    def __init__(self) -> None:
        self.hold = 0.0
        """Seconds that the sound is held back."""
        self.ahead: float | None = None
        """By how many seconds the sound was earlier than its pictures, when last compared."""

    def compare(self, pictures: float, sound: float) -> float:
        """The ages of what is shown and of what is played, in seconds; the new ``hold``."""
        self.ahead = pictures - sound
        if abs(self.ahead) > ALIKE:
            step = min(max(self.ahead, -STEP), STEP)
            self.hold = min(max(self.hold + step, 0.0), MOST)
        return self.hold

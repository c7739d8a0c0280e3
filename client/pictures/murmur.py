"""What a child process murmurs on stderr, on its way into our log.

bytes  ─►  lines, cut and cleaned  ─ as many as are worth reading ─►  log

A child may be one that a stranger's pictures have taken over: what it says is bounded in
bytes and lines, and cannot command a terminal.
"""

from __future__ import annotations

import math

from vc_core.bucket import Bucket, Rate
from vc_core.clean import clean_text

# Implementation
MAX_LINE = 400  # bytes of a line; the rest of it is left out
LINES = Rate(per_second=2, burst=30)
BYTES = Rate(per_second=16 * 1024, burst=64 * 1024)


class Murmur:
    """One child's."""

    def __init__(self, now: float) -> None:
        self.last = ""
        """The newest line: the likeliest reason of an end."""
        self._lines, self._bytes = Bucket(LINES, now), Bucket(BYTES, now)
        self._begun = bytearray()
        self._left_out = 0

    def feed(self, data: bytes, now: float) -> tuple[list[str], float]:
        """Lines that are complete now, and for how many seconds nothing more should be read."""
        *whole, rest = data.split(b"\n")
        found = []
        for piece in whole:
            found += self._line(piece, now)
            self._begun.clear()
        self._keep(rest)
        return found, math.ceil(self._bytes.owe(now, len(data)))

    def end(self, now: float) -> list[str]:
        """What was begun, and how much was left out."""
        found = self._line(b"", now)
        if self._left_out:
            found.append(self._note())
        return found

    def _keep(self, piece: bytes) -> None:
        self._begun += piece[: MAX_LINE - len(self._begun)]

    def _line(self, piece: bytes, now: float) -> list[str]:
        self._keep(piece)
        line = clean_text(self._begun.decode(errors="replace")).strip()
        if not line:
            return []
        self.last = line
        if not self._lines.take(now):
            self._left_out += 1
            return []
        found = [self._note()] if self._left_out else []
        return [*found, line]

    def _note(self) -> str:
        count, self._left_out = self._left_out, 0
        return f"({count} lines left out)"

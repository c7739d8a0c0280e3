"""Each sealed packet counts once: a sliding window over counters (RFC 6479).

The window begins with the first verified counter, whatever it is, since a key
may have been used for a while when it reaches us late. From then on a counter
is new if it lies at most ``ahead`` above the highest one seen, less than
``size`` below it, and was not seen before.

RFC 6479 keeps a ring of 64-bit words so that a step never shifts a long bitmap;
here the bitmap is one Python integer, whose shift of 1 024 bits costs less than
picking a word out of a list.

Rule: ``check`` before the tag, ``advance`` only after the tag was right.
"""

from __future__ import annotations

from vc_core.errors import LocalProtocolError

# Specification
WINDOW_SIZE = 1024  # counters remembered below the highest; 20 s of 20 ms frames
MAX_AHEAD = 4096  # a jump that no loss explains before a new key comes
PICTURE_WINDOW = 4096  # of a stream of pictures: a second of 40 Mb/s
PICTURE_AHEAD = 1 << 20  # who watches again has missed any number of them


class Window:
    """Which counters of one key were seen."""

    def __init__(self, size: int = WINDOW_SIZE, ahead: int = MAX_AHEAD) -> None:
        self._mask = (1 << size) - 1
        self._size = size
        self._ahead = ahead
        self._seen = 0  # bit i: highest - i was seen
        self.highest = -1
        """The highest verified counter; -1 before the first."""

    def check(self, ctr: int) -> bool:
        """Whether ``ctr`` may be new; changes nothing."""
        ahead = ctr - self.highest
        if self.highest < 0:
            return ctr >= 0
        if ahead > 0:
            return ahead <= self._ahead
        return -ahead < self._size and not self._seen >> -ahead & 1

    def advance(self, ctr: int) -> None:
        """Mark ``ctr`` as seen. Only after its tag was verified."""
        ahead = ctr - self.highest
        if ahead == 1:  # in order: new for sure
            self.highest, self._seen = ctr, (self._seen << 1 | 1) & self._mask
            return
        if not self.check(ctr):
            raise LocalProtocolError(f"counter {ctr} was not checked before it was marked")
        if self.highest < 0:
            self.highest, self._seen = ctr, 1
        elif ahead > 0:
            self.highest = ctr
            # Whoever holds the key chooses how far: a shift is only made within the window.
            self._seen = (self._seen << ahead | 1) & self._mask if ahead < self._size else 1
        else:
            self._seen |= 1 << -ahead

"""What goes out of one stream of our own, counted between two looks."""

from __future__ import annotations

from typing import Any


class Outgo:
    """Frames and bytes of the first and of the second encoding."""

    def __init__(self) -> None:
        self._frames = [0, 0]
        self._bytes = [0, 0]

    def add(self, size: int, *, second: bool) -> None:
        """A frame was sent to somebody."""
        self._frames[second] += 1
        self._bytes[second] += size

    def take(self, span: float) -> dict[str, Any]:
        """In the ``span`` seconds since this was last asked; of the second one if there was one."""
        frames, sizes = self._frames, self._bytes
        self._frames, self._bytes = [0, 0], [0, 0]
        rates = [
            (round(n / span, 1), round(8 * s / span)) for n, s in zip(frames, sizes, strict=True)
        ]
        found = dict(zip(("fps_sent", "bitrate"), rates[0], strict=True))
        if frames[1]:
            found |= zip(("fps_second", "bitrate_second"), rates[1], strict=True)
        return found

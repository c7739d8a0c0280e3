"""Editions: what is shared, in one size and rate, from I420 to the pipe.

    First    every picture, in the size that was asked for
    Second   for viewers with narrow paths: smaller, of fewer pictures, made of the
             first one's I420, and only while somebody needs it

A picture that is still to be seen although nothing has changed is encoded again by the
rules of ``video.rhythm.Stillness``, or at once when somebody needs a key frame.

Rule 1: each edition counts its own frames and begins with a key frame, again after
        every change of its size.
Rule 2: the first one is written before the second is begun, which delays it by nothing.
"""

from __future__ import annotations

import time

from av import VideoFrame

from video.convert import Converter
from video.encoder import Encoder, Unit
from video.outlet import Outlet
from video.pipe import FrameRecord
from video.rhythm import Stillness, Thinning


class Edition:
    """One of them."""

    second = False

    def __init__(self, encoder: Encoder, outlet: Outlet) -> None:
        self.encoder = encoder
        self.encoded = 0
        self._outlet = outlet
        self._stillness = Stillness(encoder.fps)
        self._last: VideoFrame | None = None
        self._number = self._stamp = 0
        self._idle = False

    # What comes in

    def take(self, frame: VideoFrame, captured: int) -> None:
        """A new picture; one of another size is from before a change and passed over."""
        size = self.encoder.size
        if (frame.width, frame.height) == (size.width, size.height):
            self._last = frame
            if not self._idle:
                self._send(captured, changed=True)

    def again(self) -> None:
        """Send the last picture again: it is still what is to be seen."""
        if self._last is not None:
            self._send(time.monotonic_ns() // 1000, changed=False)

    @property
    def due(self) -> float:
        """When the last picture is sent again if no other comes; the monotonic clock."""
        waits = self._last is not None and not self._idle
        return self._stillness.due if waits else float("inf")

    # What is asked for

    def want_key(self) -> None:
        """A key frame at once, of the last picture if no other comes in time."""
        self.encoder.want_key()
        late = time.monotonic() - self._stamp / 1e6 > 1 / self.encoder.fps
        if not self._idle and late:
            self.again()

    def rest(self, on: bool) -> None:
        """Nobody watches: nothing is encoded; or somebody does again, and wants a key frame."""
        if self._idle and not on:
            self._idle = False
            self.encoder.want_key()
            self.again()
        self._idle = on

    def change(self, encoder: Encoder) -> None:
        """Go on with another encoder; frames are counted on."""
        self.encoder.close()
        self.encoder = encoder
        self._last, self._stillness = None, Stillness(encoder.fps)

    # Out

    def _send(self, captured: int, *, changed: bool) -> None:
        if self._last is None:
            return
        self._stamp = max(captured, self._stamp + 1)
        units = self.encoder.encode(self._last, self._stamp)
        for unit in units:
            self._write(unit)
        quantizer = units[-1].quantizer if units else None
        self._stillness.sent(time.monotonic(), quantizer, changed=changed)

    def _write(self, unit: Unit) -> None:
        encoder = self.encoder
        record = FrameRecord(
            self._number,
            unit.captured,
            unit.key,
            encoder.codec,
            encoder.size.width,
            encoder.size.height,
            b"",
            self.second,
        )
        self._outlet.frame(record, memoryview(unit.data))
        self._number = self._number + 1 & 0xFFFF_FFFF
        self.encoded += 1


class First(Edition):
    """In the size and rate that were asked for."""

    @property
    def last(self) -> VideoFrame | None:
        """What is to be seen now."""
        return self._last


class Second(Edition):
    """Smaller, of fewer pictures."""

    second = True

    def __init__(self, encoder: Encoder, outlet: Outlet) -> None:
        super().__init__(encoder, outlet)
        self._converter = Converter(encoder.size)
        self._thinning = Thinning(encoder.fps)
        self._passed: tuple[VideoFrame, int] | None = None
        """The newest picture, if it came too soon."""

    def take(self, frame: VideoFrame, captured: int) -> None:
        """A new picture of the first edition's; in its own size after its own rate."""
        if self._idle or not self._thinning.takes(captured / 1e6):
            self._passed = frame, captured
            return
        self._passed = None
        super().take(self._converter.convert(frame), captured)

    def again(self) -> None:
        """Send what came too soon, or the last picture again."""
        if self._passed is None:
            super().again()
            return
        (frame, captured), self._passed = self._passed, None
        super().take(self._converter.convert(frame), captured)

    @property
    def due(self) -> float:
        """When that is to happen."""
        waits = self._passed is not None and not self._idle
        return self._thinning.latest if waits else super().due

    def change(self, encoder: Encoder) -> None:
        """Another size and rate."""
        super().change(encoder)
        self._converter, self._thinning = Converter(encoder.size), Thinning(encoder.fps)

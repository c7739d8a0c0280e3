"""One open source on its way to the pipe: what is encoded, when, and how it is written.

Frames and events share one outlet. A picture that is still to be seen although
nothing has changed is encoded again by the rules of ``video.rhythm.Stillness``,
or at once when somebody needs a key frame.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from av import VideoFrame

from video import orders
from video.chain import Capture, Inbox, Taken
from video.encoder import Encoder, Unit
from video.picture import fit, rate, usual_bitrate
from video.pipe import FrameRecord, Words, frame_head, write_words
from video.rhythm import Stillness
from video.source import WAITS_FOR_VIEWERS, Source, kind_of, open_source
from video.unavailable import PictureUnavailable

# Implementation
PIPE_SIZE = 256 * 1024  # bytes; Linux gives 64 KiB unless asked


class Outlet:
    """The pipe to the engine; writing waits while it is full. ``OSError`` when it is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        _widen(descriptor)

    def say(self, event: str, **words: object) -> None:
        """An event."""
        self._write(memoryview(write_words({"event": event, **words})))

    def complain(self, error: PictureUnavailable) -> None:
        """An ``error`` event."""
        self.say("error", code=error.code, message=error.message, hint=error.hint)

    def frame(self, record: FrameRecord, data: memoryview) -> None:
        """A frame; ``data`` instead of the record's."""
        self._write(memoryview(frame_head(record, len(data))))
        self._write(data)

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


def _widen(descriptor: int) -> None:
    """Room for a key frame in a pipe, where that can be had: the engine reads it in few pieces."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # no pipe, or more than a user may have
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


class Sharing:
    """One open source on its way to the pipe."""

    def __init__(self, wanted: orders.Open, inbox: Inbox, outlet: Outlet) -> None:
        """``PictureUnavailable`` if the source or an encoder cannot be had."""
        self._wanted, self._outlet = wanted, outlet
        self._source: Source = open_source(wanted.wish)
        try:
            self._fps = rate(wanted.wish.fps, self._source.fps)
            size = fit(self._source.size, wanted.wish.box)
            self._bitrate = wanted.bitrate or usual_bitrate(size, self._fps)
            self.encoder = Encoder(
                wanted.codec, size, self._fps, self._bitrate, wanted=wanted.encoder
            )
        except BaseException:
            self._source.close()
            raise
        self.capture = Capture(self._source, size, self._fps, inbox)
        self._stillness = Stillness(self._fps)
        self._last: VideoFrame | None = None
        self._number = self._stamp = 0
        self._idle = False
        self._film: tuple[float, int] | None = None
        self.encoded = 0

    def begin(self) -> None:
        """Say what is shared; a file waits for its first viewer."""
        self._tell()
        if kind_of(self._wanted.wish.spec) not in WAITS_FOR_VIEWERS:
            self.capture.start()

    def _tell(self) -> None:
        encoder = self.encoder
        self._outlet.say(
            "opened",
            width=encoder.size.width,
            height=encoder.size.height,
            fps=round(self._fps, 3),
            codec=encoder.codec.name.lower(),
            encoder=encoder.name,
            source=self._source.name,
        )

    @property
    def due(self) -> float:
        """When the last picture is sent again if no other comes; the monotonic clock."""
        waits = self._last is not None and not self._idle
        return self._stillness.due if waits else float("inf")

    def take(self, taken: Taken) -> None:
        """Encode and send a new picture; where a film is on our clock is said when it changes."""
        size = self.encoder.size
        if taken.film is not None and taken.film != self._film:
            self._film = taken.film
            self._outlet.say("film", zero=taken.film[0], turn=taken.film[1])
        if (taken.frame.width, taken.frame.height) == (size.width, size.height):
            self._last = taken.frame
            if not self._idle:
                self._send(taken.captured, changed=True)

    def again(self) -> None:
        """Send the last picture again: it is still what is to be seen."""
        if self._last is not None:
            self._send(time.monotonic_ns() // 1000, changed=False)

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
        )
        self._outlet.frame(record, memoryview(unit.data))
        self._number = self._number + 1 & 0xFFFF_FFFF
        self.encoded += 1

    def rest(self, on: bool) -> None:
        """Nobody watches: nothing is encoded; or somebody does again, and wants a key frame."""
        if self._idle and not on:
            self._idle = False
            self.encoder.want_key()
            self.again()
        self._idle = on

    def set_bitrate(self, bitrate: int) -> None:
        """Keep to another bitrate."""
        self._bitrate = bitrate
        self.encoder.set_bitrate(bitrate)

    def want_key(self) -> None:
        """A key frame at once, of the last picture if no other comes in time."""
        self.encoder.want_key()
        if self._idle:
            return
        if self._last is not None and time.monotonic() - self._stamp / 1e6 > 1 / self._fps:
            self.again()

    def resize(self, words: Words) -> None:
        """Another size or rate."""
        size = fit(self._source.size, orders.box(words))
        fps = rate(orders.fps(words) or self._fps, self._source.fps)
        if (size, fps) == (self.encoder.size, self._fps):
            return
        old, self._fps = self.encoder, fps
        self.encoder = Encoder(old.codec, size, fps, self._bitrate, wanted=old.name)
        old.close()
        self._last, self._stillness = None, Stillness(fps)
        self.capture.reshape(size, fps)
        self._tell()

    def close(self) -> None:
        """End everything."""
        self.capture.close()
        self.encoder.close()

"""One open source on its way to the pipe: a first edition, and a second one on demand.

Frames and events share one outlet. What is encoded, and when, stands in ``video.edition``.
"""

from __future__ import annotations

import time

from video import orders
from video.chain import Capture, Inbox, Taken
from video.edition import Edition, First, Second
from video.encoder import Encoder
from video.outlet import Outlet
from video.picture import fit, rate, usual_bitrate
from video.pipe import Words
from video.source import Source
from video.sources import WAITS_FOR_VIEWERS, kind_of, open_source
from video.unavailable import PictureUnavailable


class Sharing:
    """One open source on its way to the pipe."""

    def __init__(self, wanted: orders.Open, inbox: Inbox, outlet: Outlet) -> None:
        """``PictureUnavailable`` if the source or an encoder cannot be had."""
        self._wanted, self._outlet = wanted, outlet
        self._source: Source = open_source(wanted.wish)
        self._box, self._seen = wanted.wish.box, self._source.size
        try:
            self._fps = rate(wanted.wish.fps, self._source.fps)
            size = fit(self._seen, self._box)
            bitrate = wanted.bitrate or usual_bitrate(size, self._fps)
            encoder = Encoder(wanted.codec, size, self._fps, bitrate, wanted=wanted.encoder)
        except BaseException:
            self._source.close()
            raise
        self.capture = Capture(self._source, size, self._fps, inbox)
        self.first = First(encoder, outlet)
        self.second: Second | None = None
        self._resting = False
        self._film: tuple[float, int] | None = None

    def begin(self) -> None:
        """Say what is shared; a file waits for its first viewer."""
        self._tell()
        if kind_of(self._wanted.wish.spec) not in WAITS_FOR_VIEWERS:
            self.capture.start()

    def _tell(self) -> None:
        self._outlet.say(
            "opened",
            **_about(self.first.encoder),
            codec=self.first.encoder.codec.name.lower(),
            source=self._source.name,
        )

    @property
    def _editions(self) -> list[Edition]:
        return [self.first, self.second] if self.second is not None else [self.first]

    # ---- Pictures --------------------------------------------------------------------

    @property
    def due(self) -> float:
        """When something is sent again if no other picture comes; the monotonic clock."""
        return min(one.due for one in self._editions)

    def take(self, taken: Taken) -> None:
        """Encode and send a new picture; where a film is on our clock is said when it changes."""
        if self._source.size != self._seen:
            self._reshape(self._fps)
        if taken.film is not None and taken.film != self._film:
            self._film = taken.film
            self._outlet.say("film", zero=taken.film[0], turn=taken.film[1])
        for one in self._editions:
            one.take(taken.frame, taken.captured)

    def again(self) -> None:
        """Send again what is due."""
        now = time.monotonic()
        for one in self._editions:
            if now >= one.due:
                one.again()

    # ---- Orders ----------------------------------------------------------------------

    def rest(self, on: bool) -> None:
        """Whether nobody watches."""
        self._resting = on
        for one in self._editions:
            one.rest(on)

    def resize(self, words: Words) -> None:
        """Another size or rate of the first edition, which is said; the second is told its own."""
        self._box = orders.box(words)
        self._reshape(rate(orders.fps(words) or self._fps, self._source.fps))

    def _reshape(self, fps: float) -> None:
        """What was asked for, of the size that the source has now."""
        self._seen = self._source.size
        size = fit(self._seen, self._box)
        old = self.first.encoder
        if (size, fps) != (old.size, self._fps):
            self._fps = fps
            self.first.change(Encoder(old.codec, size, fps, old.bitrate, wanted=old.name))
            self.capture.reshape(size, fps)
        self._tell()

    def open_second(self, words: Words) -> None:
        """Begin a second edition, or change its size and rate; ``second`` says what became of it.

        That there is none to be had ends nothing.
        """
        of = self.first.encoder
        size = fit(of.size, orders.box(words))
        fps = min(self._fps, rate(orders.fps(words), self._source.fps))
        bitrate = orders.bits(words, "bitrate") or usual_bitrate(size, fps)
        try:
            encoder = Encoder(of.codec, size, fps, bitrate)
        except PictureUnavailable as error:
            self.close_second()
            self._outlet.say("second", on=False, message=error.message)
            return
        if self.second is None:
            self.second = Second(encoder, self._outlet)
            self.second.rest(self._resting)
        else:
            self.second.change(encoder)
        self._outlet.say("second", on=True, **_about(encoder))
        if self.first.last is not None:  # at once, also of a screen that stands still
            self.second.take(self.first.last, time.monotonic_ns() // 1000)

    def close_second(self) -> None:
        """Nobody needs the second edition any more."""
        if self.second is not None:
            self.second.encoder.close()
            self.second = None

    def close(self) -> None:
        """End everything."""
        self.capture.close()
        for one in self._editions:
            one.encoder.close()


def _about(encoder: Encoder) -> Words:
    """What an event says of an edition."""
    return {
        "width": encoder.size.width,
        "height": encoder.size.height,
        "fps": round(encoder.fps, 3),
        "encoder": encoder.name,
    }

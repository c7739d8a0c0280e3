"""Shows: one stream of our own, with the child that encodes it and the sound that goes with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from client.pictures.children import Child
from client.pictures.outgo import Outgo
from client.pictures.soundtracks import OwnTrack
from vc_core.pictures import CAMERA, SCREEN
from vc_core.record import record
from video.pipe import FrameRecord, Record
from video.sources import WAITS_FOR_VIEWERS

FILMS = ("file", "loop")  # kinds of sources

Preview = Callable[[FrameRecord], None]


@record
class Wish:
    """What is to be shared; 0 means as it comes."""

    source: str
    width: int = 0
    height: int = 0
    fps: int = 0
    bitrate: int = 0
    """bit/s at most."""
    audio: bool = False
    """Whether sound goes with it."""
    codec: str = "h264"
    """One of ``video.pipe.CODECS``."""


class Show:
    """One stream of our own."""

    def __init__(
        self, wish: Wish, said: Callable[[Show, Record], None], gone: Callable[[Show], None]
    ) -> None:
        self.wish = wish
        self.stream = 0
        """0 until its source is open."""
        self.over = False
        """Whether the child said why it ends."""
        self.fps_captured = 0.0
        self.outgo = Outgo()
        self.copies = 0
        """Bytes of all copies when ``Showing.stats`` was last asked."""
        self.previews: dict[object, Preview] = {}
        self.resize: dict[str, int] | None = None
        """Size and rate that the child is told of soon."""
        self.resized = -math.inf
        """When it was last told, by the loop's clock."""
        self.track: OwnTrack | None = None
        """The sound that goes with it."""
        self._rests = False
        self.child = Child(
            "video.share", on_record=partial(said, self), on_gone=partial(gone, self)
        )

    def rest(self, *, watched: bool) -> None:
        """Whether nobody looks, so that nothing need be encoded, nor heard."""
        on = not self.previews and not watched
        if on is not self._rests:
            self._rests = on
            self.child.order("rest", on=on)
        if self.track is not None:
            self.track.listen(watched or bool(self.track.ears))

    def close(self) -> None:
        """The end of its child and of its sound."""
        self.child.stop()
        if self.track is not None:
            self.track.close()

    @property
    def kind(self) -> int:
        """As the offer has it."""
        return CAMERA if self.wish.source.partition(":")[0] == "camera" else SCREEN

    @property
    def waits(self) -> bool:
        """Whether it begins with its first viewer."""
        return self.wish.source.partition(":")[0] in WAITS_FOR_VIEWERS

    @property
    def live(self) -> bool:
        """Whether it shows what is here now, and not a film."""
        return self.wish.source.partition(":")[0] not in FILMS

"""Who looks at what was encoded, and reads the marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from video.pattern import Mark, read_mark
from video.pipe import Codec

DECODERS = {Codec.H264: "h264", Codec.VP9: "vp9", Codec.AV1: "libdav1d"}


class Compressed(Protocol):
    """Something with an access unit."""

    @property
    def data(self) -> object:
        """Readable as a buffer."""


def decoded(codec: Codec, units: Sequence[Compressed]) -> list[NDArray[np.uint8]]:
    """The pictures' brightness, shape (height, width)."""
    decoder = av.CodecContext.create(DECODERS[codec], "r")
    decoder.thread_count = 1
    assert isinstance(decoder, av.VideoCodecContext)
    frames = [f for unit in units for f in decoder.decode(av.Packet(bytes(unit.data)))]  # type: ignore[call-overload]
    frames += decoder.decode(None)
    return [np.asarray(one.to_ndarray(format="yuv420p"), np.uint8)[: one.height] for one in frames]


def marks(codec: Codec, units: Sequence[Compressed]) -> list[Mark | None]:
    """What is read of them when they are decoded."""
    return [read_mark(picture) for picture in decoded(codec, units)]

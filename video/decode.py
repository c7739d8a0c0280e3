"""Decoding: frames that strangers sent become pictures, or an error that is ours.

The decoder is FFmpeg's. It is told the greatest picture before it sees a byte, so
that absurd sizes in a header are refused before any memory is taken for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vc_core.errors import RemoteProtocolError
from video.pipe import MOST_PIXELS, MOST_SIDE, Codec

if TYPE_CHECKING:
    from av import VideoFrame

# Implementation
THREADS = 2
DECODERS: Mapping[Codec, str] = {Codec.H264: "h264", Codec.VP9: "vp9", Codec.AV1: "libdav1d"}


class Decoder:
    """One stream of one codec."""

    def __init__(self, codec: Codec) -> None:
        import av

        av.logging.set_level(av.logging.PANIC)
        self.codec = codec
        self._packet = av.Packet
        self._error = av.error.FFmpegError
        context = av.CodecContext.create(DECODERS[codec], "r")
        assert isinstance(context, av.VideoCodecContext)
        context.thread_type = "SLICE"  # threads by frame would each add a frame of delay
        context.thread_count = THREADS
        context.options = {"max_pixels": str(MOST_PIXELS)}
        context.flags |= av.codec.context.Flags.low_delay
        self._context = context

    def decode(self, unit: bytes) -> VideoFrame | None:
        """The newest picture that comes out of one access unit.

        ``RemoteProtocolError`` for whatever a decoder may find wrong.
        """
        try:
            pictures = self._context.decode(self._packet(unit))
        except (self._error, ValueError, MemoryError) as error:
            raise RemoteProtocolError("a frame cannot be decoded") from error
        if not pictures:
            return None
        picture = pictures[-1]
        if max(picture.width, picture.height) > MOST_SIDE:
            raise RemoteProtocolError("a picture is too large")
        return picture

"""Streams to look at, before anybody shares one: pictures drawn here, encoded here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from video.pipe import Codec, FrameRecord

# Implementation
ENCODERS = {Codec.H264: "libx264", Codec.VP9: "libvpx-vp9", Codec.AV1: "libsvtav1"}
OPTIONS = {
    Codec.H264: {"preset": "ultrafast", "tune": "zerolatency", "g": "10000", "bf": "0"},
    Codec.VP9: {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    Codec.AV1: {"preset": "12", "svtav1-params": "pred-struct=1:lookahead=0"},
}
BARS = (
    (235, 128, 128),
    (210, 16, 146),
    (170, 166, 16),
    (145, 54, 34),
    (81, 90, 240),
    (41, 240, 110),
)
"""White, yellow, cyan, green, red, blue, as (Y, U, V) of BT.601."""


def drawing(width: int, height: int, number: int) -> av.VideoFrame:
    """Colour bars above, a ramp with a moving bright block below."""
    y = np.empty((height, width), np.uint8)
    u, v = (np.full((height // 2, width // 2), 128, np.uint8) for _ in range(2))
    y[:] = 16 + np.arange(width) * 200 // width
    half = height // 2 & ~1
    for bar, (luma, blue, red) in enumerate(BARS):
        left, right = (width * b // len(BARS) & ~1 for b in (bar, bar + 1))
        y[:half, left:right] = luma
        u[: half // 2, left // 2 : right // 2] = blue
        v[: half // 2, left // 2 : right // 2] = red
    side = max(2, height // 6)
    x = number * 7 % (width - side)
    y[half + side : half + 2 * side, x : x + side] = 235
    planes = np.concatenate((y.ravel(), u.ravel(), v.ravel()))
    return av.VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), "yuv420p")


def encoder(width: int, height: int, codec: Codec = Codec.H264) -> VideoCodecContext:
    """One that keeps nothing back."""
    context = av.CodecContext.create(ENCODERS[codec], "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.options, context.thread_count = OPTIONS[codec], 1
    if codec is not Codec.AV1:
        context.bit_rate = 4_000_000
    return context


def stream(
    count: int, width: int = 320, height: int = 180, codec: Codec = Codec.H264, first: int = 0
) -> Iterator[FrameRecord]:
    """Frames of the drawing, taken one after the other until now."""
    context = encoder(width, height, codec)
    began = time.monotonic() - count / 30
    for number in range(count):
        picture = drawing(width, height, number)
        picture.pts = number
        for packet in context.encode(picture):
            captured = int((began + number / 30) * 1e6)
            key = bool(packet.is_keyframe)
            yield FrameRecord(first + number, captured, key, codec, width, height, bytes(packet))

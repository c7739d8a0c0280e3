"""Pictures to access units: one picture in, one out, at once.

Rule 1: a key frame comes when it is asked for, and where an encoder must be opened anew
        for its bitrate, and never else; the first is one.
Rule 2: hardware is trusted only after a probe: a picture must come out for each
        that goes in, the first of them a key frame with its parameter sets.
Rule 3: a bitrate is one of real time, however often pictures come.
Rule 4: what breaks later falls back to the next encoder, with a key frame.
"""

from __future__ import annotations

import logging
import os
import time
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
from av.error import FFmpegError
from av.video.frame import PictureType

from vc_core.record import record
from video.picture import Size, is_standard, too_much_for, within
from video.pipe import Codec
from video.recipes import CEILING, NEVER, RECIPES, Recipe, order, threads_for
from video.rhythm import Budget
from video.unavailable import PictureUnavailable

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

log = logging.getLogger(__name__)

# Specification
_LAMBDA = 118  # FFmpeg's quality unit of one step of the quantizer
_BT709, _BT601 = 1, 6  # colour descriptions (ITU-T H.273)
_LIMITED = 1
MICROSECONDS = Fraction(1, 1_000_000)

# Implementation
PROBES = 3  # pictures that hardware has to encode before it is trusted
PROBE_SECONDS = 1.0  # that it may take for them
COARSER, FINER = 0.8, 1.3
"""Encoders that have to be opened again for it follow only larger changes of the bitrate …"""
REOPEN_EVERY = 2.0
"""… and these not more often (seconds): each costs a key frame."""
BUFFER_SPAN = 4
"""The buffer keeps its size in bits when the bitrate follows. Beyond this factor either
way the encoder is opened anew at the next key frame; above it at once, since a buffer
that is too small for its bitrate makes each larger change of the picture coarse."""


@record(slots=True)
class Unit:
    """One compressed picture."""

    data: av.Packet[av.VideoStream]
    """Readable as a buffer."""
    key: bool
    captured: int
    """µs of the monotonic clock, as it went in."""
    quantizer: int | None
    """How coarse it is (H.264's scale), where the encoder says it."""


class Encoder:
    """One stream of pictures of one size."""

    def __init__(
        self, codec: Codec, size: Size, fps: float, bitrate: int, wanted: str | None = None
    ) -> None:
        """``wanted``: an encoder's name, tried first. ``PictureUnavailable`` if none works."""
        self.codec, self.size, self.fps = codec, size, fps
        self._bitrate = within(bitrate)
        hardware_first = too_much_for(os.cpu_count() or 1, size, fps)
        self._left = order(codec, hardware_first=hardware_first)
        if (first := RECIPES.get(wanted or "")) and first.codec is codec:
            self._left.insert(0, first)
        self._budget = Budget(fps)
        self._key_wanted = True
        self._context: VideoCodecContext | None = None
        self._choose()

    @property
    def name(self) -> str:
        """Of the encoder in use."""
        return self._recipe.name

    @property
    def bitrate(self) -> int:
        """Bit/s that it is told to keep to."""
        return self._bitrate

    def set_bitrate(self, bitrate: int) -> None:
        """From the next picture on, as far as the encoder can do it without a key frame."""
        self._bitrate = within(bitrate)

    def want_key(self) -> None:
        """The next picture is a key frame."""
        self._key_wanted = True

    def encode(self, frame: av.VideoFrame, captured: int) -> list[Unit]:
        """The units that ``frame`` (I420, of our size) completes: one, if all is well."""
        while True:
            try:
                if self._is_stale():
                    self._open(self._recipe)
                return self._encode(frame, captured)
            except FFmpegError as error:
                log.warning("%s: %s", self.name, error)
                self._choose()

    def _is_stale(self) -> bool:
        """Whether it has to be opened again: for its bitrate, or because that is free now."""
        ratio = self._bitrate / self._opened_bitrate
        waited = time.monotonic() - self._opened >= REOPEN_EVERY
        if self._recipe.follows_bitrate:
            free = self._key_wanted or (waited and ratio > 1)
            return free and not 1 / BUFFER_SPAN <= ratio <= BUFFER_SPAN
        return not COARSER <= ratio <= FINER and (waited or self._key_wanted)

    def _encode(self, frame: av.VideoFrame, captured: int) -> list[Unit]:
        context = cast("VideoCodecContext", self._context)
        generosity = self._budget.comes(captured / 1e6)
        if self._recipe.follows_bitrate:
            told = round(min(self._bitrate * generosity, self._opened_bitrate * CEILING))
            if told != context.bit_rate:
                context.bit_rate = told
        if self._recipe.pixels != "yuv420p":
            frame = frame.reformat(format=self._recipe.pixels)
        frame.pts, frame.time_base = captured, MICROSECONDS
        frame.pict_type = PictureType.I if self._key_wanted else PictureType.NONE
        self._key_wanted = False
        return [self._unit(packet) for packet in context.encode(frame)]

    def _unit(self, packet: av.Packet[av.VideoStream]) -> Unit:
        return Unit(packet, packet.is_keyframe, packet.pts or 0, _quantizer(packet, self.codec))

    def _choose(self) -> None:
        """Open the first of those that are left that works."""
        while self._left:
            recipe = self._left.pop(0)
            try:
                self._open(recipe)
                if recipe.hardware:
                    self._probe()
                    self._open(recipe)
                return
            except (FFmpegError, ValueError) as error:
                log.info("%s does not work here: %s", recipe.name, error)
        self.close()
        raise PictureUnavailable(
            "picture-encoder", f"no encoder for {self.codec.name} works here", "use h264"
        )

    def _open(self, recipe: Recipe) -> None:
        self.close()
        self._recipe = recipe
        context = cast("VideoCodecContext", av.CodecContext.create(recipe.name, "w"))
        context.width, context.height = self.size.width, self.size.height
        context.pix_fmt = recipe.pixels
        context.time_base = MICROSECONDS
        context.framerate = Fraction(self.fps).limit_denominator(1001)
        context.bit_rate = self._bitrate * (CEILING if recipe.follows_bitrate else 1)
        context.gop_size, context.max_b_frames = NEVER, 0
        context.color_range = _LIMITED
        matrix = _BT601 if is_standard(self.size) else _BT709
        context.colorspace = context.color_primaries = context.color_trc = matrix
        context.thread_type = "SLICE"
        context.thread_count = threads_for(os.cpu_count() or 1)
        context.options = dict(recipe.options(self._bitrate))
        context.open()
        self._context = context
        self._opened, self._opened_bitrate = time.monotonic(), self._bitrate
        self._key_wanted = True

    def _probe(self) -> None:
        """``ValueError`` or ``FFmpegError`` if it does not do as it should."""
        began = time.monotonic()
        for number in range(PROBES):
            frame = av.VideoFrame(self.size.width, self.size.height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes((128,)) * plane.buffer_size)
            units = self._encode(frame, number * 33_333)
            if len(units) != 1:
                raise ValueError("it keeps pictures back")
            if units[0].key != (number == 0):
                raise ValueError("key frames come when they like")
            if number == 0 and not has_parameter_sets(bytes(units[0].data)):
                raise ValueError("its key frames lack their parameter sets")
        if time.monotonic() - began > PROBE_SECONDS:
            raise ValueError("it is slow")

    def close(self) -> None:
        """Free the encoder; ``encode`` is over."""
        if self._context is not None:
            self._context = None


def _quantizer(packet: av.Packet[av.VideoStream], codec: Codec) -> int | None:
    if codec is not Codec.H264 or not packet.has_sidedata("quality_stats"):
        return None
    return int.from_bytes(bytes(packet.get_sidedata("quality_stats"))[:4], "little") // _LAMBDA


def has_parameter_sets(unit: bytes) -> bool:
    """Whether an H.264 unit in Annex B has its sequence parameters before all else that counts."""
    place = unit.find(b"\0\0\1")
    while 0 <= place < len(unit) - 3:
        kind = unit[place + 3] & 0x1F
        if kind in {1, 5}:
            return False
        if kind == 7:
            return True
        place = unit.find(b"\0\0\1", place + 3)
    return False

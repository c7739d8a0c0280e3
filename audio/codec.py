"""Opus (RFC 6716): 48 kHz, 20 ms, packets of one size; a voice in mono, other sound in stereo.

One size, so that a packet says nothing about what is spoken. The encoder itself
may use less than there is room for, and the rest is padded (RFC 6716, 3.2.5): to
hit a size exactly it would encode each frame two or three times.
In-band FEC puts a coarse copy of each frame into the packet after it; it costs
quality, so it is on only while packets get lost.

Called through ctypes: opuslib's own classes are broken for concealment, and
slower. Each function object is our own (``library[name]``), so argument types
set elsewhere do not matter. Control calls are variadic in C: their last
argument must stay out of ``argtypes`` (Apple's arm64 passes it on the stack).
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from audio.libopus import OpusMissing, load
from audio.pcm import FRAME, FRAME_SECONDS, RATE, Frame
from vc_core.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "BITRATE",
    "FULLBAND",
    "STEREO_BITRATE",
    "WIDEBAND",
    "Decoder",
    "Encoder",
    "OpusMissing",
    "StereoEncoder",
    "carries_fec",
]

# Specification (opus_defines.h, RFC 6716)
MAX_PAYLOAD = 1275  # bytes of one Opus frame
_APPLICATION_VOIP = 2048
_APPLICATION_AUDIO = 2049
_APPLICATION_RESTRICTED_SILK = 2052  # since libopus 1.6
_SET_BITRATE = 4002
_SET_MAX_BANDWIDTH = 4004
_SET_VBR = 4006
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERC = 4014
_SET_DTX = 4016
_SET_SIGNAL = 4024
_SIGNAL_VOICE = 3001
_SIGNAL_MUSIC = 3002
WIDEBAND = 1103  # up to 8 kHz
FULLBAND = 1105  # up to 20 kHz
_HYBRID_END = 16  # TOC configurations below 16 carry SILK, and so may carry FEC
_COUNT_MASK = 0x3F  # of the second byte of a code 3 packet: number of frames
_PADDED = 0x40  # there: padding follows

# Implementation
BITRATE = 38_400  # bits per second, padding included
STEREO_BITRATE = 96_000  # of sound that is no voice
FILLED = 15 / 16
"""Share of it that the encoder aims at. Mean PESQ-WB of four clips and time per frame:
these two 4.35 (165 µs), 3.95 and 3.88 with FEC for 5 and 10 % loss (220 µs); an
encoder that keeps to 32 kb/s exactly 4.36 (345 µs), 3.82 and 3.72 (370 µs)."""
BANDWIDTH = WIDEBAND
"""What some 32 kb/s are spent on. PESQ-WB, which hears nothing above 8 kHz, of three
clips: wideband 4.25 to 4.34, fullband 3.70 to 4.06; with FEC for 10 % loss 3.4 to
3.9 against 3.0 to 3.8. Above some 48 kb/s fullband is the better choice (4.2)."""
COMPLEXITY = 8
"""8 to 10 are the same packets in wideband."""
CALM = 6
"""Complexity of a voice without FEC. Mean PESQ-WB of five clips, and time per frame on a slow
machine: 8 4.34 (296 µs), 6 4.30 (253), 5 4.22 (242), 3 3.78 (186); with FEC for 10 % loss,
before any is lost: 8 3.89, 6 3.75, 5 3.58."""
FEC_FROM = 0.01  # share of lost packets from which FEC is worth its bits
MOST_LOSS = 30  # percent told to the encoder at most: more ruins the main copy


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = load()[name]
    function.restype = result
    function.argtypes = arguments
    return function


def carries_fec(payload: bytes) -> bool:
    """Whether an Opus packet of one 20 ms frame holds a copy of the frame before.

    The LBRR flag is the bit after the VAD flag of the first SILK frame
    (RFC 6716, 4.2.3 and 4.2.4).
    """
    start = _frame_start(payload)
    return start is not None and start < len(payload) and bool(payload[start] & 0x40)


def _frame_start(payload: bytes) -> int | None:
    """Where the SILK data of a packet's one frame begins; None if it is no such packet.

    Code 0 has it after the TOC byte. Code 3, which padding needs, has a byte of
    flags and count and the lengths of the padding before it (RFC 6716, 3.2.5).
    """
    if len(payload) < 2 or payload[0] >> 3 >= _HYBRID_END:
        return None
    code, flags = payload[0] & 3, payload[1]
    if code != 3:
        return 1 if code == 0 else None
    if flags & _COUNT_MASK != 1:
        return None
    start = 2
    if flags & _PADDED:
        while start < len(payload) and payload[start] == 255:
            start += 1
        start += 1
    return start


class Encoder:
    """One talker's encoder."""

    application, channels, signal = _APPLICATION_VOIP, 1, _SIGNAL_VOICE
    filled = FILLED
    """Share of the bitrate that is aimed at; the rest is room."""
    calm = CALM
    """Complexity while nothing is lost."""

    def __init__(self, bitrate: int = BITRATE, bandwidth: int = BANDWIDTH) -> None:
        """``bitrate`` in bit/s, padding included, a multiple of 400; ``bandwidth`` is the widest,
        ``WIDEBAND`` or ``FULLBAND``. ``OpusMissing`` without the library."""
        self.packet_size = round(bitrate * FRAME_SECONDS / 8)
        self._shape = (FRAME,) if self.channels == 1 else (FRAME, self.channels)
        self._destroy = _function("opus_encoder_destroy", None, ctypes.c_void_p)
        self._encode = _function(
            "opus_encode_float",
            ctypes.c_int32,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int32,
        )
        self._pad = _function(
            "opus_packet_pad", ctypes.c_int, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32
        )
        self._control = _function("opus_encoder_ctl", ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
        create = _function(
            "opus_encoder_create",
            ctypes.c_void_p,
            ctypes.c_int32,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_void_p,
        )
        made = (create(RATE, self.channels, one, None) for one in self._applications(bandwidth))
        self._state = next(filter(None, made), None)
        if not self._state:
            raise OpusMissing("no encoder")
        self._pcm = np.empty(self._shape, np.float32)
        self._pcm_at = self._pcm.ctypes.data
        self._out = ctypes.create_string_buffer(MAX_PAYLOAD)
        self._packet = memoryview(self._out)[: self.packet_size]
        self._loss = -1
        self._set(_SET_BITRATE, round(bitrate * self.filled))
        self._set(_SET_VBR, 1)
        self._set(_SET_MAX_BANDWIDTH, bandwidth)
        self._set(_SET_DTX, 0)
        self._set(_SET_SIGNAL, self.signal)
        self.set_loss(0.0)

    def _applications(self, bandwidth: int) -> tuple[int, ...]:
        """What it is made for; an older library refuses the first one.

        A wideband voice is SILK's in any case. An encoder that knows so looks for no music: a
        seventh of the time (346 -> 297 µs), mean PESQ-WB of five clips 4.34 instead of 4.35.
        """
        if bandwidth == WIDEBAND and self.application == _APPLICATION_VOIP:
            return _APPLICATION_RESTRICTED_SILK, _APPLICATION_VOIP
        return (self.application,)

    def _set(self, request: int, value: int) -> None:
        result = self._control(self._state, request, ctypes.c_int32(value))
        if result != 0:
            raise LocalProtocolError(f"opus refused setting {request} = {value} ({result})")

    def set_loss(self, share: float) -> None:
        """Tell the share of packets (0 to 1) that is lost on the way to the listeners."""
        loss = min(MOST_LOSS, round(share * 100)) if share >= FEC_FROM else 0
        if loss != self._loss:
            self._loss = loss
            self._set(_SET_COMPLEXITY, COMPLEXITY if loss else self.calm)
            self._set(_SET_INBAND_FEC, 1 if loss else 0)
            self._set(_SET_PACKET_LOSS_PERC, loss)

    def encode(self, frame: Frame) -> bytes:
        """The packet of a frame: always ``packet_size`` bytes."""
        if frame.shape != self._shape:
            raise LocalProtocolError(f"a frame has shape {self._shape}, not {frame.shape}")
        self._pcm[:] = frame
        size = self._encode(self._state, self._pcm_at, FRAME, self._out, self.packet_size)
        if size < 0:
            raise LocalProtocolError(f"opus could not encode a frame ({size})")
        if self._pad(self._out, size, self.packet_size) != 0:
            raise LocalProtocolError(f"opus could not pad {size} bytes to {self.packet_size}")
        return bytes(self._packet)

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._destroy(self._state)
            self._state = None


class StereoEncoder(Encoder):
    """Of sound that is no voice: frames of shape (960, 2)."""

    application, channels, signal = _APPLICATION_AUDIO, 2, _SIGNAL_MUSIC
    calm = COMPLEXITY

    def __init__(self, bitrate: int = STEREO_BITRATE) -> None:
        """As ``Encoder``, over all that can be heard."""
        super().__init__(bitrate, FULLBAND)


class Decoder:
    """One talker's decoder; what comes in is not trusted."""

    def __init__(self, channels: int = 1) -> None:
        """Frames of shape (960,), or (960, 2) with two channels, whatever a packet has.

        ``OpusMissing`` without the library."""
        self._destroy = _function("opus_decoder_destroy", None, ctypes.c_void_p)
        self._decode = _function(
            "opus_decode_float",
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_int,
        )
        create = _function(
            "opus_decoder_create", ctypes.c_void_p, ctypes.c_int32, ctypes.c_int, ctypes.c_void_p
        )
        self._state = create(RATE, channels, None)
        if not self._state:
            raise OpusMissing("no decoder")
        self._size = _function("opus_decoder_get_size", ctypes.c_int, ctypes.c_int)(channels)
        self._kept = b""
        self._pcm = np.empty((FRAME,) if channels == 1 else (FRAME, channels), np.float32)
        self._pcm_at = self._pcm.ctypes.data

    def keep(self) -> None:
        """Remember what was heard up to here: a state is one piece of memory (opus.h)."""
        self._kept = ctypes.string_at(self._state, self._size)

    def back(self) -> None:
        """Forget what was decoded and made up since ``keep``."""
        if self._kept:
            ctypes.memmove(self._state, self._kept, self._size)

    def decode(self, payload: bytes) -> Frame:
        """The frame of a packet; ``RemoteProtocolError`` if it holds no 20 ms of Opus."""
        return self._run(payload, fec=False)

    def decode_fec(self, next_payload: bytes) -> Frame:
        """The frame before the one in ``next_payload``, from its coarse copy.

        Without such a copy inside it is a concealed frame. Errors as ``decode``.
        """
        return self._run(next_payload, fec=True)

    def conceal(self) -> Frame:
        """A frame made up from what was heard before; fades when called again."""
        count = self._decode(self._state, None, 0, self._pcm_at, FRAME, 0)
        if count != FRAME:
            raise LocalProtocolError(f"opus could not conceal a frame ({count})")
        return self._pcm.copy()

    def _run(self, payload: bytes, *, fec: bool) -> Frame:
        if not 0 < len(payload) <= MAX_PAYLOAD:
            raise RemoteProtocolError(f"an Opus packet of {len(payload)} bytes")
        count = self._decode(
            self._state, payload, len(payload), self._pcm_at, FRAME, 1 if fec else 0
        )
        if count != FRAME:
            raise RemoteProtocolError(f"not a 20 ms Opus packet ({count})")
        return self._pcm.copy()

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._destroy(self._state)
            self._state = None

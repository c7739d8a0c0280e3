"""Which encoders there are, and what each is told: low delay, sharp text, no key frame unasked.

Measured on a scrolling 1080p page at 6 Mb/s on one core: x264 ultrafast 6.2 ms,
with CABAC and small intra blocks 7.0 ms and 2.5 dB better, superfast 10.4 ms
and no better than that. Other ways of searching, weighted prediction, psy, dead zones and the
8x8 transform are within 3 % of its time; deblocking and adaptive quantization add 7 % for .005 of
SSIM on film. Searching between pixels costs a seventh for .005 of SSIM on film, and small pictures
at a few hundred kb/s lose .02 by it; see ``nowhere_is_dear``. Without early skipping a page that
scrolls gains .002, for a fifth of the time. A constant quantizer saves 30 %, for then nothing is
searched in a picture of half the size to foretell bits; but it cannot be changed while the encoder
is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vc_core.record import record
from video.pipe import Codec

# Implementation
BUFFER_SECONDS = 0.25  # how much of the bitrate may come at once: a key frame
CEILING = 16
"""Times the bitrate at which x264 is opened that it can be told later. It must be opened at
the ceiling: only then is each later bitrate a constant one, and obeyed at once."""
LOW = 1 << 39  # addresses below share one entry of the uppermost page table with address 0
AMPLE = 2_000_000  # bit/s of large pictures, to which searching between pixels does no harm
NEVER = 1 << 30  # pictures from key frame to key frame, where nobody asks for one
MOST_THREADS = 4


def threads_for(cores: int) -> int:
    """Of a software encoder: slices of one picture; the capture thread has a core as well."""
    return max(1, min(MOST_THREADS, cores // 2))


@record(slots=True)
class Recipe:
    """One encoder of PyAV's."""

    name: str
    codec: Codec
    options: Callable[[int], Mapping[str, str]]
    """By the bitrate (bit/s) at which it is opened."""
    hardware: bool = False
    pixels: str = "yuv420p"
    follows_bitrate: bool = False
    """Whether it may be told another bitrate at any time; it is opened at the ceiling."""


def _buffer(bitrate: int) -> dict[str, str]:
    return {"maxrate": str(bitrate), "bufsize": str(round(bitrate * BUFFER_SECONDS))}


def nowhere_is_dear() -> bool:
    """Whether this program lies low in memory, which is when reading ahead of nothing takes time.

    Where it does not search between pixels, x264 has no pictures of what is there, and yet reads
    12 lines of them ahead for each block, at address 0: each time the page tables are walked in
    vain, one step where nothing else lies low, three where the program does. Debian's Python
    does, being linked to fixed addresses: 3 to 5 ms of 1080p on a virtual machine.
    """
    return id(None) < LOW  # None is a part of the program


def _x264(bitrate: int) -> Mapping[str, str]:
    between = bitrate >= AMPLE and nowhere_is_dear()
    finer = f"scenecut=0:cabac=1:partitions=i4x4,i8x8:subme={int(between)}"
    return {
        **_buffer(bitrate),
        "maxrate": str(bitrate * CEILING),
        "preset": "ultrafast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "x264-params": finer,
    }


def _nvenc(bitrate: int) -> Mapping[str, str]:
    fast = {"preset": "p3", "tune": "ull", "rc": "cbr", "zerolatency": "1", "delay": "0"}
    return {**_buffer(bitrate), **fast, "forced-idr": "1", "no-scenecut": "1"}


def _qsv(bitrate: int) -> Mapping[str, str]:
    fast = {
        "preset": "veryfast",
        "async_depth": "1",
        "look_ahead": "0",
        "scenario": "displayremoting",
    }
    return {**_buffer(bitrate), **fast, "forced_idr": "1"}


def _v4l2(bitrate: int) -> Mapping[str, str]:
    return {"num_output_buffers": "4", "num_capture_buffers": "4"}


def _videotoolbox(bitrate: int) -> Mapping[str, str]:
    return {**_buffer(bitrate), "realtime": "1", "prio_speed": "1", "allow_sw": "0"}


def _vp9(bitrate: int) -> Mapping[str, str]:
    fast = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "row-mt": "1"}
    return {
        **_buffer(bitrate),
        **fast,
        "tune-content": "screen",
        "max-intra-rate": "300",  # % of a picture's share: a larger key frame never gets through
        "tile-columns": "1",
        "auto-alt-ref": "0",
    }


def _av1(bitrate: int) -> Mapping[str, str]:
    low = "rtc=1:pred-struct=1:rc=2:scm=1:lookahead=0:scd=0"
    buffer = "buf-initial-sz=250:buf-optimal-sz=250:buf-sz=500"  # ms
    return {"preset": "11", "svtav1-params": f"{low}:{buffer}"}


RECIPES: Mapping[str, Recipe] = {
    one.name: one
    for one in (
        Recipe("libx264", Codec.H264, _x264, follows_bitrate=True),
        Recipe("h264_videotoolbox", Codec.H264, _videotoolbox, hardware=True, pixels="nv12"),
        Recipe("h264_nvenc", Codec.H264, _nvenc, hardware=True),
        Recipe("h264_qsv", Codec.H264, _qsv, hardware=True, pixels="nv12"),
        Recipe("h264_v4l2m2m", Codec.H264, _v4l2, hardware=True),
        Recipe("libvpx-vp9", Codec.VP9, _vp9),
        Recipe("libsvtav1", Codec.AV1, _av1),
    )
}


def order(codec: Codec, *, hardware_first: bool) -> list[Recipe]:
    """Those of a codec in the order in which they are tried."""
    fitting = [one for one in RECIPES.values() if one.codec is codec]
    return sorted(fitting, key=lambda one: one.hardware is not hardware_first)

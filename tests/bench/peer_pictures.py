r"""The same pictures through aiortc: our capture thread, its H.264, its network, its decoder.

    python -m tests.bench.peer_pictures offer|answer seen.npz \
        SOURCE WIDTH HEIGHT FPS BITRATE SECONDS

The offering end shows, the other one looks. Both note the number that is drawn into each
picture and when it was captured here, decoded there. Source, conversion and their
rhythm are those of our own sharing process (``video.chain``); aiortc's encoder is told
our rate and bitrate, which it would otherwise limit to 30 and 3 Mb/s.
"""

from __future__ import annotations

import asyncio
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.peer_aiortc import Line, meet
from video.chain import Capture, Inbox, Taken
from video.pattern import read_mark
from video.picture import Size
from video.source import Wish
from video.sources import open_source

# Implementation
MICROSECONDS = Fraction(1, 1_000_000)
FIRST = 15.0  # s for the first picture

Notes = list[tuple[int, float]]
"""(number, when) of pictures."""


def number_of(frame: Any) -> int:
    """The number that is drawn into a picture; -1 if none can be read."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    mark = read_mark(rows[: frame.height, : frame.width])
    return mark.number if mark else -1


async def _main(
    role: str, seen: Path, spec: str, size: Size, fps: float, bitrate: int, seconds: float
) -> None:
    from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender
    from aiortc.codecs import h264

    h264.DEFAULT_BITRATE = h264.MIN_BITRATE = h264.MAX_BITRATE = bitrate
    h264.MAX_FRAME_RATE = round(fps)
    loop, first = asyncio.get_running_loop(), asyncio.Event()
    notes: Notes = []
    inbox = Inbox()

    def take() -> Taken:
        while not isinstance(found := inbox.take(), Taken):
            inbox.wait(time.monotonic() + 1)
        return found

    class Camera(MediaStreamTrack):
        kind = "video"

        async def recv(self) -> Any:
            taken = await loop.run_in_executor(None, take)
            notes.append((number_of(taken.frame), taken.captured / 1e6))
            taken.frame.pts, taken.frame.time_base = taken.captured, MICROSECONDS
            return taken.frame

    async def look(track: Any) -> None:
        while True:
            frame = await track.recv()
            notes.append((number_of(frame), time.monotonic()))
            first.set()

    pc, line, tasks = RTCPeerConnection(), Line(), []
    pc.on("track", lambda track: tasks.append(asyncio.ensure_future(look(track))))
    line.write(ready=True)
    told = await line.read()
    capture = None
    if role == "offer":
        capture = Capture(open_source(Wish(spec, size, fps)), size, fps, inbox)
        capture.start()
        sender = pc.addTransceiver(Camera(), direction="sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        sender.setCodecPreferences([one for one in known if one.mimeType == "video/H264"])
        first.set()
    await meet(pc, role, told, line)
    await asyncio.wait_for(first.wait(), FIRST)
    line.write(begun=True)
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    np.savez(seen, notes=np.array(notes))
    line.write(done=True)
    await line.read()
    await pc.close()
    if capture is not None:
        capture.close()


if __name__ == "__main__":
    asyncio.run(
        _main(
            sys.argv[1],
            Path(sys.argv[2]),
            sys.argv[3],
            Size(int(sys.argv[4]), int(sys.argv[5])),
            float(sys.argv[6]),
            int(sys.argv[7]),
            float(sys.argv[8]),
        )
    )

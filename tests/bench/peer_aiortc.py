"""The peer that we compare ourselves with: a voice call of two aiortc processes.

    python -m tests.bench.peer_aiortc offer|answer said.wav heard.npz SECONDS

A pair of these exchanges descriptions through the program that started it, one
JSON object per line; both talk. ``call`` starts a pair. aiortc is no dependency
of ours: ``missing`` says whether it is there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from audio.pcm import FRAME, FRAME_SECONDS, RATE, silence, to_int16
from tests.bench.ear import read_wav
from tests.calls.engines import ROOT


def missing() -> bool:
    """Whether there is no such peer here."""
    return importlib.util.find_spec("aiortc") is None


class PeerProcess:
    """One end of such a call."""

    def __init__(self, role: str, said: Path, heard: Path, seconds: float) -> None:
        self.heard = heard
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.peer_aiortc", role, said, heard, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def read(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the peer ended")
        told: dict[str, Any] = json.loads(line)
        return told

    def write(self, told: dict[str, Any]) -> None:
        """Tell it something."""
        assert self.process.stdin is not None
        print(json.dumps(told), file=self.process.stdin, flush=True)


def call(said: Path, folder: Path, seconds: float) -> tuple[PeerProcess, PeerProcess]:
    """Two ends that are imported and ready; ``connect`` lets them begin."""
    offer = PeerProcess("offer", said, folder / "offer.npz", seconds)
    answer = PeerProcess("answer", said, folder / "answer.npz", seconds)
    for one in (offer, answer):
        one.read()
    return offer, answer


def connect(offer: PeerProcess, answer: PeerProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    """Carry the descriptions over; what each says when it has heard its first frame."""
    offer.write({})
    answer.write(offer.read())
    offer.write(answer.read())
    return offer.read(), answer.read()


async def _main(role: str, said: Path, heard: Path, seconds: float) -> None:
    from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
    from av import AudioFrame

    samples = to_int16(read_wav(said))

    class Mouth(MediaStreamTrack):
        kind = "audio"
        started: float | None = None
        at = 0

        async def recv(self) -> AudioFrame:
            if self.started is None:
                self.started = time.time()
            self.at += 1
            await asyncio.sleep(self.started + self.at * FRAME_SECONDS - time.time())
            piece = np.resize(np.roll(samples, -(self.at - 1) * FRAME), FRAME)
            frame = AudioFrame.from_ndarray(piece.reshape(1, -1), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, (self.at - 1) * FRAME
            frame.time_base = Fraction(1, RATE)
            return frame

    pc, mouth = RTCPeerConnection(), Mouth()
    pieces: list[Any] = []
    arrivals: list[float] = []
    first = asyncio.Event()

    async def listen(track: Any) -> None:
        while True:
            frame = await track.recv()
            arrivals.append(time.time())
            pieces.append(frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0])
            first.set()

    tasks = []
    pc.on("track", lambda track: tasks.append(asyncio.ensure_future(listen(track))))
    loop = asyncio.get_running_loop()

    async def read() -> dict[str, Any]:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        told: dict[str, Any] = json.loads(line)
        return told

    def write(**told: Any) -> None:
        print(json.dumps(told), flush=True)

    write(ready=True)
    told = await read()
    begun = time.time()
    pc.addTrack(mouth)
    if role == "offer":
        await pc.setLocalDescription(await pc.createOffer())
        write(type="offer", sdp=pc.localDescription.sdp)
        await pc.setRemoteDescription(RTCSessionDescription(**await read()))
    else:
        await pc.setRemoteDescription(RTCSessionDescription(**told))
        await pc.setLocalDescription(await pc.createAnswer())
        write(type="answer", sdp=pc.localDescription.sdp)
    await asyncio.wait_for(first.wait(), 10)
    write(heard_after=arrivals[0] - begun)
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    stream = np.concatenate([*pieces, to_int16(silence(1))])
    np.savez(heard, samples=stream, arrivals=np.array(arrivals), mouth=np.array(mouth.started))
    write(done=True)
    await read()
    await pc.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])))

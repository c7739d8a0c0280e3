"""The peer that we compare ourselves with: a voice call of two aiortc processes.

    python -m tests.bench.peer_aiortc offer|answer heard.npz said.wav SECONDS

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

    def __init__(self, module: str, role: str, heard: Path, *words: object) -> None:
        self.heard = heard
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, role, heard, *map(str, words)],
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


def pair(module: str, folder: Path, *words: object) -> tuple[PeerProcess, PeerProcess]:
    """Two ends that are imported and ready; ``connect`` lets them begin."""
    offer = PeerProcess(module, "offer", folder / "offer.npz", *words)
    answer = PeerProcess(module, "answer", folder / "answer.npz", *words)
    for one in (offer, answer):
        one.read()
    return offer, answer


def call(said: Path, folder: Path, seconds: float) -> tuple[PeerProcess, PeerProcess]:
    """Two who talk."""
    return pair("tests.bench.peer_aiortc", folder, said, seconds)


def connect(offer: PeerProcess, answer: PeerProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    """Carry the descriptions over; what each says when it has heard its first frame."""
    offer.write({})
    answer.write(offer.read())
    offer.write(answer.read())
    return offer.read(), answer.read()


def end(ends: tuple[PeerProcess, PeerProcess]) -> None:
    """When both have done what they were started for."""
    for one in ends:
        one.read()
    for one in ends:
        one.write({})
    for one in ends:
        one.process.wait(10)


class Line:
    """To the program that started us, and back."""

    async def read(self) -> dict[str, Any]:
        """What it says."""
        loop = asyncio.get_running_loop()
        told: dict[str, Any] = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
        return told

    def write(self, **told: Any) -> None:
        """Tell it."""
        print(json.dumps(told), flush=True)


async def meet(pc: Any, role: str, told: dict[str, Any], line: Line) -> None:
    """Exchange descriptions; ``told`` is the line that lets us begin."""
    from aiortc import RTCSessionDescription

    if role == "offer":
        await pc.setLocalDescription(await pc.createOffer())
        line.write(type="offer", sdp=pc.localDescription.sdp)
        await pc.setRemoteDescription(RTCSessionDescription(**await line.read()))
    else:
        await pc.setRemoteDescription(RTCSessionDescription(**told))
        await pc.setLocalDescription(await pc.createAnswer())
        line.write(type="answer", sdp=pc.localDescription.sdp)


async def _main(role: str, heard: Path, said: Path, seconds: float) -> None:
    from aiortc import MediaStreamTrack, RTCPeerConnection
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
    line = Line()
    line.write(ready=True)
    told = await line.read()
    begun = time.time()
    pc.addTrack(mouth)
    await meet(pc, role, told, line)
    await asyncio.wait_for(first.wait(), 10)
    line.write(heard_after=arrivals[0] - begun)
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    stream = np.concatenate([*pieces, to_int16(silence(1))])
    np.savez(heard, samples=stream, arrivals=np.array(arrivals), mouth=np.array(mouth.started))
    line.write(done=True)
    await line.read()
    await pc.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])))

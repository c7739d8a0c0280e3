"""The same figures of aiortc, in the same run."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np

from audio.pcm import FRAME, FRAME_SECONDS, RATE, from_int16
from audio.synthetic import speech
from tests.bench.ear import chirps, delays, read_wav, write_wav
from tests.bench.peer_aiortc import call, connect, end, missing
from tests.bench.process import cpu_shares, resident_mb

# Implementation
CALLS = 5
SECONDS = 15.0
SETTLED = 3.0

Figures = dict[str, str]
"""By the ``what`` of our own row."""


def aiortc(folder: Path) -> Figures:
    """Its figures; empty without it."""
    if missing():
        return {}
    folder.mkdir()
    first = [_join(folder) for _ in range(CALLS)]
    return {
        "code entered -> voice, median": f"{statistics.median(first) * 1000:.0f} ms (no code)",
        **_delay(folder),
        **_costs(folder),
    }


def _said(folder: Path, sound: str) -> Path:
    path = folder / f"{sound}.wav"
    if not path.exists():
        write_wav(path, chirps(SECONDS + 15) if sound == "chirps" else speech(8.0))
    return path


def _join(folder: Path) -> float:
    """Seconds from before the offer to the first decoded frame at its end."""
    pair = call(_said(folder, "speech"), folder, 0.2)
    heard, _ = connect(*pair)
    end(pair)
    return float(heard["heard_after"])


def _delay(folder: Path) -> Figures:
    sound = _said(folder, "chirps")
    pair = call(sound, folder, SETTLED + SECONDS)
    connect(*pair)
    end(pair)
    ends = [np.load(one.heard) for one in pair]
    found: list[float] = []
    for mouth, ear in (ends, reversed(ends)):
        found += _late(sound, float(mouth["mouth"]), ear["samples"], ear["arrivals"])
    middle, high = np.percentile(found, [50, 95]) * 1000
    return {"mouth to ear, p50": f"{middle:.1f} ms", "mouth to ear, p95": f"{high:.1f} ms"}


def _late(sound: Path, began: float, stream: np.ndarray, arrivals: np.ndarray) -> list[float]:
    """Delays, each frame heard when it came out of the peer."""
    late = []
    for at, delay in delays(read_wav(sound), from_int16(stream), began - float(arrivals[0])):
        frame = int((began + at + delay - arrivals[0]) * RATE) // FRAME
        if at >= SETTLED and frame < len(arrivals):
            late.append(delay + float(arrivals[frame] - arrivals[0]) - frame * FRAME_SECONDS)
    return late


def _costs(folder: Path) -> Figures:
    pair = call(_said(folder, "speech"), folder, SETTLED + SECONDS + 1)
    connect(*pair)
    time.sleep(SETTLED)
    pids = [one.process.pid for one in pair]
    shares = cpu_shares(pids, SECONDS)
    memory = max(resident_mb(pid) for pid in pids)
    end(pair)
    return {
        "1:1 voice, CPU of the guest": f"{shares[0]:.1%}",
        "1:1 voice, CPU of the host": f"{shares[1]:.1%}",
        "1:1 voice, memory": f"{memory:.1f} MB",
    }

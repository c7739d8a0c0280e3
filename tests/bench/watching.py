"""Calls with pictures between real engines on loopback, and the same pictures through aiortc.

Frames a second and delay are the viewer's own; the CPU of a frame is that of all processes
of both ends. Who does not draw the pictures by itself (a screen) pays for looking as well.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import av
import numpy as np

from tests.bench.calls import Stage, stage
from tests.bench.peer_aiortc import connect, end, missing, pair
from tests.bench.process import cpu_shares
from tests.bench.table import Row, number
from tests.calls.engines import EngineProcess
from tests.calls.test_pictures import child
from tests.video.desk import MISSING, Desk, Scrolling, xvfb
from vc_core.record import record

# Implementation
SETTLING = 5.0  # s until the rate has found its place
LOOKS = 10  # seconds of which the figures are
BUSY = 10e6  # bit/s at which the engines are measured
RISING = 20.0  # s that the rate may take to get there


@record
class Film:
    """What is shown, and what it must reach."""

    name: str
    source: str
    width: int
    height: int
    fps: int
    p50: float | None
    p95: float | None
    least: float | None
    """Frames a second."""

    @property
    def size(self) -> dict[str, int]:
        """As ``share`` takes it."""
        return {"width": self.width, "height": self.height, "fps": self.fps}


PATTERN = Film("1080p30", "test", 1920, 1080, 30, 40.0, 55.0, 27.0)
SCREEN = Film("1080p60 of Xvfb", "screen", 1920, 1080, 60, None, None, 55.0)


@record
class Figures:
    """Of one run."""

    p50: float
    p95: float
    fps: float
    cpu: float
    """ms of a core for each frame, both ends."""

    def told(self, film: Film) -> dict[str, tuple[float, float | None, str, bool]]:
        """By row: the figure, its goal, its unit, and whether more is better."""
        return {
            f"{film.name}: capture to decoded, p50": (self.p50, film.p50, "ms", False),
            f"{film.name}: capture to decoded, p95": (self.p95, film.p95, "ms", False),
            f"{film.name}: frames delivered": (self.fps, film.least, "fps", True),
            f"{film.name}: CPU per frame, both ends": (self.cpu, None, "ms", False),
        }


def pattern() -> list[Row]:
    """The test pattern, which scrolls like a page that is read fast."""
    return _film(PATTERN)


def screen() -> list[Row]:
    """A page that scrolls on a real X server; drawing it takes a share of the same cores."""
    if MISSING:
        print(f"screen: {MISSING}")
        return []
    with scrolling(SCREEN):
        return _film(SCREEN)


@contextmanager
def scrolling(film: Film) -> Iterator[None]:
    """A display with the page on it, for everybody who is started meanwhile."""
    with xvfb(film.width, film.height) as (display, _):
        desk = Desk(display, film.width, film.height)
        moving = Scrolling(desk, film.fps)
        with mock.patch.dict(os.environ, {"DISPLAY": display, "WAYLAND_DISPLAY": ""}):
            yield
        moving.stop()
        desk.close()


def _film(film: Film) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="vchat-bench-") as folder:
        ours, rate, more = _ours(film, Path(folder) / "ours")
        theirs = None if missing() else _theirs(film, rate, Path(folder))
    rows = [Row(what, *rest) for what, rest in ours.told(film).items()]
    if theirs is not None:
        rows = [_beside(row, theirs.told(film)[row.what][0]) for row in rows]
    return [*rows, *more]


def _beside(row: Row, theirs: float) -> Row:
    """Where no goal is set, the peer is the goal."""
    goal = float(number(theirs)) if row.goal is None else row.goal
    ahead = row.value > theirs if row.more else row.value < theirs
    peer = f"{number(theirs)} {row.unit}{'' if ahead else '  AHEAD OF US'}"
    return replace(row, goal=goal, peer=peer)


def _ours(film: Film, folder: Path) -> tuple[Figures, float, list[Row]]:
    """The figures, the rate in bit/s, and rows that aiortc has not."""
    with stage(folder) as one:
        host, guest, first = _pair(one, film.source, film.size)
        time.sleep(SETTLING)
        begun = guest.mark()
        guest.say("stats", every=1.0)
        engines = [engine.process.pid for engine in (host, guest)]
        pids = [*engines, child(host, "video.share"), child(guest, "video.view")]
        shares = cpu_shares(pids, float(LOOKS))
        looks = _looks(guest, begun)
    found = {key: [look[key] for look in looks if look[key] is not None] for key in looks[0]}
    p50, p95 = (statistics.median(found[key]) for key in ("latency_ms", "latency_p95_ms"))
    fps, rate = statistics.fmean(found["fps_shown"]), statistics.fmean(found["bitrate"])
    parts = ("sharer's engine", "viewer's engine", "its encoder", "its decoder")
    rows = [
        Row(f"{film.name}: first picture after watch", first * 1000, 1000, "ms"),
        Row(f"{film.name}: rate", rate / 1e6, None, "Mb/s"),
    ]
    for part, share in zip(parts, shares, strict=True):
        rows.append(Row(f"{film.name}: {part}", share * 100, None, "% of a core"))
    return Figures(p50, p95, fps, sum(shares) / fps * 1000), rate, rows


def _pair(
    one: Stage, source: str, size: dict[str, int], bitrate: int = 0
) -> tuple[EngineProcess, EngineProcess, float]:
    """Host and guest who watches it, and how long the first picture took."""
    host = one.host(ear=False)
    guest = one.start("join", one.code, name="Bob", ear=False)
    guest.wait("path", member=host.member, rung="direct")
    host.say("share", source=source, bitrate=bitrate, **size)
    stream = guest.wait("stream-offered", member=host.member)["stream"]
    asked = time.monotonic()
    guest.say("watch", member=host.member, stream=stream, to="none")
    return host, guest, guest.wait("stream-started")["seen"] - asked


def _looks(guest: EngineProcess, since: int) -> list[dict[str, Any]]:
    """The stream's figures, second by second; the first one is about longer ago."""
    told = guest.of("stats", since=since)[1:]
    return [next(iter(one["streams"].values())) for one in told if one["streams"]]


def _theirs(film: Film, rate: float, folder: Path) -> Figures:
    """The same through aiortc, at the rate that ours took."""
    lasts = SETTLING + LOOKS + 1
    words = (film.source, film.width, film.height, film.fps, round(rate), lasts)
    ends = pair("tests.bench.peer_pictures", folder, *words)
    connect(*ends)
    time.sleep(SETTLING)
    begun = time.monotonic()
    shares = cpu_shares([one.process.pid for one in ends], float(LOOKS))
    end(ends)
    sent, seen = (np.load(one.heard)["notes"].tolist() for one in ends)
    captured = {number: at for number, at in reversed(sent)}
    counted = [(number, at) for number, at in seen if begun <= at < begun + LOOKS]
    delays = [at - captured[number] for number, at in counted if number in captured]
    p50, p95 = np.percentile(delays, [50, 95]) * 1000
    fps = len(counted) / LOOKS
    return Figures(float(p50), float(p95), fps, sum(shares) / fps * 1000)


def engines() -> list[Row]:
    """Sealing, packets and feedback at a constant 10 Mb/s; the children's CPU is not counted."""
    size = {"width": 1280, "height": 720, "fps": 30}
    with tempfile.TemporaryDirectory(prefix="vchat-bench-") as folder:
        film = noise(Path(folder) / "noise.mp4", size["width"], size["height"])
        with stage(Path(folder) / "engines") as one:
            host, guest, _ = _pair(one, f"loop:{film}", size, round(BUSY))
            begun = guest.mark()
            guest.say("stats", every=1.0)
            deadline = time.monotonic() + RISING
            while time.monotonic() < deadline and not _reached(guest, begun):
                time.sleep(0.5)
            begun = guest.mark()
            shares = cpu_shares([engine.process.pid for engine in (host, guest)], float(LOOKS))
            rate = statistics.fmean(look["bitrate"] for look in _looks(guest, begun))
    scale = BUSY / rate * 100
    return [
        Row("engines: rate meanwhile", rate / 1e6, None, "Mb/s"),
        Row("engines: sharer's, for 10 Mb/s", shares[0] * scale, 10, "% of a core"),
        Row("engines: viewer's, for 10 Mb/s", shares[1] * scale, 10, "% of a core"),
    ]


def _reached(guest: EngineProcess, since: int) -> bool:
    looks = _looks(guest, since)
    return len(looks) > 2 and looks[-1]["bitrate"] > 0.85 * BUSY


def noise(path: Path, width: int, height: int, seconds: float = 2.0) -> Path:
    """A film that takes whatever rate it is given: snow, in blocks that an encoder cannot guess."""
    rng = np.random.default_rng(4)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 20_000_000
        for one in range(round(seconds * 30)):
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            snow = rng.integers(40, 220, (height // 4, width // 4), np.uint8)
            planes[:height] = snow.repeat(4, 0).repeat(4, 1)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = one, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path

"""A call with pictures between real engines on loopback: delay, rate, what each process costs."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.calls import stage
from tests.bench.process import cpu_shares
from tests.bench.table import Row
from tests.calls.engines import EngineProcess
from tests.calls.test_pictures import child

# Implementation
SIZES = (("720p30", 1280, 720, 30), ("1080p30", 1920, 1080, 30))
SETTLING = 5.0  # s until the rate has found its place
LOOKS = 10  # seconds of which the figures are


def watching() -> list[Row]:
    """The test pattern, which scrolls like a page that is read fast."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="vchat-bench-") as folder:
        for name, width, height, fps in SIZES:
            size = {"width": width, "height": height, "fps": fps}
            rows += _one(name, Path(folder) / name, size)
    return rows


def _one(name: str, folder: Path, size: dict[str, int]) -> list[Row]:
    with stage(folder) as one:
        host = one.host(ear=False)
        guest = one.start("join", one.code, name="Bob", ear=False)
        guest.wait("path", member=host.member, rung="direct")
        host.say("share", source="test", **size)
        stream = guest.wait("stream-offered", member=host.member)["stream"]
        asked = time.monotonic()
        guest.say("watch", member=host.member, stream=stream, to="none")
        first = guest.wait("stream-started")["seen"] - asked
        time.sleep(SETTLING)
        begun = guest.mark()
        guest.say("stats", every=1.0)
        engines = [engine.process.pid for engine in (host, guest)]
        pids = [*engines, child(host, "video.share"), child(guest, "video.view")]
        sharer, viewer, encoder, decoder = cpu_shares(pids, float(LOOKS))
        looks = _looks(guest, begun)
        guest.leave()
        host.leave()
    found = {key: [look[key] for look in looks if look[key] is not None] for key in looks[0]}
    p50, p95 = (statistics.median(found[key]) for key in ("latency_ms", "latency_p95_ms"))
    rate = statistics.fmean(found["bitrate"]) / 1e6
    goal = (40.0, 55.0) if name == "1080p30" else (None, None)
    return [
        Row(f"{name}: capture to decoded, p50", p50, goal[0], "ms"),
        Row(f"{name}: capture to decoded, p95", p95, goal[1], "ms"),
        Row(f"{name}: pictures a second", statistics.fmean(found["fps_shown"]), 27, "fps", True),
        Row(f"{name}: first picture after watch", first * 1000, 1000, "ms"),
        Row(f"{name}: rate", rate, None, "Mb/s"),
        Row(f"{name}: sharer's engine", sharer * 100, None, "% of a core"),
        Row(f"{name}: its encoder", encoder * 100, None, "% of a core"),
        Row(f"{name}: viewer's engine", viewer * 100, None, "% of a core"),
        Row(f"{name}: its decoder", decoder * 100, None, "% of a core"),
    ]


def _looks(guest: EngineProcess, since: int) -> list[dict[str, Any]]:
    """The stream's figures, second by second; the first one is about longer ago."""
    told = guest.of("stats", since=since)[1:]
    return [next(iter(one["streams"].values())) for one in told if one["streams"]]

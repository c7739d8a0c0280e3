"""What sharing a screen costs: a page that scrolls on Xvfb at 1080p60, then stands still."""

from __future__ import annotations

import statistics
import time

from tests.bench.process import cpu_seconds, run_seconds, wait_seconds
from tests.bench.table import Row
from tests.video.child import Child, child
from tests.video.desk import MISSING, Desk, Scrolling, xvfb
from tests.video.eyes import marks
from video.pipe import FrameRecord

# Implementation
WIDTH, HEIGHT, FPS = 1920, 1080, 60
WARM = 1.5  # seconds of scrolling before counting
SECONDS = 6.0  # of scrolling, and of standing still
CALM = 6.0  # seconds until a still screen has been refined and rests


def share() -> list[Row]:
    """The rows; none where Xvfb is missing."""
    if MISSING:
        print(f"share: {MISSING}")
        return []
    with xvfb(WIDTH, HEIGHT) as (display, server):
        desk = Desk(display, WIDTH, HEIGHT)
        desk.show(0)
        with child({"DISPLAY": display, "WAYLAND_DISPLAY": ""}) as one:
            began = time.monotonic()
            one.order("open", source="screen", fps=FPS)
            first = one.wait_frames(1)
            start = Row("share: start to first picture", time.monotonic() - began, 1.0, "s")
            moving = _moving(one, desk, server, first)
            still = _still(one)
        desk.close()
    return [start, *moving, *still]


def _moving(one: Child, desk: Desk, server: int, first: list[FrameRecord]) -> list[Row]:
    scrolling = Scrolling(desk, FPS)
    one.listen(WARM)
    before, one.frames = first + one.frames, []
    pids = (one.process.pid, server)
    costs, shown, began = [run_seconds(pid) for pid in pids], scrolling.shown, time.monotonic()
    waited = wait_seconds(one.process.pid)
    delays = _listen(one, SECONDS)
    waited = wait_seconds(one.process.pid) - waited
    seconds = time.monotonic() - began
    spent = [run_seconds(pid) - cost for pid, cost in zip(pids, costs, strict=True)]
    drawn = scrolling.shown - shown
    scrolling.stop()
    frames = one.frames
    seen = {mark.number for mark in marks(frames[0].codec, before + frames)[len(before) :] if mark}
    bits = sum(len(frame.data) for frame in frames) * 8
    return [
        Row("share: CPU per frame, all of our process", spent[0] / len(frames) * 1e3, 13, "ms"),
        Row("share: the X server's, drawing included", spent[1] / len(frames) * 1e3, None, "ms"),
        Row("share: ready but without a core", waited / len(frames) * 1e3, None, "ms"),
        Row("share: the page was drawn", drawn / seconds, None, "fps", more=True),
        Row("share: frames delivered", len(frames) / seconds, 55, "fps", more=True),
        Row("share: of the drawn ones seen", len(seen) / drawn * 100, None, "%", more=True),
        Row("share: captured to out of the pipe, p50", statistics.median(delays), None, "ms"),
        Row("share: the same, p95", statistics.quantiles(delays, n=20)[-1], None, "ms"),
        Row("share: bitrate", bits / seconds / 1e6, None, "Mb/s"),
    ]


def _listen(one: Child, seconds: float) -> list[float]:
    """Take frames; ms from their capture to our hands."""
    delays, counted, deadline = [], 0, time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        one.listen(min(left, 0.004))
        now = time.monotonic_ns() // 1000
        delays += [(now - frame.captured) / 1e3 for frame in one.frames[counted:]]
        counted = len(one.frames)
    return delays


def _still(one: Child) -> list[Row]:
    one.listen(CALM)
    one.frames = []
    cost, began = cpu_seconds(one.process.pid), time.monotonic()
    one.listen(SECONDS)
    share = (cpu_seconds(one.process.pid) - cost) / (time.monotonic() - began)
    return [
        Row("share: CPU while the screen is still", share * 100, 3, "%"),
        Row("share: frames meanwhile", len(one.frames) / SECONDS, 1, "fps"),
    ]

"""How long a large key frame holds the engine's loop, on which voice runs as well.

CPU time of single steps: what a busy machine takes is not counted. Sending a datagram costs
a system call more, 10 µs each.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

from tests.bench.table import Row
from tests.sim.bottle import Bottle
from vc_core.ids import Rung, Way
from vc_core.pictures import SCREEN
from video.pace import BEAT
from video.pipe import Codec, FrameRecord, Reader, write_frame
from video.sending import Sharer
from video.sharing import Encoded
from video.watching import Watching, digest_of

# Implementation
SIZE = 300_000  # bytes of a key frame of 1080p with much text
ROUNDS = 5  # frames; the middle one of them counts, since caches and the kernel have a say
LONGEST = 2.0  # ms
PATHS = (("near", 10e6, 0.0, 0.01), ("fast, far, 6 % lost", 80e6, 0.06, 0.15))
"""(name, bit/s, loss, round trip)."""
WAY = Way(Rung.DIRECT, 1)

Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Its result, and ms of CPU."""
    began = time.thread_time()
    result = work()
    return result, (time.thread_time() - began) * 1e3


def holding() -> list[Row]:
    """The longest steps from pipe to pipe."""
    return [row for path in PATHS for row in _path(*path)]


def _path(name: str, rate: float, loss: float, rtt: float) -> list[Row]:
    bottle = Bottle(seed=1)
    host, guest = (person.session for person in bottle.party("Ada", "Bob"))
    bottle.run(1.0)
    ours, theirs = host.pictures, guest.pictures
    assert ours is not None and theirs is not None
    stream = ours.share(SCREEN, 1920, 1080, 60)
    bottle.run(0.5)
    [(sharer_number, link)] = guest.listeners()
    [(viewer, _)] = host.listeners()
    theirs.watch(sharer_number, stream)
    bottle.run(0.5)
    now = bottle.now
    sharer, watching = Sharer(ours, now), Watching(sharer_number, stream, now)
    sharer.begin(stream, 1920, 1080, 60)
    sharer.watched(stream, viewer, True, now)
    sharer.reached(viewer, rtt, 0, now)
    control = sharer.rate_of(viewer)
    assert control is not None
    control.target, control.loss = rate, loss
    data = os.urandom(SIZE)
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        steps = {"cut": 0.0, "seal": 0.0, "open": 0.0}
        written = write_frame(FrameRecord(0, 0, True, Codec.H264, 1920, 1080, data))
        _, read = timed(lambda written=written: list(Reader().feed(written)))  # type: ignore[misc]
        frame = Encoded(now, True, Codec.H264, 1920, 1080, data)
        _, steps["cut"] = timed(lambda now=now, frame=frame: sharer.push(stream, frame, now))  # type: ignore[misc]
        steps["cut"] += read
        whole = 0
        while not whole or not _idle(sharer, now):
            control.target, control.loss = rate, loss
            out, took = timed(lambda now=now: sharer.datagrams(now))  # type: ignore[misc]
            steps["seal"] = max(steps["seal"], took)
            for one in out:
                opened = guest.hear(sharer_number, link, WAY, one.datagram, now)
                if opened is None:
                    continue
                found, took = timed(lambda now=now, one=opened: watching.receive(one, now))  # type: ignore[misc]
                digests, more = timed(lambda found=found: [digest_of(frame) for frame in found])  # type: ignore[misc]
                steps["open"], whole = max(steps["open"], took + more), whole + len(digests)
            now += BEAT
        rounds.append(steps)
    told = {"cut": "reads and cuts it", "seal": "seals at once", "open": "makes it whole"}
    middle = {step: statistics.median(one[step] for one in rounds) for step in told}
    what = f"key frame of 300 kB, {name}"
    return [Row(f"{what}: {about}", middle[step], LONGEST, "ms") for step, about in told.items()]


def _idle(sharer: Sharer, now: float) -> bool:
    return sharer.next_time() > now + BEAT

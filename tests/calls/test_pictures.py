"""Stories of pictures: one shares, another watches, over the JSON interface alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.calls.engines import EngineProcess, Told
from tests.calls.stage import Stage
from video.pattern import Mark, read_mark

SIZE = {"width": 1280, "height": 720}


def share(host: EngineProcess, fps: int = 15, **more: Any) -> int:
    """The test pattern; the number of its stream."""
    host.say("share", source="test", fps=fps, **{**SIZE, **more})
    return int(host.wait("stream-offered", member=host.member)["stream"])


def watch(guest: EngineProcess, host: EngineProcess, to: str) -> int:
    """What the host shares; the number of its stream."""
    stream = int(guest.wait("stream-offered", member=host.member)["stream"])
    guest.say("watch", member=host.member, stream=stream, to=to)
    return stream


def figures(engine: EngineProcess) -> Told:
    """Fresh stats."""
    since = engine.mark()
    engine.say("stats")
    return engine.wait("stats", since=since)


def marks(path: Path) -> list[Mark | None]:
    """What is read of the pictures of a recording."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    return [read_mark(np.asarray(one, np.uint8)[: SIZE["height"]]) for one in frames]


def test_what_one_shares_another_sees_and_records(stage: Stage, tmp_path: Path) -> None:
    host, guest = stage.pair()
    stream = share(host)
    offered = guest.wait("stream-offered", member=host.member, stream=stream)
    assert (offered["kind"], offered["width"], offered["height"]) == ("screen", 1280, 720)
    film = tmp_path / "film.mkv"
    watch(guest, host, f"file:{film}")
    guest.wait("stream-started", member=host.member, stream=stream, width=1280, height=720)
    guest.wait("nothing", timeout=4.0) if False else None
    import time

    time.sleep(4)
    figures(guest)
    time.sleep(2)
    print(figures(guest)["streams"], figures(host)["streams"])
    host.say("unshare", stream=stream)
    guest.wait("stream-ended", member=host.member, stream=stream)
    time.sleep(1)
    seen = marks(film)
    print(len(seen))
    assert None not in seen
    numbers = [mark.number for mark in seen if mark]
    assert all(b > a for a, b in pairwise(numbers))

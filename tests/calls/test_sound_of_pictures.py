"""Stories of the sound that comes with pictures, over the JSON interface alone."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from audio.pcm import RATE
from tests.calls.engines import EngineProcess, Told
from tests.calls.stage import Stage
from tests.calls.stereo import apart, clock_of, gaps, lateness, pitches, read_stereo
from tests.calls.test_pictures import SMALL, settled

pytestmark = pytest.mark.alone


def share(host: EngineProcess, source: str = "test", **more: object) -> Told:
    """Something with its sound; the offer."""
    since = host.mark()
    host.say("share", source=source, audio=True, **{**SMALL, "fps": 15, **more})
    return host.wait("stream-offered", since=since, member=host.member)


def watch(guest: EngineProcess, host: EngineProcess, stream: int, to: str = "none") -> None:
    offered = guest.wait("stream-offered", member=host.member, stream=stream)
    assert offered["audio"] is True
    since = guest.mark()
    guest.say("watch", member=host.member, stream=stream, to=to)
    guest.wait("stream-started", since=since, member=host.member, stream=stream)


def test_a_viewer_hears_both_sides_in_time_with_the_pictures(stage: Stage, tmp_path: Path) -> None:
    ear = tmp_path / "ear.wav"
    host = stage.host()
    guest = stage.join(host.code, speaker=f"stereo:{ear}")
    guest.meets(host)
    offered = share(host)
    assert offered["audio"] is True
    stream = int(offered["stream"])
    watch(guest, host, stream)
    told = settled(guest, 5.0)["streams"][f"{host.member}/{stream}"]
    heard = read_stereo(ear)[-4 * RATE :]
    assert pitches(heard) == (pytest.approx(440, abs=2), pytest.approx(660, abs=2))
    assert apart(heard, 440, 660) > 30
    assert gaps(heard[:, 0]) < 0.05
    begun = clock_of(guest)
    late = lateness(read_stereo(ear)[:, 0], begun)[-3:]
    pictures = told["latency_ms"]
    print(f"sound {[round(1000 * one) for one in late]} ms late, pictures {pictures} ms: {told}")
    assert late and all(0 < one < 0.25 for one in late)
    assert abs(1000 * float(np.median(late)) - pictures) < 100
    assert told["sound"]["concealed"] < 0.03
    host.say("unshare")
    guest.wait("stream-ended")
    time.sleep(2.5)
    assert guest.of("warning", code="sound-forged") == []
    assert not np.any(read_stereo(ear)[-RATE:])
    assert (guest.leave(), host.leave()) == (0, 0)

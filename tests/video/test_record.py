"""Recordings and players: Matroska that is not encoded again, stamped with capture times."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import FFmpegError

from audio.codec import StereoEncoder
from audio.pcm import RATE
from audio.soundtrack import Tones
from client.pictures.children import GRACE
from tests.calls.sounds import wait_until
from tests.calls.stereo import pitches
from tests.video.encoded import stream
from tests.video.viewing import Child
from video.pipe import Codec, FrameRecord, SoundRecord, write_frame, write_sound

READER = """
import os, sys
with open(sys.argv[1], "wb", buffering=0) as file:
    while data := os.read(0, 65536):
        file.write(data)
"""


def pictures(path: Path) -> int:
    """How many pictures can be seen in a file by now."""
    try:
        with av.open(str(path), "r") as container:
            return len(list(container.decode(video=0)))
    except (FFmpegError, IndexError):  # nothing there yet, or half a header
        return 0


@pytest.mark.parametrize("codec", list(Codec))
def test_a_recording_has_every_frame_at_the_time_of_its_capture(
    tmp_path: Path, codec: Codec
) -> None:
    path, frames = tmp_path / "seen.mkv", list(stream(12, codec=codec))
    frames = [replace(f, captured=f.captured + 500_000 * (f.number >= 6)) for f in frames]
    began = time.time()
    with Child(f"file:{path}") as child:
        child.frames(frames)
        assert child.hear("started")["width"] == 320
        child.order(do="stop")
        assert child.end() == ({"event": "ended", "reason": "stopped"}, 0)
    with av.open(str(path), "r") as container:
        date = datetime.fromisoformat(str(container.metadata["creation_time"]))
        packets = [packet for packet in container.demux(video=0) if packet.size]
        stamps = [round(1000 * (packet.pts or 0) * packet.time_base) for packet in packets]
    wanted = [(frame.captured - frames[0].captured) // 1000 for frame in frames]
    assert max(abs(a - b) for a, b in zip(stamps, wanted, strict=True)) <= 1
    assert pictures(path) == len(frames)
    assert abs(date.astimezone(UTC).timestamp() - began) < 5


def test_sound_is_recorded_beside_the_pictures_of_its_time(tmp_path: Path) -> None:
    path, frames = tmp_path / "seen.mkv", list(stream(50))
    begin, encoder, tones = frames[0].captured, StereoEncoder(), Tones()
    span = (frames[-1].captured - begin) // 20_000
    sound = []
    for beat in range(-5, span):  # the first come before the first picture
        jitter = 3_000 * ((beat + 1) % 3 - 1)  # of the estimate of the sharer's clock
        packet = encoder.encode(tones.read(beat * 0.02))
        sound.append(SoundRecord(begin + beat * 20_000 + jitter, packet))
    twice = replace(sound[40], captured=sound[40].captured - 200_000)  # came late: left out
    with Child(f"file:{path}", sound=True) as child:
        both: list[FrameRecord | SoundRecord] = [*frames, *sound]
        for one in sorted(both, key=lambda one: one.captured):
            child.raw(write_frame(one) if isinstance(one, FrameRecord) else write_sound(one))
        child.raw(write_sound(twice))
        child.hear("started")
        child.order(do="stop")
        assert child.end()[1] == 0
    with av.open(str(path), "r") as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        assert container.streams.audio[0].codec_context.name == "opus"
    stamps = [round(1000 * (packet.pts or 0) * packet.time_base) for packet in packets]
    steps = {after - before for before, after in pairwise(stamps)}
    assert (len(packets), steps) == (span, {20})
    with av.open(str(path), "r") as container:
        heard = np.concatenate([one.to_ndarray() for one in container.decode(audio=0)], axis=1)
    left = np.asarray(heard[0] if len(heard) == 2 else heard[0, ::2], np.float32)
    assert pitches(np.stack([left, left], axis=1)[RATE // 5 :])[0] == pytest.approx(440, abs=2)
    assert pictures(path) == len(frames)


def test_what_cannot_be_decoded_is_not_recorded(tmp_path: Path) -> None:
    path, frames = tmp_path / "seen.mkv", list(stream(4))
    with Child(f"file:{path}") as child:
        child.frames([*frames[:2], replace(frames[2], data=bytes(60)), frames[3]])
        child.hear("key-wanted")
        child.order(do="stop")
        child.end()
    with av.open(str(path), "r") as container:
        assert len([packet for packet in container.demux(video=0) if packet.size]) == 2


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with Child(f"file:{tmp_path}/nowhere/seen.mkv") as child:
        assert child.hear("error")["code"] == "cannot-record"
        child.end()


@pytest.mark.parametrize(("codec", "late"), [(Codec.H264, 0), (Codec.VP9, 1)])
def test_a_player_gets_every_frame_when_it_comes(tmp_path: Path, codec: Codec, late: int) -> None:
    script, seen = tmp_path / "player.py", tmp_path / "seen"
    script.write_text(READER)
    with Child(f"player:{sys.executable} {script} {seen}") as child:
        child.frames(stream(10, codec=codec), every=0.02)
        child.hear("started")
        until = time.monotonic() + 10
        while pictures(seen) < 10 - late and time.monotonic() < until:
            time.sleep(0.05)
        assert pictures(seen) == 10 - late, "before the end"
        child.order(do="stop")
        assert child.end()[1] == 0
        assert pictures(seen) == 10


def test_a_player_that_ends_is_said() -> None:
    with Child(f"player:{sys.executable} -c pass") as child:
        child.frames(stream(3))
        assert child.hear("closed")["how"] == "player"
        assert child.end() == ({"event": "ended", "reason": "closed"}, 0)


def test_a_player_that_fails_is_told_as_an_error() -> None:
    with Child(f"player:{sys.executable} -c 'raise SystemExit(3)'") as child:
        child.frames(stream(3))
        error = child.hear("error")
        assert error["code"] == "no-player" and "exit 3" in error["message"] and error["hint"]
        assert child.end()[1] == 0


def test_a_player_that_takes_nothing_stops_nobody() -> None:
    with Child(f"player:{sys.executable} -c 'import time; time.sleep(60)'") as child:
        big = next(iter(stream(1, 1920, 1080)))
        padded = replace(big, data=big.data + bytes(1_000_000))
        child.frames((replace(padded, number=number) for number in range(12)), every=0.02)
        child.hear("key-wanted")
        child.order(do="stop")
        assert child.end()[0]["reason"] == "stopped"


def test_a_player_that_will_not_end_is_ended(tmp_path: Path) -> None:
    script, seen = tmp_path / "player.py", tmp_path / "seen"
    deaf = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    tell = "open(sys.argv[1] + '~', 'w').write(str(os.getpid()))\n"
    script.write_text(f"{deaf}{tell}os.rename(sys.argv[1] + '~', sys.argv[1])\ntime.sleep(60)")
    with Child(f"player:{sys.executable} {script} {seen}") as child:
        wait_until(seen.exists, 10.0)
        child.order(do="stop")
        assert child.hear("ended", GRACE)
    with pytest.raises(ProcessLookupError):
        os.kill(int(seen.read_text()), 0)


def test_a_player_that_does_not_exist_is_said() -> None:
    with Child("player:/nowhere/mpv -") as child:
        assert child.hear("error")["code"] == "no-player"
        child.end()

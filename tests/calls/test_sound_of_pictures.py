"""Stories of the sound that comes with pictures, over the JSON interface alone."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import av
import numpy as np
import pytest

from audio.pcm import RATE, Stereo
from audio.soundtrack import Tones
from tests.calls.engines import EngineProcess, Told
from tests.calls.sounds import wait_until
from tests.calls.stage import Stage
from tests.calls.stereo import apart, bursts, clock_of, gaps, lateness, pitches, read_stereo
from tests.calls.test_pictures import SMALL, figures, settled
from video.pattern import Mark, Pattern, read_mark

pytestmark = pytest.mark.live


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
    assert pitches(heard) == pytest.approx((440, 660), abs=2)
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


def make_film(path: Path, seconds: float) -> Path:
    """The test pattern's mark in each picture, the tones as sound, both by the film's clock."""
    size = {"width": SMALL["width"], "height": SMALL["height"]}
    pattern, tones = Pattern(*size.values()), Tones()
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = *size.values(), "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="stereo")
        for number in range(round(seconds * 50)):
            samples = np.ascontiguousarray(tones.read(number * 0.02).reshape(1, -1))
            heard = av.AudioFrame.from_ndarray(samples, format="flt", layout="stereo")
            heard.sample_rate, heard.pts = RATE, number * 960
            container.mux(sound.encode(heard))
            if number % 2 == 0:
                drawn = pattern.draw(Mark(number // 2, number * 20_000))
                seen = av.VideoFrame.from_ndarray(drawn, format="yuv420p")
                seen.pts = number // 2
                container.mux(pictures.encode(seen))
        for stream in (pictures, sound):
            container.mux(stream.encode(None))
    return path


def test_a_film_is_heard_in_time_with_its_pictures(stage: Stage, tmp_path: Path) -> None:
    ear, seen = tmp_path / "ear.wav", tmp_path / "seen.mkv"
    path = make_film(tmp_path / "film.mkv", 7.0)
    host = stage.host()
    guest = stage.join(host.code, speaker=f"stereo:{ear}")
    guest.meets(host)
    host.say("share", source=f"file:{path}", audio=True)
    stream = int(guest.wait("stream-offered", member=host.member)["stream"])
    watch(guest, host, stream, f"file:{seen}")
    guest.wait("stream-ended", member=host.member, stream=stream)
    time.sleep(1.0)
    heard, begun = read_stereo(ear), clock_of(guest)
    starts = [begun + at for at in bursts(heard[:, 0], 440, 0.25)]
    zero = film_began(seen)
    late = [at - zero - round(at - zero) for at in starts]
    print(f"sound {[round(1000 * one) for one in late]} ms after its pictures were taken")
    assert len(late) >= 5
    assert -0.05 < float(np.median(late)) < 0.15
    assert all(-0.1 < one < 0.3 for one in late[1:])
    kept = bursts(recorded_sound(seen)[:, 0], 440, 0.25)
    began = zero - recording_began(seen)
    late = [at - began - round(at - began) for at in kept]
    print(f"in the recording {[round(1000 * one) for one in late]} ms after them")
    assert len(late) >= 5
    assert all(-0.05 < one < 0.05 for one in late)


def test_ones_own_stream_is_recorded_with_its_sound(stage: Stage, tmp_path: Path) -> None:
    seen = tmp_path / "own.mkv"
    host = stage.host()
    host.wait("room")
    host.say("share", source="test", audio=True, **{**SMALL, "fps": 25})
    stream = int(host.wait("stream-offered", member=host.member)["stream"])
    watch(host, host, stream, f"file:{seen}")
    time.sleep(5.5)
    host.say("unwatch", member=host.member, stream=stream)
    host.wait("stream-unwatched")
    time.sleep(1.0)
    began = recording_began(seen)
    starts = [began + at for at in bursts(recorded_sound(seen)[:, 0], 440, 0.25)]
    assert len(starts) >= 4
    assert all(abs(one - round(one)) < 0.05 for one in starts[1:])
    assert host.leave() == 0


def recorded_sound(seen: Path) -> Stereo:
    """The sound of a recording, from its first picture on."""
    with av.open(str(seen)) as container:
        frames = list(container.decode(audio=0))
    sides = np.concatenate([np.asarray(one.to_ndarray(), np.float32) for one in frames], axis=1)
    assert frames[0].time is not None
    before = np.zeros((2, round(frames[0].time * RATE)), np.float32)
    return np.concatenate((before, sides), axis=1).T


def recording_began(seen: Path) -> float:
    """The monotonic time of its first picture."""
    unix = time.time() - time.monotonic()
    with av.open(str(seen)) as container:
        return datetime.fromisoformat(container.metadata["creation_time"]).timestamp() - unix


def film_began(seen: Path) -> float:
    """When a film's clock showed 0, by the pictures that a viewer recorded: monotonic time."""
    begun = recording_began(seen)
    with av.open(str(seen)) as container:
        zeros = []
        for frame in container.decode(video=0):
            mark = read_mark(np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)[:180])
            assert mark is not None
            zeros.append(begun + frame.time - mark.clock / 1e6)
    return sorted(zeros)[len(zeros) // 2]


def test_only_who_watches_is_sent_sound_and_it_can_be_made_quieter_and_recorded(
    stage: Stage, tmp_path: Path
) -> None:
    ear, records = tmp_path / "ear.wav", tmp_path / "records"
    host = stage.host()
    guest = stage.join(host.code, "--record", str(records), speaker=f"stereo:{ear}")
    other = stage.join(host.code, name="Olga")
    other.meets(host, guest)
    stream = int(share(host, fps=2)["stream"])
    watch(guest, host, stream)
    figures(other)
    figures(guest)
    time.sleep(2.0)
    assert figures(other)["members"][host.member]["bitrate_in"] < 15_000
    told = figures(guest)
    assert told["members"][host.member]["bitrate_in"] > 100_000
    loud = np.abs(read_stereo(ear)[-RATE:]).max()
    guest.say("volume", member=host.member, stream=stream, percent=50)
    time.sleep(1.5)
    assert np.abs(read_stereo(ear)[-RATE:]).max() == pytest.approx(loud / 2, rel=0.15)
    guest.say("deafen", on=True)
    time.sleep(0.7)
    assert not np.any(read_stereo(ear)[-RATE // 4 :])
    guest.say("deafen", on=False)
    guest.say("unwatch", member=host.member, stream=stream)
    guest.wait("stream-unwatched", member=host.member, stream=stream)
    figures(guest)
    time.sleep(2.0)
    assert figures(guest)["members"][host.member]["bitrate_in"] < 15_000
    assert guest.leave() == 0
    (file,) = (one for one in records.iterdir() if "sound" in one.name)
    assert pitches(read_stereo(file)[RATE : 2 * RATE])[1] == pytest.approx(660, abs=2)


def test_a_film_without_sound_goes_alone_and_that_is_said(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "mute.mkv"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            container.mux(pictures.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(pictures.encode(None))
    host = stage.host()
    host.wait("room")
    host.say("share", source=f"file:{path}", audio=True)
    warned = host.wait("warning", code="no-film-sound")
    assert "no sound" in warned["message"] and warned["hint"]
    assert host.wait("stream-offered", member=host.member)["audio"] is False


def test_copies_of_the_sound_come_by_the_hosts_forwarder_when_many_watch(
    stage: Stage, tmp_path: Path
) -> None:
    host = stage.host("--only", "hosted")
    sharer = stage.join(host.code, "--only", "hosted", name="Sarah")
    ears = [tmp_path / f"ear{n}.wav" for n in range(4)]
    hosted = ("--only", "hosted")
    guests = [
        stage.join(host.code, *hosted, name=f"G{n}", speaker=f"stereo:{ear}")
        for n, ear in enumerate(ears)
    ]
    for guest in guests:
        guest.meets(sharer, rung="hosted")
        sharer.meets(guest, rung="hosted")
    stream = int(share(sharer, fps=5)["stream"])
    for guest in guests:
        watch(guest, sharer, stream)

    def to_members() -> int:
        told = settled(sharer, 1.5)["members"].values()
        return sum(int(one["bitrate_out"]) for one in told)

    wait_until(lambda: to_members() < 120_000, 20.0)  # four of the sound alone are 450 kbit/s
    print(f"{to_members()} bit/s to the members themselves")
    for guest in guests:
        figures(guest)
    time.sleep(1.5)
    for guest, ear in zip(guests, ears, strict=True):
        heard = read_stereo(ear)[-RATE:]
        assert pitches(heard)[0] == pytest.approx(440, abs=2)
        assert gaps(heard[:, 0]) < 0.1
        told = figures(guest)["streams"][f"{sharer.member}/{stream}"]
        assert told["sound"]["concealed"] < 0.1, told

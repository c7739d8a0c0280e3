"""The sharing process: orders in, frames and events out, and its end."""

from __future__ import annotations

import json
import os
import signal
import struct
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.bench.process import resident_mb
from tests.video.child import PATIENCE, Child, child
from tests.video.eyes import marks
from video.pattern import Mark, Pattern
from video.pipe import Codec, FrameRecord, write_frame

SMALL = {"source": "test", "width": 320, "height": 180, "fps": 30}


def film(path: Path, seconds: float, fps: int = 20) -> str:
    """A file with the test pattern in it."""
    pattern = Pattern(320, 180)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(round(seconds * fps)):
            drawn = pattern.draw(Mark(number, 0))
            frame = av.VideoFrame.from_numpy_buffer(drawn, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def numbers(frames: list[FrameRecord]) -> list[int]:
    """The marks of frames that begin with a key frame."""
    found = marks(Codec.H264, frames)
    assert None not in found
    return [mark.number for mark in found if mark]


def test_the_pattern_arrives_numbered_stamped_and_readable() -> None:
    with child() as one:
        one.order("open", **SMALL)
        opened = one.wait("opened")
        assert (opened["width"], opened["height"], opened["fps"]) == (320, 180, 30)
        assert (opened["codec"], opened["source"]) == ("h264", "test pattern")
        frames = one.wait_frames(15)
        now = time.monotonic_ns() // 1000
        assert [frame.number for frame in frames] == list(range(len(frames)))
        assert [frame.key for frame in frames] == [True] + [False] * (len(frames) - 1)
        for frame, mark in zip(frames, marks(Codec.H264, frames), strict=True):
            assert mark and mark.clock == frame.captured
            assert now - 10_000_000 < frame.captured < now
            assert (frame.width, frame.height, frame.codec) == (320, 180, Codec.H264)
        stats = one.wait("stats")
        assert stats["fps_captured"] > 3 and stats["fps_encoded"] > 3 and stats["cpu"] > 0
        one.order("stop")
        assert one.wait("ended")["reason"] == "stopped"
        assert one.wait_end() == 0


def test_it_ends_when_its_stdin_closes() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.wait_frames(1)
        one.hang_up()
        assert one.wait_end(5) == 0


def test_it_ends_when_nobody_reads_it_any_more() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.wait_frames(1)
        one._selector.unregister(one._out)
        one._out.close()
        assert one.process.wait(10) == 1


def test_a_control_c_in_the_terminal_is_not_for_it() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.wait_frames(1)
        one.process.send_signal(signal.SIGINT)
        one.wait_frames(3)


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"do": "dance"},
        {"do": 7},
        {"do": ["open"]},
        {"do": "key"},
        {"do": "open", "source": "telescope"},
        {"do": "open", "source": 5},
        {"do": "open", "source": "file:"},
        {"do": "open", "source": "file:/nowhere"},
        {"do": "open", "source": "file:/etc/passwd"},
        {"do": "open", "source": "camera:none such"},
        {"do": "open", "source": "test", "width": -1},
        {"do": "open", "source": "test", "fps": "many"},
        {"do": "open", "source": "test", "codec": "divx"},
        {"do": "open", "source": "test", "cursor": 1},
    ],
    ids=lambda words: json.dumps(words).replace("/", "|"),
)
def test_an_order_that_cannot_be_obeyed_is_an_error_event_and_nothing_ends(
    words: dict[str, object], patient: Child
) -> None:
    patient.order(**words) if "do" in words else patient.raw(b"\0\0\0\3\2{}")  # type: ignore[arg-type]
    error = patient.wait("error")
    assert error["code"] in {"bad-order", "picture-spec", "picture-file", "picture-camera"}
    assert error["message"]
    assert patient.process.poll() is None


@pytest.fixture(scope="module")
def patient() -> object:
    """One child for all that changes nothing in it."""
    with child() as one:
        yield one


def test_wrong_orders_do_not_disturb_what_is_shared() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.order("open", **SMALL)
        one.order("bitrate", bps="much")
        one.order("bitrate")
        one.order("size", width=1e99)
        one.raw(write_frame(FrameRecord(0, 0, True, Codec.H264, 1, 1, b"?")))
        assert [one.wait("error")["code"] for _ in range(5)] == ["bad-order"] * 5
        one.wait_frames(5)


def test_bytes_that_are_no_records_end_it() -> None:
    with child() as one:
        one.raw(struct.pack(">I", 0xFFFF_FFFF) + b"garbage")
        assert one.wait_end(10) == 0


def test_a_key_frame_comes_on_demand() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.wait_frames(5)
        one.order("key")
        frames = one.wait_frames(10)
        assert [frame.key for frame in frames].count(True) == 1
        begin = [frame.key for frame in frames].index(True)
        assert numbers(frames[begin:])


def test_another_size_and_rate_begin_with_a_key_frame() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.wait("opened")
        one.wait_frames(3)
        one.order("size", width=160, height=90, fps=10)
        opened = one.wait("opened")
        assert (opened["width"], opened["height"], opened["fps"]) == (160, 90, 10)
        one.listen(3)
        small = [frame for frame in one.frames if frame.width == 160]
        assert small[0].key and not any(frame.key for frame in small[1:])
        assert 10 <= len(small) <= 35
        assert numbers(small)


def test_a_size_that_cannot_be_is_answered_with_the_one_that_is() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.wait("opened")
        one.order("size", width=1920, height=1080, fps=60)
        opened = one.wait("opened")
        assert (opened["width"], opened["height"], opened["fps"]) == (320, 180, 30)
        one.wait_frames(3)


def test_another_bitrate_is_obeyed() -> None:
    with child() as one:
        one.order("open", source="test", width=640, height=360, fps=30, bitrate=1_000_000)
        one.wait_frames(30)
        one.order("bitrate", bps=200_000)
        one.wait_frames(15)
        frames = one.wait_frames(60)
        assert not any(frame.key for frame in frames)
        rate = sum(len(frame.data) for frame in frames) * 8 * 30 / len(frames)
        assert rate == pytest.approx(200_000, rel=0.25)


def test_a_reader_that_stalls_gets_fresh_pictures_and_costs_no_memory() -> None:
    with child() as one:
        one.order("open", source="test", width=640, height=360, fps=60, bitrate=20_000_000)
        one.wait_frames(20)
        before = resident_mb(one.process.pid)
        time.sleep(2.5)
        assert resident_mb(one.process.pid) - before < 30
        one.wait_frames(1)
        last = one.wait_frames(20)[-1]
        assert time.monotonic_ns() // 1000 - last.captured < 1_500_000


def test_a_film_waits_for_its_first_viewer_plays_once_in_real_time_and_ends(
    tmp_path: Path,
) -> None:
    with child() as one:
        one.order("open", source=f"file:{film(tmp_path / 'a.mkv', 1.5)}", fps=60)
        assert one.wait("opened")["fps"] == 20
        one.listen(0.5)
        assert not one.frames
        one.order("start")
        one.wait("ended")
        assert one.wait_end() == 0
        frames = one.frames
        assert 20 <= len(frames) <= 30
        assert sorted(found := numbers(frames)) == found
        assert (frames[-1].captured - frames[0].captured) / 1e6 == pytest.approx(1.45, abs=0.3)


def test_a_looped_film_begins_again(tmp_path: Path) -> None:
    with child() as one:
        one.order("open", source=f"loop:{film(tmp_path / 'a.mkv', 0.5)}")
        found = numbers(one.wait_frames(25))
        assert any(after < before for before, after in pairwise(found))


def test_a_film_in_half_its_rate_loses_every_second_picture(tmp_path: Path) -> None:
    with child() as one:
        one.order("open", source=f"file:{film(tmp_path / 'a.mkv', 2)}", fps=10)
        one.order("start")
        one.wait("ended")
        assert 14 <= len(one.frames) <= 24


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_other_codecs_are_there(codec: str) -> None:
    with child() as one:
        one.order("open", **SMALL, codec=codec)
        assert one.wait("opened")["codec"] == codec
        frames = one.wait_frames(4)
        assert None not in marks(frames[0].codec, frames)


def test_a_desktop_without_a_display_says_what_to_do() -> None:
    with child({"DISPLAY": "", "WAYLAND_DISPLAY": ""}) as one:
        one.order("open", source="screen")
        error = one.wait("error")
        assert error["code"] == "picture-screen" and error["hint"]


def test_nothing_but_records_is_on_stdout_and_it_is_nice() -> None:
    with child() as one:
        one.order("open", **SMALL, codec="av1")
        one.wait_frames(2)
        assert os.getpriority(os.PRIO_PROCESS, one.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_nothing_is_encoded_while_nobody_watches_and_then_a_key_frame_comes_at_once() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.wait_frames(2)
        one.order("rest", on=True)
        one.listen(0.5)
        one.frames.clear()
        one.order("key")
        one.listen(1.0)
        assert one.frames == []
        began = time.monotonic()
        one.order("rest", on=False)
        first = one.wait_frames(1)[0]
        assert first.key and time.monotonic() - began < 0.5
        assert not any(frame.key for frame in one.wait_frames(5))


def split(frames: list[FrameRecord]) -> tuple[list[FrameRecord], list[FrameRecord]]:
    """Those of the first and those of the second encoding."""
    return [one for one in frames if not one.second], [one for one in frames if one.second]


@pytest.mark.live
def test_a_second_smaller_encoding_of_the_same_pictures_comes_on_demand_and_goes() -> None:
    with child() as one:
        one.order("open", source="test", width=640, height=360, fps=30, bitrate=1_000_000)
        one.wait_frames(10)
        small = {"width": 320, "height": 180, "fps": 10, "bitrate": 150_000}
        one.order("open", second=True, **small)
        told = one.wait("second")
        assert told["on"] and (told["width"], told["height"], told["fps"]) == (320, 180, 10)
        one.frames.clear()
        one.listen(3)
        first, second = split(one.frames)
        assert not any(frame.key for frame in first), "the first one is not disturbed"
        assert len(first) > 75 and 25 <= len(second) <= 33
        assert [frame.number for frame in second] == list(range(len(second)))
        assert [frame.key for frame in second] == [True] + [False] * (len(second) - 1)
        assert {(frame.width, frame.height) for frame in second} == {(320, 180)}
        assert sorted(seen := numbers(second)) == seen
        stamps = {frame.captured for frame in first}
        assert sum(frame.captured in stamps for frame in second) > 0.9 * len(second)
        one.order("stop", second=True)
        until = time.monotonic() + PATIENCE  # an order waits while others compute
        while split(one.wait_frames(15))[1]:
            assert time.monotonic() < until, "it goes on"


def test_the_second_encoding_has_key_frames_a_bitrate_and_a_size_of_its_own() -> None:
    with child() as one:
        one.order("open", source="test", width=640, height=360, fps=30, bitrate=1_000_000)
        one.order("open", second=True, width=320, height=180, fps=30, bitrate=400_000)
        one.wait("second")
        one.wait_frames(60)
        one.order("key", second=True)
        one.order("bitrate", second=True, bps=100_000)
        first, second = split(one.wait_frames(30))
        assert not any(frame.key for frame in first)
        assert [frame.key for frame in second].count(True) == 1
        one.wait_frames(30)
        second = split(one.wait_frames(120))[1]
        rate = sum(len(frame.data) for frame in second) * 8 * 30 / len(second)
        assert rate == pytest.approx(100_000, rel=0.3)
        before = second[-1].number
        one.order("open", second=True, width=160, height=90, fps=15, bitrate=80_000)
        assert one.wait("second")["width"] == 160
        small = [frame for frame in split(one.wait_frames(60))[1] if frame.width == 160]
        assert small[0].key and not any(frame.key for frame in small[1:])
        assert small[0].number > before, "its frames are counted on"
        assert None not in marks(Codec.H264, small)


def test_a_still_picture_comes_in_the_second_encoding_too() -> None:
    with child() as one:
        one.order("open", source="test", width=320, height=180, fps=1)
        one.wait_frames(1)
        began = time.monotonic()
        one.order("open", second=True, width=160, height=90, fps=1, bitrate=80_000)
        one.wait("second")
        while not split(one.frames)[1]:
            one.listen(0.05)
        assert time.monotonic() - began < 0.7, "it waits for no new picture"


def test_orders_for_a_second_encoding_that_mean_nothing_disturb_nothing() -> None:
    with child() as one:
        one.order("key", second=True)
        assert one.wait("error")["code"] == "bad-order"
        one.order("open", **SMALL)
        one.wait("opened")
        for do in ("key", "stop"):
            one.order(do, second=True)
        one.order("bitrate", second=True, bps=100_000)
        one.order("rest", second=True, on=True)
        assert one.wait("error")["code"] == "bad-order"
        one.order("open", second=True, width="wide")
        assert one.wait("error")["code"] == "bad-order"
        assert not any(frame.second for frame in one.wait_frames(10))


def test_nobody_watches_neither_of_two_encodings() -> None:
    with child() as one:
        one.order("open", **SMALL)
        one.order("open", second=True, width=160, height=90, fps=15, bitrate=80_000)
        one.wait("second")
        one.wait_frames(5)
        one.order("rest", on=True)
        one.listen(0.5)
        one.frames.clear()
        one.listen(1.0)
        assert one.frames == []
        one.order("rest", on=False)
        one.listen(1.0)
        first, second = split(one.frames)
        assert first[0].key and second[0].key

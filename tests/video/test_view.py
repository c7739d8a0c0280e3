"""The viewing process: what it shows, what it survives, what it gives up."""

from __future__ import annotations

import random
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.video.encoded import stream
from tests.video.viewing import Child
from video.pipe import Codec, FrameRecord, Record
from video.sink import Nowhere
from video.view import LATE, Viewer

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


@pytest.mark.parametrize("codec", list(Codec))
def test_a_stream_starts_with_its_first_picture(codec: Codec) -> None:
    with Child() as child:
        child.frames(stream(8, codec=codec))
        started = child.hear("started")
        assert (started["codec"], started["width"], started["height"]) == (
            codec.name.lower(),
            320,
            180,
        )
        shown = child.hear("shown")
        assert shown["decoded"] > 0
        assert 0 < shown["latency_ms"]["decoded"]["p50"] <= shown["latency_ms"]["decoded"]["p95"]
        child.order(do="stop")
        assert child.end() == ({"event": "ended", "reason": "stopped"}, 0)


def test_the_end_of_the_pipe_is_the_end() -> None:
    with Child() as child:
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.end() == ({"event": "ended", "reason": "engine-gone"}, 0)


def test_a_gap_asks_for_a_key_frame_and_shows_nothing_until_it_comes() -> None:
    frames = list(stream(6))
    later = list(stream(3, first=6))
    with Child() as child:
        child.frames(frames[:2])
        child.hear("started")
        child.frames(frames[3:])
        child.hear("key-wanted")
        child.frames(later)
        shown = child.hear("shown")
        while shown["decoded"] == 0:
            shown = child.hear("shown")
        assert sum(e["event"] == "started" for e in child.events) == 1


def test_a_frame_that_cannot_be_decoded_asks_for_a_key_frame() -> None:
    frames = list(stream(3))
    with Child() as child:
        child.frames([frames[0], replace(frames[1], data=bytes(40)), frames[2]])
        child.hear("key-wanted")
        child.frames(stream(2, first=3))
        child.order(do="stop")
        assert child.end()[0]["reason"] == "stopped"


def test_another_size_in_the_same_stream_is_shown_as_well() -> None:
    with Child() as child:
        child.frames(stream(2))
        child.hear("started")
        child.frames(stream(2, 640, 360, first=2))
        assert child.hear("size")["width"] == 640


def garbage(kind: str, count: int = 60) -> list[FrameRecord]:
    """Frames that say they are key frames and are not."""
    rng = random.Random(kind)
    sound = next(frame for frame in stream(3) if frame.key)
    found = []
    for number in range(count):
        if kind == "noise":
            data = rng.randbytes(rng.randrange(1, 4000))
        elif kind == "cut":
            data = sound.data[: rng.randrange(1, 40)]
        else:
            flipped = bytearray(sound.data)
            for _ in range(20):
                flipped[rng.randrange(len(flipped))] = rng.randrange(256)
            data = bytes(flipped)
        found.append(replace(sound, number=number, data=data))
    return found


@pytest.mark.parametrize("kind", ["noise", "cut"])
@pytest.mark.parametrize("codec", list(Codec))
def test_a_stream_of_garbage_ends_with_a_word(kind: str, codec: Codec) -> None:
    with Child() as child:
        child.frames((replace(frame, codec=codec) for frame in garbage(kind)), every=0.01)
        assert child.hear("error")["code"] == "stream-damaged"
        assert child.end() == ({"event": "ended", "reason": "failed"}, 0)


def test_flipped_bytes_never_end_the_process_without_a_word() -> None:
    with Child() as child:
        child.frames(garbage("flip", 300))
        child.frames(stream(3, first=300))
        child.order(do="stop")
        ended, code = child.end()
        assert ended["reason"] in ("stopped", "failed") and code == 0


@pytest.mark.parametrize("size", [(2160, 3840), (3840, 2400)])
def test_a_screen_on_its_side_or_a_tall_one_is_shown(size: tuple[int, int]) -> None:
    with Child() as child:
        child.frames(stream(1, *size))
        started = child.hear("started")
        assert (started["width"], started["height"]) == size


@pytest.mark.parametrize("size", [(4128, 2336), (16384, 64)])
def test_a_picture_beyond_the_limit_is_refused(size: tuple[int, int]) -> None:
    with Child() as child:
        big = next(iter(stream(1, *size)))
        child.frames((replace(big, number=number) for number in range(50)), every=0.01)
        assert child.hear("error")["code"] == "stream-damaged"
        assert "started" not in {event["event"] for event in child.events}


def test_a_pipe_of_nonsense_ends_with_a_word() -> None:
    with Child() as child:
        child.raw(b"\xff" * 64)
        assert child.hear("error")["code"] == "stream-damaged"
        child.end()


def test_a_place_that_does_not_exist_is_said() -> None:
    with Child("moon") as child:
        assert child.hear("error")["code"] == "bad-place"
        assert child.end()[1] == 0


@linux
def test_the_process_can_open_nothing_any_more_and_holds_no_secret() -> None:
    with Child("none", {"VCHAT_CODE": "4821-apple-robot-candle"}) as child:
        child.frames(stream(2))
        child.hear("started")
        of = Path(f"/proc/{child.process.pid}")
        limits = (of / "limits").read_text()
        for line in ("Max open files +0 +0", "Max core file size +0 +0", "Max file size +0 +0"):
            assert re.search(line, limits), limits
        assert re.search(r"Max address space +3221225472", limits)
        assert "NoNewPrivs:\t1" in (of / "status").read_text()
        assert re.search(r"Max cpu time +\d+ ", limits)
        open_ = {Path(f"/proc/{child.process.pid}/fd/{fd}") for fd in range(3, 40)}
        assert sum(path.is_symlink() for path in open_) <= 2


def test_who_decodes_as_slowly_as_pictures_come_sees_more_than_the_last_of_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, shown = [0.0], []
    viewer = Viewer(lambda _words: None, lambda: now[0])
    decode = viewer._decode

    def slowly(frame: FrameRecord) -> object:
        now[0] += 0.02
        return decode(frame)

    monkeypatch.setattr(viewer, "_decode", slowly)
    viewer._sink = Nowhere(lambda frame: shown.append(frame.number))
    viewer.take(list(stream(30)))
    while viewer.patience == 0.0:
        viewer.take([])
    assert len(shown) >= 8 and shown[-1] == 29 and shown == sorted(shown)


def test_who_decodes_more_slowly_than_pictures_come_leaves_out_what_is_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, late, asked = [0.0], [], 0
    viewer = Viewer(lambda _words: None, lambda: now[0])
    decode = viewer._decode

    def slowly(frame: FrameRecord) -> object:
        now[0] += 0.08
        return decode(frame)

    monkeypatch.setattr(viewer, "_decode", slowly)
    viewer._sink = Nowhere(lambda frame: late.append(now[0] - frame.captured / 1e6))
    frames, number, at = list(stream(30)), 0, 0
    while now[0] < 20:
        come: list[Record] = []
        while number / 30 <= now[0]:
            captured = round(number / 30 * 1e6)
            come.append(replace(frames[at], number=number, captured=captured))
            number, at = number + 1, at + 1 if at < 29 else 1
        viewer.take(come)
        if viewer._sequence.wants_key(now[0]):
            asked, at = asked + 1, 0
        now[0] += 0.001
    assert max(late) < LATE + 0.2
    assert len(late) > 100
    assert 5 < asked < 30


def test_a_decoder_that_falls_behind_goes_on_from_the_newest_key_frame() -> None:
    with Child() as child:
        frames = list(stream(40, 1280, 720))
        long = [replace(f, number=i * 40 + f.number) for i in range(6) for f in frames]
        began = time.monotonic()
        child.frames(long)
        child.order(do="stop")
        assert child.end()[0]["reason"] == "stopped"
        assert time.monotonic() - began < 15

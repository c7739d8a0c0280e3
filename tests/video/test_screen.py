"""Real screens: Xvfb, captured, encoded, decoded, read."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video.child import Child, child
from tests.video.desk import MISSING, UNRESIZABLE, Desk, Scrolling, resize, xvfb, xvnc
from tests.video.eyes import decoded, marks
from video import screen
from video.damage import Damage
from video.pattern import read_mark
from video.picture import Size
from video.pipe import Codec
from video.screen import LOOK_ANYWAY, Monitor, MssGrabber, Screen, X11Grabber
from video.source import Wish
from video.unavailable import PictureUnavailable

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

SIZE = Size(640, 360)
FPS = 30


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A display for this test, and its server's process."""
    with xvfb(SIZE.width, SIZE.height) as (name, server):
        monkeypatch.setenv("DISPLAY", name)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield name, server


@pytest.fixture
def desk(display: tuple[str, int]) -> Iterator[Desk]:
    """A page on it."""
    one = Desk(display[0], SIZE.width, SIZE.height)
    one.show(0)
    yield one
    one.close()


@pytest.fixture
def sharer(desk: Desk) -> Iterator[Child]:
    """A child that shares it."""
    with child() as one:
        one.order("open", source="screen", fps=FPS)
        one.wait("opened")
        yield one


def quiet(one: Child, seconds: float) -> None:
    """Wait until it has sent nothing for so long."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        one.frames.clear()
        one.listen(seconds)
        if not one.frames:
            return
    raise AssertionError("it never gets quiet")


def test_a_page_that_scrolls_arrives_with_its_marks_in_order(sharer: Child, desk: Desk) -> None:
    frames = sharer.wait_frames(1)
    scrolling = Scrolling(desk, FPS)
    frames += sharer.wait_frames(40)
    scrolling.stop()
    found = marks(Codec.H264, frames)
    read = [mark for mark in found if mark]
    assert len(read) >= len(found) * 0.9  # the server may be caught while it draws
    assert [mark.number for mark in read] == sorted(mark.number for mark in read)
    delays = [
        frame.captured - mark.clock for frame, mark in zip(frames, found, strict=True) if mark
    ]
    assert -5_000 < np.median(delays) < 500_000


def test_a_screen_that_stands_still_sends_nothing_and_looks_seldom(sharer: Child) -> None:
    sharer.wait_frames(1)
    quiet(sharer, 2.0)
    sharer.events.clear()
    sharer.listen(3.5)
    assert len(sharer.frames) <= 1
    stats = sharer.events[-1]
    assert stats["event"] == "stats" and stats["fps_encoded"] <= 1 and stats["unchanged"] > 5
    assert stats["cpu"] < 0.1


def test_what_changes_on_a_still_screen_is_sent_at_once(sharer: Child, desk: Desk) -> None:
    quiet(sharer, 1.5)
    shown = desk.show(100)
    frame = sharer.wait_frames(1)[0]
    assert frame.captured - shown.clock < 250_000


def test_what_is_drawn_after_the_first_look_is_seen_by_the_second(desk: Desk) -> None:
    source = screen.open_screen("", Wish("screen", Size(0, 0), FPS))
    assert source.read() is not None
    drawn = desk.show(4)
    shot = source.read()
    assert shot is not None
    assert read_mark(np.asarray(shot.frame.to_ndarray(format="gray"), np.uint8)) == drawn
    source.close()


def test_a_key_frame_is_had_from_a_still_screen(sharer: Child) -> None:
    sharer.wait_frames(1)
    quiet(sharer, 1.5)
    sharer.order("key")
    began = time.monotonic()
    (frame, *_) = sharer.wait_frames(1)
    assert frame.key and time.monotonic() - began < 2
    assert marks(Codec.H264, [frame]) != [None]


def test_another_size_is_had_from_a_still_screen(sharer: Child) -> None:
    quiet(sharer, 1.5)
    sharer.order("size", width=320)
    frames = [one for one in sharer.wait_frames(1) if one.width == 320]
    assert frames[0].key and marks(Codec.H264, frames[:1]) != [None]


def test_a_still_picture_gets_sharp(display: tuple[str, int], desk: Desk) -> None:
    whole = Monitor(1, "whole", 0, 0, SIZE, primary=True)
    grabber = X11Grabber(whole, cursor=False)
    with child() as one:
        one.order("open", source="screen", fps=FPS, bitrate=300_000, cursor=False)
        frames = one.wait_frames(1)
        one.listen(4)
    grey = grabber.grab()[1].reshape(SIZE.height, SIZE.width, 4)[:, :, 1]
    grabber.close()
    errors = [
        np.abs(picture - (16 + grey * (219 / 255))).mean()
        for picture in decoded(Codec.H264, frames + one.frames)
    ]
    assert errors[-1] < min(errors[0], 2.0)


def test_the_pointer_is_seen_and_its_moves_are_changes(sharer: Child, desk: Desk) -> None:
    desk.move_pointer(100, 200)
    quiet(sharer, 1.5)
    desk.move_pointer(500, 300)
    assert sharer.wait_frames(1)


def test_the_pointer_can_be_left_out(desk: Desk) -> None:
    with child() as one:
        one.order("open", source="screen", fps=FPS, cursor=False)
        one.wait("opened")
        quiet(one, 1.5)
        desk.move_pointer(500, 300)
        one.listen(1.0)
        assert not one.frames


def test_an_x_server_that_dies_is_an_event_and_a_hint(
    sharer: Child, display: tuple[str, int]
) -> None:
    sharer.wait_frames(1)
    os.kill(display[1], signal.SIGKILL)
    error = sharer.wait("error")
    assert error["code"] == "picture-screen" and error["hint"]
    assert sharer.wait("ended")["reason"] == "failed"
    assert sharer.wait_end() == 0


@pytest.mark.skipif(bool(UNRESIZABLE), reason=f"{UNRESIZABLE} missing")
def test_a_screen_that_changes_its_size_is_shared_on_in_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with xvnc(800, 600) as (display, _), child({"DISPLAY": display, "WAYLAND_DISPLAY": ""}) as one:
        one.order("open", source="screen", fps=FPS)
        assert one.wait("opened")["width"] == 800
        for width, height in ((640, 480), (1024, 768)):  # looking fails, and does not
            resize(display, width, height)
            opened = one.wait("opened")
            assert (opened["width"], opened["height"]) == (width, height)
            desk = Desk(display, width, height)
            drawn = desk.show(0)
            one.listen(1.0)
            frames = [frame for frame in one.frames if frame.width == width]
            assert frames[0].key and marks(Codec.H264, frames)[-1] == drawn
            one.frames.clear()
            desk.close()


def test_a_screen_that_cannot_be_looked_at_for_a_moment_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screen, "REST", 0.0)
    monitor = Monitor(1, "odd", 0, 0, Size(16, 16), primary=True)
    broken = Flicker()
    tried: list[Flicker | None] = [None, Flicker()]

    def again() -> tuple[Monitor, Flicker]:
        if (one := tried.pop(0)) is None:
            raise PictureUnavailable("picture-screen", "no screen 'odd'")
        return monitor, one

    source = Screen(monitor, broken, None, again)
    monkeypatch.setattr(broken, "grab", Mock(side_effect=OSError("gone")))
    assert [source.read() is not None for _ in range(3)] == [False, False, True]
    monkeypatch.setattr(source._grabber, "grab", Mock(side_effect=OSError("gone")))
    tried += [None] * 3
    with pytest.raises(PictureUnavailable, match="the screen is gone"):
        [source.read() for _ in range(4)]
    assert not tried


def test_a_screen_that_is_not_there_is_named(display: tuple[str, int]) -> None:
    with child() as one:
        one.order("open", source="screen:7")
        assert "'7'" in one.wait("error")["message"]
        one.order("open", source="screen:1")
        one.wait("opened")


def test_monitors_are_listed(display: tuple[str, int]) -> None:
    (found,) = screen.monitors()
    assert (found.number, found.size, found.primary) == (1, SIZE, True)


def test_no_display_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":9876")
    with pytest.raises(PictureUnavailable):
        screen.monitors()


def part(desk: Desk) -> tuple[Monitor, NDArray[np.uint8]]:
    """The lower right of the desk as a monitor, and what is there."""
    desk.move_pointer(0, 0)
    monitor = Monitor(1, "part", 320, 180, Size(200, 100), primary=True)
    whole = Monitor(1, "whole", 0, 0, SIZE, primary=True)
    grabber = X11Grabber(whole, cursor=False)
    data = grabber.grab()[1].reshape(SIZE.height, SIZE.width, 4)[180:280, 320:520, :3].copy()
    grabber.close()
    return monitor, data


def test_a_single_monitor_is_cut_out_of_the_desktop(display: tuple[str, int], desk: Desk) -> None:
    monitor, truth = part(desk)
    assert truth.std() > 5
    grabber = X11Grabber(monitor, cursor=False)
    frame, data = grabber.grab()
    assert (frame.width, frame.height) == (200, 100)
    assert (data.reshape(100, 200, 4)[:, :, :3] == truth).all()
    grabber.close()


def test_mss_sees_the_same(display: tuple[str, int], desk: Desk) -> None:
    monitor, truth = part(desk)
    grabber = MssGrabber(screen._mss(), monitor)
    frame, data = grabber.grab()
    assert (frame.width, frame.height) == (200, 100)
    assert (data.reshape(100, 200, 4)[:, :, :3] == truth).all()
    grabber.close()


def test_drawing_and_pointing_are_told_without_looking(
    display: tuple[str, int], desk: Desk
) -> None:
    damage = Damage(display[0], cursor=True)
    damage.stirred()
    assert not damage.stirred()
    desk.show(10)
    assert damage.stirred()
    assert not damage.stirred()
    desk.move_pointer(7, 7)
    assert damage.stirred()
    assert not damage.stirred()
    damage.close()


def test_where_the_pointer_is_matters_only_while_nothing_is_drawn(
    display: tuple[str, int], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage = Damage(display[0], cursor=True)
    where = Mock(wraps=damage._connection.pointer)
    monkeypatch.setattr(damage._connection, "pointer", where)
    damage.stirred()
    where.reset_mock()
    desk.show(20)
    assert damage.stirred()
    where.assert_not_called()
    assert not damage.stirred()
    where.assert_called_once()
    damage.close()


def authority(path: Path, secret: bytes) -> str:
    """An authority file with a secret for every display."""
    name, local = b"MIT-MAGIC-COOKIE-1", 0xFFFF  # family: wild
    fields = (b"", b"", name, secret)
    data = struct.pack(">H", local) + b"".join(struct.pack(">H", len(x)) + x for x in fields)
    path.write_bytes(data)
    return str(path)


def test_a_display_with_a_secret_is_reached_by_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = authority(tmp_path / "right", b"0123456789abcdef")
    wrong = authority(tmp_path / "wrong", b"fedcba9876543210")
    with xvfb(320, 180, "-auth", right) as (display, _):
        monkeypatch.setenv("XAUTHORITY", right)
        Damage(display, cursor=True).close()
        for file in (wrong, str(tmp_path / "none")):
            monkeypatch.setenv("XAUTHORITY", file)
            with pytest.raises(OSError, match="refuses"):
                Damage(display, cursor=True)


@pytest.mark.parametrize("display", ["", ":", "far.example:0", ":0:1", "wayland-0"])
def test_only_local_displays_tell_of_changes(display: str) -> None:
    with pytest.raises(OSError, match="not a local"):
        Damage(display, cursor=True)


class Mute:
    """Somebody who never tells of a change."""

    def stirred(self, patience: float = 0.0) -> bool:
        """Nothing, ever."""
        return False

    def rearranged(self) -> bool:
        """No screen comes or goes."""
        return False

    def close(self) -> None:
        """Nothing to give back."""


class Flicker:
    """A screen that is another one at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def grab(self) -> tuple[av.VideoFrame, NDArray[np.uint8]]:
        """One more."""
        self.looks += 1
        return av.VideoFrame(16, 16, "bgra"), np.full(1024, self.looks, np.uint8)

    def close(self) -> None:
        """Nothing to give back."""


def test_who_does_not_tell_of_changes_is_not_asked_again() -> None:
    flicker = Flicker()
    monitor = Monitor(1, "odd", 0, 0, Size(16, 16), primary=True)
    odd = Screen(monitor, flicker, Mute())  # type: ignore[arg-type]
    assert odd.read() is not None
    assert odd.read() is None and flicker.looks == 2
    odd._looked -= LOOK_ANYWAY
    assert odd.read() is not None
    assert [odd.read() is not None for _ in range(3)] == [True] * 3


def test_a_screen_is_chosen_by_its_number_or_its_name() -> None:
    found = [
        Monitor(1, "eDP-1", 0, 0, Size(640, 360), primary=False),
        Monitor(2, "HDMI-1", 640, 0, Size(640, 360), primary=True),
    ]
    chosen = {rest: screen.choose(found, rest).number for rest in ("", "1", "edp-1", "HDMI-1")}
    assert chosen == {"": 2, "1": 1, "edp-1": 1, "HDMI-1": 2}
    with pytest.raises(PictureUnavailable):
        screen.choose(found, "DP-1")


@pytest.mark.parametrize("way", [X11Grabber, MssGrabber])
def test_a_screen_of_odd_size_loses_a_row_and_a_column_and_no_sharpness(
    way: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    with xvfb(323, 181) as (name, _):
        monkeypatch.setenv("DISPLAY", name)
        monitor = Monitor(1, "odd", 0, 0, Size(323, 181), primary=True)
        grabber = way(monitor, cursor=False) if way is X11Grabber else way(screen._mss(), monitor)
        source = Screen(monitor, grabber, None)
        shot = source.read()
        assert source.size == Size(322, 180)
        assert shot is not None and (shot.frame.width, shot.frame.height) == (322, 180)
        source.close()

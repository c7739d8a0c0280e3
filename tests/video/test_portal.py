"""Wayland: a portal on a bus of our own, and a GStreamer that is a script."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.calls.sounds import wait_until
from tests.rules.source import ROOT
from tests.video.child import child
from tests.video.compositor_double import Compositor
from tests.video.eyes import marks
from tests.video.portal_double import ENDED, NODE, TOKEN
from video.cast import pipeline
from video.pattern import Mark, Pattern
from video.picture import Size
from video.pipe import Codec
from video.y4m import NoFilm, layout, picture_bytes, read_header

WITHOUT_BUS = "" if shutil.which("dbus-daemon") else "dbus-daemon is not installed"
needs_bus = pytest.mark.skipif(bool(WITHOUT_BUS), reason=WITHOUT_BUS)

GST = """#!{python}
import os, sys, time
if "videotestsrc" in sys.argv:
    sys.stdout.write("YUV4MPEG2 W2 H2 F0:1 C420\\nFRAME\\n" + "x" * {probe})
    sys.exit()
open({journal!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
os.fstat(int(sys.argv[3].partition("=")[2]))  # the remote is inherited
film = open({film!r}, "rb").read()
sys.stdout.buffer.write(film)
sys.stdout.buffer.flush()
time.sleep(60)
"""
SIZE = Size(320, 180)
PROBE = picture_bytes(Size(2, 2), padded=True)


def film(path: Path, size: Size = SIZE, *, padded: bool = False) -> None:
    """Three pictures of the test pattern in YUV4MPEG2, as GStreamer writes it."""
    pattern = Pattern(size.width, size.height)
    data = b"YUV4MPEG2 W%d H%d F0:1 Ip C420\n" % (size.width, size.height)
    for number in range(3):
        drawn = pattern.draw(Mark(number, 0)).ravel()
        data += b"FRAME\n"
        for (row, rows), (stride, _) in zip(layout(size), layout(size, padded=padded), strict=True):
            plane, drawn = drawn[: row * rows].reshape(rows, row), drawn[row * rows :]
            data += np.pad(plane, ((0, 0), (0, stride - row))).tobytes()
    path.write_bytes(data)


Desktop = Callable[[int], dict[str, str]]


@pytest.fixture
def compositor(tmp_path: Path) -> Iterator[Compositor]:
    """One whose screen is as the film."""
    made = Compositor(tmp_path / "wayland", SIZE.width, SIZE.height)
    yield made
    made.close()


@pytest.fixture
def desktop(tmp_path: Path, compositor: Compositor) -> Iterator[Desktop]:
    """Starts a bus with a portal that ends ``Start`` with a status; the environment."""
    running: list[subprocess.Popen[str]] = []

    def start(status: int) -> dict[str, str]:
        arguments = ["--session", "--nofork", "--print-address", "--nopidfile"]
        place = f"--address=unix:path={tmp_path}/bus"
        bus = subprocess.Popen(
            ["dbus-daemon", *arguments, place], stdout=subprocess.PIPE, text=True
        )
        running.append(bus)
        assert bus.stdout
        address = bus.stdout.readline().strip()
        program = tmp_path / "gst-launch-1.0"
        film(tmp_path / "film")
        program.write_text(
            GST.format(
                python=sys.executable,
                journal=str(tmp_path / "gst"),
                film=str(tmp_path / "film"),
                probe=PROBE,
            )
        )
        program.chmod(0o755)
        environment = {
            "DBUS_SESSION_BUS_ADDRESS": address,
            "XDG_RUNTIME_DIR": str(tmp_path),
            "WAYLAND_DISPLAY": "wayland",
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
        }
        if status >= 0:
            program_of_it = [sys.executable, "-m", "tests.video.portal_double"]
            portal = subprocess.Popen(
                [*program_of_it, str(tmp_path / "asked"), str(status)],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            running.append(portal)
            assert portal.stdout and portal.stdout.readline() == "ready\n"
        return environment

    yield start
    for one in reversed(running):
        one.send_signal(signal.SIGTERM)
        one.wait()
        assert one.stdout
        one.stdout.close()


def asked(folder: Path) -> dict[str, list[object]]:
    """What the portal was asked last, by method."""
    lines = (folder / "asked").read_text().splitlines()
    return dict(json.loads(line) for line in lines)


def children(process: int) -> list[int]:
    """The processes that one has started."""
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(word) for path in found for word in path.read_text().split()]


@needs_bus
def test_the_chosen_screen_arrives_and_is_chosen_by_itself_the_next_time(
    desktop: Desktop, tmp_path: Path
) -> None:
    environment = desktop(0)
    for turn in range(2):
        with child(environment) as one:
            one.order("open", source="screen", fps=60)
            opened = one.wait("opened")
            assert (opened["width"], opened["height"]) == (320, 180)
            frames = one.wait_frames(1)
            one.listen(1.0)
            found = marks(Codec.H264, frames + one.frames)
            assert found[-1] == Mark(2, 0)
            one.order("stop")
            one.wait("ended")
        wishes = asked(tmp_path)["SelectSources"][1]
        assert isinstance(wishes, dict)
        assert ("restore_token" in wishes) is (turn == 1)
        assert wishes["cursor_mode"][1] == 2
        if turn:
            assert wishes["restore_token"][1] == TOKEN
    token = tmp_path / "state" / "vchat" / "screencast-token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert f"path={NODE}" in (tmp_path / "gst").read_text()


@needs_bus
def test_a_token_that_the_portal_does_not_take_is_asked_without(
    desktop: Desktop, tmp_path: Path
) -> None:
    environment = desktop(0)
    token = tmp_path / "state" / "vchat" / "screencast-token"
    token.parent.mkdir(parents=True)
    token.write_text("of another time")
    with child(environment) as one:
        one.order("open", source="screen")
        one.wait("opened")
    assert token.read_text() == TOKEN


@needs_bus
def test_rows_that_gstreamer_has_filled_up_are_read_as_they_are(
    desktop: Desktop, tmp_path: Path
) -> None:
    environment = desktop(0)
    film(tmp_path / "film", Size(322, 180), padded=True)
    with child(environment) as one:
        one.order("open", source="screen", fps=60)
        assert one.wait("opened")["width"] == 322
        frames = one.wait_frames(1)
        one.listen(1.0)
        assert marks(Codec.H264, frames + one.frames)[-1] == Mark(2, 0)


@needs_bus
def test_another_size_of_the_screen_is_seen_by_another_child(
    desktop: Desktop, compositor: Compositor, tmp_path: Path
) -> None:
    with child(desktop(0)) as one:
        one.order("open", source="screen", fps=60)
        one.wait("opened")
        film(tmp_path / "film", Size(96, 160))
        compositor.resize(160, 96)  # and turned
        opened = one.wait("opened")
        assert (opened["width"], opened["height"]) == (96, 160)
        one.listen(0.5)
        first = next(frame for frame in one.frames if frame.width == 96)
        assert first.height == 160
        assert first.key


@needs_bus
def test_an_old_size_after_a_change_is_not_believed(
    desktop: Desktop, compositor: Compositor, tmp_path: Path
) -> None:
    with child(desktop(0)) as one:
        one.order("open", source="screen")
        one.wait("opened")
        film(tmp_path / "film", Size(200, 100))
        compositor.resize(160, 90)
        assert one.wait("opened")["width"] == 200
        film(tmp_path / "film", Size(160, 90))
        assert one.wait("opened")["width"] == 160


@needs_bus
def test_a_desktop_that_ends_the_sharing_is_understood(desktop: Desktop) -> None:
    with child(desktop(ENDED)) as one:
        one.order("open", source="screen")
        assert "has ended the sharing" in one.wait("error")["message"]


@needs_bus
def test_a_compositor_that_dies_is_an_event(desktop: Desktop, compositor: Compositor) -> None:
    with child(desktop(0)) as one:
        one.order("open", source="screen")
        one.wait("opened")
        compositor.close()
        assert "the desktop is gone" in one.wait("error")["message"]
        assert one.wait("ended")["reason"] == "failed"


@needs_bus
def test_a_person_who_says_no_is_understood(desktop: Desktop) -> None:
    with child(desktop(1)) as one:
        one.order("open", source="screen")
        error = one.wait("error")
        assert error["code"] == "picture-wayland" and "not released" in error["message"]


@needs_bus
def test_a_desktop_without_a_portal_says_what_to_install(desktop: Desktop) -> None:
    with child(desktop(-1)) as one:
        one.order("open", source="screen")
        assert "xdg-desktop-portal" in one.wait("error")["hint"]


@needs_bus
def test_a_desktop_without_gstreamer_says_what_to_install(desktop: Desktop, tmp_path: Path) -> None:
    environment = desktop(0)
    (tmp_path / "gst-launch-1.0").unlink()
    environment["PATH"] = str(tmp_path)
    with child(environment) as one:
        one.order("open", source="screen")
        assert "gstreamer1.0-pipewire" in one.wait("error")["hint"]


@needs_bus
def test_a_gstreamer_that_cannot_read_pipewire_says_what_to_install(
    desktop: Desktop, tmp_path: Path
) -> None:
    environment = desktop(0)
    (tmp_path / "gst-launch-1.0").write_text("#!/bin/sh\nexit 1\n")
    with child(environment) as one:
        one.order("open", source="screen")
        assert "gstreamer1.0-pipewire" in one.wait("error")["hint"]


@needs_bus
def test_pictures_that_end_are_an_event(desktop: Desktop, tmp_path: Path) -> None:
    environment = desktop(0)
    program = tmp_path / "gst-launch-1.0"
    program.write_text(program.read_text().replace("time.sleep(60)", ""))
    with child(environment) as one:
        one.order("open", source="screen")
        assert one.wait("error")["code"] == "picture-wayland"
        assert one.wait("ended")["reason"] == "failed"


@needs_bus
def test_a_process_that_is_killed_leaves_no_gstreamer_behind(
    desktop: Desktop, tmp_path: Path
) -> None:
    with child(desktop(0)) as one:
        one.order("open", source="screen")
        one.wait("opened")
        (gstreamer,) = children(one.process.pid)
        one.process.kill()
        one.process.wait()
        wait_until(lambda: not Path(f"/proc/{gstreamer}/fd/1").exists(), 5.0)


def test_the_pipeline_reads_the_chosen_node_from_the_given_remote() -> None:
    command = pipeline(7, 42)
    assert command[:5] == ["gst-launch-1.0", "-q", "pipewiresrc", "fd=7", "path=42"]
    assert command[-3:] == ["fdsink", "fd=1", "sync=false"]


def test_a_film_header_tells_the_size() -> None:
    assert read_header(b"YUV4MPEG2 W1920 H1080 F30:1 Ip A1:1 C420jpeg\n") == Size(1920, 1080)
    assert picture_bytes(Size(1920, 1080)) == 1920 * 1080 * 3 // 2
    assert picture_bytes(Size(3, 3)) == 9 + 4 + 4
    assert picture_bytes(Size(1365, 767), padded=True) == 1_575_936  # of GStreamer 1.22


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"\n", b"RIFF\n", b"YUV4MPEG2 W5\n", b"YUV4MPEG2 Wx H1\n"),
        *(b"YUV4MPEG2 W1 H1 C444\n", b"YUV4MPEG2 W0 H9\n", b"YUV4MPEG2 W99999 H9\n"),
    ],
)
def test_what_is_no_film_is_refused(line: bytes) -> None:
    with pytest.raises(NoFilm):
        read_header(line)

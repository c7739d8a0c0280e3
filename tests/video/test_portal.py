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

import pytest

from tests.rules.source import ROOT
from tests.video.child import child
from tests.video.eyes import marks
from tests.video.portal_double import NODE, TOKEN
from video.cast import pipeline
from video.pattern import Mark, Pattern
from video.picture import Size
from video.pipe import Codec
from video.y4m import NoFilm, picture_bytes, read_header

WITHOUT_BUS = "" if shutil.which("dbus-daemon") else "dbus-daemon is not installed"
needs_bus = pytest.mark.skipif(bool(WITHOUT_BUS), reason=WITHOUT_BUS)

GST = """#!{python}
import os, sys, time
open({journal!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
os.fstat(int(sys.argv[3].partition("=")[2]))  # the remote is inherited
film = open({film!r}, "rb").read()
sys.stdout.buffer.write(film)
sys.stdout.buffer.flush()
time.sleep(60)
"""
SIZE = Size(320, 180)


def film(path: Path, pictures: int = 3) -> None:
    """The test pattern in YUV4MPEG2."""
    pattern = Pattern(SIZE.width, SIZE.height)
    data = b"YUV4MPEG2 W320 H180 F0:1 Ip C420\n"
    for number in range(pictures):
        data += b"FRAME\n" + pattern.draw(Mark(number, 0)).tobytes()
    path.write_bytes(data)


Desktop = Callable[[int], dict[str, str]]


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[Desktop]:
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
            )
        )
        program.chmod(0o755)
        environment = {
            "DBUS_SESSION_BUS_ADDRESS": address,
            "WAYLAND_DISPLAY": "wayland-0",
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
def test_pictures_that_end_are_an_event(desktop: Desktop, tmp_path: Path) -> None:
    environment = desktop(0)
    program = tmp_path / "gst-launch-1.0"
    program.write_text(program.read_text().replace("time.sleep(60)", ""))
    with child(environment) as one:
        one.order("open", source="screen")
        assert one.wait("error")["code"] == "picture-wayland"
        assert one.wait("ended")["reason"] == "failed"


def test_the_pipeline_reads_the_chosen_node_from_the_given_remote() -> None:
    command = pipeline(7, 42)
    assert command[:5] == ["gst-launch-1.0", "-q", "pipewiresrc", "fd=7", "path=42"]
    assert command[-3:] == ["fdsink", "fd=1", "sync=false"]


def test_a_film_header_tells_the_size() -> None:
    assert read_header(b"YUV4MPEG2 W1920 H1080 F30:1 Ip A1:1 C420jpeg\n") == Size(1920, 1080)
    assert picture_bytes(Size(1920, 1080)) == 1920 * 1080 * 3 // 2
    assert picture_bytes(Size(3, 3)) == 9 + 4 + 4


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

"""A real Wayland desktop is shared through its portal and PipeWire, and seen on the other side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from jeepney import message_bus
from jeepney.io.blocking import open_dbus_connection
from numpy.typing import NDArray

from tests.calls.engines import EngineProcess, Told
from tests.calls.sounds import wait_until
from tests.calls.stage import Stage
from tests.lab.wayland import Wayland, wayland, why_impossible
from video.cast import PROOF
from video.pattern import Mark, Pattern, read_mark

pytestmark = pytest.mark.live

STILL = Mark(7, 7_000_000)


@pytest.fixture(autouse=True, scope="module")
def possible() -> None:
    """What is missing here is told once."""
    why = why_impossible()
    if why is not None:
        pytest.skip(why)


@pytest.fixture
def desktop() -> Iterator[Wayland]:
    with wayland(1280, 720) as made:
        yield made


def film(path: Path, width: int, height: int, marks: list[Mark]) -> Path:
    """The test pattern, as good as lossless."""
    pattern = Pattern(width, height)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=30, options={"preset": "ultrafast", "qp": "4"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = stream.codec_context.color_primaries = 1  # BT.709
        for number, mark in enumerate(marks):
            frame = av.VideoFrame.from_ndarray(pattern.draw(mark), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def moving(path: Path) -> Path:
    return film(path, 640, 360, [Mark(n, n * 33_333) for n in range(90)])


def still(path: Path, width: int, height: int) -> Path:
    return film(path, width, height, [STILL])


def watch(host: EngineProcess, guest: EngineProcess, to: str, **share: object) -> int:
    """The host shares, the guest watches; the stream."""
    since = guest.mark()
    host.say("share", source="screen", **share)
    stream = int(guest.wait("stream-offered", since=since)["stream"])
    guest.say("watch", member=host.member, stream=stream, to=to)
    guest.wait("stream-started", since=since, stream=stream)
    return stream


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """What was recorded, I420."""
    with av.open(str(path)) as container:
        frames = [one.to_ndarray(format="yuv420p") for one in container.decode(video=0)]
    return [np.asarray(one, np.uint8) for one in frames]


def of(told: Told, host: EngineProcess, stream: int) -> dict[str, float]:
    """What the event ``stats`` has of a stream."""
    found: dict[str, float] = told["streams"].get(f"{host.member}/{stream}", {})
    return found


def refused(host: EngineProcess) -> str:
    """The host shares in vain; what it is told."""
    since = host.mark()
    host.say("share", source="screen")
    error = host.wait("error", since=since, code="picture-wayland")
    return f"{error['message']}; {error['hint']}"


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1366, 768), (1050, 1680)])
def test_a_still_screen_arrives_as_it_is_also_for_who_comes_later(
    stage: Stage, tmp_path: Path, width: int, height: int
) -> None:
    with wayland(width, height) as desktop:
        desktop.play(still(tmp_path / "still.mkv", width, height), still=True)
        host = stage.host(variables=desktop.variables)
        guest = stage.join(host.code)
        guest.meets(host)
        seen = tmp_path / "seen.mkv"
        stream = watch(host, guest, f"file:{seen}", fps=30)
        host.say("stats", every=1)
        host.wait("stats", where=lambda told: of(told, host, stream).get("fps_sent") == 0.0)
        later = stage.join(host.code, name="Ludwig")
        later.meets(host)
        later.wait("stream-offered")
        later.say("watch", member=host.member, stream=stream, to="none")
        later.wait("stream-started")
        assert guest.leave() == 0
    drawn = Pattern(width, height).draw(STILL).astype(int)
    last = pictures(seen)[-1]
    assert last.shape == drawn.shape
    assert read_mark(last[:height]) == STILL
    apart = np.abs(last.astype(int) - drawn)
    print(f"brightness apart by {apart[:height].mean():.2f}, colour {apart[height:].mean():.2f}")
    assert apart[:height].mean() < 3
    assert apart[height:].mean() < 3


def test_a_still_screen_is_shared_again_and_again(
    stage: Stage, desktop: Wayland, tmp_path: Path
) -> None:
    desktop.play(still(tmp_path / "still.mkv", 1280, 720), still=True)
    host = stage.host(variables=desktop.variables)
    guest = stage.join(host.code)
    guest.meets(host)
    seen = tmp_path / "seen.mkv"
    for to in ("none", f"file:{seen}"):
        since = guest.mark()
        watch(host, guest, to, fps=30)
        host.say("unshare")
        guest.wait("stream-ended", since=since)
    assert guest.leave() == 0
    assert read_mark(pictures(seen)[-1][:720]) == STILL
    assert host.of("error") == []


def test_the_pointer_is_seen_where_it_is(stage: Stage, desktop: Wayland, tmp_path: Path) -> None:
    desktop.play(still(tmp_path / "still.mkv", 1280, 720), still=True)
    host = stage.host(variables=desktop.variables)
    guest = stage.join(host.code)
    guest.meets(host)
    seen = tmp_path / "seen.mkv"
    desktop.point(300, 400, 1280, 720)
    stream = watch(host, guest, f"file:{seen}", fps=30)
    desktop.point(900, 200, 1280, 720)  # a still screen on which only the pointer moves
    host.say("stats", every=1)
    host.wait("stats", where=lambda told: of(told, host, stream).get("fps_sent") == 0.0)
    assert guest.leave() == 0
    drawn = Pattern(1280, 720).draw(STILL)[:720].astype(int)
    apart = np.abs(pictures(seen)[-1][:720].astype(int) - drawn)
    assert apart[195:219, 895:919].mean() > 10
    assert apart[395:419, 295:319].mean() < 4


def test_another_size_of_the_screen_is_another_size_of_the_stream(
    stage: Stage, desktop: Wayland, tmp_path: Path
) -> None:
    desktop.play(moving(tmp_path / "moving.mkv"))
    host = stage.host(variables=desktop.variables)
    guest = stage.join(host.code)
    guest.meets(host)
    stream = watch(host, guest, "none", fps=30)
    guest.say("stats", every=0.5)
    for width, height in ((1920, 1080), (800, 600), (720, 1280)):
        since = guest.mark()
        desktop.resize(width, height)
        guest.wait("stream-offered", since=since, width=width, height=height)

        def follows(told: Told, size: tuple[int, int] = (width, height)) -> bool:
            one = of(told, host, stream)
            return (one.get("width"), one.get("height")) == size and one["fps_shown"] > 5

        guest.wait("stats", since=guest.mark(), where=follows)
    assert host.of("error") == []
    assert desktop.asked == 1


def test_the_person_is_asked_once_and_may_say_no(
    stage: Stage, desktop: Wayland, tmp_path: Path
) -> None:
    desktop.play(moving(tmp_path / "moving.mkv"))
    host = stage.host(variables=desktop.variables)
    guest = stage.join(host.code)
    guest.meets(host)
    desktop.answer("")
    assert "not released" in refused(host)
    desktop.answer("HEADLESS-1")
    for turn in range(3):
        if turn == 2:
            desktop.token.write_text("of another time")
        since = guest.mark()
        watch(host, guest, "none")
        host.say("unshare")
        guest.wait("stream-ended", since=since)
        assert desktop.token.stat().st_mode & 0o777 == 0o600
        assert desktop.asked == (2, 2, 3)[turn]
    for _ in range(2):  # beside each other
        watch(host, guest, "none")
    assert desktop.asked == 3


@pytest.mark.parametrize("part", ["sway", "pipewire", "backend"])
def test_a_desktop_that_dies_ends_the_stream_and_not_the_call(
    stage: Stage, desktop: Wayland, tmp_path: Path, part: str
) -> None:
    desktop.play(moving(tmp_path / "moving.mkv"))
    host = stage.host(variables=desktop.variables)
    guest = stage.join(host.code)
    guest.meets(host)
    watch(host, guest, "none")
    since = host.mark()
    desktop.end(part)
    assert host.wait("error", since=since, code="picture-wayland")["hint"] == "share it again"
    guest.wait("stream-ended")
    host.say("chat", text="are you still there?")
    guest.wait("chat")


def test_a_part_of_the_portal_that_gives_no_pictures_may_die(
    stage: Stage, desktop: Wayland, tmp_path: Path
) -> None:
    desktop.play(still(tmp_path / "still.mkv", 1280, 720), still=True)
    host = stage.host(variables=desktop.variables)
    guest = stage.join(host.code)
    guest.meets(host)
    watch(host, guest, "none")
    part = open_dbus_connection(desktop.variables["DBUS_SESSION_BUS_ADDRESS"])
    name = "org.freedesktop.impl.portal.desktop.printing"
    part.send_and_get_reply(message_bus.RequestName(name))
    part.close()
    time.sleep(PROOF + 1.5)
    assert host.of("error") == [] and guest.of("stream-ended") == []


def test_what_is_missing_is_said(stage: Stage, desktop: Wayland, tmp_path: Path) -> None:
    program = tmp_path / "gst-launch-1.0"
    program.write_text('#!/bin/sh\nGST_PLUGIN_SYSTEM_PATH= exec /usr/bin/gst-launch-1.0 "$@"\n')
    program.chmod(0o755)
    host = stage.host(variables={**desktop.variables, "PATH": f"{tmp_path}:/usr/bin:/bin"})
    host.wait("audio")
    assert "gstreamer1.0-pipewire" in refused(host)
    desktop.end("backend")
    wait_until(lambda: "xdg-desktop-portal" in refused(host), 10.0)

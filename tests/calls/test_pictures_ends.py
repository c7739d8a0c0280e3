"""Whatever pictures need may die under a call: an event and a hint, and the call goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.calls.engines import EngineProcess
from tests.calls.sounds import wait_until
from tests.calls.stage import Stage
from tests.calls.test_pictures import child, figures, gone, share, watch
from tests.video.desk import MISSING, Desk, Scrolling, xvfb
from vc_core.record import record

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

SIZE = (640, 360)


@record
class Display:
    """An X server with a page on it that scrolls."""

    name: str
    server: int

    @property
    def variables(self) -> dict[str, str]:
        """For an engine that sits in front of it."""
        return {"DISPLAY": self.name, "WAYLAND_DISPLAY": "", "SDL_VIDEODRIVER": "x11"}

    def die(self) -> None:
        """At once, as when somebody logs out."""
        os.kill(self.server, signal.SIGKILL)


@pytest.fixture
def display() -> Iterator[Display]:
    """One for this test."""
    with xvfb(*SIZE) as (name, server):
        yield Display(name, server)


def talk(one: EngineProcess, other: EngineProcess) -> None:
    """Texts arrive both ways."""
    for mouth, ear in ((one, other), (other, one)):
        mouth.say("chat", text=f"and {mouth.member} is still here")
        ear.wait("chat", text=f"and {mouth.member} is still here")


def test_an_x_server_that_dies_under_a_shared_screen_ends_that_stream(
    stage: Stage, display: Display
) -> None:
    host, guest = stage.pair(variables=display.variables)
    desk = Desk(display.name, *SIZE)
    desk.show(0)
    host.say("share", source="screen", fps=15)
    stream = host.wait("stream-offered", member=host.member)["stream"]
    other = share(host)
    watch(guest, host, stream)
    watch(guest, host, other)
    encoder = child(host, "video.share")
    display.die()
    told = host.wait("error", code="picture-screen")
    assert told["message"] and told["hint"]
    for one in (host, guest):
        one.wait("stream-ended", member=host.member, stream=stream)
    wait_until(lambda: gone(encoder), 5.0)
    talk(host, guest)
    assert guest.of("stream-ended", stream=other) == []
    assert set(figures(guest)["streams"]) == {f"{host.member}/{other}"}


def test_a_display_that_dies_under_a_window_ends_watching_only(
    stage: Stage, display: Display
) -> None:
    host = stage.host()
    guest = stage.join(host.code, variables=display.variables)
    guest.meets(host)
    stream = share(host)
    watch(guest, host, stream, "window")
    display.die()
    told = guest.wait("error", code="display-gone", member=host.member, stream=stream)
    assert told["message"] and told["hint"]
    guest.wait("stream-unwatched", member=host.member, stream=stream)
    talk(host, guest)
    watch(guest, host, stream)


def test_a_killed_window_is_told_and_can_be_opened_again(stage: Stage, display: Display) -> None:
    host = stage.host()
    guest = stage.join(host.code, variables=display.variables)
    guest.meets(host)
    stream = share(host)
    watch(guest, host, stream, "window")
    os.kill(child(guest, "video.view"), signal.SIGKILL)
    told = guest.wait("error", code="viewer-died", member=host.member, stream=stream)
    assert told["message"] and told["hint"]
    guest.wait("stream-unwatched", member=host.member, stream=stream)
    talk(host, guest)
    watch(guest, host, stream, "window")


def test_a_screen_that_moves_is_seen_in_the_rate_in_which_it_moves(
    stage: Stage, display: Display
) -> None:
    host, guest = stage.pair(variables=display.variables)
    scrolling = Scrolling(Desk(display.name, *SIZE), 15)
    host.say("share", source="screen", fps=15)
    stream = host.wait("stream-offered", member=host.member)["stream"]
    watch(guest, host, stream)
    name = f"{host.member}/{stream}"
    wait_until(lambda: (figures(guest)["streams"][name]["fps_shown"] or 0) > 11, 15.0)
    scrolling.stop()

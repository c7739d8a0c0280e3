"""What is typed about pictures, and what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from client.interface.orders import NEEDED
from client.interface.orders import parse as parse_order
from client.interface.report import write
from client.ui.log import Kind
from client.ui.model import Model
from client.ui.slash import Local, Say, Send, complete, parse, parse_quality
from client.ui.typed import Typed
from tests.client.ui import story
from tests.client.ui.glass import Orders


class Face:
    """A surface with a window."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.refuses = ""

    def show_help(self) -> None:
        """Not here."""

    def copy(self, text: str) -> bool:
        """Not here."""
        return False

    def watch(self, command: Any) -> str:
        """Give it on."""
        if not self.refuses:
            self.orders.send({**command, "to": command["to"] or "window"})
        return self.refuses


class Call:
    """Ann, the host, with Bob and Cleo."""

    def __init__(self) -> None:
        self.model, self.orders = Model(), Orders()
        self.face = Face(self.orders)
        self.typed = Typed(self.model, self.orders, self.face, lambda: "12:00")
        for event in (story.ROOM, story.joined(), story.joined("m2", "Cleo Lee")):
            self.model.receive(event)

    def offer(self, member: str = "m1", stream: int = 1, kind: str = "screen") -> None:
        """Somebody shares."""
        self.model.receive(offered(member, stream, kind))

    def type(self, line: str) -> list[dict[str, object]]:
        """The commands that a line gives; each is one that the engine takes, if it knows it."""
        before = len(self.orders.sent)
        self.typed.line(line)
        commands = self.orders.sent[before:]
        for command in commands:
            if command["do"] in NEEDED:
                assert parse_order(write(dict(command))) is not None
        return commands

    @property
    def last(self) -> str:
        """The newest line."""
        return self.model.lines[-1].text


def offered(member: str = "m1", stream: int = 1, kind: str = "screen") -> story.Event:
    told = {"event": "stream-offered", "member": member, "stream": stream, "kind": kind}
    return {**told, "width": 1920, "height": 1080, "fps": 30}


@pytest.fixture
def call() -> Call:
    return Call()


def test_who_shares_is_told_with_how_to_see_it(call: Call) -> None:
    call.offer()
    assert call.last == "bob shares a screen, 1920×1080 at 30 (/watch bob)"


@pytest.mark.parametrize(
    ("line", "to"),
    [
        ("/watch bob", "window"),
        ("/watch BO terminal", "terminal"),
        ("/watch bob window", "window"),
        ("/watch bob file /tmp/a b.mkv", "file:/tmp/a b.mkv"),
        ("/watch bob screen FILE:/tmp/a.mkv", "file:/tmp/a.mkv"),
        ("/watch bob file ~/a.mkv", f"file:{Path.home()}/a.mkv"),
        ("/watch bob file a.mkv", f"file:{Path.cwd()}/a.mkv"),
        ("/watch bob player mpv --really-quiet -", "player:mpv --really-quiet -"),
    ],
)
def test_a_stream_is_watched_where_one_wants(call: Call, line: str, to: str) -> None:
    call.offer()
    assert call.type(line) == [{"do": "watch", "member": "m1", "stream": 1, "to": to}]


def test_names_with_blanks_and_kinds_are_understood(call: Call) -> None:
    call.offer("m2", 4, "camera")
    call.offer("m2", 7, "screen")
    assert call.type("/watch Cleo Lee")[0]["stream"] == 7
    assert call.type("/watch Cleo Lee camera terminal")[0]["stream"] == 4


def test_ones_own_stream_is_me(call: Call) -> None:
    call.offer("m0", 2)
    assert call.last == "you share your screen, 1920×1080 at 30 (/unshare or F8 ends it)"
    assert call.type("/watch me")[0]["member"] == "m0"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/watch bob", "bob shares nothing"),
        ("/watch bob camera", "bob shares no camera"),
        ("/watch me", "you share nothing"),
        ("/watch", "type /watch NAME [PLACE]"),
        (
            "/watch bob file",
            "type /watch NAME [PLACE], and window, terminal, file PATH or player COMMAND",
        ),
        ("/watch dan", "nobody else here is called 'dan' (/who lists everybody)"),
        ("/unwatch", "you watch nothing"),
        ("/unshare", "you share nothing"),
    ],
)
def test_what_cannot_be_is_said(call: Call, line: str, said: str) -> None:
    assert call.type(line) == []
    assert call.last == said


def test_nothing_is_watched_where_there_is_no_place(call: Call) -> None:
    call.offer()
    call.face.refuses = "there is no display"
    assert call.type("/watch bob") == []
    assert call.last == "there is no display"
    assert not call.model.streams.watched


def test_unwatch_ends_one_or_all(call: Call) -> None:
    call.offer()
    call.offer("m2", 5)
    call.type("/watch bob")
    call.type("/watch Cleo Lee")
    assert call.type("/unwatch bob") == [{"do": "unwatch", "member": "m1", "stream": 1}]
    assert [command["stream"] for command in call.type("/unwatch")] == [1, 5]
    for stream, member in ((1, "m1"), (5, "m2")):
        told = {"event": "stream-unwatched", "member": member, "stream": stream}
        call.model.receive(told)
    assert not call.model.streams.watched


def test_the_first_picture_and_the_end_are_told(call: Call) -> None:
    call.offer()
    call.type("/watch bob")
    started = {"event": "stream-started", "member": "m1", "stream": 1, "codec": "h264"}
    call.model.receive({**started, "width": 1280, "height": 720})
    assert call.last == "you see the pictures of bob, 1280×720, h264"
    call.model.receive({"event": "stream-ended", "member": "m1", "stream": 1})
    assert call.last == "bob shares no more"
    assert not call.model.streams.offered


def test_who_leaves_shares_nothing_any_more(call: Call) -> None:
    call.offer()
    call.model.receive(story.left())
    assert not call.model.streams.offered


@pytest.mark.parametrize(
    ("line", "source", "size"),
    [
        ("/share", "screen", (1280, 720, 30)),
        ("/share screen 2", "screen:2", (1280, 720, 30)),
        ("/share camera HD Webcam 1080p60", "camera:HD Webcam", (1920, 1080, 60)),
        ("/share test 640x360@15", "test", (640, 360, 15)),
        ("/share file /tmp/a b.mkv", "file:/tmp/a b.mkv", (1280, 720, 30)),
        ("/share loop /tmp/720p30", "loop:/tmp/720p30", (1280, 720, 30)),
        ("/share screen native60", "screen", (None, None, 60)),
        ("/share audio", "screen", (1280, 720, 30)),
        ("/share screen 2 audio 1080p60", "screen:2", (1920, 1080, 60)),
        ("/share camera HD Webcam 1080p60 Sound", "camera:HD Webcam", (1920, 1080, 60)),
        ("/share screen AV1 audio 1080p60", "screen", (1920, 1080, 60)),
        ("/share vp9", "screen", (1280, 720, 30)),
    ],
)
def test_sources_and_sizes_are_understood(
    call: Call, line: str, source: str, size: tuple[int | None, int | None, int]
) -> None:
    [command] = call.type(line)
    assert (command["do"], command["source"]) == ("share", source)
    heard = any(word in line.lower() for word in ("audio", "sound", "file", "loop"))
    assert command.get("audio", False) is heard
    codec = next((word for word in line.lower().split() if word in {"vp9", "av1"}), None)
    assert command.get("codec") == codec
    assert tuple(command.get(key) for key in ("width", "height", "fps")) == size


@pytest.mark.parametrize("line", ["/share moon", "/share file", "/share test 5"])
def test_other_sources_are_explained(call: Call, line: str) -> None:
    assert call.type(line) == []
    assert "camera NAME" in call.last


def test_that_a_stream_has_sound_is_told(call: Call) -> None:
    call.model.receive({**offered(), "audio": True})
    assert call.last == "bob shares a screen, 1920×1080 at 30, with sound (/watch bob)"


def test_a_quality_is_kept_for_what_is_shared_next(call: Call) -> None:
    assert call.type("/quality 1080p60") == []
    assert call.last == "what you share next will have 1920×1080 at 60"
    assert call.type("/share")[0]["width"] == 1920


def test_a_quality_changes_what_is_shared_now(call: Call) -> None:
    call.offer("m0", 3)
    [command] = call.type("/quality 720p30")
    assert command == {"do": "quality", "stream": 3, "width": 1280, "height": 720, "fps": 30}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("480p", {"width": 854, "height": 480, "fps": 30}),
        ("1600x901@25", {"width": 1600, "height": 900, "fps": 25}),
        ("Native", {"fps": 30}),
        ("1080p0", None),
        ("1080p121", None),
        ("10p", None),
        ("", None),
    ],
)
def test_sizes(text: str, size: dict[str, int] | None) -> None:
    assert parse_quality(text) == size


def test_what_became_of_a_quality_is_told(call: Call) -> None:
    call.offer("m0", 3)
    call.type("/quality 1080p60")
    call.model.receive({**offered("m0", 3), "width": 1280, "height": 720, "fps": 30})
    assert call.last == "you share your screen, now 1280×720 at 30"


def test_a_second_screen_is_watched_beside_the_first(call: Call) -> None:
    call.offer("m1", 1)
    call.offer("m1", 2)
    call.model.receive({"event": "stream-started", "member": "m1", "stream": 1})
    assert call.type("/watch bob window")[0]["stream"] == 2
    call.model.receive({"event": "stream-started", "member": "m1", "stream": 2})
    assert call.type("/watch bob window")[0]["stream"] == 1


def test_one_key_ends_what_one_shares(call: Call) -> None:
    call.offer("m0", 3)
    call.offer("m0", 4, "camera")
    call.typed.do(Local.UNSHARE)
    assert call.orders.sent == [{"do": "unshare", "stream": 3}, {"do": "unshare", "stream": 4}]


def test_screens_and_cameras_are_listed_as_one_would_type_them(call: Call) -> None:
    assert call.type("/screens") == [{"do": "screens"}]
    screen = {"source": "screen:1", "about": "1920×1080, left"}
    call.model.receive({"event": "screens", "screens": [screen]})
    assert call.last == "/share screen 1  1920×1080, left"
    call.model.receive({"event": "cameras", "cameras": []})
    assert call.last == "no camera was found"
    assert call.model.lines[-1].kind is Kind.ANSWER


@pytest.mark.parametrize("event", ["stream-offered", "stream-ended", "stream-started", "screens"])
@pytest.mark.parametrize(
    "fields", [{}, {"member": 5, "stream": "x", "width": [], "screens": 3}, {"stream": 1e300}]
)
def test_events_of_other_shapes_do_no_harm(call: Call, event: str, fields: Any) -> None:
    call.model.receive({"event": event, **fields})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/volume bob 150", "you hear bob at 150 %"),
        ("/save Cleo Lee", "Cleo Lee is a contact now: another key is refused"),
        ("/deputies Cleo Lee bob", "Cleo Lee or else bob takes over when you go"),
        ("/deputies nobody", "the room ends when you go"),
    ],
)
def test_what_no_event_shows_is_said(call: Call, line: str, told: str) -> None:
    assert len(call.type(line)) == 1
    assert call.last == told


def test_who_is_no_host_hears_of_deputies_from_the_engine_alone(call: Call) -> None:
    call.model.role = "guest"
    assert call.type("/deputies bob")
    assert "takes over" not in call.last


def test_before_the_room_nothing_is_shared() -> None:
    typed = Typed(model := Model(), orders := Orders(), Face(orders), lambda: "")
    typed.line("/share")
    assert orders.sent == [] and model.lines[-1].text == "you are not in the room yet"


def test_names_and_sources_are_completed() -> None:
    people = {"bob": "m1"}
    assert complete("/watch b", people) == [("bob ", 1)]
    assert complete("/unwatch ", people) == [("bob ", 0)]
    assert ("camera", 1) in complete("/share c", people)
    assert ("1080p60", 4) in complete("/quality 1080", people)


def test_what_was_typed_knows_no_streams() -> None:
    assert isinstance(parse("/watch bob", {"bob": "m1"}), Send)
    assert isinstance(parse("/quality big", {}), Say)

"""What a face that attaches late is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.contacts import Contacts
from client.events import SignalingChanged, StreamStarted
from client.interface.report import Reporter
from client.room import Room
from client.settings import RUNGS, Settings
from tests.vectors.seeded import seeded
from vc_core.errors import Ending
from vc_core.events import (
    CodeEnded,
    CodeReady,
    Ended,
    MemberLeft,
    PathChanged,
    RoomOpened,
    StreamOffered,
)
from vc_core.ids import Member
from vc_core.keys import Identity

CODE = CodeReady("4821-apple-robot-candle", "https://x.example", 1, 1e9)


@pytest.fixture
def reporter(tmp_path: Path) -> Reporter:
    settings = Settings(hosting=True, name="ann", config=tmp_path)
    room = Room(settings, Identity.generate(seeded("ann")))
    told = Reporter(room, Contacts(tmp_path), lambda *_: None)
    told.report(RoomOpened(bytes(16), Member(1), "ann", hosting=True))
    return told


def shown(reporter: Reporter, field: str = "event") -> list[Any]:
    return [told[field] for told in reporter.snapshot() if field in told]


def test_a_late_face_hears_of_a_code_and_its_end_in_their_order(reporter: Reporter) -> None:
    for event in (CODE, CodeEnded("used"), CODE):
        reporter.report(event)
    assert shown(reporter)[-1] == "code"
    reporter.report(CodeEnded("used"))
    assert shown(reporter)[-1] == "code-ended"


def test_a_late_face_hears_of_a_stream_before_it_hears_who_watches_it(reporter: Reporter) -> None:
    offer = StreamOffered(Member(2), 3, "screen", 1280, 720, 30, False)
    for event in (offer, StreamStarted(Member(2), 3, "h264", 1280, 720), replace(offer, width=640)):
        reporter.report(event)
    assert shown(reporter)[-2:] == ["stream-offered", "stream-started"]
    assert reporter.snapshot()[-2]["width"] == 640


@pytest.mark.parametrize(("only", "hint"), [(RUNGS, "a network blocks"), (("hosted",), "--only")])
def test_who_forbids_rungs_and_finds_no_road_is_reminded(
    tmp_path: Path, only: tuple[str, ...], hint: str
) -> None:
    settings = Settings(hosting=False, name="ann", config=tmp_path, only=only)
    room = Room(settings, Identity.generate(seeded("ann")))
    reporter = Reporter(room, Contacts(tmp_path), lambda *_: None)
    (error, ended) = reporter.report(Ended(Ending.NO_ROAD))
    assert error["hint"].startswith(hint) and ended["exit"] == 5


def test_a_late_face_hears_last_how_signaling_is_now(reporter: Reporter) -> None:
    for connected in (False, True, False):
        reporter.report(SignalingChanged(connected))
    assert shown(reporter, "code")[-1] == "signaling-lost"


def test_a_road_that_is_as_it_was_is_not_told_again(reporter: Reporter) -> None:
    why = {"direct": "used", "hosted": "spare", "relayed": "none"}
    path = PathChanged(Member(2), "direct", "udp", why, 0.01)
    assert [len(reporter.report(path)) for _ in range(2)] == [1, 0]
    assert len(reporter.report(replace(path, rtt=0.02))) == 1
    reporter.report(MemberLeft(Member(2), "bob", "vanished"))
    assert len(reporter.report(replace(path, rtt=0.02))) == 1, "it is news of who came back"

"""Watching others' streams, with children and a driver that do as they are told."""

from __future__ import annotations

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from client.net.forwarders import Forwarders
from client.pictures import viewing as module
from client.pictures.viewing import View, Viewing
from vc_core.events import StreamCarried
from vc_core.ids import Member
from video.pipe import Codec, FrameRecord

ANN, BOB = Member(1), Member(2)
STREAM = 3


class Child:
    """A process that shows nothing."""

    stalled = False
    unread = 0

    def __init__(self, _module: str, **_: object) -> None:
        self.stopped = False
        self.frames: list[FrameRecord] = []

    def frame(self, record: FrameRecord) -> None:
        self.frames.append(record)

    async def start(self) -> None:
        """Nothing to start."""

    def order(self, do: str, **words: object) -> None:
        """Not looked at."""

    def stop(self) -> None:
        self.stopped = True


class Driver:
    """The part of a driver that watching needs."""

    def __init__(self) -> None:
        offer = SimpleNamespace(sound=False)
        self.forwarders = Forwarders(cast(Any, None), loopback=True, own=None)
        self.session = SimpleNamespace(
            room=SimpleNamespace(peers={}),
            pictures=SimpleNamespace(
                offered={(BOB, STREAM): offer},
                watch=lambda *_: None,
                unwatch=lambda *_: None,
                want_key=lambda *_: None,
                seal_feedback=lambda *_: None,
            ),
        )

    def feed(self, action: Any) -> None:
        action()

    def pump(self) -> None:
        """Nothing waits."""


@pytest.fixture
async def viewing(monkeypatch: pytest.MonkeyPatch) -> Viewing:
    def spawn(work: Coroutine[Any, Any, None]) -> None:
        work.close()

    monkeypatch.setattr(module, "Child", Child)
    showing = SimpleNamespace(offers=lambda _stream: False)
    hearing = SimpleNamespace(begin=lambda _: None, end=lambda _: None)
    driver = cast(Any, Driver())
    return Viewing(
        driver, cast(Any, showing), lambda _: None, lambda: ANN, spawn, cast(Any, hearing)
    )


def wanted(viewing: Viewing) -> set[int]:
    """By which forwarders copies of the stream are to come."""
    wants = viewing._driver.forwarders._wants
    return {number for (member, _), number in wants.items() if member == BOB}


async def test_who_watches_somewhere_else_still_wants_the_copies_of_the_forwarder(
    viewing: Viewing,
) -> None:
    viewing.watch(BOB, STREAM, "window", "")
    viewing.carried(StreamCarried(BOB, STREAM, 7))
    viewing.watch(BOB, STREAM, "none", "")  # the sharer is told nothing new, and says nothing
    assert wanted(viewing) == {7}
    viewing.unwatch(BOB, STREAM)
    assert wanted(viewing) == set()


async def test_a_stream_that_ended_is_wanted_of_no_forwarder(viewing: Viewing) -> None:
    viewing.watch(BOB, STREAM, "window", "")
    viewing.carried(StreamCarried(BOB, STREAM, 7))
    viewing.stream_ended(BOB, STREAM)
    assert wanted(viewing) == set()


@pytest.mark.parametrize(("records", "put"), [(False, 25), (True, 60)])
def test_a_child_that_is_always_behind_gets_no_more_until_it_has_read_all(
    monkeypatch: pytest.MonkeyPatch, records: bool, put: int
) -> None:
    """A megabyte is seconds of a small stream; a recording wants them all."""
    now = [0.0]
    monkeypatch.setattr(module, "Child", Child)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    view = View((BOB, STREAM), 0.0, lambda *_: None, lambda *_: None)
    child = cast(Any, view.child)
    view.started, view.records, child.unread = True, records, 500
    for number in range(60):
        now[0] = number * 0.04
        assert view.put(FrameRecord(number, 0, number == 0, Codec.H264, 64, 36, b"?"))
    assert abs(len(child.frames) - put) <= 1
    child.unread = 0
    assert view.put(FrameRecord(61, 0, False, Codec.H264, 64, 36, b"?")) is records
    assert view.put(FrameRecord(62, 0, True, Codec.H264, 64, 36, b"?"))
    assert child.frames[-1].key

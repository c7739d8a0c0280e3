"""Showing our own streams, with children that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

import client.pictures.showing
from client.pictures import shows
from client.pictures.showing import Showing
from client.pictures.shows import Wish
from vc_core.ids import Member


class Child:
    """A process that takes its time to end."""

    def __init__(self, _module: str, *, on_record: Any, on_gone: Any) -> None:
        self.say, self.gone = on_record, on_gone
        self.stopped = self.awaited = False
        self.orders: list[tuple[str, dict[str, object]]] = []

    def order(self, do: str, **words: object) -> None:
        self.orders.append((do, words))

    def stop(self) -> None:
        self.stopped = True

    async def ended(self) -> None:
        self.awaited = True


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    made: list[Child] = []

    def make(*arguments: Any, **more: Any) -> Child:
        made.append(Child(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(shows, "Child", make)
    return made


def showing() -> Showing:
    def spawn(work: Coroutine[Any, Any, None]) -> None:
        work.close()

    driver = cast(Any, SimpleNamespace(session=None))
    return Showing(driver, lambda _: None, lambda: Member(1), spawn)


async def test_a_child_that_is_ending_is_waited_for_at_the_end(children: list[Child]) -> None:
    ours = showing()
    ours.share(Wish("camera"))
    (child,) = children
    child.say({"event": "error", "code": "camera-failed", "message": "it hangs", "hint": ""})
    assert child.stopped
    await ours.close()
    assert child.awaited


async def test_a_child_that_has_ended_is_not(children: list[Child]) -> None:
    ours = showing()
    ours.share(Wish("camera"))
    (child,) = children
    child.gone()
    await ours.close()
    assert not child.awaited


async def test_what_is_here_is_shown_no_more_when_nobody_watches_over_it(
    children: list[Child],
) -> None:
    """Also what is only about to be shown."""
    ours = showing()
    for source in ("camera:Front", "screen", "file:film.mkv"):
        ours.share(Wish(source))
    ours.unshare_all(live=True)
    assert [child.stopped for child in children] == [True, True, False]
    ours.unshare_all()
    assert all(child.stopped for child in children)


async def test_of_many_sizes_the_first_and_the_last_are_told(
    children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.pictures.showing, "RESIZE_EVERY", 0.05)
    ours = showing()
    ours.share(Wish("test"))
    ours._shows[0].stream = 1
    (child,) = children
    ours.resize(1, 64, 36, 1)
    await asyncio.sleep(0.01)
    for width in range(100, 200):
        ours.resize(1, width, 100, 30)
    await asyncio.sleep(0.1)
    sizes = [words["width"] for do, words in child.orders if do == "size"]
    assert sizes == [64, 199]


async def test_a_viewer_that_is_out_of_reach_for_a_moment_keeps_the_encoder_at_work(
    children: list[Child],
) -> None:
    """Its subscription stands, so that nobody says when it is back."""
    away = SimpleNamespace(is_watched=lambda _stream: True, viewers=lambda _stream: [])
    ours = showing()
    ours._driver.session = cast(Any, SimpleNamespace(pictures=away))
    ours.share(Wish("test"))
    ours._shows[0].stream = 1
    ours._rest(ours._shows[0])
    (child,) = children
    assert ("rest", {"on": True}) not in child.orders

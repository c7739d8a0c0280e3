"""Showing our own streams, with children that do as they are told."""

from __future__ import annotations

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from client.pictures import shows
from client.pictures.showing import Showing
from client.pictures.shows import Wish
from vc_core.ids import Member


class Child:
    """A process that takes its time to end."""

    def __init__(self, _module: str, *, on_record: Any, on_gone: Any) -> None:
        self.say, self.gone = on_record, on_gone
        self.stopped = self.awaited = False

    def order(self, do: str, **words: object) -> None:
        """Not looked at."""

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

"""Pictures of a call, with children that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from client.events import SourcesListed
from client.pictures import hub
from client.pictures.hub import Pictures
from vc_core.errors import LocalProtocolError
from vc_core.ids import Member
from vc_core.pictures import WORDS


class Stuck:
    """A process that answers nothing until it is ended."""

    def __init__(self, _module: str, _what: str, *, on_record: object, on_gone: Any) -> None:
        self._gone: Callable[[], None] = on_gone

    async def start(self) -> None:
        """It hangs in a driver."""

    def kill(self) -> None:
        self._gone()


def of_member_1(tell: Callable[[object], None]) -> Pictures:
    sound = SimpleNamespace(name_of=lambda _: "")
    return Pictures(cast(Any, SimpleNamespace()), tell, lambda: Member(1), cast(Any, sound))


async def test_a_list_of_sources_that_never_comes_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(hub, "Child", Stuck)
    monkeypatch.setattr(hub, "LISTING_LIMIT", 0.01)
    pictures = of_member_1(told.append)
    pictures.list_sources("cameras")
    await asyncio.sleep(0.05)
    assert told == [SourcesListed("cameras", ())] and not pictures._listing


async def test_who_watches_too_often_hears_it_before_the_others_do() -> None:
    pictures, watched = of_member_1(lambda _: None), list[Member]()
    seen = SimpleNamespace(watch=lambda member, *_: watched.append(member))
    pictures._viewing = cast(Any, seen)
    with pytest.raises(LocalProtocolError):
        for _ in range(int(WORDS.burst)):
            pictures.watch(Member(2), 1, "none")
    assert 10 < len(watched) < WORDS.burst / 2, "each may be followed by its end"
    pictures.watch(Member(3), 1, "none")
    assert watched[-1] == Member(3), "who shares besides is another matter"

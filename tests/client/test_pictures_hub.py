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
from vc_core.ids import Member


class Stuck:
    """A process that answers nothing until it is ended."""

    def __init__(self, _module: str, _what: str, *, on_record: object, on_gone: Any) -> None:
        self._gone: Callable[[], None] = on_gone

    async def start(self) -> None:
        """It hangs in a driver."""

    def kill(self) -> None:
        self._gone()


async def test_a_list_of_sources_that_never_comes_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(hub, "Child", Stuck)
    monkeypatch.setattr(hub, "LISTING_LIMIT", 0.01)
    sound = SimpleNamespace(name_of=lambda _: "")
    driver = cast(Any, SimpleNamespace())
    pictures = Pictures(driver, told.append, lambda: Member(1), cast(Any, sound))
    pictures.list_sources("cameras")
    await asyncio.sleep(0.05)
    assert told == [SourcesListed("cameras", ())] and not pictures._listing

"""The post: several signaling servers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from client.net.mailbox import SignalingUnreachable
from client.net.post import Post
from tests.client.net.signaling_double import ALLOCATED, Signaling, signaling, url
from tests.client.net.waiting import until
from vc_core.servers import MAX_KNOWN, Change
from vc_core.signals import Allocate, Attach, Drop
from vc_core.wire import Record

pytestmark = pytest.mark.usefixtures("clean_loop")

MAILBOX = bytes(range(32))


class Caller:
    """A post with all that it reported."""

    def __init__(self, first: Signaling) -> None:
        self.signals: list[Record] = []
        self.changes: list[Change] = []
        self.post = Post(
            url(first.port),
            on_signal=self.signals.append,
            on_change=self.changes.append,
            rng=bytes,
        )


@asynccontextmanager
async def calling(first: Signaling) -> AsyncIterator[Caller]:
    caller = Caller(first)
    await caller.post.connect()
    try:
        yield caller
    finally:
        await caller.post.close()


async def test_a_second_server_is_used_from_then_on_and_hears_of_the_mailboxes() -> None:
    async with signaling() as first, signaling() as second, calling(first) as caller:
        caller.post.send(Attach(MAILBOX))
        caller.post.add(url(second.port))
        await until(lambda: Change.OTHER in caller.changes)
        assert caller.post.url == url(second.port)
        caller.post.send(Allocate("", bytes(16), 0))
        caller.post.send(Drop(MAILBOX, b"to whoever looks there"))
        await until(lambda: ALLOCATED in caller.signals)
        await until(lambda: len(first.heard) == 2 and len(second.heard) == 3)
        assert [type(signal) for signal in first.heard] == [Attach, Drop]
        assert [type(signal) for signal in second.heard] == [Attach, Allocate, Drop]


async def test_the_older_server_serves_again_when_the_newer_one_dies() -> None:
    async with signaling() as first, calling(first) as caller:
        second = Signaling()
        await second.open()
        caller.post.add(url(second.port))
        await until(lambda: caller.post.url == url(second.port) and caller.changes)
        await second.close()
        await until(lambda: caller.post.url == url(first.port))
        caller.post.send(Allocate("", bytes(16), 0))
        await until(lambda: ALLOCATED in caller.signals)
        assert caller.changes[-2:] == [Change.OTHER, Change.OTHER]


async def test_a_server_that_is_not_there_yet_is_tried_again() -> None:
    late = Signaling()
    await late.open()
    await late.close()  # the port is known, and nobody listens
    async with signaling() as first, calling(first) as caller:
        caller.post.add(url(late.port))
        await late.open()
        await until(lambda: caller.post.url == url(late.port) and caller.changes)
        await late.close()


async def test_without_any_server_the_session_is_told_and_told_again_when_one_is_back() -> None:
    first = Signaling()
    await first.open()
    async with calling(first) as caller:
        await first.close()
        await until(lambda: Change.LOST in caller.changes)
        await first.open()
        await until(lambda: Change.BACK in caller.changes)
    await first.close()


async def test_a_server_of_our_own_is_adopted_without_news() -> None:
    async with signaling() as first, signaling() as own, calling(first) as caller:
        before = list(caller.changes)
        await caller.post.adopt(url(own.port))
        assert caller.post.url == url(own.port) and caller.changes == before


async def test_a_server_of_our_own_that_does_not_answer_is_an_error_and_asked_again() -> None:
    own = Signaling()
    await own.open()
    await own.close()
    async with signaling() as first, calling(first) as caller:
        with pytest.raises(SignalingUnreachable):
            await caller.post.adopt(url(own.port))
        await own.open()
        await caller.post.adopt(url(own.port))
        assert caller.post.url == url(own.port)
    await own.close()


async def test_only_so_many_servers_are_kept() -> None:
    async with signaling() as first, signaling() as second, calling(first) as caller:
        for port in (1, 2, 3):  # nobody listens there
            caller.post.add(url(port))
        caller.post.add(url(second.port))
        await until(lambda: caller.post.url == url(second.port) and caller.changes)
        caller.post.send(Attach(MAILBOX))
        await until(lambda: len(second.heard) == 1)


async def test_servers_that_were_given_up_leave_nothing_behind() -> None:
    async with signaling() as first, calling(first) as caller:
        for number in range(50):
            caller.post.add(f"ws://127.0.0.1:1/{number}")  # nobody listens there
            await asyncio.sleep(0)
        await until(lambda: not caller.post._closing)
        assert len(caller.post._trying) <= MAX_KNOWN and len(caller.post._mailboxes) <= MAX_KNOWN


async def test_a_server_that_others_name_is_none_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with signaling() as first, signaling() as inside, calling(first) as caller:
        monkeypatch.setattr(caller.post._first, "_local", False)  # as if it were elsewhere
        caller.post.add(url(inside.port))
        await asyncio.sleep(0.2)
        assert caller.post.url == url(first.port) and caller.changes[-1] is Change.BACK

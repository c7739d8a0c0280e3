"""Whoever reads events slowly, or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from client.interface.faces import MAX_UNREAD, Outlet
from tests.client.net.waiting import until

PIECE = b"x" * 65536


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """Reading end, writing end."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


async def test_who_reads_late_reads_all_of_it(pipe: list[int]) -> None:
    outlet = Outlet(pipe[1], lambda why: pytest.fail(str(why)))
    for _ in range(4):  # a pipe holds one of them
        outlet.put(PIECE)
    closing = asyncio.create_task(outlet.close())
    heard = 0
    while heard < 4 * len(PIECE):
        heard += len(await asyncio.to_thread(os.read, pipe[0], len(PIECE)))
    await closing


async def test_who_reads_nothing_holds_up_nobody_and_is_given_up(pipe: list[int]) -> None:
    failed: list[str | None] = []
    outlet = Outlet(pipe[1], failed.append)
    for _ in range(MAX_UNREAD // len(PIECE) + 3):
        outlet.put(PIECE)
    assert failed == ["nobody reads them"]
    os.read(pipe[0], 16 * len(PIECE))
    os.close(pipe[0])  # the thread goes too
    pipe[0] = os.dup(pipe[1])
    await outlet.close()
    assert len(failed) == 1


async def test_that_nobody_can_read_any_more_is_heard_without_a_reason(pipe: list[int]) -> None:
    failed: list[str | None] = []
    outlet = Outlet(pipe[1], failed.append)
    os.close(pipe[0])
    pipe[0] = os.dup(pipe[1])
    outlet.put(PIECE)
    await until(lambda: bool(failed))
    assert failed == [None]
    await outlet.close()

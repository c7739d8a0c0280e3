"""What the tests of the edges share: nothing may be left running or unheard."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio


@pytest_asyncio.fixture
async def clean_loop() -> AsyncIterator[None]:
    """Fails a test that leaves a task behind or an exception that nobody took."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    gc.freeze()  # what earlier tests left is not this one's fault
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    gc.collect()
    await asyncio.sleep(0)
    assert not left, f"tasks are left: {left}"
    assert not complaints, f"the loop complains: {complaints}"

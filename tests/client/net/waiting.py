"""Waiting on conditions, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BOUND = 10.0  # seconds; no test here needs as many


async def until(condition: Callable[[], object], bound: float = BOUND) -> None:
    """Return when the condition holds; fail when it does not come true in time."""
    async with asyncio.timeout(bound):
        while not condition():
            await asyncio.sleep(0.002)

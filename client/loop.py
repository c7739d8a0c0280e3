"""The event loop: uvloop where it exists, and asyncio's own elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Implementation
SWITCH_INTERVAL = 0.0005  # s; audio callbacks wait at most this long for busy threads


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end in a fresh loop."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)

"""The event loop: uvloop where it exists, and asyncio's own elsewhere.

uvloop counts timers in milliseconds and rounds, so that one may come too early
by half of that; whoever then asks for the rest is called at once, again and
again until the time has come. Ours comes with the first millisecond that is not
too early, which also lets timers of the same millisecond share a wake-up.

uvloop also keeps a UDP socket whose opening is cancelled half-way; here that is closed
as soon as it is open, within two turns.

Threads that a sound library holds (``Hands``) are waited for at the end, and not for ever.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import sys
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

log = logging.getLogger(__name__)

T = TypeVar("T")
Words = TypeVarTuple("Words")

# Implementation
SWITCH_INTERVAL = 0.0005  # s; audio callbacks wait at most this long for busy threads
COLLECTING = (700, 10, 3)
"""Allocations before garbage is looked for, and of such looks those that go further. By default the
last is 10: what a flood of connections leaves behind was then looked through in 0.1 s and more."""
ROUNDING = 0.001  # ms that a float of many seconds may be off
LAST_WORK = 2.0  # s that a device may take to close at the end


class Hands(ThreadPoolExecutor):
    """Threads for what blocks and may be left undone at the end: files read, devices."""

    def __init__(self) -> None:
        super().__init__()
        self._work: set[Future[Any]] = set()

    def submit(self, work: Callable[..., T], /, *words: Any, **named: Any) -> Future[T]:
        """Do it on a thread."""
        done = super().submit(work, *words, **named)
        self._work.add(done)
        done.add_done_callback(self._work.discard)
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more; wait for what is being done, and no longer than ``LAST_WORK``."""
        super().shutdown(False, cancel_futures=cancel_futures)
        if wait:
            wait_for(tuple(self._work), LAST_WORK)

    @property
    def hang(self) -> bool:
        """Whether something is still being done: Python would wait for it for ever."""
        return bool(self._work)


def whole_ms(delay: float, now: float) -> int:
    """Milliseconds from the one that ``now`` is in to the first not before ``now + delay``."""
    return math.ceil((now + delay) * 1000 - ROUNDING) - math.floor(now * 1000)


def new_loop() -> asyncio.AbstractEventLoop:
    """A fresh loop; ``ImportError`` without uvloop."""
    import uvloop

    class Loop(uvloop.Loop):
        def call_later(
            self,
            delay: float,
            callback: Callable[[Unpack[Words]], object],
            *args: *Words,
            context: Context | None = None,
        ) -> asyncio.TimerHandle:
            whole = whole_ms(delay, time.monotonic())
            return super().call_later(whole / 1000, callback, *args, context=context)

        async def create_datagram_endpoint(self, *args: Any, **more: Any) -> Any:
            opening = self.create_task(super().create_datagram_endpoint(*args, **more))
            try:
                return await asyncio.shield(opening)
            except asyncio.CancelledError:
                with suppress(OSError):
                    opened: Any = await opening
                    opened[0].close()
                raise

    return Loop()


async def _watched(main: Coroutine[Any, Any, T], hands: Hands | None) -> T:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_complain)
    if hands is not None:
        loop.set_default_executor(hands)
    return await main


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Our own bugs are loud; what sockets and strangers do is for whoever looks for it."""
    error = context.get("exception")
    if error is None or isinstance(error, OSError | EOFError | asyncio.CancelledError):
        log.debug("%s: %r", context.get("message"), error)
    else:
        log.error("%s (a bug in vchat)", context.get("message"), exc_info=error)


def run_from_thread(make: Callable[[], Coroutine[Any, Any, T]], at: asyncio.AbstractEventLoop) -> T:
    """What ``make()`` brings when it runs in the loop ``at``; for another thread, which waits.

    It is made there too, so that a loop which ends first leaves none behind that nobody awaits.
    ``RuntimeError`` if the loop is closed, ``concurrent.futures.CancelledError`` if it ends.
    """
    done: Future[T] = Future()

    def finish(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            done.cancel()
        elif (error := task.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(task.result())

    at.call_soon_threadsafe(lambda: at.create_task(make()).add_done_callback(finish))
    return done.result()


def run(main: Coroutine[Any, Any, T], hands: Hands | None = None) -> T:
    """Run ``main`` to its end in a fresh loop, with ``hands`` for what blocks."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.freeze()  # modules stay; to look through them now and then would hold the voice for 25 ms
    gc.set_threshold(*COLLECTING)
    main = _watched(main, hands)
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)

"""What a sound library must be able to do for us; see ``audio.devices`` for which there are.

Streams call back on a thread of the library, where nothing may be done but copying into
a ring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from vc_core.record import record

# Implementation
# Asked of a device; it may do as it likes
HEARD_AT_ONCE = 0.02  # seconds of a microphone: less would wait for the rest of its frame
PLAYED_AT_ONCE = 0.01  # seconds of a speaker: more would wait in its buffer


@record(slots=True)
class Device:
    """One microphone or speaker."""

    number: int
    """What a SPEC may say instead of the name."""
    name: str
    channels: int
    rate: int
    """Hertz that it likes best."""
    default: bool
    handle: Any
    """What its backend knows it by."""


class Stream(Protocol):
    """An open device."""

    rate: int
    """Hertz of the samples that are exchanged."""
    latency: float
    """Seconds between the air and our callback, as far as is known."""

    def close(self) -> None:
        """Stop; no callback comes afterwards. Blocks."""


Deliver = Callable[[NDArray[Any]], None]
"""Takes float32 samples, shape (n,) or (n, channels), on the library's thread."""
Fetch = Callable[[NDArray[Any]], None]
"""Fills float32 stereo samples, shape (n, 2), on the library's thread."""


async def open_stream(opening: Callable[[], Stream]) -> Stream:
    """A device, opened in an executor; one that opens after we gave up is closed again."""
    stream = asyncio.get_running_loop().run_in_executor(None, opening)
    try:
        return await asyncio.shield(stream)
    except asyncio.CancelledError:
        stream.add_done_callback(_close)
        raise


def _close(late: asyncio.Future[Stream]) -> None:
    if not late.cancelled() and late.exception() is None:
        late.result().close()


class Backend(Protocol):
    """A library that reaches devices."""

    name: str

    def microphones(self) -> list[Device]:
        """All that can be captured from."""

    def speakers(self) -> list[Device]:
        """All that can be played to."""

    def capture(self, device: Device, deliver: Deliver) -> Stream:
        """Open and start a microphone; ``AudioUnavailable`` if it refuses."""

    def play(self, device: Device, fetch: Fetch) -> Stream:
        """Open and start a speaker; ``AudioUnavailable`` if it refuses."""

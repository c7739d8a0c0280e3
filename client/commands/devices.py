"""``vchat devices``: what a SPEC can name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vc_core.clean import clean_text

if TYPE_CHECKING:
    from audio.backend import Device


def lines() -> Iterator[str]:
    """Microphones and speakers, one line each, ``*`` before the default. Blocks."""
    from audio import devices

    yield f"sound library: {devices.backend_name()}"
    yield from _table("microphones (--mic)", devices.microphones())
    yield from _table("speakers (--speaker)", devices.speakers())


def _table(title: str, found: Sequence[Device]) -> Iterator[str]:
    yield f"{title}:" if found else f"{title}: none"
    for one in found:
        mark = "*" if one.default else " "
        yield f" {mark}{one.number:3d}  {clean_text(one.name)}  ({one.channels} ch, {one.rate} Hz)"

"""``vchat devices``: what a SPEC can name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vc_core.clean import clean_text

if TYPE_CHECKING:
    from audio.backend import Device
    from video.shelf import Shelf


def lines() -> Iterator[str]:
    """Microphones, speakers, screens, cameras, one line each, ``*`` before the default. Blocks."""
    from audio import devices
    from video import shelf

    yield f"sound library: {devices.backend_name()}"
    yield from _table("microphones (--mic)", devices.microphones())
    yield from _table("speakers (--speaker)", devices.speakers())
    yield from _sources("screens (/share)", shelf.screens())
    yield from _sources("cameras (/share)", shelf.cameras())


def _table(title: str, found: Sequence[Device]) -> Iterator[str]:
    yield f"{title}:" if found else f"{title}: none"
    for one in found:
        mark = "*" if one.default else " "
        yield f" {mark}{one.number:3d}  {clean_text(one.name)}  ({one.channels} ch, {one.rate} Hz)"


def _sources(title: str, shelf: Shelf) -> Iterator[str]:
    yield f"{title}:" if shelf.items else f"{title}: none"
    for one in shelf.items:
        mark = "*" if one.default else " "
        size = f"  ({one.size.width}x{one.size.height})" if one.size is not None else ""
        yield f" {mark}  {clean_text(one.spec)}  {clean_text(one.name)}{size}"

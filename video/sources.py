"""Where pictures come from: one edge for screens, cameras, files and the test pattern.

SPEC    screen | screen:N | camera | camera:NAME | file:PATH | loop:PATH | test
"""

from __future__ import annotations

from collections.abc import Callable

from video.source import Source, Wish
from video.unavailable import PictureUnavailable

KINDS = "screen, screen:N, camera, camera:NAME, file:PATH, loop:PATH or test"


def _screen(rest: str, wish: Wish) -> Source:
    from video.screen import open_screen

    return open_screen(rest, wish)


def _camera(rest: str, wish: Wish) -> Source:
    from video.camera import open_camera

    return open_camera(rest, wish)


def _file(rest: str, wish: Wish) -> Source:
    from video.clip import Clip

    return Clip(rest, again=False)


def _loop(rest: str, wish: Wish) -> Source:
    from video.clip import Clip

    return Clip(rest, again=True)


def _test(rest: str, wish: Wish) -> Source:
    from video.clip import Drawn

    return Drawn(wish)


OPENERS: dict[str, Callable[[str, Wish], Source]] = {
    "screen": _screen,
    "camera": _camera,
    "file": _file,
    "loop": _loop,
    "test": _test,
}
WAITS_FOR_VIEWERS = {"file"}
NEEDS_MORE = {"file", "loop"}


def kind_of(spec: str) -> str:
    """The word before the colon; ``PictureUnavailable`` if the SPEC means nothing."""
    kind, _, rest = spec.partition(":")
    if kind not in OPENERS or (kind in NEEDS_MORE and not rest):
        raise PictureUnavailable(
            "picture-spec", f"'{spec}' names nothing that can be shown", f"use {KINDS}"
        )
    return kind


def open_source(wish: Wish) -> Source:
    """Open what the SPEC names; blocks; ``PictureUnavailable`` if it cannot be had."""
    return OPENERS[kind_of(wish.spec)](wish.spec.partition(":")[2], wish)

"""A picture on the screen: asked for, drawn, covered, uncovered, taken away."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from client.ui.inquiry import depth_of
from client.ui.picture import fitted
from tests.client.ui import story
from tests.client.ui.glass import Glass, glass
from tests.client.ui.test_watching import offered
from video import sixel
from video.answers import Terminal
from video.canvas import HEAD
from video.cells import Depth

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such sockets")

XTERM = "\x1bP>|XTerm(379)\x1b\\\x1b[6;16;8t\x1b[?62;22c"
KITTY = "\x1b_Gi=31;OK\x1b\\\x1b[6;16;8t\x1b[?62c"
KITTY_HERE = "\x1b_Gi=31;OK\x1b\\\x1b_Gi=32;OK\x1b\\\x1b[6;16;8t\x1b[?62c"
SIXEL = "\x1b[6;16;8t\x1b[?62;4c"
DRAWN = "\x1b[0n"


class Viewer:
    """The other end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def asked(self) -> tuple[int, int]:
        """The next size that is asked for."""
        async with asyncio.timeout(5):
            words = json.loads(await self._reader.readline())
        return words["width"], words["height"]

    async def show(self, seed: int) -> tuple[int, int]:
        """Answer the next question with noise."""
        width, height = await self.asked()
        rgb = np.random.default_rng(seed).integers(0, 256, 3 * width * height).astype(np.uint8)
        self.send(width, height, rgb.tobytes())
        return width, height

    def send(self, width: int, height: int, rgb: bytes) -> None:
        """A picture, asked for or not."""
        self._writer.write(HEAD.pack(4 + len(rgb), width, height) + rgb)

    def hang_up(self) -> None:
        """Die."""
        self._writer.close()


@asynccontextmanager
async def watching(
    answers: str, columns: int = 80, rows: int = 24
) -> AsyncIterator[tuple[Glass, Viewer]]:
    """Bob's screen in a terminal that gives these answers."""
    async with glass(columns, rows) as one:
        one.tell(story.ROOM, story.joined(), offered())
        one.press("/watch bob terminal\r")
        await one.until(lambda: "\x1b[>q" in one.bytes)
        one.press(answers)
        await one.until(lambda: bool(one.orders.sent))
        to = str(one.orders.sent[0]["to"])
        assert to.startswith("terminal:")
        viewer = Viewer(*await asyncio.open_unix_connection(to.removeprefix("terminal:")))
        started = {"event": "stream-started", "member": "m1", "stream": 1, "codec": "h264"}
        one.tell({**started, "width": 1920, "height": 1080})
        yield one, viewer


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("TMUX", "COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


async def test_half_blocks_are_drawn_between_the_screens_own_redraws() -> None:
    async with watching(XTERM) as (one, viewer):
        assert await viewer.show(1) == (64, 36)
        await one.until(lambda: one.bytes.count("▀") > 1000)
        assert "\x1b[?2026h\x1b7\x1b[001;009H" in one.bytes
        assert "bob" in one.text()


async def test_answers_are_no_keys_and_keys_are_still_keys() -> None:
    async with watching(XTERM) as (one, _):
        one.press("hello")
        await one.shows("> hello")
        assert "XTerm" not in one.text()


async def test_the_next_picture_waits_until_the_terminal_has_drawn_the_last() -> None:
    async with watching(XTERM) as (one, viewer):
        await viewer.show(1)
        await one.until(lambda: "\x1b[5n" in one.bytes)
        question = asyncio.create_task(viewer.asked())
        await asyncio.sleep(0.15)
        assert not question.done()
        one.press(DRAWN)
        assert await question == (64, 36)


async def test_a_terminal_that_never_says_so_gets_pictures_all_the_same() -> None:
    async with watching(XTERM) as (_, viewer):
        for seed in range(3):
            await viewer.show(seed)


async def test_a_page_over_the_picture_is_not_drawn_over() -> None:
    async with watching(XTERM) as (one, viewer):
        await viewer.show(1)
        await one.until(lambda: "▀" in one.bytes)
        one.press("\x1bOP")
        await one.shows("keys and commands")
        await asyncio.sleep(0.1)
        before = one.bytes.count("▀")
        one.press(DRAWN)
        await viewer.show(2)
        await asyncio.sleep(0.1)
        assert one.bytes.count("▀") == before
        one.press("\x1bOP")
        await one.until(lambda: one.bytes.count("▀") > before + 1000)


async def test_another_size_of_the_terminal_asks_for_another_picture() -> None:
    async with watching(XTERM) as (one, viewer):
        await viewer.show(1)
        await one.until(lambda: "▀" in one.bytes)
        one.press(DRAWN)
        one.resize(120, 40)
        while await viewer.asked() != (120, 68):
            pass  # the question of before


async def test_the_end_of_the_stream_gives_the_room_back() -> None:
    async with watching(XTERM) as (one, viewer):
        await viewer.show(1)
        await one.until(lambda: "▀" in one.bytes)
        one.tell({"event": "stream-ended", "member": "m1", "stream": 1})
        await one.shows("bob shares no more")
        await one.until(lambda: "bob" in one.rows()[1])
        folder = Path(str(one.orders.sent[0]["to"]).removeprefix("terminal:")).parent
        assert not folder.exists()


async def test_a_viewer_that_dies_gives_the_room_back() -> None:
    async with watching(XTERM) as (one, viewer):
        viewer.hang_up()
        await one.until(lambda: "bob" in one.rows()[1])


@pytest.mark.parametrize("size", [(9, 9), (4000, 4000)])
async def test_a_picture_that_nobody_asked_for_ends_the_viewer(size: tuple[int, int]) -> None:
    async with watching(XTERM) as (one, viewer):
        await viewer.asked()
        viewer.send(*size, bytes(3 * 81))
        await one.until(lambda: "bob" in one.rows()[1])


async def test_kitty_over_a_line_gets_pixels() -> None:
    async with watching(KITTY) as (one, viewer):
        assert await viewer.show(1) == (512, 288)
        await one.until(lambda: "\x1b_Ga=T" in one.bytes and "m=0" in one.bytes)
        assert "c=64,r=18" in one.bytes


async def test_kitty_on_this_machine_gets_a_file() -> None:
    async with watching(KITTY_HERE) as (one, viewer):
        await viewer.show(1)
        await one.until(lambda: "t=t;" in one.bytes.partition("a=T")[2])
        shown = re.search(r"a=T[^;]*;([^\x1b]*)\x1b", one.bytes)
        assert shown
        path = base64.b64decode(shown[1]).decode()
        assert os.path.getsize(path) == 512 * 288 * 3 and os.stat(path).st_mode & 0o77 == 0
        one.press("/unwatch\r")
        one.tell({"event": "stream-unwatched", "member": "m1", "stream": 1})
        await one.until(lambda: "a=d,d=I" in one.bytes)
        assert not os.path.exists(path)


async def test_sixels_are_as_large_as_their_cells() -> None:
    async with watching(SIXEL) as (one, viewer):
        await one.until(lambda: "\x1b[?1;1;0S" in one.bytes)
        one.press("\x1b[?1;0;256S\x1b[?62;4c")
        assert await viewer.show(1) == (512, 288)
        await one.until(lambda: '"1;1;512;288' in one.bytes)


async def test_sixels_are_no_larger_than_xterm_takes() -> None:
    async with watching(SIXEL, columns=200, rows=80) as (one, viewer):
        await one.until(lambda: "\x1b[?1;1;0S" in one.bytes)
        one.press("\x1b[?1;0;256S\x1b[?62;4c")
        width, height = await viewer.show(1)
        assert 900 < width <= sixel.MOST and 500 < height <= sixel.MOST


async def test_without_a_display_the_terminal_is_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    async with glass() as one:
        one.tell(story.ROOM, story.joined(), offered())
        one.press("/watch bob\r")
        await one.until(lambda: bool(one.orders.sent))
        assert str(one.orders.sent[0]["to"]).startswith("terminal:")


async def test_sharing_stands_in_the_status_row_and_f8_ends_it() -> None:
    async with glass() as one:
        one.tell(story.ROOM, offered("m0", 3))
        await one.shows("SHARING (F8 ends it)")
        one.press("\x1b[19~")
        await one.until(lambda: one.orders.sent == [{"do": "unshare", "stream": 3}])


@pytest.mark.parametrize(
    ("environment", "version", "depth"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "", Depth.TRUE),
        ({"TERM": "xterm"}, "XTerm(379)", Depth.TRUE),
        ({"TERM": "xterm"}, "", Depth.FEW),
        ({"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "", Depth.NONE),
        ({"TERM": "dumb"}, "", Depth.NONE),
    ],
)
def test_colours_are_those_of_the_terminal(
    environment: dict[str, str], version: str, depth: Depth
) -> None:
    assert depth_of(environment, Terminal(version=version)) is depth


def test_a_picture_fits_into_its_cells() -> None:
    assert fitted((1920, 1080), (80, 18), (8, 16)) == (64, 18)
    assert fitted((1920, 1080), (80, 40), (8, 16)) == (80, 22)
    assert fitted((1, 5000), (80, 40), (8, 16)) == (1, 40)

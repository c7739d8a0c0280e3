"""A picture on the screen: where it stands, and how its pixels get into the terminal.

    ┌────────────────────┐
    │      picture       │   ``window``: blanks for prompt_toolkit, drawn over by us
    ├──────────┬─────────┤
    │ members  │ texts   │

Rule 1: prompt_toolkit writes only cells that changed, so blanks that stay blanks are
        never written again; what else it laid over the picture (a menu, the page of
        help) is found in its last screen, left alone, and painted again afterwards.
Rule 2: the next picture is asked for when the terminal says that it has drawn the last
        one (DSR), at most ``RATES`` times a second: over a slow line pictures become
        fewer, never late.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import Dimension, UIContent, UIControl, Window

from client.ui.easel import Easel, Size
from client.ui.inquiry import Inquiry, depth_of
from video import kitty
from video.answers import ASK_DRAWN, Means

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from video.cells import Cells

# Specification
RATES: Mapping[Means, float] = {
    Means.KITTY_FILE: 30.0,
    Means.KITTY: 20.0,
    Means.SIXEL: 12.0,
    Means.CELLS: 20.0,
}
"""Pictures a second at most."""

# Implementation
NUMBER = 7501  # of our picture among those of the terminal
LEAST_ROWS = 4
TEXT_ROWS = 6  # rows that stay for texts, status and input
CELL = (8, 16)  # pixels, where the terminal does not say
PATIENCE = 0.5  # s for the terminal to say that it has drawn
STYLE = "class:picture"
SHAPE = (16, 9)  # until the stream's is known

Place = tuple[int, int, int, int]
"""left, top, columns, rows: cells, from 0."""


class Picture(UIControl):
    """At most one at a time."""

    def __init__(self, app: Application[Any]) -> None:
        self._app = app
        self._inquiry = Inquiry(app, self._heard)
        self._means: Means | None = None
        self._easel: Easel | None = None
        self._cells: Cells | None = None
        self._place: Place | None = None
        self._last: object = None
        """The picture that was drawn last."""
        self._under: NDArray[np.bool_] | None = None
        """Which of its cells something else stood on then."""
        self._stale = True
        self._file = ""
        """What the terminal should have read and deleted."""
        self._awaiting = 0
        """The count of DSR answers that says that all is drawn; 0 when none is awaited."""
        self._await_until = 0.0
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._whole = False
        self.shape: Size = SHAPE
        """Width and height of the stream's pictures."""
        self.drawings = 0
        """How many pictures were drawn."""
        self.window = Window(self, height=self._height, dont_extend_height=True)
        app.before_render += self._before_render
        app.after_render += self._after_render

    @property
    def on(self) -> bool:
        """Whether there is one."""
        return self._easel is not None

    async def open(self) -> str:
        """Make room for a picture; the ``to`` of the command ``watch``."""
        if self._means is None:
            self._means = await self._inquiry.ask()
        self.close()
        self._easel = easel = Easel(self._step)
        await easel.open()
        self._app.invalidate()
        return f"terminal:{easel.path}"

    def close(self) -> None:
        """Away with it."""
        if self._easel is None:
            return
        self._easel.close()
        self._easel = None
        self._forget()
        self._place = None
        self.shape = SHAPE
        self._app.invalidate()

    def reshape(self, shape: Size) -> None:
        """The stream's pictures have this width and height."""
        if shape != self.shape:
            self.shape = shape
            self._app.invalidate()

    # ---- What prompt_toolkit asks ------------------------------------------------------

    def create_content(self, width: int, height: int) -> UIContent:
        """Blanks."""
        row: StyleAndTextTuples = [(STYLE, " " * width)]
        return UIContent(get_line=lambda _: row, line_count=max(1, height), show_cursor=False)

    def _height(self) -> Dimension:
        """As high as its shape asks for, as long as some rows stay for the rest."""
        size = self._app.output.get_size()
        room = max(LEAST_ROWS, size.rows - TEXT_ROWS)
        return Dimension.exact(self._fitted(size.columns, room)[1])

    def _before_render(self, app: Application[Any]) -> None:
        self._whole = app.renderer.last_rendered_screen is None

    def _after_render(self, _app: Application[Any]) -> None:
        if self._whole:
            self._stale = True
            if self._cells is not None:
                self._cells.forget()
        self._step()

    # ---- One step ----------------------------------------------------------------------

    def _heard(self) -> None:
        if self._awaiting and self._inquiry.terminal.drawn >= self._awaiting:
            self._awaiting = 0
            self._step()

    def _step(self) -> None:
        """Draw what there is to draw, ask for what is wanted; from any cause."""
        easel = self._easel
        if easel is None:
            return
        if easel.gone:
            self.close()
            return
        place = self._find_place()
        if place is None:
            return
        if place != self._place:
            self._place = place
            if self._forget():
                return
        size = self._pixels(place)
        newest = easel.newest
        if newest is not None and newest[0] == size:
            self._draw(newest, place)
        self._ask(easel, size)

    def _ask(self, easel: Easel, size: Size) -> None:
        """The next picture, if it is time for it."""
        if easel.asked == size:
            return
        now = asyncio.get_running_loop().time()
        if self._awaiting and now >= self._await_until:
            self._awaiting = 0
        due = max(self._not_before, self._await_until if self._awaiting else 0.0)
        if now < due:
            self._later(due - now)
        else:
            easel.ask(size)

    def _later(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(wait, self._step)

    # ---- Where ---------------------------------------------------------------------------

    def _cell(self) -> Size:
        return self._inquiry.terminal.cell or CELL

    def _find_place(self) -> Place | None:
        """The picture's cells in the middle of the window; None when it is not shown."""
        screen = self._app.renderer.last_rendered_screen
        found = screen.visible_windows_to_write_positions.get(self.window) if screen else None
        if found is None or found.width < 2 or found.height < 1:
            return None
        columns, rows = self._fitted(found.width, found.height)
        left = found.xpos + (found.width - columns) // 2
        return left, found.ypos + (found.height - rows) // 2, columns, rows

    def _fitted(self, columns: int, rows: int) -> Size:
        """Columns and rows of the picture in a room of cells."""
        cell = self._cell()
        if self._means is Means.SIXEL:
            from video import sixel

            columns, rows = min(columns, sixel.MOST // cell[0]), min(rows, sixel.MOST // cell[1])
        return fitted(self.shape, (columns, rows), cell)

    def _pixels(self, place: Place) -> Size:
        """The size of a picture that fills the place."""
        _, _, columns, rows = place
        if self._means is Means.CELLS:
            return columns, 2 * rows
        width, height = self._cell()
        most = (
            self.shape if self._means is not Means.SIXEL and self.shape != SHAPE else (3840, 2160)
        )
        scale = min(1.0, most[0] / (columns * width), most[1] / (rows * height))
        return max(1, int(columns * width * scale)), max(1, int(rows * height * scale))

    def _covered(self, place: Place) -> NDArray[np.bool_]:
        """Which of its cells something else stands on."""
        import numpy as np

        left, top, columns, rows = place
        screen = self._app.renderer.last_rendered_screen
        assert screen is not None
        buffer = screen.data_buffer
        return np.array(
            [
                [STYLE not in buffer[y][x].style for x in range(left, left + columns)]
                for y in range(top, top + rows)
            ],
            bool,
        )

    # ---- Drawing -------------------------------------------------------------------------

    def _draw(self, picture: tuple[Size, bytes], place: Place) -> None:
        covered, fresh = self._covered(place), picture is not self._last
        newly = self._under is not None and (covered & ~self._under).any()
        self._under = covered
        if newly:  # blanks on top of us are none to prompt_toolkit: it must write all
            self._begin_anew()
            return
        size, rgb = picture
        if self._means is Means.CELLS:
            text = self._as_cells(size, rgb, place, covered)
        elif covered.any() or not (fresh or self._stale):
            return
        else:
            text = self._as_pixels(size, rgb, place)
        self._last, self._stale = picture, False
        if not fresh and not text:
            return
        self.drawings += fresh
        now = asyncio.get_running_loop().time()
        self._not_before = now + 1 / RATES[self._means or Means.CELLS]
        if self._inquiry.listen():
            self._awaiting, self._await_until = self._inquiry.terminal.drawn + 1, now + PATIENCE
            text += ASK_DRAWN.encode()
        self._inquiry.write(text.decode())

    def _as_cells(self, size: Size, rgb: bytes, place: Place, covered: NDArray[np.bool_]) -> bytes:
        import numpy as np

        from video.cells import Cells

        left, top, columns, rows = place
        if self._cells is None:
            self._cells = Cells(rows, columns, depth_of(os.environ, self._inquiry.terminal))
        pixels = np.frombuffer(rgb, np.uint8).reshape(size[1], size[0], 3)
        return self._cells.draw(pixels, left, top, covered)

    def _as_pixels(self, size: Size, rgb: bytes, place: Place) -> bytes:
        import numpy as np

        from video import sixel
        from video.cells import BEGIN, END

        left, top, columns, rows = place
        move = f"\x1b[{top + 1};{left + 1}H".encode()
        if self._means is Means.SIXEL:
            pixels = np.frombuffer(rgb, np.uint8).reshape(size[1], size[0], 3)
            levels = sixel.levels_of(self._inquiry.terminal.registers or 16)
            return BEGIN + move + sixel.show(pixels, levels) + END
        if self._means is Means.KITTY_FILE:
            self._file = path = _written(rgb)
            return BEGIN + move + kitty.show_file(path, size, NUMBER, (columns, rows)) + END
        return BEGIN + move + kitty.show(rgb, size, NUMBER, (columns, rows)) + END

    def _take_away(self) -> None:
        """A picture of pixels stands over whatever is written there."""
        if not self._stale and self._means in (Means.KITTY, Means.KITTY_FILE):
            self._inquiry.write(kitty.erase(NUMBER).decode())
        if self._file:
            with contextlib.suppress(OSError):  # the terminal has deleted it
                os.unlink(self._file)
        self._stale, self._file = True, ""

    def _begin_anew(self) -> None:
        """prompt_toolkit does not know what stands there, so it writes everything again."""
        self._take_away()
        self._app.renderer.erase(leave_alternate_screen=False)
        self._app.invalidate()

    def _forget(self) -> bool:
        """The place is given up; whether something of ours stood there."""
        drawn = self._last is not None
        if drawn:
            self._begin_anew()
        self._cells, self._last, self._under, self._stale = None, None, None, True
        return drawn


def fitted(shape: Size, room: Size, cell: Size) -> Size:
    """Columns and rows of the largest place of a shape (in pixels) in a room of cells."""
    columns, rows = room
    scale = min(columns * cell[0] / shape[0], rows * cell[1] / shape[1])
    width, height = shape[0] * scale / cell[0], shape[1] * scale / cell[1]
    return max(1, min(columns, round(width))), max(1, min(rows, round(height)))


def _written(rgb: bytes) -> str:
    """A file for the terminal, which deletes it; in memory, where there is such a folder."""
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    descriptor, path = tempfile.mkstemp(f"-{kitty.FILE_MARK}", "vchat-", folder)
    with open(descriptor, "wb") as file:
        file.write(rgb)
    return path

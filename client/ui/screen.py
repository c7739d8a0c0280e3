"""The full screen: members left, texts right, a status row, the line one types.

    ● ann *        direct 12 ms │ 14:05 * ann, the host, is here
    ○ bob                   you │ 14:05 ann: hello
    ────────────────────────────┴────────────────────────────────
     mic on | room code: … | F1 help  F3 mute  F4 deafen
    > _

Rule 1: a redraw costs 10 ms, so events are gathered: at most ``RATE`` redraws a
        second come from them, and none when nothing has changed. Keys draw at once.
Rule 2: members stand left of the texts, whose pictures some terminals draw wider or
        narrower than anybody can know beforehand.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    UIContent,
    UIControl,
    VSplit,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output import Output

from client.ui import panel, theme
from client.ui.keys import bindings
from client.ui.model import Model
from client.ui.page import HelpPage
from client.ui.pane import TextPane
from client.ui.picture import Picture
from client.ui.slash import Local, complete
from client.ui.typed import Hold, Typed
from video.window import has_display

# Specification
RATE = 15.0  # redraws a second that events may cause

# Implementation
WIDE = 64  # columns from which on the members have a column of their own
COLUMN = (24, 32)  # least and most cells of that column
INPUT_ROWS = 4  # most rows of the line being typed
ESCAPE_PATIENCE = 0.05  # s until an escape is the key and not the start of another


class Screen:
    """One call on a terminal."""

    def __init__(
        self, engine: Hold, *, input: Input | None = None, output: Output | None = None
    ) -> None:
        self.model = Model(states=False)
        self.helping = False
        self._engine = engine
        self._typed = Typed(self.model, engine, self, clock)
        self.input = Buffer(
            name="line",
            multiline=False,
            completer=_SlashCompleter(self.model),
            complete_while_typing=Condition(lambda: self.input.text.startswith("/")),
            accept_handler=self._accept,
        )
        self._page = HelpPage()
        self._drawn = -1
        self._timer: asyncio.TimerHandle | None = None
        self._next_draw = 0.0
        self.app: Application[None] = Application(
            key_bindings=bindings(self),
            style=theme.style(),
            color_depth=theme.color_depth(os.environ),
            full_screen=True,
            mouse_support=False,
            terminal_size_polling_interval=None,
            input=input,
            output=output,
        )
        self.app.ttimeoutlen = self.app.timeoutlen = ESCAPE_PATIENCE
        self._marks = theme.marks(self.app.output.encoding())
        self._picture = Picture(self.app)
        self._pictured: tuple[str, int] | None = None
        """The stream that the terminal shows."""
        self._pane = TextPane(self.model, self._marks)
        self.app.layout = self._layout()

    # ---- The world in ----------------------------------------------------------------

    def receive(self, event: dict[str, Any]) -> None:
        """One event of the engine."""
        self.model.receive(event, clock())
        self._follow_picture()
        self._changed()

    def _changed(self) -> None:
        """Draw soon, if there is something new to see."""
        if self._timer is not None or self.model.revision == self._drawn:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, self._next_draw - loop.time()), self._draw)

    def _draw(self) -> None:
        self._timer = None
        self._drawn = self.model.revision
        self._next_draw = asyncio.get_running_loop().time() + 1 / RATE
        self.app.invalidate()

    # ---- The person in ---------------------------------------------------------------

    def do(self, what: Local) -> None:
        """A key."""
        self._typed.do(what)
        self._changed()

    def interrupt(self) -> None:
        """Ctrl-C: politely, then at once."""
        self._engine.interrupt()

    def page(self, pages: int) -> None:
        """PageUp and PageDown."""
        if self.helping:
            self._page.move(pages)
        elif pages < 0:
            self._pane.up()
        else:
            self._pane.down()

    def show_help(self) -> None:
        """Lay the page over the screen."""
        self._page.top = 0
        self.helping = True

    def close(self) -> None:
        """The face ends, the call may go on."""
        self._picture.close()

    def copy(self, text: str) -> bool:
        """By OSC 52; whether the terminal allows it, nobody tells."""
        letters = base64.b64encode(text.encode()).decode()
        self.app.output.write_raw(f"\x1b]52;c;{letters}\x07")
        self.app.output.flush()
        return True

    def watch(self, command: Mapping[str, Any]) -> str:
        """Into a window, or where there is no display into the terminal."""
        to = command["to"] or ("window" if has_display(os.environ, sys.platform) else "terminal")
        if to != "terminal":
            self._engine.send({**command, "to": to})
        elif sys.platform == "win32":
            return "pictures in a terminal do not work on Windows: /watch NAME window"
        else:
            self.app.create_background_task(self._watch_here(command))
        return ""

    async def _watch_here(self, command: Mapping[str, Any]) -> None:
        to = await self._picture.open()
        self._pictured = (command["member"], command["stream"])
        self._engine.send({**command, "to": to})

    def _follow_picture(self) -> None:
        """Its shape when it is known; away with it when its stream has gone."""
        if self._pictured is None:
            return
        stream = self.model.streams.offered.get(self._pictured)
        if stream is None or not stream.watched:
            self._pictured = None
            self._picture.close()
        elif stream.seen and stream.width and stream.height:
            self._picture.reshape((stream.width, stream.height))

    def _accept(self, buffer: Buffer) -> bool:
        self.helping = False
        if buffer.text.strip():
            self._pane.end()
            self._pane.forget_mark()
        self._typed.line(buffer.text)
        return False

    # ---- Layout ----------------------------------------------------------------------

    def _layout(self) -> Layout:
        wide = Condition(lambda: self._columns() >= WIDE)
        bar = Window(FormattedTextControl(self._member_bar), height=1)
        members = Window(_Rows(self._member_rows), width=self._column_width)
        rule = Window(width=1, char=self._marks.upright, style="class:rule")
        texts = Window(self._pane, height=Dimension(min=1, preferred=1000))
        line = Window(
            BufferControl(self.input, input_processors=[BeforeInput("> ", "class:prompt")]),
            height=Dimension(min=1, max=INPUT_ROWS),
            wrap_lines=True,
            dont_extend_height=True,
        )
        body = VSplit([ConditionalContainer(VSplit([members, rule]), wide), texts])
        status = Window(FormattedTextControl(self._status), height=1)
        page = Window(self._page, style="class:page")
        shown = Condition(lambda: self.helping)
        pictured = Condition(lambda: self._picture.on)
        picture = ConditionalContainer(self._picture.window, pictured)
        everything = HSplit([picture, ConditionalContainer(bar, ~wide), body, status, line])
        menu = CompletionsMenu(max_height=6, scroll_offset=1)
        floats = [
            Float(ConditionalContainer(page, shown), top=0, bottom=2, left=0, right=0),
            Float(menu, xcursor=True, ycursor=True),
        ]
        return Layout(FloatContainer(everything, floats), focused_element=line)

    def _columns(self) -> int:
        return self.app.output.get_size().columns

    def _column_width(self) -> Dimension:
        least, most = COLUMN
        return Dimension.exact(max(least, min(most, self._columns() // 3)))

    def _member_rows(self, width: int, height: int) -> list[StyleAndTextTuples]:
        return panel.member_rows(self.model, self._marks, width, height)

    def _member_bar(self) -> StyleAndTextTuples:
        return panel.member_bar(self.model, self._marks, self._columns())

    def _status(self) -> StyleAndTextTuples:
        pane = self._pane
        return panel.status(self.model, pane.unread, pane.scrolled, self._columns())


class _Rows(UIControl):
    """Rows that depend on the size of their window."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def create_content(self, width: int, height: int) -> UIContent:
        rows = self._make(width, height)
        return UIContent(get_line=rows.__getitem__, line_count=len(rows), show_cursor=False)


class _SlashCompleter(Completer):
    """Commands and names."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """What fits before the cursor."""
        for text, replaced in complete(document.text_before_cursor, self._model.others):
            yield Completion(text, start_position=-replaced)


def clock() -> str:
    """What lines say about when they came."""
    return time.strftime("%H:%M")

"""A terminal in memory: a screen runs on it, tests read what it shows and press keys."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from client.ui.screen import Screen
from tests.client.fake_engine import until
from tests.client.ui.story import Event


class _Tty(io.StringIO):
    """Where the bytes for the terminal go."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Orders:
    """What a screen does to its engine."""

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []
        self.left = 0
        self.interrupts = 0
        self.detached = False

    def send(self, command: object) -> None:
        """Note the command."""
        assert isinstance(command, dict)
        self.sent.append(command)

    def leave(self) -> None:
        """Note it."""
        self.left += 1

    def interrupt(self) -> None:
        """Note it."""
        self.interrupts += 1

    def detach(self) -> None:
        """Note it."""
        self.detached = True


class Glass:
    """A running screen."""

    def __init__(self, columns: int, rows: int, keys: PipeInput) -> None:
        self.size = Size(rows=rows, columns=columns)
        self.tty = _Tty()
        self.orders = Orders()
        self._keys = keys
        output = Vt100_Output(self.tty, lambda: self.size, term="xterm", enable_cpr=False)
        self.screen = Screen(self.orders, input=keys, output=output)

    @property
    def drawn(self) -> int:
        """How often it was drawn."""
        return self.screen.app.render_counter

    @property
    def bytes(self) -> str:
        """All that went to the terminal."""
        return self.tty.getvalue()

    def rows(self) -> list[str]:
        """What stands on the glass."""
        shown = self.screen.app.renderer.last_rendered_screen
        if shown is None:
            return []
        rows = [shown.data_buffer[y] for y in range(self.size.rows)]
        texts = ("".join(row[x].char for x in range(self.size.columns)) for row in rows)
        return [text.rstrip() for text in texts]

    def text(self) -> str:
        """The same in one piece."""
        return "\n".join(self.rows())

    def press(self, keys: str) -> None:
        """Send keys as a terminal would."""
        self._keys.send_text(keys)

    def tell(self, *events: Event) -> None:
        """Events of the engine."""
        for event in events:
            self.screen.receive(event)

    def resize(self, columns: int, rows: int) -> None:
        """Another size, as after SIGWINCH."""
        self.size = Size(rows=rows, columns=columns)
        self.screen.app._on_resize()

    async def shows(self, *parts: str) -> None:
        """Until all of it stands on the glass."""
        try:
            await until(lambda: all(part in self.text() for part in parts))
        except TimeoutError:
            raise AssertionError(f"{parts} never stood on\n{self.text()}") from None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until it holds."""
        await until(condition)


@asynccontextmanager
async def glass(columns: int = 80, rows: int = 24) -> AsyncIterator[Glass]:
    """A screen that has been drawn once."""
    with create_pipe_input() as keys:
        one = Glass(columns, rows, keys)
        running = asyncio.create_task(one.screen.app.run_async(handle_sigint=False))
        try:
            await until(lambda: one.rows() or running.done())
            yield one
        finally:
            if not running.done():
                one.screen.app.exit()
            await running
            one.screen.close()

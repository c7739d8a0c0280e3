"""Keys of the screen: each does what a slash command does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from client.ui.slash import Local


class Keyed(Protocol):
    """What keys need of the screen."""

    helping: bool
    """Whether the page of help is shown."""
    input: Buffer

    def do(self, what: Local) -> None:
        """Obey."""

    def interrupt(self) -> None:
        """Ctrl-C."""

    def page(self, pages: int) -> None:
        """Look further back (-1) or on (1)."""


def bindings(screen: Keyed) -> KeyBindings:
    """All keys that are ours; the rest is prompt_toolkit's line editing."""
    keys = KeyBindings()
    for name, what in (("f3", Local.MUTE), ("f4", Local.DEAFEN), ("f8", Local.UNSHARE)):
        keys.add(name)(_doing(screen, what))
    for name, pages in (("pageup", -1), ("pagedown", 1)):
        keys.add(name)(_paging(screen, pages))

    @keys.add("c-c")
    def interrupt(_event: KeyPressEvent) -> None:
        screen.interrupt()

    @keys.add("f1")
    def help(_event: KeyPressEvent) -> None:
        screen.helping = not screen.helping

    @keys.add("escape")
    def clear(_event: KeyPressEvent) -> None:
        if screen.helping:
            screen.helping = False
        else:
            screen.input.reset()

    @keys.add("c-d", filter=Condition(lambda: not screen.input.text))
    def leave(_event: KeyPressEvent) -> None:
        screen.do(Local.LEAVE)

    return keys


def _doing(screen: Keyed, what: Local) -> Callable[[KeyPressEvent], None]:
    return lambda _event: screen.do(what)


def _paging(screen: Keyed, pages: int) -> Callable[[KeyPressEvent], None]:
    return lambda _event: screen.page(pages)

"""Whether an X11 screen may have changed, without looking at it.

The DAMAGE extension tells of drawing, XFIXES of the pointer's shape, RandR of screens
that come, go, or have another size, and where the pointer is can be asked. Some
compositors draw past DAMAGE: a change that is seen without having been told ends the
trust in it.
"""

from __future__ import annotations

import contextlib
import struct

from video.x11 import Connection

# Specification (DAMAGE 1.1, XFIXES 5, RandR 1.2)
_QUERY_VERSION = 0
_DAMAGE_CREATE, _DAMAGE_SUBTRACT = 1, 3
_NON_EMPTY = 3  # one event when the first drawing comes after a subtraction
_SELECT_CURSOR_INPUT, _CURSOR_NOTIFY = 3, 1
_SELECT_SCREEN_INPUT, _SCREENS, _CONTROLLERS = 4, 1, 2


class Damage:
    """One display's news."""

    def __init__(self, display: str, *, cursor: bool) -> None:
        """``OSError`` where the display or the extension cannot be reached."""
        self._connection = Connection(display)
        try:
            self._begin(cursor)
            self._pointer = self._connection.pointer() if cursor else (0, 0)
        except BaseException:
            self._connection.close()
            raise
        self._cursor = cursor
        self._rearranged = False

    def _begin(self, cursor: bool) -> None:
        one = self._connection
        self._opcode, self._told = one.extension("DAMAGE")
        one.ask(self._opcode, _QUERY_VERSION, struct.pack("<II", 1, 1))
        self._id = one.new_id()
        create = struct.pack("<IIBxxx", self._id, one.root, _NON_EMPTY)
        one.send(self._opcode, _DAMAGE_CREATE, create)
        self._shape = -1
        if cursor:
            fixes, event = one.extension("XFIXES")
            one.ask(fixes, _QUERY_VERSION, struct.pack("<II", 5, 0))
            one.send(fixes, _SELECT_CURSOR_INPUT, struct.pack("<II", one.root, 1))
            self._shape = event + _CURSOR_NOTIFY
        self._screens: set[int] = set()
        with contextlib.suppress(OSError):  # without it they stay as they are
            randr, event = one.extension("RANDR")
            one.ask(randr, _QUERY_VERSION, struct.pack("<II", 1, 2))
            wanted = struct.pack("<IHxx", one.root, _SCREENS | _CONTROLLERS)
            one.send(randr, _SELECT_SCREEN_INPUT, wanted)
            self._screens = {event, event + 1}

    def stirred(self, patience: float = 0.0) -> bool:
        """Whether something may have changed since the last question; ``OSError`` at the end.

        ``patience``: seconds to wait for it.
        """
        drawn, moved = self._drawn(0.0), False
        if self._cursor and not drawn:  # else it is looked at wherever the pointer is
            pointer = self._connection.pointer()
            moved, self._pointer = pointer != self._pointer, pointer
        drawn = drawn or self._drawn(0.0 if moved else patience)
        if drawn:  # before looking, so that what is drawn meanwhile is told again
            self._connection.send(
                self._opcode, _DAMAGE_SUBTRACT, struct.pack("<III", self._id, 0, 0)
            )
        return drawn or moved

    def rearranged(self) -> bool:
        """Whether the screens have changed, as far as ``stirred`` heard since this was asked."""
        said, self._rearranged = self._rearranged, False
        return said

    def _drawn(self, patience: float) -> bool:
        """Whether news came of drawing, or of another shape of the pointer."""
        numbers = {event[0] & 0x7F for event in self._connection.events(patience)}
        self._rearranged |= not numbers.isdisjoint(self._screens)
        return not numbers.isdisjoint((self._told, self._shape))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

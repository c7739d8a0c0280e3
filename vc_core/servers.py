"""The signaling servers of one member: the one it came by, and those that hosts keep.

A host that took over may keep a server of its own. Everybody goes on with the
older ones as well, since who was away knows only them:

    Attach, Detach, Drop     to all that are connected: re-join mailboxes
    everything else          to the newest that is connected: codes and exchanges

Pure: it is told which are connected and answers where a signal goes.
"""

from __future__ import annotations

from enum import Enum

from vc_core.signals import Attach, Detach, Drop
from vc_core.wire import Record

# Implementation
MAX_KNOWN = 4  # servers that a member stays with


class Change(Enum):
    """What a session has to know of it."""

    NONE = "the server in use is the same"
    LOST = "no server is connected any more"
    BACK = "a server is connected again"
    OTHER = "another server is in use now"


class Servers:
    """Known servers by their URLs, the newest first."""

    def __init__(self, url: str) -> None:
        self._known = [url]
        self._up: set[str] = set()
        self._mailboxes: dict[bytes, None] = {}

    @property
    def primary(self) -> str | None:
        """The server in use."""
        return next((url for url in self._known if url in self._up), None)

    @property
    def known(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._known)

    def add(self, url: str) -> list[str]:
        """One more, the newest; those that are given up for it."""
        self._known = [url, *(one for one in self._known if one != url)]
        over = self._known[MAX_KNOWN - 1 : -1] if len(self._known) > MAX_KNOWN else []
        self._known = [one for one in self._known if one not in over]
        self._up.difference_update(over)
        return over

    def connected(self, url: str) -> tuple[list[Record], Change]:
        """It answers: what it must hear first."""
        before = self.primary
        self._up.add(url)
        return [Attach(name) for name in self._mailboxes], self._change(before)

    def lost(self, url: str) -> Change:
        """It does not answer any more."""
        before = self.primary
        self._up.discard(url)
        return self._change(before)

    def _change(self, before: str | None) -> Change:
        after = self.primary
        if before == after:
            return Change.NONE
        if after is None:
            return Change.LOST
        return Change.BACK if before is None else Change.OTHER

    def route(self, signal: Record) -> list[str]:
        """To which servers a signal goes."""
        if isinstance(signal, Attach):
            self._mailboxes[signal.mailbox] = None
        elif isinstance(signal, Detach):
            self._mailboxes.pop(signal.mailbox, None)
        if isinstance(signal, Attach | Detach | Drop):
            return [url for url in self._known if url in self._up]
        return [self.primary] if self.primary is not None else []

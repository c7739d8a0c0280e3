"""Pictures of a call: what we show, what we see, and what the room tells of both.

``showing`` is the way out, ``viewing`` the way in; both run children (``children``) and
are driven by events of the session and by datagrams.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from client.events import RoomEvent, SourcesListed
from client.fields import clean
from client.pictures.children import Child
from client.pictures.hearing import Hearing
from client.pictures.showing import Showing
from client.pictures.shows import Wish
from client.pictures.viewing import Viewing
from vc_core.bucket import Buckets, Rate
from vc_core.errors import LocalProtocolError
from vc_core.events import (
    Event,
    KeyFrameWanted,
    PathChanged,
    StreamCarried,
    StreamEnded,
    StreamWatched,
)
from vc_core.ids import Member, member_word
from vc_core.senderkeys import Opened
from video.pipe import Record

if TYPE_CHECKING:
    from client.driver import Driver
    from client.media import Sound

# Implementation
MAX_LISTED = 64  # screens or cameras
ASKED = Rate(per_second=1.5, burst=15)
"""Streams that we begin to share, or to watch of one member: with their ends three quarters of the
words that members take of each other (``vc_core.pictures.WORDS``)."""
MEMBERS = 64  # whose streams are counted
LISTING_LIMIT = 10.0  # s until a driver that says nothing counts as one that has nothing


class Pictures:
    """Both ways of one call."""

    def __init__(
        self,
        driver: Driver,
        tell: Callable[[RoomEvent], None],
        own: Callable[[], Member],
        sound: Sound,
    ) -> None:
        self._tell = tell
        self._own = own
        self._name_of = sound.name_of
        self._tasks: set[asyncio.Task[None]] = set()
        self._listing: set[Child] = set()
        self._showing = Showing(driver, self._told, own, self._spawn)
        hearing = Hearing(driver, sound)
        self._viewing = Viewing(driver, self._showing, tell, own, self._spawn, hearing)
        self._counted_at = time.monotonic()
        self._asked = Buckets(ASKED, MEMBERS)
        driver.on_feedback = self._showing.feedback

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- Verbs -----------------------------------------------------------------------

    def share(self, wish: Wish) -> None:
        """Show something to everybody who wants to see it; ``LocalProtocolError`` if too often."""
        self._ask_of(self._own())
        self._showing.share(wish)

    def unshare(self, stream: int) -> None:
        """Show it no more."""
        self._showing.unshare(stream)

    def unshare_all(self, *, live: bool = False) -> None:
        """Show nothing any more; ``live``: but films."""
        self._showing.unshare_all(live=live)

    def resize(self, stream: int, width: int, height: int, fps: int) -> None:
        """Another size or rate of what we show; 0 means as it comes."""
        self._showing.resize(stream, width, height, fps)

    def watch(self, member: Member, stream: int, to: str) -> None:
        """See a stream (our own as well) in a place; ``LocalProtocolError`` if too often."""
        self._ask_of(member)
        whose = "your" if member == self._own() else f"{self._name_of(member)}'s"
        self._viewing.watch(member, stream, to, f"vchat: {whose} pictures")

    def _ask_of(self, member: Member) -> None:
        if not self._asked.take(member_word(member).encode(), time.monotonic()):
            raise LocalProtocolError("that is more than the others take at once: wait a second")

    def unwatch(self, member: Member, stream: int) -> None:
        """See it no more."""
        self._viewing.unwatch(member, stream)

    def list_sources(self, what: str) -> None:
        """Ask a child for screens or cameras; ``SourcesListed`` follows."""
        found: list[tuple[str, str]] = []

        def said(record: Record) -> None:
            if isinstance(record, dict) and len(found) < MAX_LISTED:
                found.append((clean(record, "source"), clean(record, "about")))

        def gone() -> None:
            self._listing.discard(child)
            self._tell(SourcesListed(what, tuple(found)))

        child = Child("video.shelf", what, on_record=said, on_gone=gone)
        self._listing.add(child)
        self._spawn(child.start())
        asyncio.get_running_loop().call_later(LISTING_LIMIT, child.kill)

    # ---- World in --------------------------------------------------------------------

    def follow(self, event: Event) -> None:
        """What happened in the room."""
        if isinstance(event, StreamWatched):
            self._showing.watched(event)
        elif isinstance(event, KeyFrameWanted):
            self._showing.key_wanted(event)
        elif isinstance(event, StreamCarried):
            self._viewing.carried(event)
        elif isinstance(event, StreamEnded):
            self._viewing.stream_ended(event.member, event.stream)
        elif isinstance(event, PathChanged):
            self._showing.moved()

    def _told(self, event: RoomEvent) -> None:
        """What we tell of our own streams."""
        if isinstance(event, StreamEnded):
            self._viewing.stream_ended(event.member, event.stream)
        self._tell(event)

    def receive(self, opened: Opened) -> None:
        """A packet of pictures, or of their sound, that was opened."""
        self._viewing.receive(opened)

    # ---- Figures ---------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """By member and stream, since this was last asked."""
        now = time.monotonic()
        span, self._counted_at = max(now - self._counted_at, 1e-3), now
        own = self._own()
        streams = {(own, one): told for one, told in self._showing.stats(span).items()}
        for name, told in self._viewing.stats(span).items():
            streams[name] = {**streams.get(name, {}), **told}
        return {f"{member_word(member)}/{one}": told for (member, one), told in streams.items()}

    async def close(self) -> None:
        """End all children."""
        for child in self._listing:
            child.kill()
        await self._viewing.close()
        await self._showing.close()

"""Showing: our own streams, from the child that encodes to everybody who watches.

    share child ─ FRAME ─► ``Sharer.push`` ─ ``datagrams`` ─► roads, forwarders
                ◄─ orders ─ ``Sharer.orders`` ◄─ feedback of viewers

Rule 1: a stream is offered when its source is open, and ends with its child.
Rule 2: whatever changes the session goes through the driver's ``feed``; what only sends, through
        ``feed_media``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from client.events import PicturesFailed, RoomEvent
from client.fields import number
from client.pictures.children import trouble
from client.pictures.reaching import Reaching
from client.pictures.shows import Preview, Show, Wish
from client.pictures.soundtracks import OwnTrack, open_sound
from vc_core.errors import LocalProtocolError
from vc_core.events import KeyFrameWanted, StreamEnded, StreamOffered, StreamWatched
from vc_core.ids import LinkId, Member
from vc_core.pictures import KINDS, MAX_FPS, Pictures
from vc_core.senderkeys import MAX_STREAMS
from video.pipe import FrameRecord, Record, SoundRecord, Words
from video.sending import Sharer
from video.sharing import Encoded

if TYPE_CHECKING:
    from client.driver import Driver

# Implementation
LEAST_PAUSE = 0.001  # s between two looks at what may leave
RESIZE_EVERY = 0.5  # s

Heard = Callable[[SoundRecord], None]


class Showing:
    """All streams of our own."""

    def __init__(
        self,
        driver: Driver,
        tell: Callable[[RoomEvent], None],
        own: Callable[[], Member],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._driver = driver
        self._tell = tell
        self._own = own
        self._spawn = spawn
        self._shows: list[Show] = []
        self._ending: set[Show] = set()
        """Over, but for their children."""
        self._sharer: Sharer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        """When the timer rings."""
        self._reaching = Reaching(driver)

    @property
    def _pictures(self) -> Pictures | None:
        session = self._driver.session
        return session.pictures if session is not None else None

    # ---- Verbs -----------------------------------------------------------------------

    def share(self, wish: Wish) -> None:
        """Open a source; a ``StreamOffered`` of our own follows, or ``PicturesFailed``."""
        if len(self._shows) >= MAX_STREAMS:
            raise LocalProtocolError(f"at most {MAX_STREAMS} streams at a time")
        show = Show(wish, self._said, self._gone)
        self._shows.append(show)
        size = {"width": wish.width, "height": wish.height, "fps": wish.fps}
        more = {"bitrate": wish.bitrate, "codec": wish.codec}
        show.child.order("open", source=wish.source, **size, **more)
        self._spawn(self._begin(show))

    async def _begin(self, show: Show) -> None:
        """Its sound first, so that the offer tells of it."""
        if show.wish.audio:
            source = await open_sound(show.wish.source, self._tell)
            if source is not None:
                show.track = OwnTrack(self._driver, source, self._rate_of)
            if show not in self._shows:
                show.close()
        await show.child.start()

    def unshare(self, stream: int) -> None:
        """End a stream."""
        self._end(self._show(stream))

    def unshare_all(self, *, live: bool = False) -> None:
        """End all, those included that are about to begin; ``live``: no films."""
        for show in [one for one in self._shows if one.live or not live]:
            self._end(show)

    def resize(self, stream: int, width: int, height: int, fps: int) -> None:
        """Another size or rate; the child says what became of it.

        The newest one counts, so often that viewers may hear of each: who says more is taken
        for a member that misbehaves.
        """
        show = self._show(stream)
        if show.resize is None:
            loop = asyncio.get_running_loop()
            pause = max(0.0, show.resized + RESIZE_EVERY - loop.time())
            loop.call_later(pause, self._resize, show)
        show.resize = {"width": width, "height": height, "fps": fps}

    def _resize(self, show: Show) -> None:
        if show.resize is not None:
            show.child.order("size", **show.resize)
        show.resize, show.resized = None, asyncio.get_running_loop().time()

    def preview(
        self, stream: int, viewer: object, show: Preview | None, hear: Heard | None = None
    ) -> None:
        """Frames of our own stream, and its sound, for a viewer here; None: no longer."""
        one = self._show(stream)
        if one.track is not None:
            one.track.ears.pop(viewer, None)
        if show is None:
            one.previews.pop(viewer, None)
            self._rest(one)
            return
        one.previews[viewer] = show
        if one.track is not None and hear is not None:
            one.track.ears[viewer] = hear
        self._rest(one)
        if one.waits:
            one.child.order("start")
        one.child.order("key")

    def key(self, stream: int) -> None:
        """A viewer here can show nothing."""
        self._show(stream).child.order("key")

    def sounds(self, stream: int) -> bool:
        """Whether sound goes with it."""
        return self._show(stream).track is not None

    def offers(self, stream: int) -> bool:
        """Whether there is such a stream."""
        return stream in self.streams

    @property
    def streams(self) -> list[int]:
        """Those that are offered."""
        return [one.stream for one in self._shows if one.stream]

    def stats(self, span: float) -> dict[int, dict[str, Any]]:
        """By stream, since this was last asked, ``span`` seconds ago."""
        found = {}
        for one in self._shows:
            told = one.outgo.take(span)
            if one.stream and self._sharer is not None:
                copies = self._sharer.sent(one.stream)["bytes"]
                out = round((copies - one.copies) * 8 / span)
                captured = round(one.fps_captured, 1)
                found[one.stream] = {"fps_captured": captured, **told, "bitrate_out": out}
                one.copies = copies
        return found

    async def close(self) -> None:
        """End all of them."""
        shows, self._shows, self._sharer = self._shows, [], None
        if self._timer is not None:
            self._timer.cancel()
        for show in shows:
            show.close()
        for show in (*shows, *self._ending):
            await show.child.ended()

    def _show(self, stream: int) -> Show:
        for one in self._shows:
            if one.stream == stream and stream:
                return one
        raise LocalProtocolError("you share no such stream")

    # ---- The child -------------------------------------------------------------------

    def _said(self, show: Show, record: Record) -> None:
        if isinstance(record, FrameRecord):
            self._frame(show, record)
        elif isinstance(record, dict):
            self._heard(show, record)

    def _heard(self, show: Show, record: Words) -> None:
        if record.get("event") == "opened":
            self._driver.feed(partial(self._opened, show, record))
        elif record.get("event") == "second" and record.get("on") is False:
            if self._sharer is not None:
                self._sharer.no_second(show.stream)
        elif record.get("event") == "stats":
            show.fps_captured = float(number(record, "fps_captured"))
        elif record.get("event") == "film" and show.track is not None:
            show.track.film(number(record, "zero"), int(number(record, "turn")))
        elif record.get("event") == "error":
            self._tell(PicturesFailed(*trouble(record)))
            if not show.stream and show in self._shows:  # else one order was not understood
                show.over = True
                self._end(show)
        elif record.get("event") == "ended":
            show.over = True

    def _opened(self, show: Show, words: Words) -> None:
        """The source is open, or has another size."""
        pictures = self._pictures
        if pictures is None or show not in self._shows:
            show.child.stop()
            return
        width, height, fps = (round(number(words, key)) for key in ("width", "height", "fps"))
        fps = min(max(1, fps), MAX_FPS)
        if self._sharer is None:
            self._sharer = Sharer(pictures, time.monotonic())
        try:
            if show.stream:
                pictures.changed(show.stream, width, height, fps)
            else:
                sound = show.track is not None
                show.stream = pictures.share(show.kind, width, height, fps, sound=sound)
        except LocalProtocolError as error:
            show.over = True
            self._tell(PicturesFailed("share-size", str(error), "choose a smaller one"))
            self._end(show)
            return
        size = width, height, fps
        self._sharer.begin(show.stream, *size, show.wish.bitrate, seconds=True)
        if show.track is not None:
            show.track.stream = show.stream
        kind, sound = KINDS[show.kind], show.track is not None
        self._rest(show)
        self._tell(StreamOffered(self._own(), show.stream, kind, width, height, fps, sound))

    def _rate_of(self, member: Member) -> float:
        """What a viewer's path has for pictures, in bit/s."""
        rate = self._sharer.rate_of(member) if self._sharer is not None else None
        return rate.target if rate is not None else 0.0

    def _frame(self, show: Show, record: FrameRecord) -> None:
        for preview in () if record.second else list(show.previews.values()):
            preview(record)
        if self._sharer is None or not show.stream or self._pictures is None:
            return
        size = record.width, record.height
        captured = record.captured / 1e6
        about = captured, record.key, record.codec
        encoded = Encoded(*about, *size, record.data, record.second)
        try:
            sent = self._sharer.push(show.stream, encoded, time.monotonic())
        except LocalProtocolError:  # a frame that nobody could put together
            return
        if sent is not None:
            show.outgo.add(len(record.data), second=record.second)
            self._driver.feed(self._flush)

    def _gone(self, show: Show) -> None:
        """The child has ended; if we did not want it, that is told."""
        if show in self._shows:
            if not show.over:
                message = "the process that captures pictures has died"
                self._tell(PicturesFailed("share-died", message, "share again"))
            self._end(show)
        self._ending.discard(show)

    def _end(self, show: Show) -> None:
        self._shows.remove(show)
        self._ending.add(show)
        show.close()
        if show.stream:
            if self._sharer is not None:
                self._sharer.end(show.stream)
            self._driver.feed(partial(self._unoffer, show.stream))
            self._tell(StreamEnded(self._own(), show.stream))

    def _unoffer(self, stream: int) -> None:
        pictures = self._pictures
        if pictures is not None and stream in pictures.shared:
            pictures.unshare(stream)

    # ---- Viewers ---------------------------------------------------------------------

    def watched(self, event: StreamWatched) -> None:
        """A member watches, or no longer."""
        if self._sharer is None or not self.offers(event.stream):
            return
        now = time.monotonic()
        self._sharer.watched(event.stream, event.member, event.on, now)
        show = self._show(event.stream)
        self._reaching.look_again()
        self._driver.feed(self._flush)  # its bitrate first: a key frame that fits the path
        self._driver.feed(partial(self._wake, show, event.on))

    def _wake(self, show: Show, on: bool) -> None:
        self._rest(show)
        if on and show.waits:
            show.child.order("start")

    def _rest(self, show: Show) -> None:
        """Who shows something to nobody pays nothing for it."""
        pictures = self._pictures
        if pictures is not None and show.stream:
            show.rest(watched=pictures.is_watched(show.stream))

    def key_wanted(self, event: KeyFrameWanted) -> None:
        """A member can show nothing."""
        if self._sharer is not None:
            self._sharer.key_wanted(event.stream, event.member, time.monotonic())
            self._driver.feed(self._flush)

    def feedback(self, member: Member, link: LinkId, datagram: bytes) -> None:
        """What a viewer says of what came."""
        pictures = self._pictures
        if pictures is None or self._sharer is None:
            return
        now = time.monotonic()
        feedback = pictures.open_feedback(member, link, datagram, now)
        if feedback is not None:
            self._sharer.feedback(member, feedback, now)
            self._driver.feed_media(self._flush)

    def moved(self) -> None:
        """Somebody is reached another way."""
        self._reaching.look_again()

    # ---- Out -------------------------------------------------------------------------

    def _flush(self) -> None:
        """Everything that may leave now."""
        sharer, now = self._sharer, time.monotonic()
        if sharer is None or self._pictures is None:
            return
        self._reaching.look(sharer, now)
        driver = self._driver
        shows = {show.stream: show for show in self._shows}
        for out in sharer.datagrams(now):
            if out.member is None:
                driver.forwarders.spread(out.forwarder, out.handle, out.datagram)
            else:
                driver.send_to(out.member, out.datagram)
        for order in sharer.orders():
            if order.stream in shows:
                words = order.words | ({"second": True} if order.second else {})
                shows[order.stream].child.order(words.pop("do"), **words)
        self._arm(sharer, now)

    def _arm(self, sharer: Sharer, now: float) -> None:
        due = sharer.next_time()
        if due == self._due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due < math.inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(LEAST_PAUSE, due - now), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._driver.feed_media(self._flush)

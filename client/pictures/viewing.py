"""Viewing: others' streams, from the network to the child that decodes; our own as well.

    datagram, opened ─► ``Watching`` ─ whole frames ─► view child ─► window, terminal, file
    feedback, key wishes ◄─ ``Watching`` ◄─ a beat     ◄─ started, shown, key-wanted, closed

Rule 1: a child that does not read loses frames up to the next key frame; nobody waits for it.
Rule 2: whatever way a child ends, the stream is unwatched and that is told.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from client.events import PicturesFailed, RoomEvent, StreamStarted, StreamUnwatched
from client.fields import clean, number, optional
from client.pictures.children import Child, trouble
from vc_core.errors import LocalProtocolError
from vc_core.events import StreamCarried, Warned
from vc_core.ids import Member
from vc_core.pictures import Pictures
from vc_core.senderkeys import Opened, pictures_of, sound_of
from video.pipe import Codec, FrameRecord, Record, SoundRecord, Words
from video.reassembly import Whole
from video.watching import Watching, digest_of

if TYPE_CHECKING:
    from client.driver import Driver
    from client.pictures.hearing import Hearing
    from client.pictures.showing import Showing

# Implementation
BEAT = 0.005  # s between two looks at what a sharer should hear
SOON = 2 * BEAT  # s until a look that need not come sooner
LAG = 1.0  # s in which a child never reads all that there is, until frames are left out
KEY_PAUSE = 0.5  # s between two wishes of one child
MAX_VIEWS = 16
WRAP = 1 << 32
PLACES = ("window", "none", "terminal")
PLACES_OF = ("terminal", "file", "player")
"""Places that need more: a socket, a path, a command."""

Name = tuple[Member, int]


def is_place(to: str) -> bool:
    """Whether pictures can be shown there."""
    place, _, what = to.partition(":")
    return to in PLACES or (place in PLACES_OF and bool(what))


class View:
    """One stream in one child."""

    def __init__(
        self,
        name: Name,
        now: float,
        said: Callable[[View, Record], None],
        gone: Callable[[View], None],
    ) -> None:
        self.name = name
        self.watching = Watching(*name, now)
        self.failed = self.started = False
        """Whether its trouble, and its first picture, were told: each once."""
        self.size = (0, 0)
        """Of the pictures, as the child said last."""
        self.records = False
        """Whether the child writes a file."""
        self.keeps_sound = False
        """Whether the child records what is heard."""
        self.shown: Words = {}
        """What the child said last of rate and delay."""
        self.bytes = 0
        self.timer: asyncio.TimerHandle | None = None
        self.due = math.inf
        """When the timer rings."""
        self.key_at = -math.inf
        self._number = 0
        self._skipping = False
        self._read_at = now
        """When the child had last read all that there was."""
        self.child = Child("video.view", on_record=partial(said, self), on_gone=partial(gone, self))

    def put(self, frame: FrameRecord) -> bool:
        """A frame for the child; False when it was left out and a key frame is needed."""
        if self.child.stalled or self._lags(time.monotonic()):
            self._skipping = True
            return True  # asking now would only make more of it
        if self._skipping:
            self._number += 1  # a gap that the child sees
            if not frame.key:
                return False
            self._skipping = False
        self.child.frame(
            FrameRecord(
                self._number % WRAP,
                frame.captured,
                frame.key,
                frame.codec,
                frame.width,
                frame.height,
                frame.data,
            )
        )
        self._number += 1
        return True

    def _lags(self, now: float) -> bool:
        """Whether what waits is too old to be shown; a recording takes it all the same."""
        if not self.child.unread or not self.started or self.records:
            self._read_at = now
        return now - self._read_at > LAG

    def close(self) -> None:
        """The end."""
        if self.timer is not None:
            self.timer.cancel()
        self.child.stop()


class Viewing:
    """All streams that we watch."""

    def __init__(
        self,
        driver: Driver,
        showing: Showing,
        tell: Callable[[RoomEvent], None],
        own: Callable[[], Member],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        hearing: Hearing,
    ) -> None:
        self._driver = driver
        self._hearing = hearing
        self._showing = showing
        self._tell = tell
        self._own = own
        self._spawn = spawn
        self._views: dict[Name, View] = {}
        self._ending: set[View] = set()

    @property
    def _pictures(self) -> Pictures | None:
        session = self._driver.session
        return session.pictures if session is not None else None

    # ---- Verbs -----------------------------------------------------------------------

    def watch(self, member: Member, stream: int, to: str, title: str) -> None:
        """See a stream, somewhere; a second time: somewhere else."""
        name, pictures = (member, stream), self._pictures
        if pictures is None or not (self._mine(name) or name in pictures.offered):
            raise LocalProtocolError("no such stream")
        if name not in self._views and len(self._views) >= MAX_VIEWS:
            raise LocalProtocolError(f"at most {MAX_VIEWS} streams can be watched at a time")
        if (before := self._views.pop(name, None)) is not None:
            self._let_go(before)
        view = View(name, time.monotonic(), self._said, self._gone)
        self._views[name] = view
        mine, offer = self._mine(name), pictures.offered.get(name)
        sound = self._showing.sounds(stream) if mine else offer is not None and offer.sound
        view.records = to.startswith("file:")
        view.keeps_sound = view.records and sound
        view.child.order("open", to=to, title=title, sound=view.keeps_sound)
        self._spawn(view.child.start())
        if mine:
            hear = view.child.sound if view.keeps_sound else None
            self._showing.preview(stream, view, partial(self._put, view), hear)
        else:
            again = before is not None
            pictures.watch(member, stream)
            if sound:
                self._hearing.begin(name)
            if again:
                pictures.want_key(member, stream)
            self._beat_soon(view, time.monotonic())
        self._driver.pump()

    def unwatch(self, member: Member, stream: int) -> None:
        """See it no more."""
        view = self._views.get((member, stream))
        if view is None:
            raise LocalProtocolError("you watch no such stream")
        self._end(view)

    def _mine(self, name: Name) -> bool:
        return name[0] == self._own() and self._showing.offers(name[1])

    # ---- From the network ------------------------------------------------------------

    def receive(self, opened: Opened) -> None:
        """A packet of pictures, or of their sound, that was opened."""
        if pictures_of(opened.stream) is not None:
            self._hear(opened)
            return
        view = self._views.get((opened.member, opened.stream))
        if view is None:
            return
        now = time.monotonic()
        view.bytes += len(opened.datagram)
        for whole in view.watching.receive(opened, now):
            self._whole(view, whole, now)
        if view.watching.hopeless:
            self._tell(Warned("pictures-broken", opened.member))
            self._end(view)
        elif view.due > now + SOON and (view.timer is None or view.watching.hurried):
            self._beat_soon(view, now)

    def _hear(self, opened: Opened) -> None:
        """20 ms of sound: for the speaker, and for a recording of the pictures."""
        name, pictures = self._hearing.receive(opened), self._pictures
        view = self._views.get(name) if name is not None else None
        if view is None or pictures is None or not view.keeps_sound:
            return
        played = pictures.heard_at(*view.name, opened.media.timestamp, time.monotonic())
        if played is not None:
            view.child.sound(SoundRecord(max(0, round(played * 1e6)), opened.media.payload))

    def _whole(self, view: View, whole: Whole, now: float) -> None:
        picture, pictures = whole.picture, self._pictures
        if pictures is None:
            return
        pictures.whole(*view.name, picture.number, digest_of(whole), whole.generation, now)
        captured = pictures.captured_at(*view.name, picture.timestamp)
        taken = max(0, round((now if captured is None else captured) * 1e6))
        try:
            codec = Codec(picture.codec)
        except ValueError:
            view.watching.broken += 1
            return
        size = picture.width, picture.height
        self._put(view, FrameRecord(0, taken, picture.key, codec, *size, picture.data))

    def _put(self, view: View, frame: FrameRecord) -> None:
        try:
            fits = view.put(frame)
        except LocalProtocolError:  # larger than the pipe takes
            view.watching.broken += 1
            return
        if not fits:
            self._want_key(view)

    def _want_key(self, view: View) -> None:
        now = time.monotonic()
        if now - view.key_at < KEY_PAUSE:
            return
        view.key_at = now
        if self._mine(view.name):
            self._showing.key(view.name[1])
        elif (pictures := self._pictures) is not None:
            self._driver.feed(partial(pictures.want_key, *view.name))

    def _beat_soon(self, view: View, now: float) -> None:
        """What the sharer should hear is looked at again when it is time, not more often."""
        if view.timer is not None:
            view.timer.cancel()
            view.timer = None
        view.due = view.watching.next_time(now)
        if view.due < math.inf:
            loop = asyncio.get_running_loop()
            view.timer = loop.call_later(max(BEAT, view.due - now), self._beat, view)

    def _beat(self, view: View) -> None:
        view.timer, view.due = None, math.inf
        pictures = self._pictures
        if pictures is None or self._views.get(view.name) is not view:
            return
        now, (member, stream) = time.monotonic(), view.name
        session = self._driver.session
        peer = session.room.peers.get(member) if session is not None else None
        link = peer.link if peer is not None else None
        path = link.paths.get(link.used) if link is not None and link.used is not None else None
        if path is not None and path.rtt is not None:
            view.watching.rtt = path.rtt
        for feedback in view.watching.feedback(now):
            datagram = pictures.seal_feedback(member, feedback)
            if datagram is not None:
                self._driver.send_to(member, datagram)
        if view.watching.key_wanted(now):
            self._driver.feed(partial(pictures.want_key, member, stream))
        self._beat_soon(view, now)

    def carried(self, event: StreamCarried) -> None:
        """Copies come by a forwarder: it must know that we want them."""
        self._carry(event.member, event.stream, event.forwarder)

    def _carry(self, member: Member, stream: int, forwarder: int) -> None:
        for one in (stream, sound_of(stream)):
            self._driver.forwarders.want(member, one, forwarder)

    # ---- From the child --------------------------------------------------------------

    def _said(self, view: View, record: Record) -> None:
        if not isinstance(record, dict) or self._views.get(view.name) is not view:
            return
        event = record.get("event")
        if event in ("started", "size"):
            view.size = int(number(record, "width")), int(number(record, "height"))
        if event == "started" and not view.started:
            view.started = True
            self._tell(StreamStarted(*view.name, clean(record, "codec"), *view.size))
        elif event == "shown":
            view.shown = record
            self._hearing.shown(view.name, record)
        elif event == "key-wanted":
            self._want_key(view)
        elif event == "error" and not view.failed:
            view.failed = True
            self._tell(PicturesFailed(*trouble(record), *view.name))
        elif event in ("closed", "ended"):
            self._end(view)

    def _gone(self, view: View) -> None:
        self._ending.discard(view)
        if self._views.get(view.name) is not view:
            return
        if not view.failed:
            message = "the process that showed the pictures has died"
            self._tell(PicturesFailed("viewer-died", message, "watch again", *view.name))
        self._end(view)

    # ---- Ends ------------------------------------------------------------------------

    def _let_go(self, view: View) -> None:
        """Its child ends; another may show the same."""
        if self._mine(view.name):
            self._showing.preview(view.name[1], view, None)
        self._hearing.end(view.name)
        self._ending.add(view)
        view.close()

    def _forget(self, view: View) -> None:
        """Nobody watches it any more: forwarders need bring nothing."""
        self._let_go(view)
        self._carry(*view.name, 0)

    def _end(self, view: View) -> None:
        del self._views[view.name]
        self._forget(view)
        if not self._mine(view.name) and (pictures := self._pictures) is not None:
            self._driver.feed(partial(pictures.unwatch, *view.name))
        self._tell(StreamUnwatched(*view.name))

    def stream_ended(self, member: Member, stream: int) -> None:
        """The stream is over, and so is watching it."""
        view = self._views.pop((member, stream), None)
        if view is not None:
            self._forget(view)

    def stats(self, span: float) -> dict[Name, dict[str, Any]]:
        """By stream, since this was last asked, ``span`` seconds ago."""
        found: dict[Name, dict[str, Any]] = {}
        heard = self._hearing.stats()
        for name, view in self._views.items():
            latency = view.shown.get("latency_ms")
            decoded = latency.get("decoded") if isinstance(latency, dict) else None
            decoded = decoded if isinstance(decoded, dict) else {}
            found[name] = {
                "width": view.size[0],
                "height": view.size[1],
                "fps_shown": number(view.shown, "fps"),
                "latency_ms": optional(decoded, "p50"),
                "latency_p95_ms": optional(decoded, "p95"),
                "freezes": view.watching.freezes,
                "lost": view.watching.lost,
            }
            if not self._mine(name):
                found[name]["bitrate"] = round(view.bytes * 8 / span)
            if name in heard:
                found[name]["sound"] = heard[name]
            view.bytes = 0
        return found

    async def close(self) -> None:
        """End all of them."""
        views, self._views = list(self._views.values()), {}
        for view in views:
            view.close()
        for view in (*views, *self._ending):
            await view.child.ended()

"""What is shared in the room, as a face shows it, and what the person sees of it.

Pure; ``client.ui.model`` owns one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from client.fields import clean, number
from client.ui.log import Kind

Event = Mapping[str, Any]
Said = tuple[Kind, str] | None
KINDS = {"screen": "screen", "camera": "camera"}


@dataclass
class Stream:
    """One stream that somebody offers."""

    member: str
    number: int
    kind: str
    width: int
    height: int
    fps: int
    sound: bool = False
    """Whether it comes with sound."""
    watched: bool = False
    """Whether one asked to see it."""
    seen: bool = False
    """Whether its first picture has come."""

    @property
    def about(self) -> str:
        """Size and rate, and whether there is sound."""
        rate = f" at {self.fps}" if self.fps else ""
        size = f"{self.width}×{self.height}{rate}" if self.width and self.height else "pictures"
        return f"{size}, with sound" if self.sound else size


class Streams:
    """All of them, by member and number."""

    def __init__(self) -> None:
        self.offered: dict[tuple[str, int], Stream] = {}

    def of(self, member: str, kind: str = "") -> list[Stream]:
        """What a member offers, the screen first."""
        found = [s for s in self.offered.values() if s.member == member and kind in ("", s.kind)]
        return sorted(found, key=lambda stream: (stream.kind != "screen", stream.number))

    @property
    def watched(self) -> list[Stream]:
        """What one sees or waits for."""
        return [stream for stream in self.offered.values() if stream.watched]

    def find(self, event: Event) -> Stream | None:
        """The one that an event is about."""
        return self.offered.get((str(event.get("member", "")), int(number(event, "stream"))))

    def forget(self, member: str) -> None:
        """A member has gone."""
        self.offered = {key: s for key, s in self.offered.items() if s.member != member}

    def receive(self, event: Event, name: str, *, own: bool) -> Said:
        """One event about a stream; what to write of it. ``name`` is the sharer's."""
        return self._HANDLERS[str(event.get("event"))](self, event, name, own)

    def _offer(self, event: Event, name: str, own: bool) -> Said:
        there = self.find(event)
        member, kind = str(event.get("member", "")), clean(event, "kind") or "screen"
        width, height, fps = (int(number(event, key)) for key in ("width", "height", "fps"))
        sound = event.get("audio") is True
        stream = Stream(member, int(number(event, "stream")), kind, width, height, fps, sound)
        self.offered[member, stream.number] = stream
        what = KINDS.get(kind, "something")
        if there is not None:
            stream.watched, stream.seen = there.watched, there.seen
            return (Kind.NOTE, f"you share your {what}, now {stream.about}") if own else None
        if own:
            return Kind.NOTE, f"you share your {what}, {stream.about} (/unshare or F8 ends it)"
        return Kind.NOTE, f"{name} shares a {what}, {stream.about} (/watch {name})"

    def _end(self, event: Event, name: str, own: bool) -> Said:
        stream = self.find(event)
        if stream is None:
            return None
        del self.offered[stream.member, stream.number]
        what = KINDS.get(stream.kind, "something")
        return Kind.NOTE, f"you share your {what} no more" if own else f"{name} shares no more"

    def _start(self, event: Event, name: str, own: bool) -> Said:
        stream = self.find(event)
        if stream is None or stream.seen:
            return None
        stream.watched = stream.seen = True
        stream.width, stream.height = (int(number(event, key)) for key in ("width", "height"))
        whose = "your own pictures" if own else f"the pictures of {name}"
        codec = clean(event, "codec")
        about = f"{stream.width}×{stream.height}{', ' + codec if codec else ''}"
        return Kind.NOTE, f"you see {whose}, {about}"

    def _unwatch(self, event: Event, name: str, own: bool) -> Said:
        stream = self.find(event)
        if stream is None or not stream.watched:
            return None
        stream.watched = stream.seen = False
        whose = "your own pictures" if own else f"the pictures of {name}"
        return Kind.NOTE, f"you see {whose} no more"

    _HANDLERS: Mapping[str, Callable[[Streams, Event, str, bool], Said]] = {
        "stream-offered": _offer,
        "stream-ended": _end,
        "stream-started": _start,
        "stream-unwatched": _unwatch,
    }


EVENTS = tuple(Streams._HANDLERS)
LISTS = {"screens": "no screen can be shared here", "cameras": "no camera was found"}
"""Events that list what could be shared, and what an empty list means."""


def list_lines(event: Event) -> list[str]:
    """What ``screens`` or ``cameras`` found, one on each line."""
    what = str(event.get("event"))
    found = event.get(what)
    sources = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    lines = [
        f"/share {clean(one, 'source').replace(':', ' ', 1)}  {clean(one, 'about')}".rstrip()
        for one in sources
    ]
    return lines or [LISTS[what]]

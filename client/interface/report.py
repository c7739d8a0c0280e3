"""Events of the JSON interface: what happened in a room, as one object per event.

Rule: text of peers comes here cleaned (``vc_core.clean``); what is written is
      JSON in ASCII, so that no byte of theirs reaches a terminal raw.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, ClassVar

from client import __version__, words
from client.contacts import Contacts
from client.events import (
    Announced,
    AudioFailed,
    AudioOpened,
    PicturesFailed,
    RoomEvent,
    SignalingChanged,
    SoundNotShared,
    SourcesListed,
    StreamStarted,
    StreamUnwatched,
    Talked,
)
from client.room import Room
from client.settings import RUNGS
from vc_core.errors import Ending
from vc_core.events import (
    Chatted,
    CodeEnded,
    CodeFailed,
    CodeReady,
    Delivered,
    Ended,
    HostChanged,
    MemberJoined,
    MemberLeft,
    MemberMuted,
    PathChanged,
    RoomCodeShown,
    RoomLocked,
    RoomOpened,
    StreamEnded,
    StreamOffered,
    Warned,
)
from vc_core.ids import Member, member_word
from vc_core.keys import PublicIdentity

# Specification
SCHEMA = 1

# Implementation
KEPT = ("ready", "room", "code", "code-ended", "audio", "room-code", "locked", "deafened")
"""Events of which a late face needs the newest one."""
STREAMS = ("stream-offered", "stream-started", "stream-unwatched", "stream-ended")
CODE = ("code", "link", "guests_left", "expires_in")
"""Fields of an open code."""
Told = dict[str, Any]
StreamEvent = StreamOffered | StreamEnded | StreamStarted | StreamUnwatched


def write(event: Told) -> bytes:
    """One line."""
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


class Reporter:
    """Turns the events of one room into objects, and remembers what a late face needs."""

    def __init__(
        self, room: Room, contacts: Contacts, remember: Callable[[str, PublicIdentity], None]
    ) -> None:
        """``remember`` notes who was met; it may write to a disk later."""
        self._room = room
        self._contacts = contacts
        self._remember = remember
        self._begun = time.monotonic()
        self._opened: RoomOpened | None = None
        self._names: dict[Member, str] = {}
        self._elected: HostChanged | None = None
        """We are the host, and there is no code yet."""
        self._kept: dict[tuple[str, str], Told] = {}
        """The newest of each event that a face attaching later must see, in order."""

    def stamp(self, event: str, **fields: Any) -> Told:
        """An event with its time."""
        told = {"event": event, "t": round(time.monotonic() - self._begun, 3), **fields}
        self._keep(told)
        return told

    def ready(self, name: str) -> Told:
        """The first event of all."""
        return self.stamp(
            "ready",
            schema=SCHEMA,
            version=__version__,
            name=name,
            identity=self._room.identity.public.fingerprint,
        )

    def problem(self, kind: str, code: str, message: str, hint: str = "") -> Told:
        """An ``error`` or ``warning``."""
        return self.stamp(kind, code=code, message=message, hint=hint)

    def snapshot(self) -> list[Told]:
        """What a face that attaches now must be told."""
        return list(self._kept.values())

    def report(self, event: RoomEvent) -> list[Told]:
        """The objects for one event, mostly one."""
        make = self._MAKERS.get(type(event))
        return make(self, event) if make is not None else []

    # ---- One for each event --------------------------------------------------------

    def _room_opened(self, event: RoomOpened) -> list[Told]:
        self._opened = event
        self._names[event.member] = event.name
        return [] if event.hosting else [self._room_event(event)]

    def _room_event(self, event: RoomOpened, **more: Any) -> Told:
        return self.stamp(
            "room",
            room=event.room.hex(),
            member=member_word(event.member),
            name=event.name,
            role="host" if event.hosting else "guest",
            signal=self._room.signal_url,
            **more,
        )

    def _code_ready(self, event: CodeReady) -> list[Told]:
        code = {
            "code": event.code,
            "link": event.link,
            "guests_left": event.guests_left,
            "expires_in": max(0, round(event.expires_at - time.monotonic())),
        }
        if self._elected is not None:
            return self._host_changes(self._elected, **code)
        opened = self._opened
        if opened is not None and ("room", "") not in self._kept:
            return [self._room_event(opened, **code)]
        return [self.stamp("code", **code)]

    def _code_failed(self, event: CodeFailed) -> list[Told]:
        return [self.stamp("code-failed", left=event.left)]

    def _code_ended(self, event: CodeEnded) -> list[Told]:
        return [self.stamp("code-ended", reason=event.reason)]

    def _announced(self, event: Announced) -> list[Told]:
        return [self.stamp("announced", code=event.code)]

    def _joined(self, event: MemberJoined) -> list[Told]:
        self._names[event.member] = event.name
        known = self._contacts.known(event.name, event.identity)
        self._remember(event.name, event.identity)
        return [
            self.stamp(
                "member-joined",
                member=member_word(event.member),
                name=event.name,
                identity=event.identity.fingerprint,
                known=known,
                host=event.hosting,
            )
        ]

    def _host_changed(self, event: HostChanged) -> list[Told]:
        """One's own election is told with the code, or when there will be none."""
        if event.member != self._room.member:
            return self._host_changes(event)
        self._elected = event
        return []

    def _host_changes(self, event: HostChanged, **code: Any) -> list[Told]:
        self._elected = None
        member = member_word(event.member)
        told = self.stamp("host-changed", member=member, name=event.name, **code)
        role = "host" if event.member == self._room.member else "guest"
        for (kind, of), kept in self._kept.items():  # what a late face is shown
            if kind == "room":
                rest = {key: value for key, value in kept.items() if key not in CODE}
                self._kept[kind, of] = {**rest, "role": role, **code}
            elif kind == "member-joined":
                self._kept[kind, of] = {**kept, "host": of == member}
        return [told]

    def _left(self, event: MemberLeft) -> list[Told]:
        return [
            self.stamp(
                "member-left",
                member=member_word(event.member),
                name=event.name,
                reason=event.reason,
            )
        ]

    def _path(self, event: PathChanged) -> list[Told]:
        member = member_word(event.member)
        before = self._kept.get(("path", member), {})
        told = self.stamp(
            "path",
            member=member,
            rung=event.rung,
            transport=event.transport,
            rtt_ms=None if event.rtt is None else round(event.rtt * 1000, 2),
            reason=words.of_path("direct", event.reasons["direct"]),
            rungs={rung: words.of_path(rung, why) for rung, why in event.reasons.items()},
        )
        return [told] if told != {**before, "t": told["t"]} else []

    def _audio(self, event: AudioOpened) -> list[Told]:
        told = self.stamp(
            "audio",
            mic=event.mic,
            speaker=event.speaker,
            mic_started=event.mic_started,
            speaker_started=event.speaker_started,
        )
        warnings = [
            self.problem("warning", word, *words.of_warning(word)) for word in event.missing
        ]
        return [told, *warnings]

    def _audio_failed(self, event: AudioFailed) -> list[Told]:
        return [self.problem("error", event.code, event.message, event.hint)]

    def _offered(self, event: StreamOffered) -> list[Told]:
        size = {"width": event.width, "height": event.height, "fps": event.fps}
        return [self._stream("stream-offered", event, kind=event.kind, **size, audio=event.sound)]

    def _stream_ended(self, event: StreamEnded) -> list[Told]:
        return [self._stream("stream-ended", event)]

    def _started(self, event: StreamStarted) -> list[Told]:
        size = {"width": event.width, "height": event.height}
        return [self._stream("stream-started", event, codec=event.codec, **size)]

    def _unwatched(self, event: StreamUnwatched) -> list[Told]:
        return [self._stream("stream-unwatched", event)]

    def _stream(self, word: str, event: StreamEvent, **more: Any) -> Told:
        return self.stamp(word, member=member_word(event.member), stream=event.stream, **more)

    def _pictures_failed(self, event: PicturesFailed) -> list[Told]:
        told = self.problem("error", event.code, event.message, event.hint)
        if event.member is not None:
            told |= {"member": member_word(event.member), "stream": event.stream}
        return [told]

    def _no_sound(self, event: SoundNotShared) -> list[Told]:
        return [self.problem("warning", event.code, event.message, event.hint)]

    def _listed(self, event: SourcesListed) -> list[Told]:
        found = [{"source": source, "about": about} for source, about in event.sources]
        if event.what == "screens":
            return [self.stamp("screens", screens=found)]
        return [self.stamp("cameras", cameras=found)]

    def _talked(self, event: Talked) -> list[Told]:
        return [self.stamp("talking", member=member_word(event.member), on=event.on)]

    def _muted(self, event: MemberMuted) -> list[Told]:
        return [self.muted(event.member, on=event.on, own=False)]

    def muted(self, member: Member, *, on: bool, own: bool) -> Told:
        """A microphone was turned off or on, one's own or another's."""
        return self.stamp("muted", member=member_word(member), on=on, own=own)

    def _chatted(self, event: Chatted) -> list[Told]:
        return [
            self.stamp(
                "chat",
                member=member_word(event.member),
                name=self._names.get(event.member, ""),
                id=event.id.hex(),
                text=event.text,
                private=event.private,
            )
        ]

    def _delivered(self, event: Delivered) -> list[Told]:
        return [self.stamp("delivered", id=event.id.hex(), member=member_word(event.member))]

    def _room_code(self, event: RoomCodeShown) -> list[Told]:
        return [self.stamp("room-code", words=list(event.words))]

    def _locked(self, event: RoomLocked) -> list[Told]:
        return [self.stamp("locked", on=event.on)]

    def _warned(self, event: Warned) -> list[Told]:
        name = self._names.get(event.member) if event.member is not None else None
        message, hint = words.of_warning(event.word, name or "somebody")
        told = self.problem("warning", event.word, message, hint)
        if event.member is not None:
            told["member"] = member_word(event.member)
        elected = self._elected if event.word == "no-server" else None
        return [*(self._host_changes(elected) if elected is not None else []), told]

    def _signaling(self, event: SignalingChanged) -> list[Told]:
        word = "signaling-back" if event.connected else "signaling-lost"
        return [self.problem("warning", word, *words.of_warning(word))]

    def _ended(self, event: Ended) -> list[Told]:
        told = []
        if event.ending.exit_code not in (0, 130):
            said = words.of_ending(event.ending)
            if event.ending is Ending.CODE_WRONG and self._room.found_in_lan:
                said = words.LAN_WRONG
            if event.ending is Ending.NO_ROAD and set(self._room.settings.only) != set(RUNGS):
                said = words.FORBIDDEN_ROADS
            told.append(self.problem("error", event.ending.word, *said))
        return [*told, self.ended(event.ending.word, event.ending.exit_code)]

    def ended(self, reason: str, exit_code: int) -> Told:
        """The last event of all."""
        return self.stamp("ended", reason=reason, exit=exit_code)

    _MAKERS: ClassVar[dict[type, Callable[[Reporter, Any], list[Told]]]] = {
        RoomOpened: _room_opened,
        CodeReady: _code_ready,
        CodeFailed: _code_failed,
        CodeEnded: _code_ended,
        Announced: _announced,
        MemberJoined: _joined,
        HostChanged: _host_changed,
        MemberLeft: _left,
        PathChanged: _path,
        AudioOpened: _audio,
        AudioFailed: _audio_failed,
        StreamOffered: _offered,
        StreamEnded: _stream_ended,
        StreamStarted: _started,
        StreamUnwatched: _unwatched,
        PicturesFailed: _pictures_failed,
        SoundNotShared: _no_sound,
        SourcesListed: _listed,
        Talked: _talked,
        MemberMuted: _muted,
        Chatted: _chatted,
        Delivered: _delivered,
        RoomCodeShown: _room_code,
        RoomLocked: _locked,
        Warned: _warned,
        SignalingChanged: _signaling,
        Ended: _ended,
    }

    # ---- What late faces need -------------------------------------------------------

    def _keep(self, told: Told) -> None:
        event, member = told["event"], str(told.get("member", ""))
        if event == "member-left":
            for key in [key for key in self._kept if key[1] == member]:
                del self._kept[key]
        elif event in KEPT:
            self._put(event, "", told)
        elif event in ("warning", "error"):
            self._put(event, told["code"], told)
        elif event in ("member-joined", "path", "muted"):
            self._put(event, member, told)
        elif event in STREAMS:
            self._keep_stream(event, member, told)

    def _put(self, event: str, of: str, told: Told) -> None:
        """Behind what was told before: of a code and its end the last one counts."""
        self._kept.pop((event, of), None)
        self._kept[event, of] = told

    def _keep_stream(self, event: str, member: str, told: Told) -> None:
        """A late face sees what is offered, and what is watched of it."""
        offered, started = (f"{one} {told['stream']}" for one in STREAMS[:2])
        if event == "stream-offered":
            self._kept[offered, member] = told  # before what is said of watching it
        elif event == "stream-started":
            self._kept[started, member] = told
        else:
            self._kept.pop((started, member), None)
            if event == "stream-ended":
                self._kept.pop((offered, member), None)

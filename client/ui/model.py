"""What a face knows of a call: people, lines of text, one's own state.

    model.receive(event)  →  model.people, model.lines, model.revision

Pure: events of the JSON interface come in, one at a time and in any order, with
the clock's reading as text. Fields that are missing or unknown never raise.

Rule 1: ``revision`` grows when something that can be seen has changed, and only
        then; a face that draws on its change draws nothing while nothing happens.
Rule 2: every text of another member passes ``clean_text`` once more before it is
        kept: what stands in ``lines`` and ``people`` can do a terminal no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from client import words
from client.fields import clean, number, optional, texts
from client.ui.log import Code, Kind, Line, Log, add_seconds, joined
from client.ui.people import Person, describe, differs
from client.ui.slash import help_lines
from client.ui.streams import EVENTS, LISTS, Streams, list_lines
from vc_core.clean import clean_text

Event = Mapping[str, Any]


class Model:
    """The state of one call, as one face shows it."""

    def __init__(self, *, states: bool = True) -> None:
        """``states``: whether lines of the kind STATE are kept."""
        self.people: dict[str, Person] = {}
        self.own = ""
        """One's own member id, once in the room."""
        self.name = ""
        self.identity = ""
        self.role = ""
        self.opened = False
        """Whether the room stands."""
        self.muted = False
        self.deafened = False
        self.locked = False
        self.mic = ""
        self.speaker = ""
        self.room_code: tuple[str, ...] = ()
        self.code: Code | None = None
        self.ended: str | None = None
        """The reason, once the call is over."""
        self._last_error = ""
        self.exit_code: int | None = None
        self.troubles: list[tuple[str, str]] = []
        """Errors so far: (message, hint)."""
        self.streams = Streams()
        self.revision = 0
        self._log = Log(states=states)
        self._next_ref = 0
        self._unsent: dict[str, Line] = {}
        self._undelivered: dict[str, Line] = {}
        self._guests: set[str] = set()

    # ---- What can be asked -----------------------------------------------------------

    @property
    def lines(self) -> list[Line]:
        """The newest lines, oldest first."""
        return self._log.lines

    @property
    def others(self) -> dict[str, str]:
        """Name → member id of everybody else."""
        return {p.name: p.member for p in self.people.values() if not p.own}

    @property
    def roster(self) -> list[Person]:
        """Oneself first, then the host, then by number."""
        return sorted(self.people.values(), key=lambda p: (not p.own, not p.host, p.colour))

    @property
    def unconfirmed(self) -> int:
        """How many of one's own texts somebody has not yet received."""
        return len(self._unsent) + len(self._undelivered)

    @property
    def hosting(self) -> bool:
        """Whether one is the host."""
        return self.role == "host"

    # ---- The world in ----------------------------------------------------------------

    def receive(self, event: Event, clock: str = "") -> None:
        """One event of the engine; ``clock`` is what a line about it says, like 14:05."""
        handler = self._HANDLERS.get(str(event.get("event")))
        if handler is not None:
            handler(self, event, clock)

    def say(self, kind: Kind, text: str, clock: str = "") -> Line:
        """Add a line of the face's own."""
        return self._add(kind, text, clock)

    def send(self, command: Event, clock: str = "") -> dict[str, Any]:
        """The command as it goes to the engine; one's own text becomes a line."""
        if command.get("do") != "chat":
            return dict(command)
        to = command.get("to")
        self._next_ref += 1
        ref = f"face-{self._next_ref}"
        kind = Kind.OWN if to is None else Kind.OWN_PRIVATE
        line = self._add(kind, clean_text(str(command.get("text", ""))), clock)
        person = self.people.get(str(to)) if to is not None else self.people.get(self.own)
        line.name = person.name if person else self.name
        line.colour = person.colour if person else 0
        line.waiting = {str(to)} if to is not None else set(self.others.values())
        self._unsent[ref] = line
        return {**command, "ref": ref}

    # ---- Lines -----------------------------------------------------------------------

    def _add(self, kind: Kind, text: str, clock: str) -> Line:
        self.revision += 1
        return self._log.add(kind, text, clock)

    def _name(self, event: Event) -> str:
        """Of the member that the event is about."""
        person = self.people.get(str(event.get("member")))
        return person.name if person else clean(event, "name")

    # ---- One for each event ----------------------------------------------------------

    def _ready(self, event: Event, _clock: str) -> None:
        self.name = clean(event, "name")
        self.identity = clean(event, "identity")

    def _room(self, event: Event, clock: str) -> None:
        self.own = str(event.get("member", ""))
        self.role = clean(event, "role")
        self.name = clean(event, "name") or self.name
        self.opened = True
        self.people[self.own] = Person(
            self.own,
            self.name,
            own=True,
            host=self.hosting,
            identity=self.identity,
            muted=self.muted,
        )
        if self.hosting:
            self._add(Kind.NOTE, f"the room is open, and you are its host, {self.name}", clock)
        else:
            self._add(Kind.NOTE, f"you are in the room as {self.name}", clock)
        if event.get("code"):
            self._new_code(event, clock)

    def _new_code(self, event: Event, clock: str) -> None:
        before = self.code
        left = number(event, "guests_left")
        until = add_seconds(clock, number(event, "expires_in"))
        self.code = Code(clean(event, "code"), clean(event, "link"), int(left), until)
        self.revision += 1
        if before is None or before.code != self.code.code:
            self.show_code(clock)

    def _code_ended(self, event: Event, clock: str) -> None:
        reason = clean(event, "reason")
        if self.code is not None:
            self.code.ended = reason or "ended"
        message, hint = words.CODE_ENDS.get(reason, words.Words("the code has ended"))
        self._add(Kind.NOTE, joined(message, hint), clock)

    def _announced(self, event: Event, clock: str) -> None:
        text = f"in this network the code works without its server: {clean(event, 'code')}"
        self._add(Kind.NOTE, text, clock)

    def _code_failed(self, event: Event, clock: str) -> None:
        left = int(number(event, "left"))
        tries = f"{left} wrong {'try' if left == 1 else 'tries'}"
        text = f"somebody tried a wrong code; {tries} more and the code dies"
        self._add(Kind.WARNING, text, clock)

    def _joined(self, event: Event, clock: str) -> None:
        member, name = str(event.get("member", "")), clean(event, "name")
        identity, known = clean(event, "identity"), clean(event, "known")
        host = bool(event.get("host"))
        there = member in self.people
        self.people[member] = Person(member, name, host=host, identity=identity, known=known)
        if self.hosting and self.code is not None and identity not in self._guests:
            self.code.guests_left = max(0, self.code.guests_left - 1)
        self._guests.add(identity)
        self.revision += 1
        if there:
            return
        role = ", the host," if host else ""
        about = {"new": "never met before", "known": "met before"}.get(known, "")
        text = f"{name}{role} is here" if host else f"{name} joined"
        self._add(Kind.NOTE, f"{text} ({about})" if about else text, clock)

    def _left(self, event: Event, clock: str) -> None:
        member = str(event.get("member", ""))
        person = self.people.pop(member, None)
        self.streams.forget(member)
        name = person.name if person else clean(event, "name")
        for line in [*self._unsent.values(), *self._undelivered.values()]:
            line.waiting.discard(member)
        self._undelivered = {id: line for id, line in self._undelivered.items() if line.waiting}
        self._add(Kind.NOTE, words.of_departure(clean(event, "reason"), name), clock)

    def _path(self, event: Event, clock: str) -> None:
        person = self.people.get(str(event.get("member")))
        if person is None:
            return
        before = person.rung
        person.rung = clean(event, "rung") or "none"
        person.transport = clean(event, "transport")
        person.rtt_ms = optional(event, "rtt_ms")
        person.reason, person.rungs = clean(event, "reason"), texts(event, "rungs")
        self.revision += 1
        if person.rung == before:
            return
        if person.rung == "none":
            self._add(Kind.NOTE, f"no path to {person.name}: {person.reason}", clock)
        else:
            self._add(Kind.STATE, f"{person.name} is connected: {person.road}", clock)

    def _stats(self, event: Event, _clock: str) -> None:
        members = event.get("members")
        for member, told in members.items() if isinstance(members, Mapping) else ():
            person = self.people.get(str(member))
            rtt = optional(told, "rtt_ms") if isinstance(told, Mapping) else None
            if person is not None and rtt is not None and differs(person.rtt_ms, rtt):
                person.rtt_ms = rtt
                self.revision += 1

    def _audio(self, event: Event, clock: str) -> None:
        self.mic, self.speaker = clean(event, "mic"), clean(event, "speaker")
        self.revision += 1
        self._add(Kind.STATE, f"microphone: {self.mic}; speaker: {self.speaker}", clock)

    def _talking(self, event: Event, _clock: str) -> None:
        person, on = self.people.get(str(event.get("member"))), bool(event.get("on"))
        if person is not None and person.talking != on:
            person.talking = on
            self.revision += 1

    def _muted(self, event: Event, clock: str) -> None:
        member, on = str(event.get("member", "")), bool(event.get("on"))
        person = self.people.get(member)
        if person is not None and person.muted != on:
            person.muted = on
            self.revision += 1
        if member == self.own and self.muted != on:
            self.muted = on
            self._add(Kind.STATE, f"your microphone is {'off' if on else 'on'}", clock)
            self.revision += 1

    def _deafened(self, event: Event, clock: str) -> None:
        on = bool(event.get("on"))
        if self.deafened != on:
            self.deafened = on
            text = "you hear nobody now" if on else "you hear the others again"
            self._add(Kind.STATE, text, clock)
            self.revision += 1

    def _locked(self, event: Event, clock: str) -> None:
        on = bool(event.get("on"))
        if self.locked != on:
            self.locked = on
            text = "the room is locked: nobody new gets in" if on else "the room is open again"
            self._add(Kind.NOTE, text, clock)

    def _chat(self, event: Event, clock: str) -> None:
        kind = Kind.PRIVATE if event.get("private") else Kind.TEXT
        line = self._add(kind, clean(event, "text"), clock)
        person = self.people.get(str(event.get("member")))
        line.name = self._name(event)
        line.colour = person.colour if person else 0

    def _sent(self, event: Event, _clock: str) -> None:
        line = self._unsent.pop(str(event.get("ref")), None)
        if line is not None and line.waiting:
            self._undelivered[str(event.get("id"))] = line

    def _delivered(self, event: Event, _clock: str) -> None:
        id = str(event.get("id"))
        line = self._undelivered.get(id)
        if line is None:
            return
        line.waiting.discard(str(event.get("member")))
        if not line.waiting:
            del self._undelivered[id]
            self.revision += 1

    def _host_changed(self, event: Event, clock: str) -> None:
        member = str(event.get("member", ""))
        for person in self.people.values():
            person.host = person.member == member
        self.role = "host" if member == self.own else "guest"
        who = "you are" if member == self.own else f"{self._name(event)} is"
        self._add(Kind.NOTE, f"{who} the host now", clock)
        if event.get("code"):
            self._new_code(event, clock)

    def _room_words(self, event: Event, clock: str) -> None:
        said = event.get("words")
        self.room_code = tuple(clean_text(str(w)) for w in said) if isinstance(said, list) else ()
        self.revision += 1
        if self.room_code:
            code = " ".join(self.room_code)
            self._add(Kind.STATE, f"room code (equal for everybody?): {code}", clock)

    def _stream(self, event: Event, clock: str) -> None:
        own = str(event.get("member")) == self.own
        self.revision += 1
        if said := self.streams.receive(event, self._name(event), own=own):
            self._add(*said, clock)

    def _listed(self, event: Event, clock: str) -> None:
        for line in list_lines(event):
            self._add(Kind.ANSWER, line, clock)

    def _warning(self, event: Event, clock: str) -> None:
        self._add(Kind.WARNING, joined(clean(event, "message"), clean(event, "hint")), clock)

    def _error(self, event: Event, clock: str) -> None:
        message, hint = clean(event, "message"), clean(event, "hint")
        self.troubles.append((message, hint))
        self._last_error = clean(event, "code")
        if self._last_error == "bad-command":
            hint = ""  # it speaks to scripts
            self._refused(event)
        self._add(Kind.ERROR, joined(message, hint), clock)

    def _refused(self, event: Event) -> None:
        """A command was not taken; if it was a text, nobody is waited for.

        Answers come in the order of the commands, so without a ``ref`` it is the oldest.
        """
        ref = str(event.get("ref") or next(iter(self._unsent), ""))
        line = self._unsent.pop(ref, None)
        if line is not None:
            line.waiting.clear()

    def _ended(self, event: Event, clock: str) -> None:
        self.ended, self.exit_code = clean(event, "reason"), int(number(event, "exit"))
        if self.ended != self._last_error:  # else it has been said, and more exactly
            self._add(Kind.NOTE, words.of_ending_word(self.ended).message, clock)

    _HANDLERS: Mapping[str, Callable[[Model, Event, str], None]] = {
        "ready": _ready,
        "room": _room,
        "code": _new_code,
        "code-ended": _code_ended,
        "announced": _announced,
        "code-failed": _code_failed,
        "member-joined": _joined,
        "member-left": _left,
        "path": _path,
        "stats": _stats,
        "audio": _audio,
        "talking": _talking,
        "muted": _muted,
        "deafened": _deafened,
        "locked": _locked,
        "chat": _chat,
        "sent": _sent,
        "delivered": _delivered,
        "host-changed": _host_changed,
        "room-code": _room_words,
        **dict.fromkeys(EVENTS, _stream),
        **dict.fromkeys(LISTS, _listed),
        "warning": _warning,
        "error": _error,
        "ended": _ended,
    }

    # ---- What a person may ask for ---------------------------------------------------

    def show_code(self, clock: str = "") -> None:
        """The code and the link, each alone on its line."""
        if self.code is None:
            text = "only the host has the code" if self.opened else "there is no code yet"
            self._add(Kind.ANSWER, text, clock)
        for kind, said in self.code.told() if self.code is not None else ():
            self._add(kind, said, clock)
        if self.room_code:
            said = " ".join(self.room_code)
            self._add(Kind.ANSWER, f"room code, the same on all screens: {said}", clock)

    def show_people(self, clock: str = "") -> None:
        """Everybody with road, reason and identity."""
        for person in self.roster:
            self._add(Kind.ANSWER, describe(person), clock)
        if len(self.people) == 1:
            self._add(Kind.ANSWER, "nobody else is here yet", clock)

    def show_help(self, clock: str = "") -> None:
        """All commands, for a face without pages."""
        for line in help_lines():
            self._add(Kind.ANSWER, line, clock)

"""What people in a bottle said and heard, in words that a test can compare."""

from __future__ import annotations

from tests.sim.people import Person
from vc_core.events import (
    Chatted,
    Delivered,
    Ended,
    MemberJoined,
    MemberLeft,
    RoomCodeShown,
    Warned,
)
from vc_core.ids import Member


def texts(person: Person) -> list[str]:
    """Texts that were shown, in order."""
    return [event.text for event in person.of(Chatted)]


def delivered(person: Person, id: bytes) -> set[Member]:
    """Who acknowledged a text."""
    return {event.member for event in person.of(Delivered) if event.id == id}


def joined(person: Person) -> list[str]:
    """Names that were shown as joined."""
    return [event.name for event in person.of(MemberJoined)]


def left(person: Person) -> list[tuple[str, str]]:
    """(name, reason) of everybody who was shown as gone."""
    return [(event.name, event.reason) for event in person.of(MemberLeft)]


def ending(person: Person) -> str | None:
    """The word of the ending, or None while the room goes on."""
    endings = person.of(Ended)
    assert len(endings) <= 1
    return endings[0].ending.word if endings else None


def warnings(person: Person) -> list[str]:
    """Words of all warnings."""
    return [event.word for event in person.of(Warned)]


def room_code(person: Person) -> tuple[str, ...] | None:
    """The newest room code."""
    shown = person.of(RoomCodeShown)
    return shown[-1].words if shown else None


def names_here(person: Person) -> set[str]:
    """Names of everybody present in the roster."""
    return {seat.name for seat in person.session.room.roster.present()}

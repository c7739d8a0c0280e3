"""What stands beside the texts: the members, and the one row about oneself.

Each function gives rows or fragments for a width and keeps nothing.
"""

from __future__ import annotations

from prompt_toolkit.formatted_text import StyleAndTextTuples

from client.ui.model import Model
from client.ui.people import Person
from client.ui.theme import Marks, member_class
from client.ui.wrap import cut, fit, width_of

# Implementation
KEYS = ("F1 help  F3 mute  F4 deafen", "F1 help")
GAP = " | "
NO_MIC = ("", "none", "None")


def mark(person: Person, marks: Marks) -> tuple[str, str]:
    """The sign before a name: (style, sign)."""
    if person.muted:
        return "class:warning", marks.muted
    if person.talking:
        return "class:talking", marks.talking
    return "class:quiet", marks.silent


def member_rows(model: Model, marks: Marks, width: int, height: int) -> list[StyleAndTextTuples]:
    """The column: one row for each member, name left, road right."""
    people = model.roster
    rows = [_member_row(person, marks, width) for person in people[:height]]
    if len(people) > height > 0:
        rows[-1] = [("class:quiet", fit(f"+ {len(people) - height + 1} more", width))]
    return rows


def _member_row(person: Person, marks: Marks, width: int) -> StyleAndTextTuples:
    style, sign = mark(person, marks)
    host = f" {marks.host}" if person.host else ""
    road = cut(person.road, max(0, width - 8), marks.more)
    room = max(1, width - 3 - len(host) - width_of(road))
    return [
        (style, f"{sign} "),
        (member_class(person.colour), cut(person.name, room, marks.more)),
        ("class:quiet", host),
        ("class:quiet", " " * max(1, room - width_of(cut(person.name, room, marks.more)) + 1)),
        ("class:warning" if person.rung == "none" and not person.own else "class:quiet", road),
    ]


def member_bar(model: Model, marks: Marks, width: int) -> StyleAndTextTuples:
    """The same in one row, for narrow terminals: marks and names."""
    bar: StyleAndTextTuples = []
    used, people = 0, model.roster
    for number, person in enumerate(people):
        style, sign = mark(person, marks)
        name = cut(person.name, 12, marks.more) + (f" {marks.host}" if person.host else "")
        rest = len(people) - number
        room = width - used - (0 if rest == 1 else 4)
        if width_of(name) + 3 > room:
            return [*bar, ("class:quiet", f"+{rest}")]
        bar += [(style, f"{sign} "), (member_class(person.colour), name), ("", "  ")]
        used += width_of(name) + 4
    return bar


def status(model: Model, unread: int, scrolled: bool, width: int) -> StyleAndTextTuples:
    """The row above the input; what matters least goes first when it is narrow."""
    parts = [(0, *_microphone(model))]
    if model.deafened:
        parts.append((1, "class:status.alarm", "DEAFENED"))
    if model.streams.of(model.own):
        parts.append((1, "class:status.alarm", "SHARING (F8 ends it)"))
    if scrolled:
        new = f"{unread} new below" if unread else "older texts"
        parts.append((2, "class:status.alarm", f"{new} (PgDn)"))
    if model.hosting:
        parts.append((4, "class:status", _guests(model)))
    if model.locked:
        parts.append((3, "class:status", "locked"))
    if model.room_code:
        parts.append((5, "class:status", "room code: " + " ".join(model.room_code)))
    while len(parts) > 1 and _width(parts) > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    keys = [[*parts, (6, "class:status", text)] for text in KEYS]
    parts = next((longer for longer in keys if _width(longer) <= width), parts)
    row: StyleAndTextTuples = []
    for _, style, text in parts:
        row += [("class:status", GAP if row else " "), (style, text)]
    used = sum(width_of(text) for _, text, *_ in row)
    return [*row, ("class:status", " " * max(0, width - used))]


def _width(parts: list[tuple[int, str, str]]) -> int:
    return sum(width_of(text) + len(GAP) for _, _, text in parts) - len(GAP) + 1


def _microphone(model: Model) -> tuple[str, str]:
    own = model.people.get(model.own)
    if model.muted:
        return "class:status.alarm", "MUTED"
    if model.mic in NO_MIC:
        return "class:status", "no mic"
    talking = own is not None and own.talking
    return "class:status", "talking" if talking else "mic on "


def _guests(model: Model) -> str:
    code = model.code
    if code is None:
        return "no code"
    if code.ended:
        return f"code {code.ended}: /code"
    left = code.guests_left
    return f"{left} guest{'' if left == 1 else 's'} left"

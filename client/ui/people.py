"""One member as a face shows it: name, marks, road.

Pure; the state lives in ``client.ui.model``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from client import words

# Implementation
RTT_STEP = 0.2  # share by which a round trip must differ to be shown anew
RTT_FLOOR = 1.0  # ms; smaller differences are never shown


@dataclass
class Person:
    """One member, oneself included."""

    member: str
    name: str
    own: bool = False
    host: bool = False
    identity: str = ""
    known: str = ""
    rung: str = "none"
    transport: str = ""
    rtt_ms: float | None = None
    reason: str = ""
    rungs: Mapping[str, str] = field(default_factory=dict)
    """What each rung does, or why it does not carry."""
    talking: bool = False
    muted: bool = False

    @property
    def colour(self) -> int:
        """The number in its id: the same on all screens, as long as the room lives."""
        digits = self.member.removeprefix("m")
        return int(digits) if digits.isascii() and digits.isdigit() else 0

    @property
    def road(self) -> str:
        """How packets flow there, in two words."""
        if self.own:
            return "you"
        if self.rung == "none":
            return "no path"
        rtt = "" if self.rtt_ms is None else f" {show_ms(self.rtt_ms)}"
        tcp = " tcp" if self.transport == "tcp" else ""
        return f"{self.rung}{tcp}{rtt}"


def describe(person: Person) -> str:
    """All that is known of a member, in a line."""
    said: Iterable[str] = (
        person.name,
        "host" if person.host else "",
        person.road,
        "muted" if person.muted else "",
        *(why for rung, why in person.rungs.items() if rung != person.rung),
        words.KNOWN.get(person.known, ""),
        f"key {person.identity[:16]}" if person.identity else "",
    )
    return ", ".join(one for one in said if one)


def show_ms(ms: float) -> str:
    """A round trip for people."""
    return f"{ms:.0f} ms" if ms >= RTT_FLOOR else "<1 ms"


def differs(before: float | None, now: float) -> bool:
    """Whether a round trip has changed enough to be drawn again."""
    if before is None:
        return True
    return show_ms(before) != show_ms(now) and abs(now - before) > max(
        RTT_FLOOR, RTT_STEP * max(before, now)
    )

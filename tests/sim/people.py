"""Who lives in a bottle: a session, what it heard, and its place in the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vc_core.commands import OpenForwarder
from vc_core.events import Ended, Event
from vc_core.ids import LinkId, Member, Way
from vc_core.keys import Identity
from vc_core.servers import Servers
from vc_core.session import Session


@dataclass(eq=False, repr=False)
class Pair:
    """One side of an attempt at a direct pair."""

    end: End
    attempt: int
    partner: Pair | None = None
    open: bool = False
    closed: bool = False


@dataclass(eq=False, repr=False)
class End:
    """One side of a road."""

    owner: Person
    member: Member
    link: LinkId
    leading: bool
    partner: End | None = None
    pairs: dict[int, Pair] = field(default_factory=dict)
    way: Way | None = None
    """Where its stream and its media go."""
    begun: bool = False
    """Whether its QUIC connection has begun."""
    streaming: bool = False
    leaving: bool = False
    """It was told to close, and gets its last words out."""
    closed: bool = False
    dark_since: float | None = None
    queue: deque[tuple[float, bytes]] = field(default_factory=deque)
    """Bytes of the stream under way: (time of arrival, data), in order."""


@dataclass(eq=False, repr=False)
class Person:
    """One member or somebody who would like to be one."""

    name: str
    session: Session
    identity: Identity
    connection: int
    """Its first connection to a server: an address of its own."""
    servers: Servers = field(default_factory=lambda: Servers(""))
    """The signaling servers that it knows."""
    lines: dict[str, int] = field(default_factory=dict)
    """Its connections to them."""
    events: list[Event] = field(default_factory=list)
    ends: dict[LinkId, End] = field(default_factory=dict)
    slots: set[int] = field(default_factory=set)
    """Forwarders that it is attached to."""
    opened: dict[int, OpenForwarder] = field(default_factory=dict)
    """Forwarders that it was told to attach to, with the newest grants."""
    dead: bool = False
    timer: float | None = None
    asleep: bool = False
    """Its process is stopped: no timer of it runs."""
    backlog: list[Callable[[], None]] = field(default_factory=list)
    """What its machine keeps for it meanwhile, in order."""

    def of(self, kind: type[Any]) -> list[Any]:
        """Events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def ended(self) -> bool:
        """Whether its room is over."""
        return bool(self.of(Ended))

    @property
    def living(self) -> bool:
        """Whether it runs and is in its room."""
        return not self.dead and self.session.room.inside and not self.session.room.ended

    @property
    def number(self) -> Member:
        """Its number in the room."""
        return self.session.room.number

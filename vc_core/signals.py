"""What clients and the signaling server say to each other.

One WebSocket binary message is one signal:

    u8 kind | fields of that kind

Kinds below 64 go to the server, from 64 on to the client. The server knows
nameplates (the digits of a code), exchanges (one knock at a nameplate: a pair
of connections) and mailboxes (32-byte names that any number of connections may
attach to). All bodies are opaque to it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from vc_core.grant import ROOM_KEY_SIZE, Grant
from vc_core.record import record
from vc_core.wire import Bytes, Family, Fixed, Flag, Layout, Many, Nested, Record, Text, UInt

# Specification
SIGNALING_VERSION = 1
MAX_MESSAGE = 64 * 1024  # bytes of one WebSocket message
MAX_BODY = 60 * 1024  # bytes of one opaque body
TOKEN_SIZE = 16
MAILBOX_SIZE = 32
MAX_GRANTS = 64  # of one question: as many as a room has members


class Refusal(IntEnum):
    """Why the server did not do what it was asked."""

    NO_SUCH_NAMEPLATE = 1
    """Nobody ever allocated this nameplate, or long ago."""
    EXPIRED = 2
    """The nameplate's life is over."""
    USED = 3
    """The host released the nameplate: its guests have come."""
    BURNED = 4
    """The host released the nameplate after too many wrong codes."""
    TAKEN = 5
    """The wanted nameplate belongs to another connection."""
    TOO_FAST = 6
    """This address has asked too often; try later."""
    FULL = 7
    """A cap of the server is reached."""
    HOST_AWAY = 8
    """The host of the nameplate is not connected now."""
    MALFORMED = 9
    """The message could not be read; the connection is closed."""
    WITHDRAWN = 10
    """The host took the nameplate back: for a newer one, after a kick, or as it left."""
    NO_GRANTS = 11
    """The server signs no grants, or none for a connection that never had a nameplate."""


class Release(IntEnum):
    """Why a host gives a nameplate up."""

    USED = 3
    BURNED = 4
    WITHDRAWN = 10


@record
class Allocate(Record):
    """Make this connection the host of a nameplate."""

    wanted: str
    """Digits to have again after a lost connection; empty for any."""
    token: bytes
    """Random; whoever shows it again may take the same nameplate over."""
    life: int
    """Seconds until the nameplate ends; 0 for the server's own limit."""

    LAYOUT: ClassVar[Layout] = (
        ("wanted", Text(16)),
        ("token", Fixed(TOKEN_SIZE)),
        ("life", UInt(4)),
    )


@record
class Knock(Record):
    """Open an exchange with the host of a nameplate."""

    nameplate: str

    LAYOUT: ClassVar[Layout] = (("nameplate", Text(16)),)


@record
class Post(Record):
    """Send a body to the other end of an exchange."""

    exchange: int
    body: bytes

    LAYOUT: ClassVar[Layout] = (("exchange", UInt(4)), ("body", Bytes(MAX_BODY)))


@record
class Close(Record):
    """End an exchange; the other end is told."""

    exchange: int

    LAYOUT: ClassVar[Layout] = (("exchange", UInt(4)),)


@record
class Free(Record):
    """Give a nameplate up (only by the connection that allocated it)."""

    nameplate: str
    reason: int
    """A ``Release``; what later knocks are told."""

    LAYOUT: ClassVar[Layout] = (("nameplate", Text(16)), ("reason", UInt(1)))


@record
class Attach(Record):
    """Hear what is sent to a mailbox."""

    mailbox: bytes

    LAYOUT: ClassVar[Layout] = (("mailbox", Fixed(MAILBOX_SIZE)),)


@record
class Detach(Record):
    """Hear a mailbox no longer."""

    mailbox: bytes

    LAYOUT: ClassVar[Layout] = (("mailbox", Fixed(MAILBOX_SIZE)),)


@record
class Drop(Record):
    """Send a body to all others who are attached to a mailbox."""

    mailbox: bytes
    body: bytes

    LAYOUT: ClassVar[Layout] = (("mailbox", Fixed(MAILBOX_SIZE)), ("body", Bytes(MAX_BODY)))


@record
class AskGrants(Record):
    """Sign grants for slots of a room at relays; only for who has, or had, a nameplate."""

    room_key: bytes
    """The host's key for the room; the server derives the room's name and forgets it."""
    slots: tuple[int, ...]

    LAYOUT: ClassVar[Layout] = (
        ("room_key", Fixed(ROOM_KEY_SIZE)),
        ("slots", Many(UInt(2), MAX_GRANTS)),
    )


@record
class Hello(Record):
    """The server's first word on a new connection."""

    version: int
    stun_port: int
    """UDP port that answers STUN Binding on the server's address; 0 for none."""
    relays: tuple[str, ...]
    """Addresses of relays that the operator recommends."""
    grants: bool
    """Whether it signs grants for them; if not, they are open or of no use."""

    LAYOUT: ClassVar[Layout] = (
        ("version", UInt(2)),
        ("stun_port", UInt(2)),
        ("relays", Many(Text(255), 16)),
        ("grants", Flag()),
    )


@record
class Allocated(Record):
    """The nameplate is yours."""

    nameplate: str
    life: int
    """Seconds until it ends."""

    LAYOUT: ClassVar[Layout] = (("nameplate", Text(16)), ("life", UInt(4)))


@record
class Opened(Record):
    """An exchange began: told to the host and to the one who knocked."""

    exchange: int
    mailbox: bytes
    """Random name of the exchange, the same for both ends."""
    nameplate: str

    LAYOUT: ClassVar[Layout] = (
        ("exchange", UInt(4)),
        ("mailbox", Fixed(MAILBOX_SIZE)),
        ("nameplate", Text(16)),
    )


@record
class Posted(Record):
    """A body from the other end of an exchange."""

    exchange: int
    body: bytes

    LAYOUT: ClassVar[Layout] = (("exchange", UInt(4)), ("body", Bytes(MAX_BODY)))


@record
class Closed(Record):
    """The other end of an exchange is gone."""

    exchange: int

    LAYOUT: ClassVar[Layout] = (("exchange", UInt(4)),)


@record
class Dropped(Record):
    """A body from a mailbox."""

    mailbox: bytes
    body: bytes

    LAYOUT: ClassVar[Layout] = (("mailbox", Fixed(MAILBOX_SIZE)), ("body", Bytes(MAX_BODY)))


@record
class Ended(Record):
    """A nameplate of yours is over (its life ran out)."""

    nameplate: str
    reason: int
    """A ``Refusal``."""

    LAYOUT: ClassVar[Layout] = (("nameplate", Text(16)), ("reason", UInt(1)))


@record
class Refused(Record):
    """The server did not do it."""

    reason: int
    """A ``Refusal``."""
    nameplate: str
    """The nameplate that was asked for, or empty."""

    LAYOUT: ClassVar[Layout] = (("reason", UInt(1)), ("nameplate", Text(16)))


@record
class Grants(Record):
    """The grants that were asked for, one for each slot, in order."""

    grants: tuple[Grant, ...]

    LAYOUT: ClassVar[Layout] = (("grants", Many(Nested(Grant), MAX_GRANTS)),)


TO_SERVER = Family(
    {
        1: Allocate,
        2: Knock,
        3: Post,
        4: Close,
        5: Free,
        6: Attach,
        7: Detach,
        8: Drop,
        9: AskGrants,
    }
)
TO_CLIENT = Family(
    {
        64: Hello,
        65: Allocated,
        66: Opened,
        67: Posted,
        68: Closed,
        69: Dropped,
        70: Ended,
        71: Refused,
        72: Grants,
    }
)

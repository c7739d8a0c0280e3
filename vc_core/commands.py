"""What the session asks of the world: the driver carries each command out.

A *road* is what the driver keeps for one link: a carrier of datagrams and the
QUIC connection that runs over it.
"""

from __future__ import annotations

from dataclasses import dataclass

from vc_core.ids import LinkId, Member
from vc_core.messages import Road
from vc_core.wire import Record


@dataclass(frozen=True)
class SendSignal:
    """Give one signal to the signaling server."""

    signal: Record


@dataclass(frozen=True)
class OpenRoad:
    """Start looking for a road to a member, and QUIC over it."""

    member: Member
    link: LinkId
    leading: bool
    """This side is ICE-controlling and the QUIC client."""


@dataclass(frozen=True)
class HintRoad:
    """The other side's candidates have arrived."""

    member: Member
    link: LinkId
    road: Road


@dataclass(frozen=True)
class WriteRoad:
    """Write bytes on stream 0 of the link's QUIC connection."""

    member: Member
    link: LinkId
    data: bytes


@dataclass(frozen=True)
class SendDatagram:
    """Send one datagram straight on the path."""

    member: Member
    link: LinkId
    datagram: bytes


@dataclass(frozen=True)
class WakeRoad:
    """The path answers again: QUIC should try at once."""

    member: Member
    link: LinkId


@dataclass(frozen=True)
class CloseRoad:
    """Let go of the road."""

    member: Member
    link: LinkId


@dataclass(frozen=True)
class OpenServer:
    """We host now and no signaling server answers: keep one of our own.

    ``Session.server_opened`` follows, or ``Session.server_missing``.
    """


@dataclass(frozen=True)
class UseServer:
    """The host keeps a signaling server here: be connected to it, if it can be reached."""

    url: str


Command = (
    SendSignal
    | OpenRoad
    | HintRoad
    | WriteRoad
    | SendDatagram
    | WakeRoad
    | CloseRoad
    | OpenServer
    | UseServer
)

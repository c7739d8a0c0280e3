"""What the session asks of the world: the driver carries each command out.

A *road* is what the driver keeps for one link: a QUIC connection and the ways on
which its datagrams can go.
"""

from __future__ import annotations

from vc_core.grant import Grant
from vc_core.ids import LinkId, Member, Rung, Way
from vc_core.messages import Road
from vc_core.record import record
from vc_core.wire import Record


@record
class SendSignal:
    """Give one signal to the signaling server."""

    signal: Record


@record
class OpenRoad:
    """Make a QUIC connection for a link; it runs over whatever way is in use."""

    member: Member
    link: LinkId
    leading: bool
    """This side is the QUIC client, and ICE-controlling."""


@record
class TryDirect:
    """Look for a direct pair of addresses; older attempts go on meanwhile."""

    member: Member
    link: LinkId
    attempt: int


@record
class DropDirect:
    """An attempt at a direct pair is not needed any more."""

    member: Member
    link: LinkId
    attempt: int


@record
class PokeDirect:
    """A direct pair is silent: check at once whether its addresses have changed."""

    member: Member
    link: LinkId
    attempt: int


@record
class HintRoad:
    """The other side's candidates for one attempt have arrived."""

    member: Member
    link: LinkId
    road: Road


@record
class UseWay:
    """Send QUIC and media this way from now on; None while there is no way."""

    member: Member
    link: LinkId
    way: Way | None


@record
class WriteRoad:
    """Write bytes on stream 0 of the link's QUIC connection."""

    member: Member
    link: LinkId
    data: bytes


@record
class SendDatagram:
    """Send one datagram one way, in use or not."""

    member: Member
    link: LinkId
    way: Way
    datagram: bytes


@record
class WakeRoad:
    """A way answers again, or a new one does: QUIC should try at once."""

    member: Member
    link: LinkId


@record
class CloseRoad:
    """Let go of the road."""

    member: Member
    link: LinkId


@record
class OpenForwarder:
    """Get our slot at a forwarder and keep it."""

    number: int
    rung: Rung
    addresses: tuple[str, ...]
    grants: tuple[Grant, ...]


@record
class CloseForwarder:
    """A forwarder is not needed any more."""

    number: int


@record
class EvictSlot:
    """Our own forwarder takes a member's slot back, for good."""

    room: bytes
    """As forwarders know it (``grant.relay_room``)."""
    slot: int


@record
class OpenServer:
    """We host now and no signaling server answers: keep one of our own.

    ``Office.server_opened`` follows.
    """


@record
class UseServer:
    """The host keeps a signaling server here: be connected to it, if it can be reached."""

    url: str


Command = (
    SendSignal
    | OpenRoad
    | TryDirect
    | DropDirect
    | PokeDirect
    | HintRoad
    | UseWay
    | WriteRoad
    | SendDatagram
    | WakeRoad
    | CloseRoad
    | OpenForwarder
    | CloseForwarder
    | EvictSlot
    | OpenServer
    | UseServer
)

"""What one forwarder gives to one client, to one room, and to all together.

The defaults fit a small public relay on one core; an open one has tighter ones
(``OPEN``). A *customer* is an IPv4 address or an IPv6 /64.
"""

from __future__ import annotations

from dataclasses import field, replace

from vc_core.bucket import Rate
from vc_core.record import record


@record
class Limits:
    """Every limit of a forwarder, each a setting."""

    rate: int = 4_000_000
    """Bytes per second that one slot may send at most, whatever its grant says."""
    room_work: float = 40e6
    """Work per second for one room: bytes sent to its members, and 500 for each datagram."""
    total_work: float = 60e6
    """Work per second in all; beyond it, rooms above their equal share lose datagrams."""
    slots: int = 4_096
    """Slots in all."""
    slots_per_room: int = 64
    """Members of the largest room."""
    slots_per_customer: int = 128
    """An office behind one address, and not much more."""
    rooms: int = 2_048
    """Rooms in all."""
    hellos: Rate = field(default=Rate(per_second=20, burst=100))
    """Cookies for a customer's hellos: each member asks once, and again when it moves."""
    strangers: Rate = field(default=Rate(per_second=5, burst=20))
    """Cookies for a customer's other datagrams: one is enough to be noticed."""
    claims: Rate = field(default=Rate(per_second=5, burst=100))
    """Claims of a customer whose cookie holds: everybody at once after a restart."""
    all_hellos: Rate = field(default=Rate(per_second=5_000, burst=5_000))
    """Cookies for hellos in all: bounds what a flood costs."""
    all_strangers: Rate = field(default=Rate(per_second=1_000, burst=1_000))
    """Cookies for other datagrams in all."""
    customers: int = 4_096
    """Customers whose buckets are remembered, for each kind of bucket."""
    connections: int = 4_096
    """WebSocket connections in all."""
    connections_per_customer: int = 128
    """As slots."""
    idle: int = 30
    """Seconds of silence after which a slot is taken back."""


OPEN = replace(
    Limits(),
    rate=1_000_000,
    room_work=10e6,
    slots=512,
    slots_per_customer=32,
    rooms=256,
    connections=1_024,
    connections_per_customer=32,
)
"""For a forwarder that takes everybody."""

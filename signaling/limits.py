"""What one signaling server gives to one customer, and to all together.

The defaults fit a small public server on one core with 1 GB of memory; rates
are those of docs/security.md. A *customer* is an IPv4 address or an IPv6 /64.
"""

from __future__ import annotations

from dataclasses import field

from vc_core.bucket import Rate
from vc_core.record import record


@record
class Limits:
    """Every limit of the server, each a setting."""

    connects: Rate = field(default=Rate(per_second=20, burst=5))
    """New connections of a customer: a program that reconnects in a loop is slowed."""
    guesses: Rate = field(default=Rate(per_second=1, burst=10))
    """Knocks of a customer, and claims of a wanted nameplate: both ask whether it lives."""
    strikes: Rate = field(default=Rate(per_second=1 / 60, burst=10))
    """Those of them that met nobody: people mistype now and then, scanners always."""
    allocations: Rate = field(default=Rate(per_second=1, burst=10))
    """New nameplates of a customer: slower than the four digits could be used up."""
    grants: Rate = field(default=Rate(per_second=4, burst=256))
    """Slots at relays that a customer is granted: two full rooms, and whoever comes later."""
    traffic: Rate = field(default=Rate(per_second=512 * 1024, burst=1024 * 1024))
    """Bytes that a customer sends; beyond it the server reads more slowly. A join is 20 kB."""
    message_cost: int = 256
    """Bytes that each message counts besides its own, since the work is per message."""

    connections: int = 20_000
    """Connections in all, 20 kB each."""
    connections_per_customer: int = 128
    """An office behind one address, and not much more."""
    greetings: int = 1_250
    """Of those, before their greeting: the oldest of them goes for one more."""
    greetings_per_customer: int = 64
    """Likewise."""
    nameplates: int = 4_000
    """Living nameplates in all: under half of the four-digit ones."""
    nameplates_per_customer: int = 64
    """Every second connection of a customer may be a host."""
    nameplates_per_connection: int = 8
    """A host may have several codes open."""
    exchanges: int = 10_000
    """Open exchanges in all."""
    exchanges_per_customer: int = 64
    """Counted at the one who knocked."""
    exchanges_per_connection: int = 4
    """Of those, on one connection: a joiner needs one."""
    exchanges_per_nameplate: int = 64
    """Open at a time, as a whole room may come at once; the host counts tries by itself."""
    attachments: int = 50_000
    """Connections attached to mailboxes, counted by pair, in all."""
    attachments_per_customer: int = 512
    """Four for each of its connections."""
    attachments_per_connection: int = 16
    """A member needs one for each room secret that it remembers."""
    attachments_per_mailbox: int = 64
    """Members of the largest room; also how often one body is copied."""

    grant_rate: int = 4_000_000
    """Bytes per second that a grant allows its slot; a relay may allow less."""

    nameplate_life: float = 600.0
    """Seconds that a nameplate lives at most; a host may ask for less."""
    exchange_life: float = 600.0
    """Seconds that an exchange lives at most; both ends may close it earlier."""
    ended_memory: float = 600.0
    """Seconds for which a late knock is told why, and the digits are not given again."""
    ended_nameplates: int = 4_000
    """Ended nameplates that are remembered at most, the oldest forgotten first."""
    idle_customers: int = 10_000
    """Customers without a connection whose buckets are remembered, 1 kB each."""

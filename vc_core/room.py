"""The room as one member holds it: what all parts of a session share.

Commands for the world and events for people are queued here, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vc_core.attest import LONGEST_LOOK
from vc_core.audience import Audience
from vc_core.commands import Command
from vc_core.entry import Seat
from vc_core.errors import Ending, LocalProtocolError
from vc_core.events import Ended, Event
from vc_core.ids import NOBODY, LinkId, Member, Rng
from vc_core.join import Kem
from vc_core.keys import Identity, PublicIdentity
from vc_core.link import Link
from vc_core.meet import initiates
from vc_core.messages import MAX_BANNED
from vc_core.peer import Peer
from vc_core.roster import Roster
from vc_core.ways import MESH_LIMIT, Ways

# Specification
NONCE_LIFE = 10.0  # s that an echoed nonce proves the host alive

# Implementation
LATE = 0.05  # s by which any timer may be late: that is no time in which we did not run

Judge = Callable[[str, PublicIdentity], bool]
"""Whether a name belongs to a saved contact with another key."""


@dataclass
class Room:
    """State that has no better home. Everything secret here lives in memory only."""

    identity: Identity
    name: str
    kem: Kem
    rng: Rng
    judge: Judge
    number: Member = NOBODY
    founder: bytes = b""
    nonce: bytes = b""
    secrets: list[bytes] = field(default_factory=list, repr=False)
    """Room secrets, newest first; older ones are kept for members who are absent."""
    secret_number: int = 1
    """How many room secrets there were."""
    peers: dict[Member, Peer] = field(default_factory=dict)
    commands: deque[Command] = field(default_factory=deque)
    events: deque[Event] = field(default_factory=deque)
    fresh_at: float = float("-inf")
    """When the newest nonce was sent that the host has answered."""
    host_since: float = float("-inf")
    """When the present host became it, as we learned it."""
    held_until: float = float("-inf")
    """Media goes on until then although the host is silent: a deputy may take over."""
    host_left: bool = False
    """The host has said good-bye, and nobody has taken over yet."""
    server: str = ""
    """URL of the signaling server that we keep for the room; empty: we use one of others."""
    host_server: str = ""
    """URL of the signaling server that the host keeps, as it told us."""
    server_lost: bool = False
    """The host before this one kept the server in use: it is gone, or will be."""
    banned: list[bytes] = field(default_factory=list)
    """Ed25519 keys of those who were kicked, as far as we know, oldest first."""
    epoch: float = 0.0
    """Unix time at ``now`` = 0; for the expiry of grants alone."""
    ended: bool = False
    muted: bool = False
    _roster: Roster | None = None
    _links: int = 0
    awake_since: float = float("-inf")
    """When our own process went on after it had not run for a second."""
    _looked: float = float("-inf")

    def __post_init__(self) -> None:
        self.ways = Ways(self.peers, self.ask, self.tell)
        self.audience = Audience(self.peers, self.ways)

    @property
    def inside(self) -> bool:
        """Whether one's own place is certain."""
        return self._roster is not None

    @property
    def roster(self) -> Roster:
        """The chain; only once inside."""
        if self._roster is None:
            raise LocalProtocolError("there is no roster before the welcome")
        return self._roster

    @roster.setter
    def roster(self, roster: Roster) -> None:
        self._roster = roster

    @property
    def id(self) -> bytes:
        """The room's 32 bytes."""
        return self.roster.entry.room

    @property
    def hosting(self) -> bool:
        """Whether we sign the roster."""
        return self._roster is not None and self._roster.entry.signer == self.number

    @property
    def host(self) -> Peer | None:
        """The host, if it is somebody else."""
        return self.peers.get(self.roster.host) if self.inside else None

    def fresh(self, now: float) -> bool:
        """Whether the host is known to be alive, or is ourselves."""
        return (now - self.fresh_at < NONCE_LIFE and not self.host_left) or self.hosting

    def flows(self, now: float) -> bool:
        """Whether media is sealed and played: while fresh, and while a deputy may take over."""
        return self.fresh(now) or now < self.held_until

    def ban(self, sign: bytes) -> None:
        """Somebody was kicked: whoever hosts takes that key in no more."""
        if sign not in self.banned:
            self.banned = [*self.banned, sign][-MAX_BANNED:]

    def present(self) -> Iterator[Peer]:
        """Everybody else who is here."""
        return (peer for peer in self.peers.values() if peer.seat.present)

    def next_link(self) -> LinkId:
        """A number for one more link."""
        self._links += 1
        return LinkId(self._links)

    def add_peer(self, seat: Seat, now: float) -> Peer:
        """Somebody new; blocked if a saved contact had another key."""
        greets = initiates(self.identity.public, seat.identity)
        peer = self.peers[seat.number] = Peer(seat, self.id, now, greets=greets)
        peer.blocked = self.judge(peer.name, seat.identity)
        return peer

    def tell(self, event: Event) -> None:
        """Something for people."""
        self.events.append(event)

    def ask(self, command: Command) -> None:
        """Something for the driver."""
        if not self.ended:
            self.commands.append(command)

    def end(self, ending: Ending) -> None:
        """The room is over for us; told once."""
        if not self.ended:
            self.ended = True
            self.tell(Ended(ending))

    def look(self, now: float) -> None:
        """Before silence is judged: time in which our own process did not run is no silence."""
        missed, self._looked = now - self._looked - LONGEST_LOOK, now
        if LONGEST_LOOK < missed < float("inf"):
            self.awake_since = now
        if LATE < missed < float("inf"):
            for peer in self.peers.values():
                if peer.link is not None:
                    peer.link.excuse(missed, now)
            self.ways.agenda.all_changed()

    # Links

    @property
    def crowded(self) -> bool:
        """Whether the room is too large for a mesh of direct pairs."""
        return self.inside and len(self.roster.present()) > MESH_LIMIT

    def use_link(self, peer: Peer, link: Link, now: float) -> None:
        """Use a link in place of an older one; pairs with the host are always direct."""
        hosts = self.hosting or peer is self.host
        self.ways.crowd(self.crowded, now)
        self.ways.use_link(peer, link, now, paired=hosts)

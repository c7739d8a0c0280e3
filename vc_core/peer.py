"""One other member, as one member sees it."""

from __future__ import annotations

from vc_core.attest import Witness
from vc_core.chat import Conversation
from vc_core.ids import ExchangeId, LinkId, Member
from vc_core.ladder import Dropped, Ladder
from vc_core.link import Link
from vc_core.meet import Greeting
from vc_core.messages import Commit, Position, Reveal, Road
from vc_core.path import State as PathState
from vc_core.roster import Seat

# Specification
GREETING_LIFE = 5.0  # s until a greeting without an answer is given up
GREETING_PAUSE = 1.0  # s between the loss of a link and the next greeting
LINK_DEATH = 3.0  # s of silence after which a link is made anew
LINK_CHANCE = 10.0  # s that a link has to carry its first packet


class Peer:
    """Keys, roads and texts that belong to one other member.

    ``link`` is in use. ``coming`` was offered by a greeting of the other side
    and takes its place when its first letter opens.
    """

    def __init__(self, seat: Seat, room: bytes, now: float) -> None:
        self.seat = seat
        self.link: Link | None = None
        self.coming: Link | None = None
        self.coming_road: Road | None = None
        self.greeting: Greeting | None = None
        self.next_greeting = now
        self.exchange: ExchangeId | None = None
        """The exchange that carries letters until a road stands (newcomer and host)."""
        self.conversation = Conversation()
        self.ladder = Ladder()
        self.witness = Witness(room, seat.number, seat.sign)
        self.muted = False
        self.blocked = False
        """A saved contact's key changed: nothing is shown until it is accepted."""
        self.last_life = now
        """When something verified came, over any road."""
        self.claims: dict[tuple[int, int], Position] = {}
        """Places of the roster that it named and that we do not know yet."""
        self.early_commit: Commit | None = None
        self.early_reveal: Reveal | None = None
        self.key_sent = 0
        """The newest generation of ours that it was told on this link."""

    @property
    def number(self) -> Member:
        """Its number in the room."""
        return self.seat.number

    @property
    def streaming(self) -> bool:
        """Whether the reliable plane stands."""
        return self.link is not None and self.link.streaming

    @property
    def reachable(self) -> bool:
        """Whether media can be sent."""
        return self.link is not None and self.link.path.open

    def link_named(self, tag: bytes) -> Link | None:
        """The link that a letter belongs to."""
        for link in (self.link, self.coming):
            if link is not None and link.tag == tag:
                return link
        return None

    def take_link(self, link: Link) -> LinkId | None:
        """Use ``link`` from now on; the number of the one that it replaces."""
        old = self.link.id if self.link is not None and self.link is not link else None
        self.link = link
        if self.coming is link:
            self.coming = None
        self.greeting = None
        self.key_sent = 0
        return old

    def drop_links(self) -> list[LinkId]:
        """Forget all keys of this pair; the numbers of the links that were."""
        old = [link.id for link in (self.link, self.coming) if link is not None]
        self.link = self.coming = self.greeting = None
        self.ladder.tell(Dropped())
        self.witness.clear()
        return old

    def needs_link(self, now: float) -> bool:
        """Whether the keys or the road must be made anew."""
        link = self.link
        if link is None:
            return True
        if link.path.state is PathState.UNTRIED:
            return now - link.begun >= LINK_CHANCE
        return now - link.path.last_life >= LINK_DEATH

    def alive(self, now: float) -> None:
        """Something verified came."""
        self.last_life = now

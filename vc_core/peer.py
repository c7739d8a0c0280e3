"""One other member, as one member sees it."""

from __future__ import annotations

from collections import deque

from vc_core.attest import Witness
from vc_core.bucket import Bucket, Rate
from vc_core.chat import Conversation
from vc_core.clean import clean_name
from vc_core.entry import Seat
from vc_core.ids import ExchangeId, LinkId, Member
from vc_core.ladder import Ladder
from vc_core.link import Link
from vc_core.meet import Greeting
from vc_core.messages import Position, Road

# Specification
GREETING_LIFE = 5.0  # s until a greeting without an answer is given up, at first
LONGEST_GREETING = 15.0  # s until it is given up after many
GREETING_PAUSE = 1.0  # s between the loss of a link and the next greeting
LINK_DEATH = 3.0  # s of silence after which a link is made anew
CROWD_LINK_DEATH = 8.0  # s in a crowd, whose beats are slow and where all links are dear at once

# Implementation: what one member may cost us
TRAFFIC = Rate(per_second=256 * 1024, burst=4 * 1024 * 1024)  # bytes of control messages
SPEECH = Rate(per_second=192 * 1024, burst=1024 * 1024)  # our own texts: below its TRAFFIC
MESSAGE_COST = 256  # bytes that each message counts besides its own
ANSWERS = Rate(per_second=4, burst=40)  # what asks for answers: pulses, standings
CARRIED = Rate(per_second=64 * 1024, burst=512 * 1024)  # bytes that the host carries for it
GREETED = Rate(per_second=0.5, burst=8)  # handshakes that it may begin
OPENINGS = Rate(per_second=1, burst=8)  # probes over forwarders that we did not choose
HINTS = Rate(per_second=0.5, burst=16)  # descriptions of its side of a direct pair
ATTEMPT_COST = 4  # of them that beginning an attempt counts
SERVERS = Rate(per_second=1 / 60, burst=4)  # signaling servers that it may send us to
KEPT_ROADS = 8  # descriptions kept while it is blocked
KEPT_TAGS = 1024  # greetings remembered, so that a copy is no second one


class Peer:
    """Keys, roads and texts that belong to one other member.

    ``link`` is in use. ``coming`` was offered by a greeting of the other side
    and takes its place when its first letter opens. ``former`` is over, but its
    last words may still be under way: QUIC's end overtakes letters.
    """

    def __init__(self, seat: Seat, room: bytes, now: float, *, greets: bool = False) -> None:
        """``greets``: our side begins handshakes with it."""
        self.seat = seat
        self.name = clean_name(seat.name)
        self.greets = greets
        self.link: Link | None = None
        self.coming: Link | None = None
        self.former: Link | None = None
        self.links = 0
        """How many links there were."""
        self.greeting: Greeting | None = None
        self.greetings = 0
        """How many greetings were not answered since the last link."""
        self.next_greeting = now
        self.found_by: bytes | None = None
        """The room secret that it may know while it is absent."""
        self.sought_at = float("-inf")
        """When a guest last looked for it although it is absent."""
        self.seen_tags: deque[bytes] = deque(maxlen=KEPT_TAGS)
        self.exchange: ExchangeId | None = None
        """The exchange that carries letters until a road stands (newcomer and host)."""
        self.conversation = Conversation()
        self.ladder = Ladder()
        self.witness = Witness(room, seat.number, seat.sign)
        self.muted = False
        self.here = False
        """Whether people were told that it is here."""
        self.blocked = False
        """A saved contact's key changed: nothing is shown until it is accepted."""
        self.kept_roads: deque[Road] = deque(maxlen=KEPT_ROADS)
        """What it said of its road while it was blocked."""
        self.last_life = now
        """When something verified came, over any road."""
        self.steady_since = now
        """Since when signatures under its voice can come in time."""
        self.claims: dict[tuple[int, int], Position] = {}
        """Places of the roster that it named and that we do not know yet."""
        self.warned_at = float("-inf")
        self.key_sent = 0
        """The newest generation of ours that it was told on this link."""
        self.key_taken = 0
        """The newest generation of ours that it acknowledged on this link."""
        self.traffic = Bucket(TRAFFIC, now)
        self.speech = Bucket(SPEECH, now)
        self.answers = Bucket(ANSWERS, now)
        self.carried = Bucket(CARRIED, now)
        self.greeted = Bucket(GREETED, now)
        self.hinted = Bucket(HINTS, now)
        self.openings = Bucket(OPENINGS, now)
        self.servers = Bucket(SERVERS, now)

    @property
    def number(self) -> Member:
        """Its number in the room."""
        return self.seat.number

    @property
    def streaming(self) -> bool:
        """Whether the reliable plane stands."""
        return self.link is not None and self.link.streaming

    @property
    def carries(self) -> bool:
        """Whether what is written to it now is likely to arrive soon."""
        link = self.link
        streaming = link is not None and link.streaming
        return streaming and link is not None and self.ladder.rung != "none"

    def link_named(self, tag: bytes) -> Link | None:
        """The link that a letter belongs to."""
        for link in (self.link, self.coming, self.former):
            if link is not None and link.tag == tag:
                return link
        return None

    def take_link(self, link: Link) -> LinkId | None:
        """Use ``link`` from now on; the number of the one that it replaces."""
        old = self.link.id if self.link is not None and self.link is not link else None
        self.former = self.link if old is not None else self.former
        self.link = link
        self.links += 1
        self.coming = self.greeting = None
        self.greetings = self.key_sent = self.key_taken = 0
        self.kept_roads.clear()
        self.witness.clear()
        return old

    def drop_links(self) -> LinkId | None:
        """Forget all keys of this pair; the number of the link that was in use."""
        old = self.link.id if self.link is not None else None
        self.former = self.link or self.former
        self.link = self.coming = self.greeting = None
        self.ladder.replaced()
        self.kept_roads.clear()
        self.witness.clear()
        return old

    def needs_link(self, now: float, *, crowded: bool) -> bool:
        """Whether the keys or the road must be made anew."""
        link = self.link
        if link is None:
            return True
        if not link.carried:
            return now >= link.chance_until
        return now - link.last_life >= (CROWD_LINK_DEATH if crowded else LINK_DEATH)

    def waits_for_reply(self, now: float) -> bool:
        """Whether a greeting may still be answered; the more failed, the longer."""
        if self.greeting is None:
            return False
        patience = min(GREETING_LIFE * 1.5 ** (self.greetings - 1), LONGEST_GREETING)
        return now - self.greeting.begun < patience

    def greet_anew(self) -> None:
        """Much has changed: what was greeted into the dark is not waited for any more."""
        if self.link is None:
            self.greeting, self.greetings = None, 0

    def doubt_link(self, now: float) -> None:
        """What was said on it may be lost: if it has carried nothing yet, it is made anew."""
        self.greet_anew()
        if self.link is not None:
            self.link.chance_until = now

    def alive(self, now: float) -> None:
        """Something verified came."""
        self.last_life = now

"""Ways: what leads to each member, which of it is in use, what is tried next.

    a link begins      -> a QUIC connection, an attempt at a direct pair, a path over
                          each forwarder that we are attached to
    a path lives, dies -> the ladder chooses; QUIC and media go where it says
    a pair is silent   -> it is poked, later a new attempt begins beside it

In a room too large for a mesh (a crowd) pairs that stand are kept, new ones are looked
for with the host alone, all beats are slow, and voice goes once to a forwarder. Where
none is named, or none reached the member before, a pair is looked for all the same.

Rule 1: only the link in use counts. What an older one still says is dropped.
Rule 2: a way that we leave on purpose is kept until the other side has left it too.
Rule 3: the other side may open a path over a forwarder that we had not chosen, by
        a probe that verifies; nothing else that comes in opens anything.
Rule 4: whatever changes when something is due for a member says so to the agenda.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vc_core.agenda import Agenda
from vc_core.berths import Berth, Berths
from vc_core.commands import (
    CloseRoad,
    Command,
    DropDirect,
    HintRoad,
    OpenRoad,
    PokeDirect,
    SendDatagram,
    TryDirect,
    UseWay,
    WakeRoad,
)
from vc_core.errors import RemoteProtocolError
from vc_core.events import Event, PathChanged
from vc_core.ids import Member, Rung, Way
from vc_core.link import Link
from vc_core.messages import Road
from vc_core.path import Path, State
from vc_core.peer import ATTEMPT_COST, Peer

# Specification
MESH_LIMIT = 8  # members up to which every pair looks for a direct way
LEAVE_TAKING = 1.0  # s that a forbidden way is kept, so that the other side leaves it first

# Implementation
PAIR_DEATH = 3.0  # s of silence after which a new attempt begins beside a pair
HANDOVER = 5.0  # s that an older pair is kept beside a newer one that answers
MAX_PAIRS = 3  # attempts of one link that are open at a time
ALL_RUNGS = frozenset(Rung)


class Ways:
    """To all other members."""

    def __init__(
        self,
        peers: Mapping[Member, Peer],
        ask: Callable[[Command], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._peers = peers
        self._ask = ask
        self._tell = tell
        self.allowed = ALL_RUNGS
        self.berths = Berths()
        """Forwarders that we are attached to."""
        self.crowded = False
        """Whether the room is too large for a mesh."""
        self.agenda = Agenda(peers, self._work_out)

    # A link begins and ends

    def use_link(self, peer: Peer, link: Link, now: float, *, paired: bool) -> None:
        """Use a link in place of an older one, and look for its ways.

        ``paired``: it gets a direct pair in a crowd too, as does one whose
        predecessor no way has carried.
        """
        link.paired = paired or (peer.link is not None and not peer.link.carried)
        old = peer.take_link(link)
        if old is not None:
            self._ask(CloseRoad(peer.number, old))
            self._show_if(peer, peer.ladder.replaced())
        self.open(peer, now)

    def open(self, peer: Peer, now: float) -> None:
        """Look for ways of the link in use, unless the member is blocked."""
        self.agenda.changed(peer)
        if (link := peer.link) is None or peer.blocked:
            return
        self._ask(OpenRoad(peer.number, link.id, link.leading))
        peer.ladder.allow(self.allowed)
        peer.ladder.begin(self.berths.order, self.berths.words, crowded=self.crowded)
        for way in self.berths.chosen():
            self._open_path(peer, link, way, now)
        if self._may_try(link):
            self._try(peer, link)
        elif self.crowded:
            peer.ladder.explained(Rung.DIRECT, "crowded")
        while peer.kept_roads:
            self.hint(peer, peer.kept_roads.popleft(), now)

    def drop(self, peer: Peer) -> None:
        """Forget all keys of a pair and close its road."""
        self.agenda.changed(peer)
        old = peer.drop_links()
        if old is not None:
            self._ask(CloseRoad(peer.number, old))

    # Direct pairs

    def _may_try(self, link: Link) -> bool:
        """Whether we begin attempts; those of the other side are always joined."""
        forwarded = self.crowded and self.berths.promising
        return Rung.DIRECT in self.allowed and (link.paired or not forwarded)

    def _try(self, peer: Peer, link: Link, number: int | None = None) -> None:
        self.agenda.changed(peer)
        attempt = link.attempts.begin(number)
        link.pairs.append(attempt)
        peer.ladder.explained(Rung.DIRECT, "trying")
        self._ask(TryDirect(peer.number, link.id, attempt))
        if len(link.pairs) > MAX_PAIRS:
            spare = next(one for one in link.pairs if Way(Rung.DIRECT, one) != link.used)
            self._drop_pair(peer, link, spare)

    def _drop_pair(self, peer: Peer, link: Link, attempt: int) -> None:
        way = Way(Rung.DIRECT, attempt)
        link.pairs.remove(attempt)
        link.paths.pop(way, None)
        self._ask(DropDirect(peer.number, link.id, attempt))
        self._closed(peer, way, "")

    def hint(self, peer: Peer, road: Road, now: float) -> None:
        """The other side said how its end can be reached."""
        link = peer.link
        if peer.blocked:
            peer.kept_roads.append(road)
        elif link is not None and Rung.DIRECT in self.allowed:
            begins = road.attempt > link.attempts.number
            if not peer.hinted.take(now, ATTEMPT_COST if begins else 1):
                return
            if begins:
                self._try(peer, link, road.attempt)
            if road.attempt in link.pairs:
                self._ask(HintRoad(peer.number, link.id, road))

    def addresses_changed(self, now: float) -> None:
        """Our machine has other addresses: new pairs are looked for beside the old ones."""
        self.agenda.all_changed()
        for peer in self._peers.values():
            if peer.link is not None:
                peer.link.attempts.hurry(now)

    # What the driver says

    def opened(self, peer: Peer, link: Link, way: Way, now: float) -> None:
        """A direct pair was found."""
        if way.number in link.pairs:
            link.attempts.stood(way.number)
            self._open_path(peer, link, way, now)
            self._probe(peer, link, way, link.paths[way], now)

    def failed(self, peer: Peer, link: Link, way: Way, word: str, now: float) -> None:
        """An attempt found no pair, or the pair is dead."""
        if way.number in link.pairs:
            link.pairs.remove(way.number)
            link.paths.pop(way, None)
            link.attempts.failed(way.number, now, leading=link.leading)
            self._closed(peer, way, word)
            self._use(peer, now)

    def receive_probe(self, peer: Peer, link: Link, way: Way, datagram: bytes, now: float) -> bool:
        """A probe; False unless it verifies."""
        path = link.paths.get(way)
        fresh = path is None and way.rung is not Rung.DIRECT and way.number in self.berths
        if fresh and peer.openings.take(now):
            path = link.open_path(way, now, crowded=self.crowded, spare=self.berths.spare(way))
        if path is None:
            return False
        measured = path.rtt is not None
        try:
            path.receive(datagram, now)
        except RemoteProtocolError:
            if fresh:
                del link.paths[way]
            return False
        if fresh:
            peer.ladder.opened(way, now)
        self._lives(peer, link, way, path, now)
        if way == peer.ladder.used and not measured and path.rtt is not None:
            self.show(peer)
        self._probe(peer, link, way, path, now)
        return True

    def heard(self, peer: Peer, link: Link, way: Way, now: float) -> None:
        """Sealed media opened that came this way."""
        path = link.paths.get(way)
        if path is not None:
            alive = path.state is State.ALIVE
            path.media(now)
            if not alive:
                self._lives(peer, link, way, path, now)

    def _lives(self, peer: Peer, link: Link, way: Way, path: Path, now: float) -> None:
        self.agenda.changed(peer)
        link.last_life = now
        if path.state is State.ALIVE:
            if way.rung is Rung.DIRECT:
                link.attempts.stood(way.number)
            known = peer.ladder.refused if path.refused else peer.ladder.answered
            self._show_if(peer, known(way, now))
            self._use(peer, now)

    # Forwarders

    def prefer(self, order: tuple[int, ...], now: float) -> None:
        """The host's order of forwarders."""
        self.agenda.all_changed()
        self.berths.named = order
        for peer in self._peers.values():
            self._show_if(peer, peer.ladder.prefer(self.berths.order))
            self._use(peer, now)
        self._spread(now)

    def attached(self, number: int, berth: Berth, now: float) -> None:
        """A forwarder has given us our slot, moved us to another transport, or ends soon."""
        self.berths.take(number, berth)
        self.prefer(self.berths.named, now)
        for peer in self._peers.values():
            if peer.ladder.used == Way(berth.rung, number):
                self.show(peer)

    def _spread(self, now: float) -> None:
        for peer in self._peers.values():
            if (link := peer.link) is not None:
                link.sort_ways(self.berths.spare)
                for way in self.berths.chosen():
                    if way not in link.paths and not peer.blocked:
                        self._open_path(peer, link, way, now)

    def detached(self, number: int, word: str, now: float) -> None:
        """A forwarder is gone for us."""
        self.agenda.all_changed()
        way = self.berths.give_up(number)
        if way is None:
            return
        for peer in self._peers.values():
            if peer.link is not None and peer.link.paths.pop(way, None) is not None:
                self._closed(peer, way, word)
                self._use(peer, now)
        self._spread(now)

    def explain(self, rung: Rung, word: str) -> None:
        """Why a rung cannot be tried at all, or is not yet."""
        self.berths.words[rung] = word
        for peer in self._peers.values():
            self._show_if(peer, peer.ladder.explained(rung, word))

    def crowd(self, on: bool, now: float) -> None:
        """The room has become too large for a mesh, or small enough again."""
        if on is self.crowded:
            return
        self.agenda.all_changed()
        self.crowded = on
        for peer in self._peers.values():
            self._show_if(peer, peer.ladder.crowd(on))
            if (link := peer.link) is None:
                continue
            for path in link.paths.values():
                path.crowd(on, now)
            self._use(peer, now)
            if on and not link.pairs and not self._may_try(link):
                self._show_if(peer, peer.ladder.explained(Rung.DIRECT, "crowded"))

    # User in

    def allow(self, rungs: frozenset[Rung], now: float) -> None:
        """Which rungs may be used from now on."""
        self.agenda.all_changed()
        self.allowed = rungs
        for peer in self._peers.values():
            self._show_if(peer, peer.ladder.allow(rungs))
            if (link := peer.link) is None:
                continue
            for way, path in link.paths.items():
                path.leave(way.rung not in rungs, now)
            link.leave_at = now + LEAVE_TAKING
            link.attempts.hurry(now)
            self._use(peer, now)

    def _let_go(self, peer: Peer, link: Link) -> None:
        """Of all ways that are not allowed."""
        link.leave_at = float("inf")
        if Rung.DIRECT not in self.allowed:
            for attempt in list(link.pairs):
                self._drop_pair(peer, link, attempt)
        for way in [one for one in link.paths if one.rung not in self.allowed]:
            del link.paths[way]
            self._closed(peer, way, "")

    # The choice

    def _open_path(self, peer: Peer, link: Link, way: Way, now: float) -> None:
        if way.rung in self.allowed:
            self.agenda.changed(peer)
            link.open_path(way, now, crowded=self.crowded, spare=self.berths.spare(way))
            self._show_if(peer, peer.ladder.opened(way, now))
            self._use(peer, now)

    def _closed(self, peer: Peer, way: Way, word: str) -> None:
        self.agenda.changed(peer)
        self._show_if(peer, peer.ladder.closed(way, word))

    def _use(self, peer: Peer, now: float) -> None:
        """Send where the ladder says."""
        way = peer.ladder.used
        if (link := peer.link) is None or link.used == way:
            return
        for one, path in link.paths.items():
            path.use(one == way, now)
        link.used = way
        self._ask(UseWay(peer.number, link.id, way))
        if way is not None:
            self._ask(WakeRoad(peer.number, link.id))

    def _show_if(self, peer: Peer, changed: bool) -> None:
        if changed:
            self.show(peer)

    def show(self, peer: Peer) -> None:
        """Say how packets flow to a member now."""
        ladder, link = peer.ladder, peer.link
        used = ladder.used if ladder.rung != "none" else None
        path = link.paths.get(used) if link is not None and used is not None else None
        reasons, rtt = ladder.reasons(), path.rtt if path is not None else None
        transport = self.berths.transport(ladder.used)
        self._tell(PathChanged(peer.number, ladder.rung, transport, reasons, rtt))

    # Time

    def next_timer(self) -> float:
        """When ``handle_timer`` wants to run; infinity for never."""
        return self.agenda.first()

    def _work_out(self, peer: Peer) -> float:
        if (link := peer.link) is None:
            return float("inf")
        return min(link.leave_at, self._attempt_due(link), *(p.due for p in link.paths.values()))

    def _attempt_due(self, link: Link) -> float:
        return link.attempts.next_due(alive=link.alive) if self._may_try(link) else float("inf")

    def handle_timer(self, now: float) -> None:
        """Probe every path; begin what is due."""
        for peer in self.agenda.take_due(now):
            if (link := peer.link) is None:
                continue
            for way, path in list(link.paths.items()):
                self._probe(peer, link, way, path, now)
            if now >= link.leave_at:
                self._let_go(peer, link)
            if now >= self._attempt_due(link):
                self._try(peer, link)

    def _probe(self, peer: Peer, link: Link, way: Way, path: Path, now: float) -> None:
        before = path.state
        datagrams = path.handle_timer(now)
        for datagram in datagrams:
            self._ask(SendDatagram(peer.number, link.id, way, datagram))
        if before is State.ALIVE and path.state is State.SILENT:
            self._show_if(peer, peer.ladder.fell(way, now))
            self._use(peer, now)
        elif path.doubtful and datagrams and path.used:
            for other in link.paths.values():  # which of the others lives, should this one fall?
                if other is not path:
                    other.hurry(now)
        if way.rung is Rung.DIRECT:
            self._look_after_pair(peer, link, way, path, now, probed=bool(datagrams))

    def _look_after_pair(
        self, peer: Peer, link: Link, way: Way, path: Path, now: float, *, probed: bool
    ) -> None:
        newest = way.number == link.attempts.number
        if path.state is State.SILENT:
            if probed:
                self._ask(PokeDirect(peer.number, link.id, way.number))
            if newest and now - path.last_life >= PAIR_DEATH:
                link.attempts.lost(now, leading=link.leading)
                if link.alive and not self._may_try(link):  # no other pair will follow it
                    self._drop_pair(peer, link, way.number)
                    peer.ladder.explained(Rung.DIRECT, "crowded")
        elif newest and path.state is State.ALIVE and now - path.lives_since >= HANDOVER:
            for older in link.pairs[:-1]:
                self._drop_pair(peer, link, older)

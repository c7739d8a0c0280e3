"""The one pump: carries a session's commands into the world and the world back.

After every input: commands, then events; then the one timer. Inputs that arise
while commands are carried out wait in a queue, so that a session is never
entered twice. Voice takes the short way: ``speak``, and ``RoadEar.media``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from client.ears import BerthEar, RoadEar
from client.net.candidates import Description
from client.net.direct import DirectCarrier
from client.net.forwarders import Forwarders
from client.net.guess import Tries
from client.net.mapped import mapped_ports
from client.net.post import Post
from client.net.turn_uri import TurnServer
from client.road import Road
from vc_core.commands import (
    CloseForwarder,
    CloseRoad,
    Command,
    DropDirect,
    EvictSlot,
    HintRoad,
    OpenForwarder,
    OpenRoad,
    OpenServer,
    PokeDirect,
    SendDatagram,
    SendSignal,
    TryDirect,
    UseServer,
    UseWay,
    WakeRoad,
    WriteRoad,
)
from vc_core.envelope import VOICE_HANDLE
from vc_core.events import Event
from vc_core.ids import LinkId, Member, Rung, Way
from vc_core.record import record
from vc_core.senderkeys import Opened
from vc_core.session import Session
from vc_core.wire import Record

if TYPE_CHECKING:
    from client.net.portmap.mapper import Mapper
    from relay.forwarder import Forwarder
    from relay.forwarder import Link as OwnLine


@record
class Reach:
    """What helps us and others to reach each other."""

    stun: Sequence[tuple[str, int]]
    turn: Sequence[TurnServer]
    loopback: bool
    """Whether both ends may be on this machine."""
    own: Forwarder | None
    """The forwarder that this client runs for its room."""
    mapper: Mapper | None
    """Asks the router for ports."""
    relays: frozenset[str] = frozenset()
    """Addresses of relays that we or our signaling server named."""


class Driver:
    """Runs one session in the event loop that is current."""

    def __init__(
        self,
        post: Post,
        reach: Reach,
        *,
        on_event: Callable[[Event], None],
        on_voice: Callable[[Opened], None],
        on_server: Callable[[OpenServer | UseServer], None],
    ) -> None:
        self.session: Session | None = None
        self._post = post
        self._reach = reach
        self._tries = Tries()
        self._on_event = on_event
        self.on_voice = on_voice
        """Hears what opened of others' voices and pictures."""
        self._on_server = on_server
        self.on_feedback: Callable[[Member, LinkId, bytes], None] = lambda *_: None
        """Hears what viewers say of our pictures."""
        self._roads: dict[LinkId, Road] = {}
        self._own_lines: dict[LinkId, OwnLine] = {}
        self.forwarders = Forwarders(BerthEar(self), loopback=reach.loopback, own=reach.own)
        self._inputs: deque[Callable[[], None]] = deque()
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._arming = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, make: Callable[[float], Session]) -> None:
        """Begin with the session that ``make(now)`` returns."""
        now = time.monotonic()
        self.session = make(now)
        self.session.room.epoch = time.time() - now
        self.pump()

    # ---- The pump ----------------------------------------------------------------

    def feed(self, action: Callable[[], None]) -> None:
        """An input for the session; runs now, or after the one that is being digested."""
        self._inputs.append(action)
        self.pump()

    def feed_media(self, action: Callable[[], None]) -> None:
        """The same for packets of media: they seldom give the session more to do or to wait for."""
        session = self.session
        if self._pumping or session is None:
            self._inputs.append(action)
            return
        self._pumping = True
        try:
            action()
        finally:
            self._pumping = False
        if self._inputs or session.room.commands or session.room.events:
            self.pump()

    def pump(self) -> None:
        """Inputs, commands, events, timer."""
        if self._pumping or self.session is None:
            return
        self._pumping, session = True, self.session
        try:
            self._digest(session)
        finally:  # a bug is loud, and the call goes on
            self._pumping = False
            self._arm_soon()
        if self._inputs:
            self.pump()

    def _digest(self, session: Session) -> None:
        while True:
            while (command := session.next_command()) is not None:
                self._obey(command)
            for opened in session.ready_media():
                self.on_voice(opened)
            if not self._inputs:
                break
            self._inputs.popleft()()
        while (event := session.next_event()) is not None:
            self._on_event(event)

    def _arm_soon(self) -> None:
        """Once for all that one turn of the loop brings: it means to look at everybody."""
        if not self._arming:
            self._arming = True
            asyncio.get_running_loop().call_soon(self._arm)

    def _arm(self) -> None:
        self._arming, session = False, self.session
        if session is None:
            return
        due = session.next_timer()
        if due == self._due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = self._due = None
        session = self.session
        if session is not None:
            self.feed(lambda: session.handle_timer(time.monotonic()))

    # ---- Commands ----------------------------------------------------------------

    def _obey(self, command: Command) -> None:
        if isinstance(command, SendSignal):
            self._post.send(command.signal)
        elif isinstance(command, OpenServer | UseServer):
            self._on_server(command)
        elif isinstance(command, OpenRoad):
            self._open(command)
        elif isinstance(command, OpenForwarder):
            self._pair_with_host()  # it may be another one, to whom we have a pair already
            self.forwarders.open(command)
        elif isinstance(command, CloseForwarder):
            self.forwarders.shut(command.number)
        elif isinstance(command, EvictSlot):
            self._evict(command)
        elif isinstance(command, CloseRoad):
            self._close(command)
        else:
            road = self._roads.get(command.link)
            if road is not None:
                _ORDERS[type(command)](road, command)
            if isinstance(command, UseWay):
                self._pair_with_host()

    def _evict(self, command: EvictSlot) -> None:
        if self._reach.own is not None:
            self._reach.own.evict(command.room, command.slot)

    def _close(self, command: CloseRoad) -> None:
        road = self._roads.pop(command.link, None)
        line = self._own_lines.pop(command.link, None)
        if line is not None:
            line.close()
        if road is not None:
            self._spawn(road)
        self._pair_with_host()

    def _pair_with_host(self) -> None:
        """The host's own forwarder is reached by the direct pair to it, while there is one."""
        session = self.session
        host = session.room.host if session is not None else None
        link = host.link if host is not None else None
        road = self._roads.get(link.id) if link is not None else None
        way = road.way if road is not None else None
        if road is None or way is None or way.rung is not Rung.DIRECT:
            self.forwarders.pair_with_host(None)
        else:
            self.forwarders.pair_with_host(partial(road.send_by, way))

    def envelope(self, member: Member, link: LinkId, datagram: bytes) -> None:
        """An envelope that came by the direct pair to a member."""
        session = self.session
        if session is None:
            return
        if not session.room.hosting:
            host = session.room.host
            if host is not None and host.number == member:
                self.forwarders.receive_from_host(datagram)
        elif self._reach.own is not None and (road := self._roads.get(link)) is not None:
            line = self._own_lines.get(link)
            if line is None:
                name = b"member" + member.to_bytes(2, "big")
                line = self._own_lines[link] = self._reach.own.add_link(name, road.send_direct)
            line.receive_datagram(datagram)

    def inner(self, number: int, slot: int, datagram: bytes) -> None:
        """A member's datagram that a forwarder brought."""
        session = self.session
        if session is None:
            return
        peer = session.room.peers.get(Member(slot))
        berth = session.room.ways.berths.get(number)
        if peer is not None and peer.link is not None and berth is not None:
            road = self._roads.get(peer.link.id)
            if road is not None:
                road.receive(Way(berth.rung, number), datagram)

    def _open(self, command: OpenRoad) -> None:
        mapper = self._reach.mapper

        def pair(
            on_description: Callable[[Description], None],
            on_datagram: Callable[[bytes], None],
            on_state: Callable[[str], None],
        ) -> DirectCarrier:
            return DirectCarrier(
                controlling=command.leading,
                stun=self._reach.stun,
                turn=self._reach.turn,
                loopback=self._reach.loopback,
                tries=self._tries,
                mapper=mapped_ports(mapper) if mapper is not None else None,
                release=partial(mapper.unmap, "udp") if mapper is not None else None,
                on_description=on_description,
                on_datagram=on_datagram,
                on_state=on_state,
            )

        self._roads[command.link] = Road(
            RoadEar(self, command.member, command.link),
            leading=command.leading,
            make_pair=pair,
            through=lambda number, datagram: self.forwarders.pass_to(
                number, command.member, datagram
            ),
            defer=self.feed,
        )

    def _spawn(self, road: Road) -> None:
        task = asyncio.get_running_loop().create_task(road.close())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- Signaling ---------------------------------------------------------------

    def signal(self, signal: Record) -> None:
        """A signal of the server."""
        session = self.session
        if session is not None:
            self.feed(lambda: session.receive_signal(signal, time.monotonic()))

    def signaling(self, *, connected: bool) -> None:
        """The server was lost, or is back."""
        session = self.session
        if session is None:
            return
        if connected:
            self.feed(lambda: session.signaling_back(time.monotonic()))
        else:
            self.feed(lambda: session.signaling_lost(time.monotonic()))

    def allow(self, rungs: frozenset[Rung]) -> None:
        """Which rungs may be used."""
        session = self.session
        # A relay that the host alone names may be its own machine: it would learn our address.
        self.forwarders.trusted = self._reach.relays if rungs == {Rung.RELAYED} else None
        if session is not None:
            self.feed(lambda: session.allow(rungs, time.monotonic()))

    def addresses_changed(self) -> None:
        """This machine has other addresses than before."""
        session = self.session
        if session is not None:
            self.forwarders.addresses_changed()
            self.feed(lambda: session.room.ways.addresses_changed(time.monotonic()))

    def traffic(self, link: LinkId | None) -> tuple[int, int]:
        """Bytes (in, out) of a link's road; None: of what forwarders are given once for many."""
        if link is None:
            return 0, self.forwarders.bytes_spread
        road = self._roads.get(link)
        return (road.bytes_in, road.bytes_out) if road is not None else (0, 0)

    # ---- Media -------------------------------------------------------------------

    def send_to(self, member: Member, datagram: bytes) -> None:
        """One datagram to a member, the way that is in use."""
        session = self.session
        peer = session.room.peers.get(member) if session is not None else None
        road = self._roads.get(peer.link.id) if peer is not None and peer.link else None
        if road is not None:
            road.send(datagram)

    def speak(self, kind: int, timestamp: int, payload: bytes) -> None:
        """Seal one voice packet and send it to everybody who listens."""
        session = self.session
        if session is None:
            return
        datagram = session.speak(kind, timestamp, payload, time.monotonic())
        if session.room.commands:  # keys that it needs, signatures that are full
            self.pump()
        if datagram is None:
            return
        spread = session.spread_by()
        if spread is not None:
            self.forwarders.spread(spread, VOICE_HANDLE, datagram)
        for _, link in session.listeners(spread):
            road = self._roads.get(link)
            if road is not None:
                road.send(datagram)

    # ---- End ---------------------------------------------------------------------

    async def close(self) -> None:
        """Close all roads, letting the last words out."""
        if self._timer is not None:
            self._timer.cancel()
        self.session = None
        self.forwarders.close()
        roads, self._roads = list(self._roads.values()), {}
        for road in roads:
            self._spawn(road)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3.0)


_ORDERS: dict[type, Callable[[Road, Any], None]] = {
    TryDirect: lambda road, order: road.try_direct(order.attempt),
    DropDirect: lambda road, order: road.drop_direct(order.attempt),
    PokeDirect: lambda road, order: road.poke_direct(order.attempt),
    HintRoad: lambda road, order: road.hint(order.road),
    UseWay: lambda road, order: road.use(order.way),
    WriteRoad: lambda road, order: road.write(order.data),
    SendDatagram: lambda road, order: road.send_by(order.way, order.datagram),
    WakeRoad: lambda road, _: road.wake(),
}

"""The one pump: carries a session's commands into the world and the world back.

After every input: commands, then events, then the one timer. Inputs that arise
while commands are carried out wait in a queue, so that a session is never
entered twice. Voice takes the short way: ``speak`` and ``hear``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from client.net.mailbox import Mailbox
from client.net.turn_uri import TurnServer
from client.road import Road
from vc_core.commands import (
    CloseRoad,
    Command,
    HintRoad,
    OpenRoad,
    SendDatagram,
    SendSignal,
    WakeRoad,
    WriteRoad,
)
from vc_core.events import Event
from vc_core.ids import LinkId, Member
from vc_core.messages import Road as RoadMessage
from vc_core.senderkeys import Opened
from vc_core.session import Session
from vc_core.wire import Record


class Driver:
    """Runs one session in the event loop that is current."""

    def __init__(
        self,
        mailbox: Mailbox,
        *,
        stun: Sequence[tuple[str, int]],
        turn: Sequence[TurnServer],
        loopback: bool,
        on_event: Callable[[Event], None],
        on_voice: Callable[[Opened], None],
    ) -> None:
        self.session: Session | None = None
        self._mailbox = mailbox
        self._stun = tuple(stun)
        self._turn = tuple(turn)
        self._loopback = loopback
        self._on_event = on_event
        self._on_voice = on_voice
        self._roads: dict[LinkId, Road] = {}
        self._inputs: deque[Callable[[], None]] = deque()
        self._pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, make: Callable[[float], Session]) -> None:
        """Begin with the session that ``make(now)`` returns."""
        self.session = make(time.monotonic())
        self.pump()

    # ---- The pump ----------------------------------------------------------------

    def feed(self, action: Callable[[], None]) -> None:
        """An input for the session; runs now, or after the one that is being digested."""
        self._inputs.append(action)
        self.pump()

    def pump(self) -> None:
        """Inputs, commands, events, timer."""
        if self._pumping or self.session is None:
            return
        self._pumping = True
        try:
            session = self.session
            while True:
                while (command := session.next_command()) is not None:
                    self._obey(command)
                for opened in session.ready_media():
                    self._on_voice(opened)
                if not self._inputs:
                    break
                self._inputs.popleft()()
            while (event := session.next_event()) is not None:
                self._on_event(event)
            self._arm(session)
        finally:
            self._pumping = False
        if self._inputs:
            self.pump()

    def _arm(self, session: Session) -> None:
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
            self._mailbox.send(command.signal)
            return
        if isinstance(command, OpenRoad):
            self._open(command)
            return
        road = self._roads.get(command.link)
        if road is None:
            return
        if isinstance(command, WriteRoad):
            road.write(command.data)
        elif isinstance(command, SendDatagram):
            road.send(command.datagram)
        elif isinstance(command, HintRoad):
            road.hint(command.road)
        elif isinstance(command, WakeRoad):
            road.wake()
        elif isinstance(command, CloseRoad):
            del self._roads[command.link]
            self._spawn(road)

    def _open(self, command: OpenRoad) -> None:
        ear = _Ear(self, command.member, command.link)
        road = self._roads[command.link] = Road(
            ear,
            leading=command.leading,
            stun=self._stun,
            turn=self._turn,
            loopback=self._loopback,
            defer=self.feed,
        )
        task = asyncio.get_running_loop().create_task(road.carrier.start())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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

    def traffic(self, link: LinkId) -> tuple[int, int]:
        """Bytes (in, out) of a link's road."""
        road = self._roads.get(link)
        return (road.bytes_in, road.bytes_out) if road is not None else (0, 0)

    # ---- Voice -------------------------------------------------------------------

    def speak(self, kind: int, timestamp: int, payload: bytes) -> None:
        """Seal one voice packet and send it to everybody who listens."""
        session = self.session
        if session is None:
            return
        datagram = session.speak(kind, timestamp, payload, time.monotonic())
        if datagram is not None:
            for _, link in session.listeners():
                road = self._roads.get(link)
                if road is not None:
                    road.send(datagram)

    def hear(self, member: Member, link: LinkId, datagram: bytes) -> None:
        """Open one voice packet."""
        session = self.session
        if session is not None:
            opened = session.hear(member, link, datagram, time.monotonic())
            if opened is not None:
                self._on_voice(opened)

    # ---- End ---------------------------------------------------------------------

    async def close(self) -> None:
        """Close all roads, letting the last words out."""
        if self._timer is not None:
            self._timer.cancel()
        self.session = None
        roads, self._roads = list(self._roads.values()), {}
        for road in roads:
            self._spawn(road)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3.0)


@dataclass(frozen=True)
class _Ear:
    """Brings what one road says to the session, in the name of its link."""

    driver: Driver
    member: Member
    link: LinkId

    def _tell(self, what: Callable[[Session, float], None]) -> None:
        session = self.driver.session
        if session is not None:
            self.driver.feed(lambda: what(session, time.monotonic()))

    def described(self, road: RoadMessage) -> None:
        """Our side can be tried."""
        self._tell(lambda s, now: s.road_described(self.member, self.link, road, now))

    def opened(self) -> None:
        """Datagrams flow."""
        self._tell(lambda s, now: s.road_opened(self.member, self.link, now))

    def failed(self) -> None:
        """The carrier gave up."""
        self._tell(lambda s, now: s.road_failed(self.member, self.link, now))

    def probe(self, datagram: bytes) -> None:
        """A probe came."""
        self._tell(lambda s, now: s.receive_probe(self.member, self.link, datagram, now))

    def media(self, datagram: bytes) -> None:
        """Sealed media came."""
        self.driver.hear(self.member, self.link, datagram)

    def stream_opened(self) -> None:
        """Stream 0 stands."""
        self._tell(lambda s, now: s.stream_opened(self.member, self.link, now))

    def stream_data(self, data: bytes) -> None:
        """Bytes of stream 0."""
        self._tell(lambda s, now: s.receive_stream(self.member, self.link, data, now))

    def stream_closed(self) -> None:
        """QUIC is over."""
        self._tell(lambda s, now: s.stream_closed(self.member, self.link, now))

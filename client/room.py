"""A room as an async Python object: what everything with a face is built on.

    async with Room(settings, identity) as room:
        async for event in room.events():
            ...

Events are those of ``vc_core.events`` and the few that this file adds. The
example is ``docs/examples/echo_bot.py``; the JSON interface is ``client.engine``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any

from client.events import Announced, RoomEvent, SignalingChanged, Talked
from client.hosting.host import Desks, OwnServer, server_of
from client.hosting.offers import Offers
from client.net.interfaces import Watch, watch
from client.net.kem import MlKem
from client.net.lan import look_for
from client.net.post import Post
from client.net.turn_uri import parse_turn
from client.preload import look, preload
from client.settings import Settings
from client.sounding import follow_loss, keep_devices, unwritten
from vc_core.commands import OpenServer, UseServer
from vc_core.errors import LocalProtocolError
from vc_core.events import (
    CodeReady,
    Ended,
    Event,
    HostChanged,
    MemberJoined,
    MemberLeft,
    RoomOpened,
)
from vc_core.ids import Member, Rng
from vc_core.invite import Invitation, parse_invitation, server_url
from vc_core.join import Kem
from vc_core.keys import Identity
from vc_core.room import Judge
from vc_core.senderkeys import Opened
from vc_core.servers import Change
from vc_core.session import Session
from vc_core.wire import Record

# Implementation
TEXT_PATIENCE = 1.5  # s that leaving waits for texts under way


class Room:
    """One call. Open it with ``async with``; it leaves politely at the end."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        judge: Judge = lambda _name, _identity: False,
        rng: Rng = os.urandom,
    ) -> None:
        self.settings = settings
        self.identity = identity
        self.member = Member(0)
        self.signal_url = ""
        self.found_in_lan = False
        """Whether the server is one that announced itself in this network."""
        self._judge = judge
        self._rng = rng
        self._events: asyncio.Queue[RoomEvent] = asyncio.Queue()
        self._own_server = OwnServer(settings)
        self._offers = Offers(settings)
        self._watch: Watch | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._names: dict[int, str] = {}
        self._sounding = False

    async def __aenter__(self) -> Room:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- Opening -----------------------------------------------------------------

    async def open(self) -> None:
        """Connect, host or knock.

        Raises ``SignalingUnreachable``, ``client.net.lan.NotFoundError``, ``CannotListenError``,
        ``InvitationError``, ``ValueError`` for an address, ``OpusMissing`` and ``ImportError``.
        """
        look()
        settings = self.settings
        self._offers.begin()
        invitation = parse_invitation(settings.code or "") if not settings.hosting else None
        self.signal_url = url = await self._server(invitation)
        self._post = Post(url, self._signalled, self._signaling, self._rng, spare=settings.signal)
        hello = asyncio.create_task(self._post.connect())
        self._spawn(asyncio.to_thread(preload))
        from client.driver import Driver, Reach

        self._offers.welcome = await hello
        self.signal_url = self._post.url
        self._desks = Desks(settings, self._own_server, self._post)
        self._offers.ask_routers(loopback=self._loopback)
        self._driver = Driver(
            self._post,
            Reach(
                stun=self._offers.stun_servers(self._post.stun_server),
                turn=[parse_turn(uri) for uri in settings.turn],
                loopback=self._loopback,
                own=self._offers.forwarder,
                mapper=self._offers.mapper,
                relays=self._offers.relay_addresses,
            ),
            on_event=self._happened,
            on_voice=self._heard,
            on_server=self._server_wanted,
        )
        from client.media import Sound
        from client.pictures.hub import Pictures

        self.sound = Sound(
            self._driver.speak,
            on_talking=lambda member, on: self._tell(Talked(Member(member), on)),
            on_own_talking=lambda on: self._tell(Talked(self.member, on)),
            name_of=self._name,
            record=settings.record,
            on_unwritten=unwritten(self._tell),
        )
        self.pictures = Pictures(self._driver, self._tell, lambda: self.member, self.sound)
        kem = MlKem()
        if invitation is None:
            self._driver.start(lambda now: self._host(kem, now))
            self._spawn(self._offer_anew())
        else:
            self._driver.start(lambda now: self._guest(invitation, kem, now))
        self._driver.allow(self._offers.allowed)
        self._watch = watch(self._addresses_changed)

    async def _server(self, invitation: Invitation | None) -> str:
        settings = self.settings
        if settings.hosting and settings.signal is not None:
            await self._offers.listen_somewhere()
        named = server_of(invitation)
        if named is not None and not self._offers.private:  # it may be a member's own
            return named
        if settings.signal is not None:
            return server_url(settings.signal)
        if invitation is not None:
            if not settings.lan:
                raise LocalProtocolError("the code names no server")
            self.found_in_lan = True
            return await look_for(invitation.nameplate)
        embedded = await self._own_server.open(
            hosted=self._offers.hosted,
            announced=lambda code: self._tell(Announced(code)),
            rng=self._rng,
        )
        return embedded.url

    @property
    def _loopback(self) -> bool:
        """Whether both ends may be on this machine, so that loopback addresses count."""
        return self._own_server.loopback if self._own_server.founded else self._post.local

    # ---- What this machine offers -----------------------------------------------------

    async def _offer_anew(self) -> None:
        """We host from here from now on: what we forward and know is the room's."""
        await self._offers.listen_somewhere()
        self._offer()
        if await self._offers.improve(loopback=self._loopback):
            self._offer()

    def _offer(self) -> None:
        if self.session.room.hosting:
            signs = self._post.url == self.signal_url
            self._offers.publish(self.session, time.monotonic(), self._loopback, signs=signs)
            self._driver.pump()

    def _addresses_changed(self) -> None:
        """Another network, or one more: pairs and slots are looked for anew."""
        self._driver.addresses_changed()
        office = self.session.office if not self._offers.private else None
        if office is not None and (url := self._own_server.moved()):
            self._driver.feed(lambda: office.server_moved(url))
        if self.session.room.hosting:
            self._spawn(self._offer_anew())

    def _host(self, kem: Kem, now: float) -> Session:
        name, make = self.settings.name, self._desks.make
        session = Session.host(self.identity, name, make, kem, self._rng, now, self._judge)
        session.room.server = self._own_server.shown
        return session

    def _guest(self, invitation: Invitation, kem: Kem, now: float) -> Session:
        name = self.settings.name
        session = Session.join(invitation, self.identity, name, kem, self._rng, now, self._judge)
        session.prepare(self._desks.make)
        return session

    # ---- Signaling servers -------------------------------------------------------

    def _server_wanted(self, command: OpenServer | UseServer) -> None:
        if isinstance(command, OpenServer):
            self._spawn(self._keep_server())
        elif not self._offers.private:  # it may be a member's own, and see our address
            self._post.add(command.url)

    async def _keep_server(self) -> None:
        """A signaling server of our own, since we host now and none answers."""
        url = None if self._offers.private else await self._own_server.replace(self._post)
        if (office := self.session.office) is not None:
            self._driver.feed(lambda: office.server_opened(url, time.monotonic()))

    # ---- Events ------------------------------------------------------------------

    async def events(self) -> AsyncIterator[RoomEvent]:
        """Everything that happens, until the room has ended for us."""
        while True:
            yield (event := await self._events.get())
            if isinstance(event, Ended):
                return

    def _name(self, member: int) -> str:
        return self._names.get(member, "member")

    def _tell(self, event: RoomEvent) -> None:
        self._events.put_nowait(event)

    def _happened(self, event: Event) -> None:
        if isinstance(event, RoomOpened):
            self.member = event.member
            if not event.hosting:
                self._begin_sound()
        elif isinstance(event, CodeReady):
            self._begin_sound()
        elif isinstance(event, MemberLeft):
            self.sound.forget(event.member)
        elif isinstance(event, HostChanged) and event.member == self.member:
            self._spawn(self._offer_anew())
        self._own_server.follow(event)
        self.pictures.follow(event)
        if isinstance(event, RoomOpened | MemberJoined):
            self._names[event.member] = event.name
        self._tell(event)

    def _signalled(self, signal: Record) -> None:
        self._driver.signal(signal)

    def _heard(self, opened: Opened) -> None:
        (self.pictures if opened.stream else self.sound).receive(opened)

    def _signaling(self, change: Change) -> None:
        driver = getattr(self, "_driver", None)
        if driver is None:
            return
        if change in (Change.LOST, Change.OTHER):
            driver.signaling(connected=False)
        if change in (Change.BACK, Change.OTHER):
            driver.signaling(connected=True)
        if change is not Change.OTHER:
            self._tell(SignalingChanged(change is Change.BACK))

    def _begin_sound(self) -> None:
        """Open the devices, once: right after the room is there for us."""
        if not self._sounding:
            self._sounding = True
            self._spawn(keep_devices(self.sound, self.settings, self._tell))
            self._spawn(follow_loss(self.sound, self._loss))

    def _loss(self) -> float:
        """The highest share of packets that a path loses."""
        session = self._driver.session
        return session.room.audience.loss() if session is not None else 0.0

    def traffic(self, member: Member | None) -> tuple[int, int]:
        """Bytes (in, out) of the road to a member; None: of what is sent once for many."""
        peer = self.session.room.peers.get(member) if member is not None else None
        link = peer.link.id if peer is not None and peer.link is not None else None
        return self._driver.traffic(link) if member is None or link is not None else (0, 0)

    # ---- Verbs -------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The session inside."""
        if self._driver.session is None:
            raise LocalProtocolError("the room is closed")
        return self._driver.session

    def say(self, text: str, to: Member | None = None) -> bytes:
        """Send a text to everybody or to one; its id. ``LocalProtocolError`` if it cannot be."""
        id = self.session.say(text, to)
        self._driver.pump()
        return id

    def mute(self, on: bool) -> bool:
        """Microphone off or on; whether that changed anything."""
        return self._show_microphone(self.sound.mute(on))

    def push_to_talk(self, on: bool) -> bool:
        """The talk key is down or up; whether that changed anything."""
        return self._show_microphone(self.sound.push_to_talk(on))

    def _show_microphone(self, changed: bool) -> bool:
        self.session.mute(self.sound.muted)
        self._driver.pump()
        return changed

    def kick(self, member: Member) -> None:
        """Remove a member (host only; ``LocalProtocolError`` otherwise)."""
        self._act(lambda session, now: session.kick(member, now))

    def lock(self, on: bool) -> None:
        """Take nobody in, or again (host only)."""
        self._act(lambda session, now: session.lock(on, now))

    def deputies(self, members: tuple[Member, ...]) -> None:
        """Name who takes over when we are gone, in this order, at most two (host only)."""
        self._act(lambda session, now: session.deputies(members, now))

    def invite(self) -> None:
        """Ask for a new code (host only)."""
        self._act(lambda session, now: session.invite(now))

    def only(self, rungs: Iterable[str]) -> None:
        """Which rungs may be used from now on: direct, hosted, relayed."""
        self._offers.allow(rungs)
        self._driver.allow(self._offers.allowed)
        self._offer()

    def accept(self, member: Member) -> None:
        """Trust a changed key."""
        self._act(lambda session, now: session.accept(member, now))

    def _act(self, verb: Callable[[Session, float], None]) -> None:
        """What a person may do; raises what the session says of it."""
        verb(self.session, time.monotonic())
        self._driver.pump()

    def leave(self) -> None:
        """Say good-bye, after the texts that are still under way; ``Ended`` follows."""
        if self._texts_under_way():
            self._spawn(self._leave_after_texts())
        else:
            self._leave_now()

    def _texts_under_way(self) -> bool:
        session = self._driver.session
        if session is None or session.room.ended:
            return False
        return any(
            peer.conversation.unacknowledged() and peer.ladder.rung != "none"
            for peer in session.room.present()
        )

    async def _leave_after_texts(self) -> None:
        deadline = time.monotonic() + TEXT_PATIENCE
        while self._texts_under_way() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self._leave_now()

    def _leave_now(self) -> None:
        if self._driver.session is not None and not self._driver.session.room.ended:
            self.session.leave(time.monotonic())
            self._driver.pump()

    # ---- End ---------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leave if need be, and let go of everything."""
        if self._watch is not None:
            self._watch.close()
        for task in self._tasks:  # whatever they do, it is for a room that goes on
            task.cancel()
        if hasattr(self, "_driver"):
            self._leave_now()
            await self._driver.close()
        if hasattr(self, "sound"):
            await self.pictures.close()
            self.sound.close()
        if hasattr(self, "_post"):
            await self._post.close()
        await self._offers.close()
        await self._own_server.close()

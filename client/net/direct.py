"""The direct rung: an ICE connection as a carrier.

    start ──► sockets ──► host candidates ──► (STUN, port mapping, on the side) ──► done
    add_remote ──► checks ──► connected ──► consent lost: failed
                         └──► nothing answers: failed

Rule 1: nobody waits for STUN, for a router, for a name or for a dead interface.
Rule 2: ``close`` at any moment leaves no task and no socket behind.
Rule 3: what a peer describes is cleaned here and never raises.

aioice takes a while to import, so that happens in ``start`` or in ``preload``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from client.net.candidates import MAX_CANDIDATES, Description, Network, clean
from vc_core.errors import LocalProtocolError

if TYPE_CHECKING:
    from client.net.ice import IceConnection, IceSocket
    from client.net.portmap.mapper import Mapper

# Implementation
STUN_LIMIT: Final = 5.0  # seconds until candidates are called complete
NAME_LIMIT: Final = 3.0  # seconds for the name of a STUN server
PATIENCE: Final = 5.0  # seconds after the peer's last candidate in which none may answer
CONNECT_LIMIT: Final = 30.0  # seconds from the peer's first description to a pair
MAX_SERVERS: Final = 4

StunServer = tuple[str, int]


class State(Enum):
    """Where a direct carrier stands."""

    NEW = "nothing is open"
    GATHERING = "sockets are being opened"
    WAITING = "the peer has not described itself"
    CHECKING = "pairs are being checked"
    CONNECTED = "a pair carries datagrams"
    FAILED = "no pair was found, or the pair died"
    CLOSED = "closed from our side"


OPEN: Final = {State.WAITING, State.CHECKING, State.CONNECTED}
OVER: Final = {State.FAILED, State.CLOSED}


def preload() -> None:
    """Import what is heavy; may run in a thread while the network is awaited."""
    import client.net.ice  # noqa: F401


class DirectCarrier:
    """One ICE connection; see ``Carrier`` for ``send`` and ``close``.

    ``on_description`` gets what the peer must hear (first at once, more as STUN
    answers, the last one ``done``), ``on_datagram`` each datagram from an
    address that ICE has checked, ``on_state`` "connected", "failed" (all sockets
    are closed by then) and "closed". All are called from the event loop.

    ``loopback``: both ends are on one machine, so 127.0.0.1 and ::1 are offered
    and accepted as well. ``mapper`` asks the router to open each socket's port.
    """

    def __init__(
        self,
        *,
        controlling: bool,
        stun: Sequence[StunServer],
        loopback: bool,
        on_description: Callable[[Description], None],
        on_datagram: Callable[[bytes], None],
        on_state: Callable[[str], None],
        mapper: Mapper | None = None,
    ) -> None:
        self._controlling = controlling
        self._mapper = mapper
        self._stun = tuple(stun)[:MAX_SERVERS]
        self._loopback = loopback
        self._on_description = on_description
        self._on_datagram = on_datagram
        self._on_state = on_state
        self._state = State.NEW
        self._ice: IceConnection | None = None
        self._bridges: tuple[Network, ...] = ()
        self._described: list[str] = []
        self._heard: list[Description] = []
        self._accepted: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._patience: asyncio.TimerHandle | None = None
        self._shutting: asyncio.Task[None] | None = None

    # getters

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    def selected(self) -> tuple[str, str] | None:
        """Types of the candidates in use, (local, remote), for the log; None without a pair."""
        return self._ice.selected() if self._ice is not None else None

    # verbs

    async def start(self) -> None:
        """Open the sockets and report the host candidates; STUN goes on afterwards."""
        if self._state is State.CLOSED:
            return
        if self._state is not State.NEW:
            raise LocalProtocolError("a direct carrier is started once")
        self._state = State.GATHERING
        gathering = self._spawn(self._gather())
        await asyncio.wait([gathering])
        if not gathering.cancelled():
            gathering.result()

    def add_remote(self, description: Description) -> None:
        """Take what the peer says of itself; hostile or late parts are dropped.

        The first usable description fixes user name and password; later ones
        must repeat them. May be called before ``start`` has finished.
        """
        if self._state in OVER or not description.usable():
            return
        first = self._heard[0] if self._heard else description
        if (description.ufrag, description.pwd) != (first.ufrag, first.pwd):
            return
        if len(self._heard) < MAX_CANDIDATES or description.done:
            self._heard.append(description)
        if self._state in OPEN:
            self._take(description)

    failure = "direct-failed"
    """A word for why it failed."""

    def poke(self) -> None:
        """The pair is silent: check at once."""

    def send(self, datagram: bytes) -> None:
        """Send on the nominated pair; dropped while there is none."""
        if self._ice is not None:
            self._ice.transmit(datagram)

    async def close(self) -> None:
        """End everything; reports "closed" once."""
        if self._shutting is None:
            self._shutting = asyncio.create_task(self._shut())
        await asyncio.shield(self._shutting)

    # gathering

    async def _gather(self) -> None:
        from client.net.ice import IceConnection
        from client.net.interfaces import interfaces

        found = interfaces(loopback=self._loopback)
        self._bridges = found.bridges
        self._ice = IceConnection(
            controlling=self._controlling,
            on_datagram=self._on_datagram,
            on_connected=self._connected,
            on_lost=self._lost,
        )
        lines = await self._ice.bind(found.addresses)
        self._state = State.WAITING
        more = bool(self._stun or self._mapper)
        self._describe(lines, done=not more)
        if more:
            self._spawn(self._trickle(self._ice))
        for description in self._heard:
            self._take(description)

    def _describe(self, lines: Sequence[str], *, done: bool) -> None:
        if self._ice is None or self._state in OVER:
            return
        new = [line for line in lines if line not in self._described]
        new = new[: MAX_CANDIDATES - len(self._described)]
        self._described += new
        if new or done:
            ufrag, pwd = self._ice.local_username, self._ice.local_password
            self._on_description(Description(ufrag, pwd, tuple(new), done))

    async def _trickle(self, ice: IceConnection) -> None:
        try:
            async with asyncio.timeout(STUN_LIMIT), asyncio.TaskGroup() as group:
                for server in self._stun:
                    group.create_task(self._ask_server(ice, server))
                if (mapper := self._mapper) is not None:
                    for opened in ice.sockets:
                        group.create_task(self._map(mapper, ice, opened))
        except TimeoutError:
            pass  # who has not answered counts as absent
        self._describe([], done=True)

    async def _ask_server(self, ice: IceConnection, server: StunServer) -> None:
        async with asyncio.TaskGroup() as group:
            for address in await _resolve(server):
                for opened in ice.sockets:
                    if _same_kind(opened.host, address[0]):
                        group.create_task(self._ask(ice, opened, address))

    async def _ask(self, ice: IceConnection, opened: IceSocket, server: StunServer) -> None:
        line = await ice.ask(opened, server)
        if line is not None and clean(line, loopback=self._loopback) is not None:
            self._describe([line], done=False)

    async def _map(self, mapper: Mapper, ice: IceConnection, opened: IceSocket) -> None:
        base = opened.local_candidate
        mapping = await mapper.map("udp", base.host, base.port)
        if mapping is not None:
            line = ice.mapped(opened, mapping.external_host, mapping.external_port)
            if line is not None and clean(line, loopback=self._loopback) is not None:
                self._describe([line], done=False)

    # checking

    def _take(self, description: Description) -> None:
        ice = self._ice
        if ice is None or self._state in OVER:
            return
        room = MAX_CANDIDATES - len(self._accepted)
        lines = [
            line
            for raw in description.candidates[:MAX_CANDIDATES]
            if (line := clean(raw, loopback=self._loopback, bridges=self._bridges))
            and line not in self._accepted
        ][:room]
        self._accepted.update(lines)
        ice.add_remote(lines)
        if self._state is State.WAITING:
            self._state = State.CHECKING
            ice.remote_username, ice.remote_password = description.ufrag, description.pwd
            self._spawn(self._connect(ice))
        if description.done and self._patience is None:
            # A peer may also reach us from addresses that it does not know of.
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE, ice.end_remote)

    async def _connect(self, ice: IceConnection) -> None:
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await ice.connect()
        except (ConnectionError, TimeoutError):
            self._unmap(ice)
            await ice.close()
            self._lost()

    def _connected(self) -> None:
        if self._state is State.CHECKING:
            self._state = State.CONNECTED
            self._on_state("connected")

    def _lost(self) -> None:
        if self._state not in OVER:
            self._state = State.FAILED
            self._on_state("failed")

    # ending

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _shut(self) -> None:
        self._state = State.CLOSED
        if self._patience is not None:
            self._patience.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._ice is not None:
            self._unmap(self._ice)
            await self._ice.close()
        self._on_state("closed")

    def _unmap(self, ice: IceConnection) -> None:
        if (mapper := self._mapper) is None:
            return
        for opened in ice.sockets:
            base = opened.local_candidate
            mapper.unmap("udp", base.host, base.port)


async def _resolve(server: StunServer) -> list[StunServer]:
    """Numeric addresses of a server: the first of each family; empty when unknown."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(NAME_LIMIT):
            found = await loop.getaddrinfo(*server, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, TimeoutError):
        return []
    first = {family: address for family, _, _, _, address in reversed(found)}
    return [(str(address[0]), int(address[1])) for address in first.values()]


def _same_kind(host: str, other: str) -> bool:
    """Whether one family and both or neither loopback: only then can an answer be of use."""
    one, two = ipaddress.ip_address(host), ipaddress.ip_address(other)
    return one.version == two.version and one.is_loopback == two.is_loopback

"""The direct rung: an ICE connection as a carrier.

    start ──► sockets ──► host candidates ──► (STUN, TURN, mapping: on the side) ──► done
    add_remote ──► checks ──► connected ──► consent lost: failed
                         │         └─ silent: poke ──► checks, new addresses ──► moved
                         └──► nothing answers: failed

Rule 1: nobody waits for STUN, TURN, a name, a router or a dead interface.
Rule 2: ``close`` at any moment leaves no task and no socket behind.
Rule 3: what a peer describes is cleaned here and never raises.

aioice takes a while to import, so that happens in ``start`` or in ``preload``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from client.net.candidates import MAX_CANDIDATES, Description, Network, clean
from client.net.failure import Failure, why_none
from client.net.gather import Gathering, Mapper
from client.net.guess import AFTER, ATTENTION, Tries, guess
from vc_core.bucket import Bucket, Rate
from vc_core.errors import LocalProtocolError

if TYPE_CHECKING:
    from client.net.ice_moving import MovingConnection
    from client.net.turn_uri import TurnServer

# Implementation
PATIENCE: Final = 5.0  # seconds after the peer's last candidate in which none may answer
UNHEARD_LIMIT: Final = 4.0  # seconds from our first description to the peer's
CONNECT_LIMIT: Final = 30.0  # seconds from the peer's first description to a pair
MAX_SERVERS: Final = 4  # of STUN, and of TURN
LATE: Final = Rate(per_second=2, burst=8)  # candidates of a connected peer, and of ours
IMPROVE: Final = (1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between looks for a way without a relay

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
    import client.net.ice_moving  # noqa: F401


class DirectCarrier:
    """One ICE connection that carries datagrams of at most 1 228 bytes.

    ``on_description`` gets what the peer must hear (first at once, more as STUN
    answers, the last one ``done``), ``on_datagram`` each datagram from an
    address that ICE has checked, ``on_state`` "connected", "failed" (``close`` gives
    back what is still open) and "closed". All are called from the event loop.

    ``loopback``: both ends are on one machine, so 127.0.0.1 and ::1 are offered
    and accepted as well. ``turn``: servers of others that may relay. ``mapper``:
    asks routers for mapped ports, ``release`` gives one back; see
    ``client.net.gather``. ``relayed_only``: our own addresses are neither used nor
    told, only those of TURN servers.
    ``tries``: where ports were guessed in vain; one for all carriers.
    """

    def __init__(  # noqa: PLR0913 (each has a name, and most have a default)
        self,
        *,
        controlling: bool,
        stun: Sequence[StunServer],
        loopback: bool,
        on_description: Callable[[Description], None],
        on_datagram: Callable[[bytes], None],
        on_state: Callable[[str], None],
        turn: Sequence[TurnServer] = (),
        mapper: Mapper | None = None,
        release: Callable[[str, int], None] | None = None,
        relayed_only: bool = False,
        tries: Tries | None = None,
    ) -> None:
        self._controlling = controlling
        self._stun = () if relayed_only else tuple(stun)[:MAX_SERVERS]
        self._turn = tuple(turn)[:MAX_SERVERS]
        self._mapper = None if relayed_only else mapper
        self._release = release
        self._relayed_only = relayed_only
        self._tries = tries or Tries()
        self._guessing = False
        self._loopback = loopback
        self._on_description = on_description
        self._on_datagram = on_datagram
        self._on_state = on_state
        self._state = State.NEW
        self._ice: MovingConnection | None = None
        self._gathering: Gathering | None = None
        self._bridges: tuple[Network, ...] = ()
        self._described: list[str] = []
        self._done = False
        self._heard: list[Description] = []
        self._accepted: set[str] = set()
        self._late_in: Bucket | None = None
        self._late_out: Bucket | None = None
        self._failure = Failure.NONE
        self._peer_hard = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._patience: asyncio.TimerHandle | None = None
        self._shutting: asyncio.Task[None] | None = None

    # getters

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    def selected(self) -> tuple[str, str] | None:
        """Types of the candidates in use (RFC 8839): (local, remote); None without a pair."""
        return self._ice.selected() if self._ice is not None else None

    @property
    def relayed(self) -> bool:
        """Whether packets go through a TURN server."""
        return "relay" in (self.selected() or ())

    @property
    def failure(self) -> str:
        """A word of ``Failure`` once it has failed, else empty."""
        return self._failure.value

    @property
    def hard(self) -> bool:
        """Whether our NAT gives another port to each destination, as far as we know."""
        return self._gathering is not None and self._gathering.hard

    @property
    def moves(self) -> int:
        """How often the pair in use has changed since it was found."""
        return self._ice.moves if self._ice is not None else 0

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
        self._peer_hard = description.hard
        started = self._state in OPEN
        if not self._heard or (
            not started and (len(self._heard) < MAX_CANDIDATES or description.done)
        ):
            self._heard.append(description)
        if started:
            self._take(description)

    def send(self, datagram: bytes) -> None:
        """Send on the nominated pair; dropped while there is none."""
        if self._ice is not None:
            self._ice.transmit(datagram)

    def poke(self) -> None:
        """The path is silent: may be called every 200 ms or so until it is not.

        Checks the pair in use and others at once, and asks now and then whether our
        own address has changed, which the peer then hears by ``on_description``.
        """
        if self._state is State.CONNECTED and self._ice is not None and self._gathering:
            self._ice.poke()
            self._gathering.refresh(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """End everything; reports "closed" once."""
        if self._shutting is None:
            self._shutting = asyncio.create_task(self._shut())
        await asyncio.shield(self._shutting)

    # gathering

    async def _gather(self) -> None:
        from client.net.ice_moving import MovingConnection
        from client.net.interfaces import interfaces

        try:
            found = interfaces(loopback=self._loopback)
        except OSError:  # too many open files: a later attempt may do better
            self._fail(Failure.NO_CANDIDATES)
            return
        self._bridges = found.bridges
        self._ice = MovingConnection(
            controlling=self._controlling,
            on_datagram=self._on_datagram,
            on_connected=self._connected,
            on_lost=lambda: self._fail(Failure.LOST),
        )
        lines = await self._ice.bind(() if self._relayed_only else found.addresses)
        self._gathering = Gathering(
            self._ice,
            stun=self._stun,
            turn=self._turn,
            mapper=self._mapper,
            on_line=self._found,
        )
        self._state = State.WAITING
        self._done = not self._gathering.wanted
        self._describe(lines)
        if not self._done:
            self._spawn(self._trickle(self._gathering))
        for description in self._heard:
            self._take(description)
        self._spawn(self._wait_for_peer(self._ice))

    async def _wait_for_peer(self, ice: MovingConnection) -> None:
        """A description that got lost does not come later; another attempt brings a new one."""
        await asyncio.sleep(UNHEARD_LIMIT)
        if self._state is State.WAITING:
            await self._give_up(ice, Failure.NO_CANDIDATES)

    def _describe(self, lines: Sequence[str]) -> None:
        if self._ice is not None and self._state not in OVER:
            self._described += lines
            ufrag, pwd = self._ice.local_username, self._ice.local_password
            told = Description(ufrag, pwd, tuple(lines), self._done, self.hard)
            self._on_description(told)

    async def _trickle(self, gathering: Gathering) -> None:
        await gathering.run()
        self._done = True
        self._describe([])

    def _found(self, line: str) -> None:
        """One more address of ours, or one that has changed while we were connected."""
        if clean(line, loopback=self._loopback) is None:
            return
        if self._late_out is not None:
            if self._late_out.take(asyncio.get_running_loop().time()):
                self._describe([line])
        elif line not in self._described and len(self._described) < MAX_CANDIDATES:
            self._describe([line])

    # checking

    def _take(self, description: Description) -> None:
        ice = self._ice
        if ice is None or self._state in OVER:
            return
        ice.add_remote(self._cleaned(description))
        if self._state is State.WAITING:
            self._state = State.CHECKING
            ice.remote_username, ice.remote_password = description.ufrag, description.pwd
            self._spawn(self._connect(ice))
            self._spawn(self._guess(ice))
            if self._gathering is not None:
                self._gathering.checking.set()
        if description.done and self._patience is None:
            # A peer may also reach us from addresses that it does not know of.
            self._arm_patience(ice)

    def _cleaned(self, description: Description) -> list[str]:
        """Its candidates that may be tried: a number of them at first, a rate of them later."""
        lines = [
            line
            for raw in description.candidates[:MAX_CANDIDATES]
            if (line := clean(raw, loopback=self._loopback, bridges=self._bridges))
        ]
        if self._late_in is not None:
            now = asyncio.get_running_loop().time()
            return [line for line in lines if self._late_in.take(now)]
        new = [line for line in dict.fromkeys(lines) if line not in self._accepted]
        new = new[: MAX_CANDIDATES - len(self._accepted)]
        self._accepted.update(new)
        return new

    def _arm_patience(self, ice: MovingConnection) -> None:
        self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._end_patience, ice)

    def _end_patience(self, ice: MovingConnection) -> None:
        if self._state is State.CHECKING and self.hard and self._peer_hard:
            self._spawn(self._give_up(ice, self._why()))  # no later check can do better
        elif self._done and not self._guessing:
            ice.end_remote()
        else:  # an address of ours or a port of the peer may still be found
            self._arm_patience(ice)

    async def _connect(self, ice: MovingConnection) -> None:
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await ice.connect()
        except (ConnectionError, TimeoutError):
            await self._give_up(ice, self._why())
            return
        await self._improve(ice)

    async def _give_up(self, ice: MovingConnection, failure: Failure) -> None:
        self._unmap(ice)
        await ice.close()
        self._fail(failure)

    def _unmap(self, ice: MovingConnection) -> None:
        if self._release is not None:
            for opened in ice.sockets:
                self._release(opened.host, opened.port)

    async def _guess(self, ice: MovingConnection) -> None:
        """Guess ports when ordinary checks find nothing; see ``client.net.guess``."""
        await asyncio.sleep(AFTER)
        while self._state is State.CHECKING and self.hard == self._peer_hard:
            await asyncio.sleep(ATTENTION)
        if self._state is State.CHECKING and self._gathering is not None:
            self._guessing = True
            await guess(ice, self._gathering.seen(), self._tries, hard=self.hard)
            self._guessing = False

    async def _improve(self, ice: MovingConnection) -> None:
        """Look for a way without a relay while there is one in between, ever less often."""
        pauses = list(IMPROVE)
        while self._state is State.CONNECTED and self.relayed and not self._relayed_only:
            await asyncio.sleep(pauses.pop(0) if len(pauses) > 1 else pauses[0])
            ice.improve()

    def _connected(self) -> None:
        if self._state is State.CHECKING:
            self._state = State.CONNECTED
            now = asyncio.get_running_loop().time()
            self._late_in, self._late_out = Bucket(LATE, now), Bucket(LATE, now)
            self._on_state("connected")

    def _fail(self, failure: Failure) -> None:
        if self._state not in OVER:
            self._state = State.FAILED
            self._failure = failure
            if self._gathering is not None:
                self._spawn(self._gathering.close())
            self._on_state("failed")

    def _why(self) -> Failure:
        remote = self._ice.remote_candidates if self._ice is not None else []
        ours = {":" in line.split()[4] for line in self._described}
        return why_none(
            addresses=not ours.isdisjoint({":" in one.host for one in remote}),
            blocked=self._gathering is not None and self._gathering.blocked,
            both_hard=self.hard and self._peer_hard,
        )

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
        if self._gathering is not None:
            await self._gathering.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._ice is not None:
            self._unmap(self._ice)
            await self._ice.close()
        self._on_state("closed")

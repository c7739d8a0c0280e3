"""ICE (RFC 8445) for one peer: what extends aioice is here, in ``ice_*`` and in ``turn``.

What aioice 0.13 lacks or does otherwise, and this file changes:

- It waits for STUN before it shows any candidate; here sockets come first and
  each STUN server is asked from them on the side.
- It queues what arrives and does not say from where; here a datagram goes
  straight to its taker, and only if it came from an address that has shown the
  ICE password (an authenticated check, or the answer to one of ours).
- It starts one check per 20 ms; here four (RFC 8445, 14.2 allows one per 5 ms).
- A check that arrives while ours is under way makes ours go out again at once
  (7.3.1.4), so that a hole in a NAT is used within a round trip, not after 500 ms.
- A pair in use is never left; here it moves when the peer's address does
  (``ice_moving``).
- Sockets that were opened later (TURN, guessed ports) take part.
- Roles are fixed by the members' keys, so a role conflict is a broken peer.
- Lists that a peer could make grow have an end.

It leans on private names of aioice; ``ice_socket`` checks the version at import.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, cast

import aioice
from aioice import stun
from aioice.ice import CandidatePair, StunProtocol

from client.net.candidates import MAX_CANDIDATES
from client.net.ice_socket import COMPONENT, Address, IceSocket, Owner, open_socket

# Implementation
CHECKS_PER_TICK: Final = 4  # aioice's tick is 20 ms
QUERY_REPEATS: Final = 2  # of one STUN query; given up after 3.5 s
MAX_SOURCES: Final = 2 * MAX_CANDIDATES  # addresses of one peer, peer-reflexive ones included
MAX_PAIRS: Final = 256


class RoleConflictError(Exception):
    """The peer claims the role that its key does not give it."""


class IceConnection(Owner):
    """aioice's connection with the changes that the top of this file lists.

    Callbacks are called from the event loop: ``on_datagram`` with what a
    checked address sent, ``on_connected`` once, when the first pair carries
    datagrams both ways, ``on_lost`` when consent (RFC 7675) has run out.
    """

    def __init__(
        self,
        *,
        controlling: bool,
        on_datagram: Callable[[bytes], None],
        on_connected: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        super().__init__(ice_controlling=controlling)
        self.on_datagram = on_datagram
        self.on_connected = on_connected
        self.on_lost = on_lost
        self.sockets: list[IceSocket] = []
        self._sources: dict[Address, None] = {}  # oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = False
        self._connecting = False
        self._consent: asyncio.Task[None] | None = None

    # getters

    @property
    def connected(self) -> bool:
        """Whether a pair was found."""
        return self._connected

    def uses(self, opened: IceSocket) -> bool:
        """Whether a socket takes part."""
        return opened in self._protocols

    # gathering

    async def bind(self, hosts: Sequence[str]) -> list[str]:
        """Open a socket on each address that has one; host candidates as lines."""
        self._local_candidates_start = True
        for host in hosts:
            opened = await open_socket(self, host)
            if opened is not None:
                self._protocols.append(opened)
                self.sockets.append(opened)
                self._local_candidates.append(opened.local_candidate)
        self._local_candidates_end = True
        return [candidate.to_sdp() for candidate in self._local_candidates]

    def adopt(self, opened: IceSocket) -> str:
        """Take part with a socket that was opened later; its candidate as a line."""
        self._protocols.append(opened)
        self._local_candidates.append(opened.local_candidate)
        for candidate in list(self._remote_candidates):
            self._pair_remote_candidate(candidate)
        self.sort_check_list()
        if self._connecting:
            self._check_periodic()
        return opened.local_candidate.to_sdp()

    async def ask(self, opened: IceSocket, server: Address) -> Address | None:
        """The address that a STUN server sees, or None."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        try:
            answer, _ = await opened.request(request, server, retransmissions=QUERY_REPEATS)
            host, port = answer.attributes["XOR-MAPPED-ADDRESS"]
        except (stun.TransactionError, KeyError):
            return None
        return str(host), int(port)

    # the remote side

    def add_remote(self, lines: Iterable[str]) -> None:
        """Take cleaned candidate lines; checks start at once."""
        if self._closing or self._remote_candidates_end:
            return
        for line in lines:
            candidate = aioice.Candidate.from_sdp(line)
            self._add_remote_candidate(candidate, candidate.host)
        if self._connecting:
            self._check_periodic()

    def opening(self) -> bytes:
        """A check that may go to any address and from any socket; who takes it checks back."""
        assert self.remote_password is not None
        opened = self.sockets[0]
        request = self.build_request(CandidatePair(opened, opened.local_candidate), nominate=False)
        request.add_message_integrity(self.remote_password.encode())
        return bytes(request)

    def end_remote(self) -> None:
        """No more candidates will come: from now on ``connect`` may fail."""
        if not (self._closing or self._remote_candidates_end):
            self._remote_candidates_end = True
            self._end_remote_candidates()

    async def connect(self) -> None:
        self._connecting = True
        try:
            await super().connect()
        finally:
            self._connecting = False

    # the data

    def take(self, data: bytes, opened: IceSocket, source: Address) -> None:
        """A datagram that is not STUN, and came to a socket from somewhere."""
        if source in self._sources and not self._closing:
            self.on_datagram(data)

    def trust(self, source: Address) -> None:
        """``source`` has shown that it knows the password."""
        if source in self._sources:
            return
        if len(self._sources) >= MAX_SOURCES:
            used = self._nominated.get(COMPONENT)
            oldest = (known for known in self._sources if not used or known != used.remote_addr)
            del self._sources[next(oldest)]
        self._sources[source] = None

    def data_received(self, data: bytes, component: int) -> None:
        """STUN that could not be parsed: dropped (aioice would queue it)."""

    def transmit(self, data: bytes) -> None:
        """Send on the nominated pair; dropped when there is none."""
        pair = self._nominated.get(COMPONENT)
        if pair is not None:
            opened: Any = pair.protocol
            there = pair.remote_candidate
            opened.carry(data, (there.host, there.port))

    def selected(self) -> tuple[str, str] | None:
        """Types of the nominated pair's candidates: (local, remote)."""
        pair = self._nominated.get(COMPONENT)
        if pair is None:
            return None
        return pair.local_candidate.type, pair.remote_candidate.type

    # aioice's own steps, changed

    def _check_periodic(self) -> bool:
        for _ in range(CHECKS_PER_TICK - 1):
            super()._check_periodic()
        return super()._check_periodic()

    def check_start_task(self, pair: CandidatePair) -> None:
        if pair.task is None and not self._closing:
            self.check_state(pair, CandidatePair.State.IN_PROGRESS)
            pair.task = asyncio.create_task(self._check(pair))

    async def _check(self, pair: CandidatePair) -> None:
        try:
            await self.check_start(pair)
        except RoleConflictError:
            self.check_state(pair, CandidatePair.State.FAILED)
            self.check_complete(pair)

    def check_incoming(self, message: stun.Message, addr: Address, protocol: StunProtocol) -> None:
        full = len(self._check_list) >= MAX_PAIRS or len(self._remote_candidates) >= MAX_SOURCES
        if full and all((c._network_host, c.port) != addr for c in self._remote_candidates):
            return
        if protocol not in self._protocols:  # a guessed port was right
            self._protocols.append(protocol)
        super().check_incoming(message, addr, protocol)
        cast(IceSocket, protocol).repeat_check(addr)

    def check_complete(self, pair: CandidatePair) -> None:
        if pair.state is CandidatePair.State.SUCCEEDED:
            self.trust(pair.remote_addr)
        super().check_complete(pair)
        if self._nominated and not self._connected:
            self._connected = True
            self.on_connected()

    def switch_role(self, ice_controlling: bool) -> None:
        raise RoleConflictError

    def _pair_remote_candidate(self, remote_candidate: aioice.Candidate) -> None:
        """Pair only what can meet: loopback with loopback, one family."""
        local = _is_loopback(remote_candidate.host)
        for opened in self._protocols:
            if (
                len(self._check_list) < MAX_PAIRS
                and _is_loopback(opened.local_candidate.host) == local
                and opened.local_candidate.can_pair_with(remote_candidate)
                and not self._find_pair(opened, remote_candidate)
            ):
                self._check_list.append(CandidatePair(opened, remote_candidate))

    async def query_consent(self) -> None:
        self._consent = asyncio.current_task()
        await super().query_consent()
        self.on_lost()

    def protocol_lost(self, protocol: StunProtocol) -> None:
        """A socket broke (``close`` forgets the nominated pair before it closes any)."""
        pair = self._nominated.get(COMPONENT)
        if pair is not None and pair.protocol is protocol:
            self.on_lost()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; it ends with the connection."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self._closing = True
        tasks = {task for task in self._tasks if task is not asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await super().close()
        if self._consent is not None and self._consent is not asyncio.current_task():
            await asyncio.wait([self._consent])


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.startswith("127.")

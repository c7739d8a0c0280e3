"""ICE (RFC 8445) for one peer: everything that extends aioice stands here.

What aioice 0.13 lacks or does otherwise, and this file changes:

- It waits for STUN before it shows any candidate; here sockets come first and
  each STUN server is asked from them on the side.
- It queues what arrives and does not say from where; here a datagram goes
  straight to its taker, and only if it came from an address that has shown the
  ICE password (an authenticated check, or the answer to one of ours).
- It starts one check per 20 ms; here four (RFC 8445, 14.2 allows one per 5 ms).
- A check that arrives while ours is under way makes ours go out again at once
  (7.3.1.4), so that a hole in a NAT is used within a round trip, not after 500 ms.
- Roles are fixed by the members' keys, so a role conflict is a broken peer.
- Lists that a peer could make grow have an end.

It leans on private names of aioice, so the version is checked at import.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import aioice
from aioice import stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, Connection, StunProtocol

from client.net.candidates import MAX_CANDIDATES

if not aioice.__version__.startswith("0.13."):
    raise ImportError(f"aioice 0.13 is needed, this is {aioice.__version__}")

# Implementation
COMPONENT: Final = 1
CHECKS_PER_TICK: Final = 4  # aioice's tick is 20 ms
CHECK_REPEATS: Final = 4  # at 0.5, 1.5, 3.5 and 7.5 s; given up after 15.5 s
QUICK_REPEATS: Final = 3  # of one check, because the peer's checks arrive
QUERY_REPEATS: Final = 2  # of one STUN query; given up after 3.5 s
MAX_SOURCES: Final = 2 * MAX_CANDIDATES  # addresses of one peer, peer-reflexive ones included
MAX_PAIRS: Final = 256
RECEIVE_BUFFER: Final = 1 << 20  # bytes; the system may give less
SEND_BUFFER: Final = 1 << 16  # bytes that wait in the process while the system takes no more
LAST_STUN_BYTE: Final = 3  # RFC 9443

Address = tuple[str, int]

log = logging.getLogger(__name__)


class RoleConflictError(Exception):
    """The peer claims the role that its key does not give it."""


class IceSocket(StunProtocol):
    """One UDP socket of a connection."""

    receiver: IceConnection

    def __init__(self, receiver: IceConnection) -> None:
        super().__init__(receiver)
        self._checks: dict[Address, tuple[stun.Message, int]] = {}

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        data = cast(bytes, data)
        if data and data[0] > LAST_STUN_BYTE:
            self.receiver.take(data, (addr[0], addr[1]))
            return
        try:
            super().datagram_received(data, addr)
        except Exception as error:
            # Bytes of strangers: struct.error, KeyError and AssertionError come
            # out of aioice for STUN that is malformed or lacks an attribute.
            log.debug("dropped a malformed STUN message: %r", error)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error or a send that failed: the checks find out by silence."""

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        if message.message_class == stun.Class.RESPONSE:  # only authenticated checks get one
            self.receiver.trust(addr)
        super().send_stun(message, addr)

    async def request(
        self,
        request: stun.Message,
        addr: Address,
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, Address]:
        if integrity_key is None or retransmissions is not None:  # STUN query, consent
            return await super().request(request, addr, integrity_key, retransmissions)
        self._checks[addr] = (request, QUICK_REPEATS)
        try:
            return await super().request(request, addr, integrity_key, CHECK_REPEATS)
        finally:
            self._checks.pop(addr, None)

    def repeat_check(self, addr: Address) -> None:
        """Send the check that is under way to ``addr`` again, at most a few times."""
        request, left = self._checks.get(addr, (None, 0))
        if request is not None and left > 0:
            self._checks[addr] = (request, left - 1)
            self.send_stun(request, addr)

    @property
    def host(self) -> str:
        """The local address, without port."""
        return self.local_candidate.host


class IceConnection(Connection):
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
        self._sources: set[Address] = set()
        self._connected = False
        self._connecting = False
        self._consent: asyncio.Task[None] | None = None

    # gathering

    async def bind(self, hosts: Sequence[str]) -> list[str]:
        """Open a socket on each address that has one; host candidates as lines."""
        self._local_candidates_start = True
        for host in hosts:
            opened = await self._open(host)
            if opened is not None:
                self._protocols.append(opened)
                self.sockets.append(opened)
                self._local_candidates.append(opened.local_candidate)
        self._local_candidates_end = True
        return [candidate.to_sdp() for candidate in self._local_candidates]

    async def _open(self, host: str) -> IceSocket | None:
        udp = _bound(host)
        if udp is None:
            return None
        loop = asyncio.get_running_loop()
        opening = asyncio.ensure_future(
            loop.create_datagram_endpoint(lambda: IceSocket(self), sock=udp)
        )
        try:
            _, opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # uvloop would keep the half-open transport; it opens within two turns.
            await (await opening)[1].close()
            raise
        except OSError:
            udp.close()
            return None
        opened.local_candidate = _candidate("host", host, udp.getsockname()[1], base=host)
        return opened

    async def ask(self, opened: IceSocket, server: Address) -> str | None:
        """The server-reflexive candidate that a STUN server sees, as a line, or None."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        try:
            answer, _ = await opened.request(request, server, retransmissions=QUERY_REPEATS)
            host, port = answer.attributes["XOR-MAPPED-ADDRESS"]
        except (stun.TransactionError, KeyError):
            return None
        return _reflexive(opened, "srflx", host, port)

    def mapped(self, opened: IceSocket, host: str, port: int) -> str | None:
        """The candidate of a port that a router opened for a socket, as a line.

        None where that is the socket's own address: a mere opening in a firewall.
        """
        return _reflexive(opened, "mapped", host, port)

    # the remote side

    def add_remote(self, lines: Iterable[str]) -> None:
        """Take cleaned candidate lines; checks start at once when connecting."""
        if self._closing or self._remote_candidates_end:
            return
        for line in lines:
            candidate = aioice.Candidate.from_sdp(line)
            self._add_remote_candidate(candidate, candidate.host)
        if self._connecting:
            self._check_periodic()

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

    def take(self, data: bytes, source: Address) -> None:
        """A datagram that is not STUN."""
        if source in self._sources and not self._closing:
            self.on_datagram(data)

    def trust(self, source: Address) -> None:
        """``source`` has shown that it knows the password."""
        if len(self._sources) < MAX_SOURCES:
            self._sources.add(source)

    def data_received(self, data: bytes, component: int) -> None:
        """STUN that could not be parsed: dropped (aioice would queue it)."""

    def transmit(self, data: bytes) -> None:
        """Send on the nominated pair; dropped when there is none."""
        pair = self._nominated.get(COMPONENT)
        if pair is None:
            return
        transport: Any = pair.protocol.transport  # typeshed lacks the buffer's size
        if not transport.is_closing() and transport.get_write_buffer_size() < SEND_BUFFER:
            transport.sendto(data, pair.remote_addr)

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
        super().check_incoming(message, addr, protocol)
        if not self._connected:
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

    async def close(self) -> None:
        await super().close()
        if self._consent is not None and self._consent is not asyncio.current_task():
            await asyncio.wait([self._consent])


def _bound(host: str) -> socket.socket | None:
    """A UDP socket on some port of this address; None when the address is gone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        udp = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        return None
    try:
        udp.setblocking(False)
        udp.bind((host, 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    except OSError:
        udp.close()
        return None
    return udp


def _candidate(kind: str, host: str, port: int, *, base: str) -> aioice.Candidate:
    return aioice.Candidate(
        foundation=candidate_foundation(kind, "udp", base)[:8],
        component=COMPONENT,
        transport="udp",
        priority=candidate_priority(COMPONENT, kind),
        host=host,
        port=port,
        type=kind,
    )


def _reflexive(opened: IceSocket, origin: str, host: str, port: int) -> str | None:
    """A line of type srflx; ``origin`` tells its foundation from others of one socket."""
    base = opened.local_candidate
    if (host, port) == (base.host, base.port):
        return None
    found = _candidate("srflx", host, port, base=base.host)
    found.foundation = candidate_foundation(origin, "udp", base.host)[:8]
    found.related_address, found.related_port = base.host, base.port
    return found.to_sdp()


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.startswith("127.")

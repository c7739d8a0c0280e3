"""What ICE does after it has connected: the pair in use follows the peer's address.

aioice never leaves a nominated pair, and whatever check comes later nominates the
pair that answers first. Here ``client.net.mobility`` says when to move. All this is
beside the check list, whose machine has come to its end when a pair was nominated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import aioice
from aioice import stun
from aioice.ice import CandidatePair, StunProtocol, candidate_pair_priority

from client.net.ice import MAX_PAIRS, MAX_SOURCES, IceConnection
from client.net.ice_socket import CHECK_REPEATS, COMPONENT, Address, IceSocket, candidate_of
from client.net.mobility import QUIET, SETTLING, Life, Lives, grace, moves

# Implementation
LATER_REPEATS: Final = 1  # of one check of a connected pair; given up after 1.5 s
POKED: Final = 6  # pairs beside the one in use that one poke checks

Pair = tuple[int, Address]  # a socket's number and a remote address

log = logging.getLogger(__name__)


class MovingConnection(IceConnection):
    """An ICE connection whose pair in use may change; see ``IceConnection``."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.moves = 0
        """How often the pair in use has changed since it was connected."""
        self._clock = asyncio.get_running_loop().time
        self._lives: Lives[Pair] = Lives(self._clock())
        self._connected_at = 0.0
        self._poked = 0

    # verbs

    def poke(self) -> None:
        """The path is silent: check the pair in use at once, and some of the others."""
        if not self._connected or self._closing:
            return
        self._recheck_some(lambda pair: True)
        self._ask_in_use()

    def improve(self) -> None:
        """Look for a way without a relay."""
        if self._connected and not self._closing:
            self._recheck_some(lambda pair: not _relayed(pair))

    # world in

    def add_remote(self, lines: Iterable[str]) -> None:
        if not self._connected:
            super().add_remote(lines)
            return
        for line in lines if not self._closing else ():
            self._make_room()
            candidate = aioice.Candidate.from_sdp(line)
            self._add_remote_candidate(candidate, candidate.host)
            for pair in list(self._check_list):
                if pair.remote_addr == (candidate.host, candidate.port):
                    self._recheck(pair)

    def take(self, data: bytes, opened: IceSocket, source: Address) -> None:
        if source not in self._sources:
            self._stranger(opened, source)
        elif not self._closing:
            now = self._clock()
            life = self._lives.of((opened.id, source))
            life.heard = life.spoke = now
            self.on_datagram(data)
            if (used := self._nominated.get(COMPONENT)) is None:
                return
            there = used.remote_candidate
            if used.protocol is not opened or (there.host, there.port) != source:
                self._spoken_beside(used, opened, source, now)

    def _stranger(self, opened: IceSocket, source: Address) -> None:
        """A datagram from an unchecked address: perhaps the peer has a new one."""
        if self._closing or not self._connected or "%" in source[0]:
            return
        if self._lives.may_ask_stranger((opened.id, source), self._clock()):
            self._ask_beside(self._pair_with(opened, source))

    def _spoken_beside(
        self, used: CandidatePair, opened: IceSocket, source: Address, now: float
    ) -> None:
        """A datagram from a checked address that is not the one in use."""
        if now - self._life(used).spoke > QUIET:
            self._recheck(self._pair_with(opened, source))

    def _check_later(self, message: stun.Message, addr: Address, opened: IceSocket) -> None:
        """An authenticated check after the pair was chosen."""
        pair = self._pair_with(opened, addr)
        life = self._life(pair)
        life.heard = self._clock()
        if pair is self._nominated.get(COMPONENT):
            return
        if "USE-CANDIDATE" in message.attributes and not self.ice_controlling:
            life.nominated = self._settled(pair)
        self._recheck(pair)

    def _settled(self, pair: CandidatePair) -> bool:
        """Whether a nomination counts: late checks of the beginning only if they are better.

        The controlling side nominates with its first checks (RFC 5245, 8.1.1.2), so
        several pairs may be nominated within a round trip.
        """
        used = self._nominated.get(COMPONENT)
        early = self._clock() - self._connected_at < SETTLING
        return not early or used is None or self._priority(pair) > self._priority(used)

    def _priority(self, pair: CandidatePair) -> int:
        return candidate_pair_priority(
            pair.local_candidate, pair.remote_candidate, self.ice_controlling
        )

    def _life(self, pair: CandidatePair) -> Life:
        return self._lives.of((pair.protocol.id, pair.remote_addr))

    # asking

    def _recheck_some(self, wanted: Callable[[CandidatePair], bool]) -> None:
        """A few pairs beside the one in use, others each time."""
        for candidate in list(self._remote_candidates):
            self._pair_remote_candidate(candidate)  # nomination had removed what was unchecked
        used = self._nominated.get(COMPONENT)
        others = [pair for pair in self._check_list if pair is not used and wanted(pair)]
        for _ in range(min(POKED, len(others))):
            self._poked += 1
            self._recheck(others[self._poked % len(others)])

    def _recheck(self, pair: CandidatePair) -> None:
        key = (pair.protocol.id, pair.remote_addr)
        if self._lives.may_ask(key, self._clock()):
            self._ask_beside(pair)

    def _ask_beside(self, pair: CandidatePair) -> None:
        """Check a pair, and the one in use too: whether that answers decides."""
        self.spawn(self._check_again(pair))
        self._ask_in_use()

    def _ask_in_use(self) -> None:
        pair = self._nominated.get(COMPONENT)
        if pair is not None:
            self.spawn(self._check_again(pair))

    async def _check_again(self, pair: CandidatePair) -> None:
        """One check of a pair of a connected peer, and what its answer means."""
        began = self._clock()
        if not await self._answers(pair, nominate=False, repeats=LATER_REPEATS) or self._closing:
            return
        now = self._clock()
        self._life(pair).heard = now
        self.trust(pair.remote_addr)
        pair = self._keep(pair)
        verdict = self._verdict(pair, began)
        if verdict is None:
            await asyncio.sleep(grace(now - began))
            verdict = self._verdict(pair, began) is not False
        if verdict and not self._closing:
            await self._move(pair)

    def _verdict(self, pair: CandidatePair, began: float) -> bool | None:
        """Whether ``pair``, which answered a check sent at ``began``, is used; see ``moves``."""
        used = self._nominated.get(COMPONENT)
        if used is None or used is pair:
            return False
        if self.ice_controlling and _relayed(used) and not _relayed(pair):
            return True
        follows = not self.ice_controlling
        return moves(self._life(used), self._life(pair), began, self._clock(), follows=follows)

    async def _answers(self, pair: CandidatePair, *, nominate: bool, repeats: int) -> bool:
        assert self.remote_password is not None
        request = self.build_request(pair, nominate=nominate)
        key = self.remote_password.encode()
        try:
            _, addr = await pair.protocol.request(
                request, pair.remote_addr, integrity_key=key, retransmissions=repeats
            )
        except stun.TransactionError:
            return False
        return addr == pair.remote_addr

    async def _move(self, pair: CandidatePair) -> None:
        """Use a pair from now on; the controlling side tells the other by a nomination."""
        used = self._nominated.get(COMPONENT)
        if used is None or used is pair:
            return
        log.info("the pair in use moves from %r to %r", used, pair)
        self._nominated[COMPONENT] = pair
        self._life(pair).nominated = False
        self.moves += 1
        if self.ice_controlling:
            await self._answers(pair, nominate=True, repeats=CHECK_REPEATS)

    # which pairs there are

    def _pair_with(self, opened: IceSocket, addr: Address) -> CandidatePair:
        """The pair of a socket and an address; a fresh one is not kept before it answers."""
        for known in self._check_list:
            if known.protocol is opened and known.remote_addr == addr:
                return known
        for candidate in self._remote_candidates:
            if (candidate._network_host, candidate.port) == addr:
                return CandidatePair(opened, candidate)
        return CandidatePair(opened, candidate_of("prflx", *addr, base=addr[0]))

    def _keep(self, pair: CandidatePair) -> CandidatePair:
        """Remember a pair that has answered; the one that stands for it from now on."""
        known = self._pair_with(cast(IceSocket, pair.protocol), pair.remote_addr)
        if known not in self._check_list:
            self._make_room()
            if known.remote_candidate not in self._remote_candidates:
                self._remote_candidates.append(known.remote_candidate)
            self._check_list.append(known)
        return known

    def _make_room(self) -> None:
        """Forget the oldest address of the peer when there are too many."""
        used = self._nominated[COMPONENT].remote_candidate
        many = len(self._remote_candidates) >= MAX_SOURCES or len(self._check_list) >= MAX_PAIRS
        oldest = next((one for one in self._remote_candidates if one is not used), None)
        if many and oldest is not None:
            self._remote_candidates.remove(oldest)
            self._check_list[:] = [
                pair
                for pair in self._check_list
                if pair.remote_candidate is not oldest or (pair.task and not pair.task.done())
            ]

    # aioice's own steps, changed

    def check_incoming(self, message: stun.Message, addr: Address, protocol: StunProtocol) -> None:
        if self._connected:
            self._check_later(message, addr, cast(IceSocket, protocol))
        else:
            super().check_incoming(message, addr, protocol)

    def check_complete(self, pair: CandidatePair) -> None:
        if pair.state is CandidatePair.State.SUCCEEDED:
            self._life(pair).heard = self._clock()
        if not self._connected:
            self._connected_at = self._clock()
            super().check_complete(pair)
            return
        pair.task = None  # it was under way when another was nominated
        nominated = pair.state is CandidatePair.State.SUCCEEDED and pair.nominated
        used = self._nominated.get(COMPONENT)
        if nominated and used is not None and self._priority(pair) > self._priority(used):
            self.trust(pair.remote_addr)
            self._nominated[COMPONENT] = pair


def _relayed(pair: CandidatePair) -> bool:
    return "relay" in (pair.local_candidate.type, pair.remote_candidate.type)

"""An address changes in the middle of a call: the pair in use follows, and follows nobody else."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from client.net import direct, gather
from client.net.candidates import Description
from client.net.mobility import FORGET, STRANGERS, Life, Lives, moves
from tests.client.net import stun_double
from tests.client.net.nat_double import Nat, nat
from tests.client.net.test_direct import End, close
from tests.client.net.waiting import until
from vc_core.bucket import Rate

pytestmark = [
    pytest.mark.usefixtures("clean_loop"),
    pytest.mark.filterwarnings("error"),
]

BEAT = 0.01  # s between two datagrams of one end


class Talker:
    """Sends numbered datagrams all the time, and measures the gaps in what the other hears."""

    def __init__(self, end: End, other: End) -> None:
        self.end, self.other = end, other
        self.task = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        number = 0
        while True:
            number += 1
            self.end.carrier.send(b"\x80" + number.to_bytes(4, "big"))
            await asyncio.sleep(BEAT)

    async def heard_again(self) -> float:
        """Seconds until the other end hears what is sent from now on."""
        began = asyncio.get_running_loop().time()
        self.other.got.clear()
        await until(lambda: len(self.other.got) > 3)
        return asyncio.get_running_loop().time() - began

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@asynccontextmanager
async def call_through(
    middle: Nat, *, controlling: bool, stun: tuple[tuple[str, int], ...] = ()
) -> AsyncIterator[tuple[End, End, list[Talker]]]:
    """Two ends with the NAT between them, both talking; ``two`` is the one behind it."""
    one = End(controlling=controlling)
    two = End(controlling=not controlling, stun=stun)
    told: list[Description] = []

    def to_two(description: Description) -> None:
        two.carrier.add_remote(middle.as_seen(description, middle.inner))

    def to_one(description: Description) -> None:
        told.append(description)
        if len(told) == 1:
            one.carrier.add_remote(middle.as_seen(description, middle.outer))
        elif middle.outer is not None and any(
            f" {middle.outer.address[1]} " in line for line in description.candidates
        ):
            one.carrier.add_remote(description)

    one.tell, two.tell = to_two, to_one
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await until(lambda: one.states == two.states == ["connected"])
    talkers = [Talker(one, two), Talker(two, one)]
    await until(lambda: len(one.got) > 5 and len(two.got) > 5)
    try:
        yield one, two, talkers
    finally:
        for talker in talkers:
            await talker.stop()
        await close(one, two)
        middle.close()


@pytest.mark.parametrize("controlling", [True, False])
async def test_follows_a_peer_whose_nat_forgot_its_mapping(controlling: bool) -> None:
    middle = await nat()
    async with call_through(middle, controlling=controlling) as (one, two, talkers):
        for times in range(1, 6):
            await middle.rebind()
            gaps = await asyncio.gather(*(talker.heard_again() for talker in talkers))
            assert max(gaps) < 0.5, gaps
            assert one.carrier.moves == times
        assert two.carrier.moves == 0
        assert one.states == two.states == ["connected"]


@pytest.mark.parametrize("controlling", [True, False])
async def test_follows_a_silent_peer_when_both_poke(controlling: bool) -> None:
    middle = await nat()
    async with call_through(middle, controlling=controlling) as (one, two, talkers):
        for talker in talkers:
            await talker.stop()
        await middle.rebind()
        poking = asyncio.create_task(_poke(one, two))
        await until(lambda: one.carrier.moves == 1, bound=1.0)
        one.got.clear()
        two.got.clear()
        two.carrier.send(b"\x80 from two")
        one.carrier.send(b"\x80 from one")
        await until(lambda: one.got and two.got, bound=0.5)
        poking.cancel()
        await asyncio.wait([poking])


async def _poke(*ends: End) -> None:
    while True:
        for end in ends:
            end.carrier.poke()
        await asyncio.sleep(0.05)


async def test_tells_its_new_address_when_the_peers_nat_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "REFRESH_PAUSE", 0.1)
    monkeypatch.setattr(direct, "LATE", Rate(per_second=50, burst=8))
    middle = await nat(shut=True)

    def answer(request: bytes) -> bytes:
        assert middle.outer is not None
        return stun_double.mapped(*middle.outer.address)(request)

    async with (
        stun_double.stun_server(answer) as (server, _),
        call_through(middle, controlling=False, stun=(server,)) as (one, two, talkers),
    ):
        await until(lambda: two.described[-1].done)
        poking = asyncio.create_task(_poke(one, two))
        for times in range(1, 4):
            await middle.rebind()
            gaps = await asyncio.gather(*(talker.heard_again() for talker in talkers))
            assert max(gaps) < 1.0, gaps
            assert one.carrier.moves == times
            await asyncio.sleep(0.3)
        poking.cancel()
        await asyncio.wait([poking])


async def test_a_stranger_moves_nothing_and_is_asked_only_a_few_times() -> None:
    middle = await nat()
    async with call_through(middle, controlling=True) as (one, _, talkers):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.setblocking(False)
            begun = time.monotonic()
            for _ in range(100):
                stranger.sendto(b"\x80forged", ("127.0.0.1", one.ports[0]))
                await asyncio.sleep(0.005)
            asked, seconds = len(_questions(stranger)), time.monotonic() - begun
        await asyncio.gather(*(talker.heard_again() for talker in talkers))
        assert 1 <= asked <= STRANGERS.burst + STRANGERS.per_second * seconds + 1
        assert one.carrier.moves == 0
        assert b"\x80forged" not in one.got


def _questions(stranger: socket.socket) -> set[bytes]:
    """Transaction ids of what it was asked: each question comes again after half a second."""
    questions = set()
    while True:
        try:
            questions.add(stranger.recv(2048)[8:20])
        except BlockingIOError:
            return questions


async def test_who_only_copies_packets_to_another_address_moves_nothing() -> None:
    """The attack of RFC 9000, 9.3.3: the copy's address even answers checks, through the peer."""
    middle = await nat()
    async with call_through(middle, controlling=True) as (one, two, talkers):
        copier = await middle.open()
        carry: Callable[..., None] = middle.carry

        def copying(port: object, data: bytes, source: tuple[str, int]) -> None:
            if port is copier and middle.two is not None and middle.inner is not None:
                middle.inner.transport.sendto(data, middle.two)
                return
            carry(port, data, source)
            if port is middle.inner and middle.one is not None:
                copier.transport.sendto(data, middle.one)

        middle.carry = copying  # type: ignore[method-assign]
        await asyncio.sleep(1.0)
        await asyncio.gather(*(talker.heard_again() for talker in talkers))
        assert one.carrier.moves == two.carrier.moves == 0


async def test_consent_that_runs_out_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import aioice

    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.02)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 1)
    middle = await nat()
    async with call_through(middle, controlling=True) as (one, two, _):
        await two.carrier.close()
        await until(lambda: one.states == ["connected", "failed"])
        one.carrier.poke()
        assert one.carrier.failure == "lost"
        await asyncio.sleep(0.1)
        assert one.states == ["connected", "failed"]


# ---- the rule itself ---------------------------------------------------------------

NOW = 100.0


def test_a_pair_that_lives_is_not_left() -> None:
    in_use, other = Life(heard=NOW, spoke=NOW), Life(heard=NOW)
    assert moves(in_use, other, NOW - 0.1, NOW, follows=False) is False
    assert moves(in_use, other, NOW - 0.1, NOW, follows=True) is False


def test_a_pair_that_was_silent_since_the_check_gets_a_little_time() -> None:
    in_use, other = Life(heard=NOW - 1, spoke=NOW - 1), Life(heard=NOW)
    assert moves(in_use, other, NOW - 0.1, NOW, follows=False) is None


def test_a_nomination_counts_for_a_pair_that_has_answered() -> None:
    in_use, other = Life(heard=NOW, spoke=NOW), Life(heard=NOW, nominated=True)
    assert moves(in_use, other, NOW - 0.1, NOW, follows=True) is True


def test_the_controlled_side_goes_where_the_other_speaks() -> None:
    in_use, other = Life(heard=NOW, spoke=NOW - 1), Life(heard=NOW, spoke=NOW)
    assert moves(in_use, other, NOW - 0.1, NOW, follows=True) is True
    assert moves(in_use, other, NOW - 0.1, NOW, follows=False) is False


def test_checks_of_one_pair_and_of_all_are_bounded() -> None:
    lives: Lives[int] = Lives(NOW)
    assert lives.may_ask(1, NOW) and not lives.may_ask(1, NOW + 0.05)
    assert lives.may_ask(1, NOW + 0.11)
    assert sum(lives.may_ask(pair, NOW + 0.2) for pair in range(1000)) < 50


def test_pairs_that_were_never_heard_are_forgotten_first() -> None:
    lives: Lives[int] = Lives(NOW)
    lives.of(0).heard = NOW
    for pair in range(1, 1500):
        lives.of(pair)
    assert lives.of(0).heard == NOW
    assert lives.of(1400).heard == FORGET

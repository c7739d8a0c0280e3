"""What a look at the network tells: judged from tables, and seen from loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from client.commands.doctor_network import SIGNALING_LIMIT
from client.net import nat, survey
from client.net.nat import Echo, Ports, Prospect, Sighting
from client.net.portmap.mapper import CLOSE_LIMIT, MAP_LIMIT, Mapper
from client.net.survey import Server
from tests.client.net import stun_double
from tests.client.net.router_double import OUTSIDE, Router, running
from vc_core import stun_binding

pytestmark = pytest.mark.usefixtures("clean_loop")

OWN = ("192.168.1.7", 40000)
OUTER, OTHER = ("198.51.100.7", 5000), ("198.51.100.7", 5001)
FIRST, SECOND, INNER = ("192.0.2.1", 3478), ("192.0.2.2", 3478), ("192.168.1.9", 3478)


def sightings(*said: tuple[nat.Address | None, nat.Address | None]) -> list[Sighting]:
    return [Sighting("x", asked, seen) for asked, seen in said]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([], Ports.UNASKED),
        ([(None, None)], Ports.UNASKED),
        ([(FIRST, None), (SECOND, None)], Ports.SILENT),
        ([(FIRST, OWN), (SECOND, None)], Ports.OPEN),
        ([(FIRST, OUTER)], Ports.UNKNOWN),
        ([(FIRST, OUTER), (FIRST, OUTER)], Ports.UNKNOWN),  # the same server under two names
        ([(FIRST, OUTER), (SECOND, OUTER)], Ports.STEADY),
        ([(FIRST, OUTER), (SECOND, OTHER)], Ports.CHANGING),
        ([(FIRST, OUTER), (("192.0.2.1", 8765), OTHER)], Ports.CHANGING),
        ([(INNER, OWN)], Ports.INSIDE),
        ([(INNER, OWN), (FIRST, OUTER), (SECOND, OUTER)], Ports.STEADY),
    ],
)
def test_what_servers_see_tells_what_the_router_does(
    said: list[tuple[nat.Address | None, nat.Address | None]], found: Ports
) -> None:
    assert nat.ports(OWN, sightings(*said)) is found


@pytest.mark.parametrize(
    ("seen", "mapped", "found"),
    [
        (Ports.OPEN, False, Prospect.ALL),
        (Ports.CHANGING, True, Prospect.ALL),
        (Ports.STEADY, False, Prospect.MOST),
        (Ports.CHANGING, False, Prospect.SOME),
        (Ports.SILENT, True, Prospect.NOBODY),
        (Ports.UNKNOWN, False, Prospect.UNKNOWN),
        (Ports.UNASKED, False, Prospect.UNKNOWN),
        (Ports.INSIDE, False, Prospect.UNKNOWN),
    ],
)
def test_what_the_router_does_tells_whom_we_can_meet(
    seen: Ports, mapped: bool, found: Prospect
) -> None:
    assert nat.prospect(seen, mapped=mapped) is found


# ---- Seen from loopback -----------------------------------------------------------------


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the world is on 127.0.0.1, and counts as outside."""
    monkeypatch.setattr(
        survey, "own_address", lambda family: "127.0.0.1" if family.name == "AF_INET" else None
    )
    monkeypatch.setattr(nat, "is_public", lambda host: True)
    monkeypatch.setattr(survey, "PAUSES", (0.1, 0.1))
    monkeypatch.setattr(survey, "ECHO_WAIT", 0.1)


async def known(place: tuple[str, int], name: str = "x") -> Server | None:
    return Server(name, *place)


async def nobody() -> Server | None:
    return None


class Nat(asyncio.DatagramProtocol):
    """A router that shows one outer port for each inner one, told by STUN from two addresses.

    ``lets`` in: "all", "called" (to an outer address that the inner one sent to)
    or "none".
    """

    def __init__(self, lets: str) -> None:
        self.lets = lets
        self.outer: dict[nat.Address, _Port] = {}
        self.called: set[tuple[nat.Address, nat.Address]] = set()
        """(inner address, outer one that it sent to)."""
        self.making = asyncio.Lock()

    async def port(self, inner: nat.Address) -> _Port:
        async with self.making:
            if inner not in self.outer:
                loop = asyncio.get_running_loop()
                _, self.outer[inner] = await loop.create_datagram_endpoint(
                    lambda: _Port(self, inner), local_addr=("127.0.0.1", 0)
                )
        return self.outer[inner]


class _Port(asyncio.DatagramProtocol):
    def __init__(self, router: Nat, inner: nat.Address) -> None:
        self.router, self.inner = router, inner

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport
        self.address: nat.Address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        router, sender = self.router, self.router.outer.get(addr[:2])
        router.called.add((addr[:2], self.address))
        called = sender is not None and (self.inner, sender.address) in router.called
        if router.lets == "all" or (router.lets == "called" and called):
            self.transport.sendto(data, self.inner)


class _Stun(asyncio.DatagramProtocol):
    def __init__(self, router: Nat) -> None:
        self.router = router
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        task = asyncio.ensure_future(self._answer(stun_binding.read_request(data), addr[:2]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, transaction: bytes, inner: tuple[str, int]) -> None:
        port = await self.router.port(inner)
        seen = (bytes((127, 0, 0, 1)), port.address[1])
        self.transport.sendto(stun_binding.write_answer(transaction, seen), inner)


@asynccontextmanager
async def behind(lets: str) -> AsyncIterator[list[tuple[str, int]]]:
    """Two STUN servers on the far side of such a router."""
    loop, router = asyncio.get_running_loop(), Nat(lets)
    servers = [
        (await loop.create_datagram_endpoint(lambda: _Stun(router), local_addr=("127.0.0.1", 0)))[0]
        for _ in range(2)
    ]
    try:
        yield [server.get_extra_info("sockname")[:2] for server in servers]
    finally:
        for transport in (*servers, *(port.transport for port in router.outer.values())):
            transport.close()
        await asyncio.sleep(0)


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize(
    ("lets", "echo"),
    [("all", Echo.STRANGER), ("called", Echo.CALLED), ("none", Echo.NOTHING)],
)
async def test_an_echo_of_ourselves_tells_who_may_send_in(lets: str, echo: Echo) -> None:
    async with behind(lets) as servers:
        seen = await survey.survey([known(place) for place in servers], None)
    assert (seen.ports, seen.echo) == (Ports.STEADY, echo)


@pytest.mark.usefixtures("loopback")
async def test_without_nat_there_is_nothing_to_echo() -> None:
    responder = stun_binding.StunResponder(0.0)

    class Plain(stun_double._Responder):
        def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
            answer = responder.receive_datagram(data, (bytes((127, 0, 0, 1)), addr[1]), 1.0)
            self.transport.sendto(answer or b"", addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Plain(None), local_addr=("127.0.0.1", 0)
    )
    place = transport.get_extra_info("sockname")[:2]
    seen = await survey.survey([known(place), nobody()], None)
    transport.close()
    assert (seen.ports, seen.echo) == (Ports.OPEN, Echo.UNTRIED)
    (one,) = seen.sightings
    assert one.asked == place and 0 < one.seconds < 0.1


@pytest.mark.usefixtures("loopback")
@pytest.mark.parametrize("answer", [stun_double.empty, stun_double.garbage, None])
async def test_silent_and_strange_servers_cost_a_bounded_time(answer: Any) -> None:
    began = time.monotonic()
    async with stun_double.stun_server(answer) as (place, _):
        seen = await survey.survey([known(place), known(place)], None)
    assert seen.ports is Ports.SILENT and time.monotonic() - began < 1.0


@pytest.mark.usefixtures("loopback")
async def test_two_answers_that_differ_are_a_router_that_changes_ports() -> None:
    one, two = (stun_double.mapped("198.51.100.7", port) for port in (5000, 5001))
    async with stun_double.stun_server(one) as (a, _), stun_double.stun_server(two) as (b, _):
        seen = await survey.survey([known(a), known(b)], None)
    assert (seen.ports, seen.echo) == (Ports.CHANGING, Echo.UNTRIED)


@pytest.mark.usefixtures("loopback")
async def test_a_port_is_mapped_for_a_look_and_closed_again() -> None:
    async with running(Router(pcp=True)) as router:
        async with Mapper(lambda host: router.near) as mapper:
            seen = await survey.survey([], mapper)
        assert seen.mapping is not None and seen.mapping.external_host == OUTSIDE
        assert router.asked.count("pcp 1") == 2 and not router.doors


def test_a_look_and_its_servers_are_bounded_by_five_seconds() -> None:
    assert SIGNALING_LIMIT + survey.LIMIT < 5.0
    assert MAP_LIMIT + CLOSE_LIMIT < 5.0

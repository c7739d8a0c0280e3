"""Port mapping against routers of every tongue, and against none."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import time
from functools import partial

import pytest

from client.net.direct import DirectCarrier
from client.net.mapped import mapped_ports
from client.net.portmap import mapper as mapping_rules
from client.net.portmap import speak_upnp, talk
from client.net.portmap.gateway import around
from client.net.portmap.mapper import Changed, Mapper
from client.net.portmap.mapping import Mapping
from client.net.portmap.routes import Neighbourhood
from tests.client.net.router_double import HOME, OUTSIDE, Router, running
from tests.client.net.test_direct import End
from tests.client.net.waiting import until

pytestmark = [
    pytest.mark.usefixtures("clean_loop"),
    pytest.mark.filterwarnings("error"),
]

PORT = 40123


def mapper(router: Router) -> Mapper:
    """One whose only gateway is this."""
    return Mapper(lambda host: router.near if host == HOME else None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search is short, because nothing is there to be found."""
    monkeypatch.setattr(speak_upnp, "SEARCH_LIMIT", 0.3)
    monkeypatch.setattr(talk, "PAUSES", (0.1, 0.1))


TONGUES = {
    "PCP": Router(pcp=True, natpmp=True, upnp=2),
    "NAT-PMP": Router(natpmp=True),
    "UPnP": Router(upnp=1),
    "UPnP of the second version": Router(upnp=2),
}


@pytest.fixture(params=TONGUES)
def tongue(request: pytest.FixtureRequest) -> tuple[str, Router]:
    """Its name, and a router that speaks it."""
    model = TONGUES[request.param]
    router = Router(pcp=model.pcp, natpmp=model.natpmp, upnp=model.upnp)
    return request.param.partition(" ")[0], router


async def test_maps_a_port_in_each_tongue_and_removes_it_at_the_end(
    tongue: tuple[str, Router],
) -> None:
    name, router = tongue
    async with running(router):
        async with mapper(router) as mapped:
            for protocol in ("udp", "tcp"):
                got = await mapped.map(protocol, HOME, PORT)
                assert got == Mapping(OUTSIDE, PORT, protocol, name) and got.public
            assert router.doors == {("udp", PORT): (PORT, 600), ("tcp", PORT): (PORT, 600)}
        assert not router.doors


async def test_takes_another_outer_port_when_ours_is_taken(tongue: tuple[str, Router]) -> None:
    _, router = tongue
    router.taken = {PORT}
    async with running(router):
        async with mapper(router) as mapped:
            got = await mapped.map("udp", HOME, PORT)
            assert got is not None and got.external_port != PORT
            assert router.doors == {("udp", got.external_port): (PORT, 600)}
        assert not router.doors


async def test_a_port_that_is_not_needed_any_more_is_closed(tongue: tuple[str, Router]) -> None:
    _, router = tongue
    async with running(router), mapper(router) as mapped:
        await asyncio.gather(*(mapped.map("udp", HOME, PORT + n) for n in range(3)))
        mapped.unmap("udp", HOME, PORT + 1)
        await until(lambda: {port for _, port in router.doors} == {PORT, PORT + 2})


async def test_what_was_granted_to_nobody_who_waits_is_removed_too(
    tongue: tuple[str, Router],
) -> None:
    _, router = tongue
    async with running(router):
        async with mapper(router) as mapped:
            asking = asyncio.create_task(mapped.map("udp", HOME, PORT))
            await until(lambda: router.doors)
            asking.cancel()
            await asyncio.wait([asking])
        assert not router.doors


@pytest.mark.usefixtures("impatient")
async def test_a_refusal_is_none(tongue: tuple[str, Router]) -> None:
    name, router = tongue
    router.refuse = 606 if name == "UPnP" else 2
    router.upnp = router.upnp if name == "UPnP" else 0
    async with running(router), mapper(router) as mapped:
        assert await mapped.map("udp", HOME, PORT) is None
        router.refuse = 0
        assert await mapped.map("udp", HOME, PORT) is not None


async def test_a_second_call_for_a_port_asks_nothing() -> None:
    async with running(Router(pcp=True)) as router, mapper(router) as mapped:
        first = await mapped.map("udp", HOME, PORT)
        asked = len(router.asked)
        assert await mapped.map("udp", HOME, PORT) == first
        assert len(router.asked) == asked


async def test_pcp_is_preferred_and_upnp_takes_over_what_it_refuses() -> None:
    async with running(Router(pcp=True, upnp=1)) as router, mapper(router) as mapped:
        got = await mapped.map("udp", HOME, PORT)
        assert got is not None and got.tongue == "PCP"
        router.refuse_pcp = 8
        later = await mapped.map("udp", HOME, PORT + 1)
        assert later is not None and later.tongue == "UPnP"


@pytest.mark.parametrize("address", ["192.168.2.5", "100.64.9.9", "10.1.1.1"])
async def test_an_outer_address_behind_one_more_nat_is_said_to_be_one(address: str) -> None:
    async with running(Router(pcp=True, outside=address)) as router, mapper(router) as mapped:
        got = await mapped.map("udp", HOME, PORT)
        assert got is not None and got.external_host == address and not got.public


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "127.0.0.1", "255.255.255.255"])
async def test_an_outer_address_that_nobody_can_have_is_no_mapping(
    address: str, tongue: tuple[str, Router]
) -> None:
    _, router = tongue
    router.outside = address
    async with running(router), mapper(router) as mapped:
        assert await mapped.map("udp", HOME, PORT) is None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("port", ["0", "65536", "999999999"])
async def test_an_outer_port_that_nobody_can_have_is_no_mapping(port: str) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: errors.append(about))
    async with running(Router(upnp=2, reserved=port)) as router, mapper(router) as mapped:
        assert await mapped.map("udp", HOME, PORT) is None
    gc.collect()  # an error that nobody asked a task for is told when the task goes
    assert not errors


# ---- Time -------------------------------------------------------------------------------


async def test_a_silent_router_costs_a_bounded_time_once() -> None:
    async with running(Router()) as router, mapper(router) as mapped:
        began = time.monotonic()
        assert await mapped.map("udp", HOME, PORT) is None
        assert time.monotonic() - began < mapping_rules.MAP_LIMIT + 0.2
        began = time.monotonic()
        assert await mapped.map("udp", HOME, PORT + 1) is None
        assert time.monotonic() - began < 0.1


async def test_closing_does_not_wait_for_a_router_that_fell_silent() -> None:
    async with running(Router(pcp=True)) as router:
        mapped = mapper(router)
        for n in range(8):
            await mapped.map("udp", HOME, PORT + n)
        router.pcp = False
        began = time.monotonic()
        await mapped.close()
        assert time.monotonic() - began < 0.5
        assert await mapped.map("udp", HOME, PORT) is None


async def test_closing_while_a_router_is_searched_is_quick() -> None:
    async with running(Router(upnp=1, slow=5.0)) as router:
        mapped = mapper(router)
        asking = asyncio.create_task(mapped.map("udp", HOME, PORT))
        await until(lambda: "ssdp" in router.asked)
        began = time.monotonic()
        await mapped.close()
        assert time.monotonic() - began < 0.5
        assert await asking is None


async def test_a_mapping_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping_rules, "PULSE", 0.05)
    changes: list[Mapping | None] = []
    async with running(Router(pcp=True)) as router, mapper(router) as mapped:
        await mapped.map("udp", HOME, PORT, on_change=changes.append)
        await until(lambda: router.asked.count("pcp 1") >= 4)
        assert not changes
        router.outside = "198.51.100.8"
        await until(lambda: changes)
        assert changes == [Mapping("198.51.100.8", PORT, "udp", "PCP")]


async def test_a_router_that_forgot_is_asked_again_for_all_ports(
    monkeypatch: pytest.MonkeyPatch, tongue: tuple[str, Router]
) -> None:
    name, router = tongue
    async with running(router), mapper(router) as mapped:
        await mapped.map("udp", HOME, PORT)
        monkeypatch.setattr(mapping_rules, "PULSE", 0.05)
        await mapped.map("udp", HOME, PORT + 1)
        if name == "UPnP":  # it has no epoch; the next renewal makes the mapping anew
            await mapped.map("udp", HOME, PORT)
            router.doors.pop(("udp", PORT + 1))
            await until(lambda: ("udp", PORT + 1) in router.doors)
            return
        router.forget()
        await until(lambda: len(router.doors) == 2)


async def test_a_router_that_forgets_with_each_answer_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("client.net.portmap.pcp.Epoch.forgot", lambda *_: True)
    async with running(Router(pcp=True)) as router, mapper(router) as mapped:
        for port in range(PORT, PORT + 3):
            await mapped.map("udp", HOME, port)
        await asyncio.sleep(0.5)
        assert router.asked.count("pcp 1") <= 3 + 3


async def test_a_mapping_that_cannot_be_renewed_is_lost_and_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mapping_rules, "PULSE", 0.05)
    monkeypatch.setattr(mapping_rules, "RETRY", 0.05)
    changes: list[Mapping | None] = []
    async with running(Router(pcp=True, lifetime=1)) as router, mapper(router) as mapped:
        await mapped.map("udp", HOME, PORT, on_change=changes.append)
        router.refuse = 8
        await until(lambda: changes)
        assert changes == [None]
        router.refuse = 0
        monkeypatch.setattr("client.net.portmap.gateway.SILENCE", 0.0)
        await until(lambda: len(changes) == 2)
        assert changes[1] == Mapping(OUTSIDE, PORT, "udp", "PCP")


async def test_a_router_that_only_knows_mappings_for_good_gets_one() -> None:
    async with running(Router(upnp=1, permanent_only=True)) as router:
        async with mapper(router) as mapped:
            assert await mapped.map("udp", HOME, PORT) is not None
            assert router.doors == {("udp", PORT): (PORT, 0)}
        assert not router.doors


# ---- Whom we believe ------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/root.xml",
        "http://localhost:{port}/root.xml",
        "https://127.0.0.1:{port}/root.xml",
        "http://127.0.0.1:0/root.xml",
        "http://127.0.0.1:{port}/root xml",
        "file:///etc/passwd",
    ],
)
async def test_a_device_that_points_elsewhere_is_not_asked(location: str) -> None:
    async with running(Router(upnp=1)) as router, mapper(router) as mapped:
        router.location = location.format(port=router.http_port)
        assert await mapped.map("udp", HOME, PORT) is None
        assert set(router.asked) <= {"ssdp", "pcp 0", "natpmp 0"}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("control", ["http://127.0.0.2:80/ctl", "//127.0.0.2/ctl", "ftp://a/"])
async def test_a_description_that_points_elsewhere_is_not_followed(control: str) -> None:
    async with running(Router(upnp=1, control=control)) as router, mapper(router) as mapped:
        assert await mapped.map("udp", HOME, PORT) is None
        assert "GetExternalIPAddress" not in router.asked


@pytest.mark.usefixtures("impatient")
async def test_an_answer_from_another_network_is_not_heard() -> None:
    async with running(Router(upnp=1)) as router:
        there = ipaddress.ip_network("192.0.2.0/24")
        near = Neighbourhood(HOME, "192.0.2.1", there, router.port, (HOME, router.ssdp_port))
        async with Mapper(lambda host: near) as mapped:
            assert await mapped.map("udp", HOME, PORT) is None
        assert set(router.asked) == {"ssdp"}


async def test_an_address_without_a_router_costs_nothing() -> None:
    began = time.monotonic()
    async with Mapper(lambda host: None) as mapped:
        assert await mapped.map("udp", HOME, PORT) is None
    assert time.monotonic() - began < 0.1


def test_loopback_has_no_router() -> None:
    assert around("127.0.0.1") is None and around("::1") is None


# ---- As a candidate ----------------------------------------------------------------------


def mapped_end(router: Router, mapped: Mapper) -> End:
    """An end of the direct rung that asks this router."""
    end = End(controlling=True)
    end.carrier = DirectCarrier(
        controlling=True,
        stun=(),
        loopback=True,
        on_description=end.describe,
        on_datagram=end.got.append,
        on_state=end.states.append,
        mapper=mapped_ports(mapped),
        release=partial(mapped.unmap, "udp"),
    )
    return end


async def test_a_mapped_port_is_one_more_candidate_and_closed_with_its_carrier() -> None:
    async with running(Router(pcp=True)) as router, mapper(router) as mapped:
        end = mapped_end(router, mapped)
        await end.carrier.start()
        assert end.described[0].candidates and not end.described[0].done
        await until(lambda: end.described[-1].done)
        (line,) = [line for line in end.candidates if OUTSIDE in line]
        assert f" {OUTSIDE} {end.ports[0]} typ srflx raddr {HOME} rport {end.ports[0]}" in line
        assert line.split()[0] not in {one.split()[0] for one in end.described[0].candidates}
        await end.carrier.close()
        await until(lambda: not router.doors)


class Firewall(Mapper):
    """Grants the very address that asks, as a router of IPv6 does."""

    async def map(
        self, protocol: str, host: str, port: int, *, on_change: Changed | None = None
    ) -> Mapping | None:
        return Mapping("2001:db8::7", PORT, protocol, "PCP")


@pytest.mark.parametrize(
    ("host", "found"), [("2001:db8::7", []), ("fd00::7", [("2001:db8::7", PORT)])]
)
async def test_what_is_a_mere_opening_in_a_firewall_is_no_other_candidate(
    host: str, found: list[tuple[str, int]]
) -> None:
    assert [one async for one in mapped_ports(Firewall())(host, PORT)] == found


async def test_a_silent_router_delays_no_candidate() -> None:
    async with running(Router()) as router, mapper(router) as mapped:
        end = mapped_end(router, mapped)
        began = time.monotonic()
        await end.carrier.start()
        assert end.described[0].candidates and time.monotonic() - began < 0.5
        await end.carrier.close()

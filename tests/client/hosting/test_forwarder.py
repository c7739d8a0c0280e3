"""The host's own forwarder at routers that come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import pytest

from client.hosting import forwarder as module
from client.hosting.forwarder import HostedForwarder
from client.net.interfaces import Interfaces
from client.net.portmap.mapper import Mapper
from client.net.portmap.mapping import Mapping

OUTER = "203.0.113.7"
PORT = 4821


class Router:
    """Opens ports for the addresses of its own network."""

    def __init__(self) -> None:
        self.opened: set[tuple[str, str, int]] = set()

    async def map(self, protocol: str, host: str, port: int) -> Mapping | None:
        if not host.startswith("192.168."):
            return None
        self.opened.add((protocol, host, port))
        return Mapping(OUTER, port, protocol, "PCP")

    def unmap(self, protocol: str, host: str, port: int) -> None:
        self.opened.discard((protocol, host, port))


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Our addresses."""
    ours = ["192.168.1.5"]
    monkeypatch.setattr(module, "interfaces", lambda loopback: Interfaces(tuple(ours), ()))
    return ours


@pytest.fixture
async def hosted() -> AsyncIterator[HostedForwarder]:
    one = HostedForwarder()
    one.at_port_of_server(PORT)
    yield one
    one.close()


async def test_a_host_that_moves_names_no_port_of_the_router_that_it_left(
    hosted: HostedForwarder, places: list[str]
) -> None:
    router = Router()
    mapper = cast(Mapper, router)
    assert await hosted.map_ports(mapper)
    assert hosted.addresses((), loopback=False)[0] == f"udp://{OUTER}:{PORT}"
    assert not await hosted.map_ports(mapper), "nothing has changed"
    places[:] = ["10.1.2.3"]
    assert await hosted.map_ports(mapper)
    assert not [one for one in hosted.addresses((), loopback=False) if OUTER in one]
    assert not router.opened

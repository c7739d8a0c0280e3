"""A forwarder inside another program: at the ports of a signaling server, over links."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.forwarder import Forwarder
from relay.limits import Limits
from relay.udp import UdpPort
from signaling.server import Server, Settings, serve
from tests.relay.bottle import GENEROUS, INNER, ROOM, SECRET
from tests.relay.callers import Udp, attach, dial, until
from tests.relay.test_server import ask_stun
from tests.signaling.callers import call
from vc_core.envelope import write_pass, write_spread, write_want

HOST = 0


class Host:
    """What a host's client does: one forwarder, its own signaling server, a seat in it."""

    def __init__(self) -> None:
        self.forwarder = Forwarder(SECRET, GENEROUS)
        self.heard: list[bytes] = []
        self.link = self.forwarder.add_link(b"host", self.heard.append)
        self.forwarder.slots.seat(ROOM, HOST, self.link, 0.0)

    async def serve(self) -> Server:
        """Start the signaling server."""
        return await serve(
            Settings(
                host="127.0.0.1",
                port=0,
                others={"/relay": self.forwarder.converse},
                serve_udp=self.forwarder.serve_udp,
            )
        )


@pytest.fixture
async def embedded() -> AsyncIterator[tuple[Host, Server]]:
    host = Host()
    server = await host.serve()
    yield host, server
    await server.close()
    host.forwarder.close()


async def test_guests_at_the_signaling_ports_and_the_host_reach_each_other(
    embedded: tuple[Host, Server],
) -> None:
    host, server = embedded
    udp, web = Udp(server.stun_port), await dial(server.port)
    await attach(udp, 1)
    await attach(web, 2)
    await udp.send(write_pass(2, INNER))
    assert await web.receive() == write_pass(1, INNER)
    await web.send(write_pass(HOST, INNER))
    await until(lambda: host.heard == [write_pass(2, INNER)])
    await udp.send(write_want(1, ((HOST, 0),)))
    await until(lambda: host.forwarder.slots._members.find(ROOM, 1).wants)  # type: ignore[union-attr]
    host.link.receive_datagram(write_spread(0, INNER))
    assert await udp.receive() == write_pass(HOST, INNER)


async def test_signaling_and_stun_go_on_beside_it(embedded: tuple[Host, Server]) -> None:
    _, server = embedded
    await (await call(server)).allocate()
    assert await ask_stun(socket.AF_INET, "127.0.0.1", server.stun_port)


async def test_a_closed_link_holds_no_slot(embedded: tuple[Host, Server]) -> None:
    host, _ = embedded
    host.link.close()
    assert host.forwarder.counts()["slots"] == 0


async def test_silent_guests_are_forgotten_by_the_clock() -> None:
    forwarder = Forwarder(SECRET, Limits(idle=1))
    guest = Udp(start(forwarder))
    await attach(guest, 1)
    await until(lambda: forwarder.counts()["slots"] == 0)
    forwarder.close()


def start(forwarder: Forwarder) -> int:
    """Serve a UDP socket; its port."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.bind(("127.0.0.1", 0))
    forwarder.serve_udp([one])
    return int(one.getsockname()[1])


class FullSocket:
    """A socket whose kernel is full until it is told otherwise."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self.is_full = True
        self.sent: list[tuple[bytes, Any]] = []
        self._pair = socket.socketpair()

    def fileno(self) -> int:
        return self._pair[0].fileno()

    def sendto(self, data: bytes, flags: int, target: Any) -> None:
        if self.is_full:
            raise BlockingIOError
        self.sent.append((data, target))


async def test_what_the_kernel_does_not_take_waits_and_goes_in_turns() -> None:
    full = FullSocket()
    port = UdpPort(full, Forwarder(SECRET, GENEROUS))  # type: ignore[arg-type]
    one, two = ("192.0.2.1", 1), ("192.0.2.2", 2)
    text, media = write_pass(1, b"\x40"), write_pass(1, b"\x80" + bytes(1000))
    for _ in range(100):
        port.send(media, one)
    port.send(text, two)
    port.send(text, one)
    full.is_full = False
    await until(lambda: len(full.sent) >= 50)
    await asyncio.sleep(0.01)
    assert full.sent[1] == (text, two)
    assert full.sent[-1] == (text, one)
    assert len(full.sent) + port.lost == 102
    port.send(media, two)
    assert full.sent[-1] == (media, two)

"""Forwarders as the driver keeps them: which of those that a host names are tried."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from client.net.forwarders import Forwarders
from vc_core.commands import OpenForwarder
from vc_core.grant import Claims, make_grant, open_secret
from vc_core.ids import Rung

GRANT = make_grant(open_secret(), Claims(bytes(16), 1, 1000, 2**40))


class Told:
    """Remembers what was lost."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def attached(self, number: int, transport: str) -> None:
        """Not here: nobody answers."""

    def lost(self, number: int, word: str) -> None:
        """Why."""
        self.words.append(word)

    def inner(self, number: int, slot: int, datagram: bytes) -> None:
        """Not here."""


@pytest.fixture
def relay() -> Iterator[socket.socket]:
    """A port that hears who comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        yield one


async def knocked(relay: socket.socket) -> bool:
    """Whether anything comes within a moment."""
    loop = asyncio.get_running_loop()
    try:
        return bool(await asyncio.wait_for(loop.sock_recv(relay, 2000), 0.5))
    except TimeoutError:
        return False


@pytest.mark.parametrize("named", [True, False])
async def test_who_hides_tries_no_relay_that_the_host_alone_names(
    relay: socket.socket, named: bool
) -> None:
    address = f"udp://127.0.0.1:{relay.getsockname()[1]}"
    told = Told()
    forwarders = Forwarders(told, loopback=True, own=None)
    forwarders.trusted = frozenset({address} if named else {"udp://127.0.0.1:9"})
    forwarders.open(OpenForwarder(7, Rung.RELAYED, (address,), (GRANT,)))
    assert await knocked(relay) is named
    assert told.words == ([] if named else ["relay-unknown"])
    forwarders.close()


async def test_who_does_not_hide_tries_whatever_the_host_names(relay: socket.socket) -> None:
    address = f"udp://127.0.0.1:{relay.getsockname()[1]}"
    forwarders = Forwarders(Told(), loopback=True, own=None)
    forwarders.open(OpenForwarder(7, Rung.RELAYED, (address,), (GRANT,)))
    assert await knocked(relay)
    forwarders.close()

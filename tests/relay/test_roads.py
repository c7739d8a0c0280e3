"""A relay's thread makes copies where datagrams came in: the same as ``Slots`` makes of bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.cookies import Carrier, Where
from relay.forwarder import Forwarder
from relay.roads import Road
from relay.slots import Slots
from relay.udp import UdpThread
from tests.relay.bottle import GENEROUS, ROOM
from vc_core.envelope import (
    EVERYBODY,
    MAX_INNER,
    PASS,
    read_pass,
    write_pass,
    write_spread,
    write_want,
)

Sent = list[tuple[bytes, Any]]
PLACES = [("192.0.2.1", 1000 + slot) for slot in range(4)]
FAR = ("2001:db8::1", 9, 0, 0)

inners = st.sampled_from([b"", b"\x80", b"\x0f", b"\x80" * MAX_INNER, b"\x80" * (MAX_INNER + 1)])
datagrams = st.one_of(
    st.builds(write_pass, st.integers(0, 5), inners | st.binary(max_size=40)),
    st.builds(write_spread, st.integers(0, 2), inners | st.binary(max_size=40)),
    st.builds(lambda kind, rest: bytes([kind]) + rest, st.integers(4, 255), st.binary(max_size=40)),
    st.just(b""),
)


def slots() -> Slots:
    """Four of one family and one of another in a room; two want two streams of everybody."""
    found = Slots(None, GENEROUS, lambda place: Where(Carrier.UDP, b"host", 1), bytes, 0, 0)
    for slot, place in enumerate([*PLACES, FAR]):
        found.seat(ROOM, slot, place, 0)
    for place in PLACES[2:]:
        found.receive_datagram(write_want(1, ((EVERYBODY, 0),)), place, 0)
    found.receive_datagram(write_want(1, ((EVERYBODY, 1),)), FAR, 0)
    found.receive_datagram(write_want(2, ((EVERYBODY, 0), (0, 1))), PLACES[3], 0)
    return found


class Script:
    """A socket from which datagrams come, and a forwarder around slots."""

    family = socket.AF_INET

    def __init__(self, datagrams: list[tuple[bytes, Any]]) -> None:
        self.slots = slots()
        self.sent: Sent = []
        self.asked = 0
        """Datagrams that were no thread's affair."""
        self._port = UdpThread(cast(Any, self), cast(Forwarder, self))
        self.packets = datagrams
        self._rest = iter(datagrams)

    def run(self) -> Sent:
        """What is sent, until all are read."""
        self._port.start()
        self._port._thread.join()
        self._port._members.close()
        return self.sent

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""

    def setsockopt(self, *arguments: int) -> None:
        """As a socket's that can share its address with no other."""
        raise OSError

    def recvfrom_into(self, memory: memoryview, size: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As a socket's."""
        data, place = next(self._rest, (b"", None))
        self._port._is_open = place is not None
        memory[: len(data)] = data
        return len(data), place

    def sendto(self, data: memoryview | bytes, flags: int, target: Any) -> None:
        """As a socket's, which keeps nothing."""
        self.sent.append((bytes(data), target))

    def pay(self, packet: bytearray, lead: int, size: int, source: Any) -> Road | None:
        """As a forwarder's."""
        return self.slots.pay(packet, lead, size, source, 0)

    def receive_datagram(self, data: bytes, source: Any) -> None:
        """As a forwarder's."""
        self.asked += 1
        for target, answer in self.slots.receive_datagram(data, source, 0):
            self.send(answer, target)

    def send(self, data: bytes, target: Any) -> None:
        """As a forwarder's: what goes another way is no part of the thread's memory."""
        assert type(data) is bytes
        self.sent.append((data, target))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(datagrams, st.sampled_from(PLACES)), max_size=30))
def test_copies_in_place_are_those_of_bytes(script: list[tuple[bytes, Any]]) -> None:
    async def play() -> None:
        inside = Script(script)
        plain = slots()
        expected = [
            (answer, target)
            for data, place in script
            for target, answer in plain.receive_datagram(data, place, 0)
        ]
        assert inside.run() == expected
        assert inside.slots.counts() == plain.counts()

    asyncio.run(play())


def each_kind() -> Iterator[tuple[bytes, Any]]:
    """To each and to those who want, with some to nobody, twice: roads are new, then known."""
    for _ in range(2):
        for slot in range(6):
            yield write_pass(slot, b"\x80 one"), PLACES[0]
        for handle in range(3):
            yield write_spread(handle, b"\x80 all"), PLACES[0]


async def test_copies_arrive_with_their_senders_slot() -> None:
    script = Script(list(each_kind()))
    sent = script.run()
    assert script.asked == 6 + 3
    assert len(sent) == 2 * (5 + 2 + 2)
    assert all(data[0] == PASS and read_pass(data)[0] == 0 for data, _ in sent)
    assert {target for _, target in sent} == {*PLACES, FAR}

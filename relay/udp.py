"""One UDP socket of a forwarder; no transport of asyncio stands between us and it.

Waking up costs more than forwarding. So a relay gives each socket a thread that
waits in ``recvfrom`` itself, which saves the event loop, a poll and an empty read
for each packet; in a host's client the event loop drains the socket instead. Where
the system can, members are then served by sockets of their own (``relay.connected``).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from relay.connected import ConnectedSockets, Read
from relay.lines import Exchange
from relay.queues import Queue
from relay.roads import FRONT, LEAD, Road, Ways
from relay.sockets import LONGEST

# Implementation
DRAIN = 64
"""Datagrams that are read before others of this loop have their turn."""
QUEUES = 1024
"""Clients for whom something waits, while the kernel takes nothing."""
STUN = range(4)
"""First bytes that are none of a forwarder's."""
PATIENCE = 1.0
"""Seconds for a thread to end."""
_AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)

Address = tuple[Any, ...]


class UdpPort:
    """A bound socket, read by the event loop."""

    def __init__(self, one: socket.socket, forwarder: Exchange) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = one
        self._forwarder = forwarder
        self._queues: dict[Address, Queue] = {}
        self.lost = 0
        self.address_length = 2 if one.family == socket.AF_INET else 4
        """How many parts an address of this family has."""

    def start(self) -> None:
        """Read from now on."""
        self._loop.add_reader(self._socket, self._readable)

    def hand_over(self, user: int, group: int) -> None:
        """Let it belong to somebody who has to bind others beside it."""

    def close(self) -> None:
        """Stop and close the socket."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def tidy(self) -> None:
        """Forget who holds no slot any more; once a second."""

    def send(self, data: bytes, target: Address) -> None:
        """Send now, or soon, or not at all."""
        if self._queues:
            self._call(self._wait, data, target)
            return
        try:
            self._socket.sendto(data, _AT_ONCE, target)
        except (BlockingIOError, InterruptedError):
            self._call(self._wait, data, target)
        except OSError:  # no road to that address: its client's affair
            self.lost += 1

    def _call(self, what: Any, *arguments: Any) -> None:
        """In the event loop."""
        what(*arguments)

    def _readable(self) -> None:
        for _ in range(DRAIN):
            try:
                data, source = self._socket.recvfrom(LONGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # ICMP says that somebody is gone
                continue
            self._receive(data, source)

    def _receive(self, data: bytes, source: Address) -> None:
        if data and data[0] in STUN:
            answer = self._forwarder.answer_stun(data, source)
            if answer is not None:
                self.send(answer, source)
        else:
            self._forwarder.receive_datagram(data, source)

    # What the kernel does not take

    def _wait(self, data: bytes, target: Address) -> None:
        queue = self._queues.get(target)
        if queue is None:
            if len(self._queues) >= QUEUES:
                self.lost += 1
                return
            if not self._queues:
                self._loop.add_writer(self._socket, self._writable)
            queue = self._queues[target] = Queue()
        queue.push(data, time.monotonic())

    def _writable(self) -> None:
        """One for each client in turn, until the kernel is full again."""
        now = time.monotonic()
        while self._queues:
            for target, queue in tuple(self._queues.items()):
                data = queue.pop(now)
                if data is None:
                    self.lost += queue.dropped
                    del self._queues[target]
                elif not self._write(data, target):
                    return
        self._loop.remove_writer(self._socket)

    def _write(self, data: bytes, target: Address) -> bool:
        """False if the kernel is full; that one datagram is lost."""
        try:
            self._socket.sendto(data, _AT_ONCE, target)
        except (BlockingIOError, InterruptedError):
            self.lost += 1
            return False
        except OSError:
            self.lost += 1
        return True


class UdpThread(UdpPort):
    """A bound socket, read by a thread of its own."""

    def start(self) -> None:
        self._socket.setblocking(True)
        self._is_open = True
        self._members = ConnectedSockets(self._socket, self._copy, self._receive)
        self._thread = threading.Thread(
            target=self._copy, args=(self._read,), name="udp", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._is_open = False
        with contextlib.suppress(OSError):  # wakes the thread, though it says "not connected"
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._members.close()
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def tidy(self) -> None:
        self._members.keep(self._forwarder.slots.holds)

    def hand_over(self, user: int, group: int) -> None:
        self._members.hand_over(user, group)

    def _call(self, what: Any, *arguments: Any) -> None:
        self._forwarder.call(what, *arguments)

    def _read(self, memory: memoryview) -> Iterator[tuple[int, Address]]:
        receive = self._socket.recvfrom_into
        while self._is_open:
            try:
                size, source = receive(memory)
            except OSError:
                continue
            if size:
                yield size, source

    def _copy(self, read: Read) -> None:
        """Copy what is read, in the port's thread or in that of a member's socket."""
        packet = bytearray(FRONT) + bytearray(LONGEST)
        whole = memoryview(packet)
        datagram, lead = whole[len(FRONT) :], whole[:LEAD].cast("I")
        forward, queues, find_ways = self._forwarder.slots.forward, self._queues, self._find_ways
        pay, at_once = self._pay, _AT_ONCE
        for size, source in read(datagram):
            road = forward(packet, lead[0], size, source) or pay(packet, lead[0], size, source)
            if road is None:
                self._receive(bytes(datagram[:size]), source)
                continue
            lead[0] = road.lead  # the copy is made in place
            copy = whole[road.start : size + 1]
            ways = road.ways
            if ways is None or queues:
                ways = find_ways(road)
            for send, target in ways:
                try:
                    send(copy, at_once)
                except OSError:  # perhaps its socket is over
                    road.ways = None
                    self._forwarder.send(bytes(copy), target)

    def _pay(self, packet: bytearray, lead: int, size: int, source: Address) -> Road | None:
        road = self._forwarder.pay(packet, lead, size, source)
        if road is not None:
            self._members.open(source)
        return road

    def _receive(self, data: bytes, source: Address) -> None:
        super()._receive(data, source)
        if self._forwarder.slots.holds(source):
            self._members.open(source)

    def _find_ways(self, road: Road) -> Ways:
        """How to send to each target; not what waits for others is overtaken."""
        if self._queues:
            return tuple((self._slowly(target), target) for target in road.targets)
        ways = road.ways = tuple((self._find_way(target), target) for target in road.targets)
        return ways

    def _find_way(self, target: Address) -> Callable[[memoryview, int], object]:
        connected = self._members.find(target)
        if connected is not None:
            return connected
        if type(target) is not tuple or len(target) != self.address_length:
            return self._slowly(target)
        send = self._socket.sendto
        return lambda copy, flags: send(copy, flags, target)

    def _slowly(self, target: Any) -> Callable[[memoryview, int], object]:
        return lambda copy, flags: self._forwarder.send(bytes(copy), target)

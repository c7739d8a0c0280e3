"""One UDP socket of a forwarder; no transport of asyncio stands between us and it.

Waking up costs more than forwarding. So a relay gives each socket a thread that
waits in ``recvfrom`` itself, which saves the event loop, a poll and an empty read
for each packet; in a host's client the event loop drains the socket instead.
While it is busy, the thread looks how packets come. Where each wakes it, as those of
many members do, it sleeps for a moment when it has read everything, so that it wakes up
once for some of them: as network cards do. Those that follow their likes, as the packets
of one picture, go on in one call, which Linux cuts into datagrams.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
import threading
import time
from typing import Any

from relay.lines import Exchange
from relay.queues import Queue
from relay.roads import FRONT, LEAD, NOWHERE, Road

if sys.platform == "linux":
    from resource import RUSAGE_THREAD, getrusage

# Implementation
DRAIN = 64
"""Datagrams that are read before others of this loop have their turn."""
LONGEST = 2048
"""Bytes that are read of one; whatever is longer is none of ours."""
QUEUES = 1024
"""Clients for whom something waits, while the kernel takes nothing."""
STUN = range(4)
"""First bytes that are none of a forwarder's."""
PATIENCE = 1.0
"""Seconds for a thread to end."""
SPAN = 256
"""Datagrams over which a thread looks how they come."""
SPANS = 16
"""How many of these it believes what it saw in one."""
BUSY = 3_000
"""Datagrams per second from which on it matters; a call has 120."""
ALONE = 0.5
"""Wakings for each datagram from which on it lets some come together."""
CROWDED = 0.1
"""And up to which they come in crowds."""
PAUSE = 0.001
"""Seconds that a thread sleeps then: what it delays at most, and a little for waking up."""
TOGETHER = 16
"""Copies for one target that go out in one call, at most."""
UDP_SEGMENT = 103
"""Linux: bytes of each datagram into which one call is cut (linux/udp.h)."""
HAS_TURNS = sys.platform == "linux"
"""Whether a thread can tell how often it was woken up."""
_AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)

Address = tuple[Any, ...]
Buffer = tuple[bytearray, memoryview, memoryview, memoryview]
"""For a packet: all of it, its datagram, its lead, and all of it to be cut."""


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

    def close(self) -> None:
        """Stop and close the socket."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

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

    _cuts = False
    """Whether the kernel makes datagrams of what is sent in one call."""

    def start(self) -> None:
        self._socket.setblocking(True)
        self._is_open = True
        self._cuts = HAS_TURNS and _knows(self._socket, UDP_SEGMENT)
        self._thread = threading.Thread(target=self._read, name="udp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_open = False
        with contextlib.suppress(OSError):  # wakes the thread, though it says "not connected"
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _call(self, what: Any, *arguments: Any) -> None:
        self._forwarder.call(what, *arguments)

    def _read(self) -> None:
        buffers = [_buffer() for _ in range(TOGETHER)]
        while self._is_open:
            began, before = time.monotonic(), _wakings()
            self._read_at_once(*buffers[0])
            took, woken = time.monotonic() - began, (_wakings() - before) / SPAN
            if not HAS_TURNS or took > SPAN / BUSY or CROWDED < woken < ALONE:
                continue
            for _ in range(SPANS):
                if not self._read_in_turns(buffers, pauses=woken >= ALONE):
                    break

    def _read_at_once(
        self, packet: bytearray, datagram: memoryview, lead: memoryview, whole: memoryview
    ) -> None:
        """Some datagrams, each of which goes on when it comes."""
        receive, send = self._socket.recvfrom_into, self._socket.sendto
        forward, queues = self._forwarder.slots.forward, self._queues
        parts, at_once = self.address_length, _AT_ONCE
        for _ in range(SPAN):
            try:
                size, source = receive(datagram)
            except OSError:
                continue
            road = forward(packet, lead[0], size, source)
            if road is None:
                if not self._is_open:
                    return
                self._receive(bytes(datagram[:size]), source)
                continue
            lead[0] = road.lead  # the copy is made in place
            copy = whole[road.start : size + 1]
            if road.parts != parts or queues:
                self._send_copy(copy, road)
                continue
            for target in road.targets:
                try:
                    send(copy, at_once, target)
                except OSError:
                    self.send(bytes(copy), target)

    def _read_in_turns(self, buffers: list[Buffer], *, pauses: bool) -> bool:
        """Some datagrams, of which those that follow their likes go on together; False: the
        socket is not busy any more."""
        receive, forward = self._socket.recvfrom_into, self._forwarder.slots.forward
        gathers, parts = self._cuts, self.address_length
        held: list[memoryview] = []  # copies that wait for more of the last one's kind
        last, length = NOWHERE, 0
        ends = time.monotonic() + SPAN / BUSY
        for _ in range(SPAN):
            packet, datagram, lead, whole = buffers[len(held)]
            try:
                size, source = receive(datagram, 0, _AT_ONCE if held or pauses else 0)
            except BlockingIOError:
                self._send_together(held, last)
                if not _rest(ends, PAUSE if pauses else 0):
                    return False
                continue
            except OSError:
                continue
            road = forward(packet, lead[0], size, source)
            if road is None:
                self._send_together(held, last)
                if not self._is_open:
                    return False
                self._receive(bytes(datagram[:size]), source)
                continue
            lead[0] = road.lead
            copy = whole[road.start : size + 1]
            follows = gathers and road is last and size == length and road.parts == parts
            if held and not follows:
                self._send_together(held, last)
            last, length = road, size
            if follows:
                held.append(copy)
                if len(held) == TOGETHER:
                    self._send_together(held, last)
            else:
                self._send_copy(copy, road)
        self._send_together(held, last)
        return time.monotonic() < ends

    def _send_copy(self, copy: memoryview, road: Road) -> None:
        if road.parts == self.address_length and not self._queues:
            for target in road.targets:
                try:
                    self._socket.sendto(copy, _AT_ONCE, target)
                except OSError:
                    self.send(bytes(copy), target)
        else:
            data = bytes(copy)
            for target in road.targets:
                self._forwarder.send(data, target)

    def _send_together(self, copies: list[memoryview], road: Road) -> None:
        """Send copies that are equally long to addresses of this family, and forget them."""
        if len(copies) == 1 or self._queues:
            for copy in copies:
                self._send_copy(copy, road)
        elif copies:
            length = len(copies[0]).to_bytes(2, sys.byteorder)
            for target in road.targets:
                self._cut(copies, length, target)
        copies.clear()

    def _cut(self, copies: list[memoryview], length: bytes, target: Address) -> None:
        """One call, of which the kernel makes datagrams; if it does not, one call for each."""
        cut = [(socket.IPPROTO_UDP, UDP_SEGMENT, length)]
        try:
            self._socket.sendmsg(copies, cut, _AT_ONCE, target)
        except OSError as error:
            if error.errno == errno.EIO:  # its network card leaves checksums to us
                self._cuts = False
            for copy in copies:
                self.send(bytes(copy), target)


def _rest(ends: float, pause: float) -> bool:
    """Whether it is too early to give up."""
    if pause:
        time.sleep(pause)
    return time.monotonic() < ends


def _wakings() -> int:
    """How often this thread found nothing to do, and was woken up."""
    return getrusage(RUSAGE_THREAD).ru_nvcsw if sys.platform == "linux" else 0


def _knows(one: socket.socket, option: int) -> bool:
    try:
        one.getsockopt(socket.IPPROTO_UDP, option)
    except OSError:
        return False
    return True


def _buffer() -> Buffer:
    packet = bytearray(FRONT) + bytearray(LONGEST)
    whole = memoryview(packet)
    return packet, whole[len(FRONT) :], whole[:LEAD].cast("I"), whole

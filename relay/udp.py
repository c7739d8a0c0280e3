"""One UDP socket of a forwarder, read until it is empty whenever it wakes us.

Waking up costs more than forwarding (the reasons stand in docs/operations.md), so
that no transport of asyncio stands between us and the socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from relay.queues import Queue

# Implementation
DRAIN = 64
"""Datagrams that are read before others of this loop have their turn."""
LONGEST = 2048
"""Bytes that are read of one; whatever is longer is none of ours."""
QUEUES = 1024
"""Clients for whom something waits, while the kernel takes nothing."""

Address = tuple[Any, ...]


class UdpPort:
    """A bound socket; what comes is handed on, STUN questions are answered."""

    def __init__(
        self,
        one: socket.socket,
        receive: Callable[[bytes, Address, float], None],
        answer_stun: Callable[[bytes, Address, float], bytes | None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = one
        self._receive = receive
        self._answer_stun = answer_stun
        self._queues: dict[Address, Queue] = {}
        self.lost = 0
        self.address_length = 2 if one.family == socket.AF_INET else 4
        """How many parts an address of this family has."""
        self._loop.add_reader(one, self._readable)

    def send(self, data: bytes, target: Address, now: float) -> None:
        """Send now, or soon, or not at all."""
        if self._queues:
            self._wait(data, target, now)
            return
        try:
            self._socket.sendto(data, target)
        except (BlockingIOError, InterruptedError):
            self._wait(data, target, now)
        except OSError:  # no road to that address: its client's affair
            self.lost += 1

    def close(self) -> None:
        """Stop and close the socket."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        now = self._loop.time()
        for _ in range(DRAIN):
            try:
                data, source = self._socket.recvfrom(LONGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # ICMP says that somebody is gone
                continue
            if data and data[0] > 3:
                self._receive(data, source, now)
            elif (answer := self._answer_stun(data, source, now)) is not None:
                self.send(answer, source, now)

    def _wait(self, data: bytes, target: Address, now: float) -> None:
        queue = self._queues.get(target)
        if queue is None:
            if len(self._queues) >= QUEUES:
                self.lost += 1
                return
            if not self._queues:
                self._loop.add_writer(self._socket, self._writable)
            queue = self._queues[target] = Queue()
        queue.push(data, now)

    def _writable(self) -> None:
        """One for each client in turn, until the kernel is full again."""
        now = self._loop.time()
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
            self._socket.sendto(data, target)
        except (BlockingIOError, InterruptedError):
            self.lost += 1
            return False
        except OSError:
            self.lost += 1
        return True

"""Members' own sockets: connected ones beside a port's, each with a thread.

A socket that is connected knows who is at its other end: no route is looked up for what
it sends, no address is read or put in words, and a thread waits in its ``recv``. Each is
bound where its port is (SO_REUSEPORT), so that members see one address; Linux gives a
datagram to the socket that is connected to its source, and to the port's if there is
none. What strangers send fills another queue.

Rule 1: between bind and connect a socket may get anybody's datagrams. Those are read
        with their sources before any is read without.
Rule 2: nothing rests on it. Who has none, for whatever reason, is served by the port:
        all but the first ones, everybody while threads would wait for each other, and
        where the system has no such sockets. When one is opened or closed, none is lost
        and some may overtake others.
Rule 3: another thread may be about to send. So a socket that is not needed any more is
        connected to itself, and closed with the next look at who is here.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from relay.sockets import LONGEST, enlarge

# Implementation
MOST = 64
"""Sockets on one port: Linux looks at each of them for a datagram of a stranger."""
BUFFER = 512 * 1024
"""Bytes that the kernel keeps for each: an eighth of a second at the rate of a slot."""
EARLY = 64
"""Datagrams that may come before a socket is connected."""
CROWDED = 0.25
"""Part of a core that all but the busiest use, from which on threads would wait for each other
(for Python's lock)."""
REST = 10.0
"""Seconds until sockets are opened again, after that or an error."""
PATIENCE = 1.0
"""Seconds for all threads to end."""
SAFE = (5, 4)
"""Linux from which on no stranger's datagram reaches a connected socket (commit acdcecc61285)."""
NEVER = float("inf")
THREAD_CLOCK = 6
"""Linux: of the clocks of a thread, the one of its scheduler (linux/posix-timers.h)."""
_AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)

Address = tuple[Any, ...]
Read = Callable[[memoryview], Iterator[tuple[int, Address]]]
"""Reads datagrams there, one after the other: how many bytes came, from where."""


class ConnectedSocket:
    """One member's, and the thread that reads it."""

    def __init__(self, one: socket.socket, source: Address, serve: Callable[[Read], None]) -> None:
        """Raises RuntimeError if there can be no more threads."""
        self.send = one.send
        self._socket = one
        self._source = source
        self._is_over = False
        self._spent = 0.0
        self._thread = threading.Thread(
            target=serve, args=(self._read,), name="udp member", daemon=True
        )
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it is read."""
        return self._thread.is_alive()

    def work(self) -> float:
        """Seconds of processor since this was asked last."""
        before = self._spent
        with contextlib.suppress(OSError):  # it has ended
            self._spent = time.clock_gettime(~(self._thread.native_id or 0) << 3 | THREAD_CLOCK)
        return self._spent - before

    def hand_over(self, user: int, group: int) -> None:
        """Let it belong to somebody."""
        os.fchown(self._socket.fileno(), user, group)

    def finish(self) -> None:
        """Send nothing, get nothing more, and read what is here."""
        self._is_over = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.connect(self._socket.getsockname())  # others are the port's now
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)  # wakes the thread

    def close(self, patience: float = 0.0) -> bool:
        """Give its number back, after ``finish``; False: it is still read."""
        self._thread.join(patience)
        if self.is_alive:
            return False
        self._socket.close()
        return True

    def _read(self, memory: memoryview) -> Iterator[tuple[int, Address]]:
        receive, source = self._socket.recv_into, self._source
        while True:
            try:
                size = receive(memory)
            except OSError:  # ICMP says that somebody is gone
                size = 0
            if size:
                yield size, source
            elif self._is_over:
                return


class ConnectedSockets:
    """Those of a port's members."""

    def __init__(
        self,
        port: socket.socket,
        serve: Callable[[Read], None],
        receive: Callable[[bytes, Address], None],
    ) -> None:
        """``serve`` serves what is read, in its thread; ``receive`` takes a datagram and its
        source."""
        self._port = port
        self._serve = serve
        self._receive = receive
        self._members: dict[Address, ConnectedSocket] = {}
        self._finished: list[ConnectedSocket] = []
        self._lock = threading.Lock()
        self._opens = 0.0 if _may_share(port) else NEVER
        """From when on sockets are opened."""
        self._looked = 0.0

    def find(self, target: Address) -> Callable[[memoryview, int], int] | None:
        """What sends to it."""
        member = self._members.get(target)
        return member.send if member else None

    def open(self, source: Address) -> None:
        """Give who holds a slot a socket, if that can be."""
        if source in self._members or len(self._members) >= MOST:
            return
        early: list[tuple[bytes, Address]] = []
        with self._lock:
            now = time.monotonic()
            if source in self._members or now < self._opens:
                return
            try:
                with contextlib.ExitStack() as undo:
                    one = undo.enter_context(socket.socket(self._port.family, socket.SOCK_DGRAM))
                    self._connect(one, source)
                    if _has_read(one, early):
                        self._members[source] = ConnectedSocket(one, source, self._serve)
                        undo.pop_all()
            except (OSError, RuntimeError):  # no right to this port; too many files or threads
                self._opens = now + REST
        for datagram in early:
            self._receive(*datagram)

    def keep(self, holds: Callable[[Address], bool]) -> None:
        """Close the others, or all while they have too much to do together; call it about
        once a second."""
        self._finished = [one for one in self._finished if not one.close()]
        with self._lock:
            is_crowded = self._are_crowded()
            for source, one in tuple(self._members.items()):
                if is_crowded or not holds(source) or not one.is_alive:
                    self._finish(source)

    def hand_over(self, user: int, group: int) -> None:
        """Let all belong to somebody, where that can be: only the port's owner binds there."""
        with self._lock, contextlib.suppress(OSError):
            os.fchown(self._port.fileno(), user, group)
            for one in self._members.values():
                one.hand_over(user, group)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            self._opens = NEVER
            for source in tuple(self._members):
                self._finish(source)
        deadline = time.monotonic() + PATIENCE
        for one in self._finished:
            one.close(max(0.0, deadline - time.monotonic()))

    def _finish(self, source: Address) -> None:
        one = self._members.pop(source)
        one.finish()
        self._finished.append(one)

    def _are_crowded(self) -> bool:
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        works = [one.work() for one in self._members.values()]
        if sum(works) - max(works, default=0.0) <= CROWDED * passed:
            return False
        self._opens = max(self._opens, now + REST)
        return True

    def _connect(self, one: socket.socket, source: Address) -> None:
        owner = os.fstat(self._port.fileno())
        if owner.st_uid != os.geteuid():
            os.fchown(one.fileno(), owner.st_uid, owner.st_gid)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        enlarge(one, BUFFER)
        one.bind(self._port.getsockname())
        one.connect(source)


def _may_share(port: socket.socket) -> bool:
    """Whether others may be bound where a port is; it was bound itself when nobody was."""
    if sys.platform != "linux" or _version(platform.release()) < SAFE:
        return False
    try:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        return False
    return True


def _version(release: str) -> tuple[int, ...]:
    """Of a kernel: "6.1.0-18-amd64" is 6.1."""
    return tuple(map(int, re.findall(r"\d+", release)[:2]))


def _has_read(one: socket.socket, early: list[tuple[bytes, Address]]) -> bool:
    """Read what came before it was connected, or just after; False: there is no end to it."""
    while len(early) < EARLY:
        try:
            early.append(one.recvfrom(LONGEST, _AT_ONCE))
        except BlockingIOError:
            return True
    return False

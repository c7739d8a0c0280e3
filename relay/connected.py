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
        where the system has no such sockets.
Rule 3: another thread may be about to send. So a socket is closed by putting another
        file under its number, and the number is given back a second later.
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
EARLY = 1024
"""Datagrams that may come before a socket is connected."""
CROWDED = 0.25
"""Part of a core from which on threads would wait for each other (for Python's lock)."""
REST = 10.0
"""Seconds until sockets are opened again, after that or an error."""
PATIENCE = 1.0
"""Seconds for a thread to end."""
NEVER = float("inf")
SAFE = (5, 4)
"""Linux from which on no stranger's datagram reaches a connected socket (commit acdcecc61285)."""
_AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)

Address = tuple[Any, ...]
Read = Callable[[memoryview], Iterator[tuple[int, Address]]]
"""Reads datagrams there, one after the other: how many bytes came, from where."""


class ConnectedSocket:
    """One member's, and the thread that reads it."""

    def __init__(
        self, one: socket.socket, source: Address, serve: Callable[[Read], None], nothing: int
    ) -> None:
        """Raises RuntimeError if there can be no more threads."""
        self.send = one.send
        self._socket = one
        self._source = source
        self._serve = serve
        self._nothing = nothing
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="udp member", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Read what is here, and no more."""
        self._is_over = True
        with contextlib.suppress(OSError):  # wakes the thread
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give its number back, after ``finish``."""
        self._thread.join(PATIENCE)
        self._socket.close()

    def _run(self) -> None:
        self._serve(self._read)
        os.dup2(self._nothing, self._socket.fileno(), inheritable=False)

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
        self._looked = self._spent = 0.0
        self._nothing = os.open(os.devnull, os.O_RDWR)

    def find(self, target: Address) -> Callable[[memoryview, int], int] | None:
        """What sends to it."""
        member = self._members.get(target)
        return member.send if member else None

    def open(self, source: Address) -> None:
        """Give who holds a slot a socket, if that can be."""
        early: list[tuple[bytes, Address]] = []
        with self._lock:
            now = time.monotonic()
            if source in self._members or len(self._members) >= MOST or now < self._opens:
                return
            try:
                with contextlib.ExitStack() as undo:
                    one = undo.enter_context(socket.socket(self._port.family, socket.SOCK_DGRAM))
                    self._connect(one, source)
                    _read_early(one, early)
                    member = ConnectedSocket(one, source, self._serve, self._nothing)
                    undo.pop_all()
            except (OSError, RuntimeError):  # no right to this port; too many files or threads
                self._opens = now + REST
            else:
                self._members[source] = member
        for datagram in early:
            self._receive(*datagram)

    def keep(self, holds: Callable[[Address], bool], reader: threading.Thread) -> None:
        """Close the others, or all while they have too much to do together. Call it about
        once a second; what ``reader``, the port's own thread, has to do is not theirs."""
        self._close_finished()
        is_crowded = self._are_crowded(reader)
        with self._lock:
            for source, one in tuple(self._members.items()):
                if is_crowded or not holds(source):
                    del self._members[source]
                    self._finished.append(one)
        for one in self._finished:
            one.finish()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            self._opens = NEVER
            self._finished += self._members.values()
            self._members.clear()
        for one in self._finished:
            one.finish()
        self._close_finished()
        os.close(self._nothing)

    def _are_crowded(self, reader: threading.Thread) -> bool:
        now, spent = time.monotonic(), _processor_seconds(reader)
        is_crowded = spent - self._spent > CROWDED * (now - self._looked)
        self._looked, self._spent = now, spent
        if is_crowded:
            self._opens = max(self._opens, now + REST)
        return is_crowded

    def _close_finished(self) -> None:
        for one in self._finished:
            one.close()
        self._finished.clear()

    def _connect(self, one: socket.socket, source: Address) -> None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        enlarge(one)
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


def _read_early(one: socket.socket, early: list[tuple[bytes, Address]]) -> None:
    """What came before it was connected, or just after."""
    with contextlib.suppress(BlockingIOError):
        while True:
            early.append(one.recvfrom(LONGEST, _AT_ONCE))
            if len(early) > EARLY:
                raise OSError("there is no end to it")


def _processor_seconds(reader: threading.Thread) -> float:
    """What all threads but this one took."""
    if sys.platform != "linux" or reader.ident is None:
        return 0.0
    its = time.clock_gettime(time.pthread_getcpuclockid(reader.ident))
    return time.process_time() - its

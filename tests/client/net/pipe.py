"""Two QUIC links over a pipe with delay, loss and darkness, on a virtual clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from client.net.quic import QuicLink

STANDING = 5000  # steps at one instant; a full window arrives in fewer


class End:
    """One link with all that it reported."""

    def __init__(self, pipe: Pipe, *, client: bool, idle_timeout: float = 60.0) -> None:
        self.pipe = pipe
        self.sent: list[bytes] = []
        self.streams: dict[int, bytearray] = {}
        self.ended: list[int] = []
        self.ready_at: float | None = None
        self.closed: list[str] = []
        self.on_stream: Callable[[int, bytes, bool], None] | None = None
        self.other = self
        self.link = QuicLink(
            client=client,
            now=lambda: pipe.now,
            send=self.send,
            on_stream=self.take,
            on_ready=self.ready,
            on_closed=self.closed.append,
            idle_timeout=idle_timeout,
        )

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)
        self.pipe.carry(datagram, self.other)

    def take(self, stream: int, data: bytes, end: bool) -> None:
        self.streams.setdefault(stream, bytearray()).extend(data)
        if end:
            self.ended.append(stream)
        if self.on_stream is not None:
            self.on_stream(stream, data, end)

    def ready(self) -> None:
        assert self.ready_at is None
        self.ready_at = self.pipe.now


class Pipe:
    """The road between them; ``delay`` in seconds each way, ``loss`` and ``twice`` as shares."""

    def __init__(
        self, *, delay: float = 0.025, loss: float = 0.0, twice: float = 0.0, seed: int = 1
    ) -> None:
        self.now = 1000.0
        self.delay, self.loss, self.twice = delay, loss, twice
        self.jitter = 0.0
        self.dark = False
        self.chance = random.Random(seed)
        self.flying: list[tuple[float, int, End, bytes]] = []
        self.count = 0
        self.standing = 0
        self.client, self.server = End(self, client=True), End(self, client=False)
        self.client.other, self.server.other = self.server, self.client

    def start(self) -> None:
        self.server.link.start()
        self.client.link.start()

    def open(self) -> Pipe:
        """Start and run until both may write."""
        self.start()
        self.run(lambda: self.client.ready_at and self.server.ready_at)
        return self

    def carry(self, datagram: bytes, to: End) -> None:
        if self.dark or self.chance.random() < self.loss:
            return
        for _ in range(2 if self.chance.random() < self.twice else 1):
            self.count += 1
            at = self.now + self.delay + self.chance.random() * self.jitter
            heapq.heappush(self.flying, (at, self.count, to, datagram))

    def run(self, condition: Callable[[], object], bound: float = 120.0) -> None:
        """Let time pass until the condition holds; fail after ``bound`` virtual seconds."""
        end = self.now + bound
        while not condition():
            assert self.step(end), f"not within {bound} s: {self.client.closed}"

    def wait(self, seconds: float) -> None:
        """Let that much time pass."""
        end = self.now + seconds
        while self.step(end):
            pass
        self.now = end

    def step(self, end: float) -> bool:
        """Do what comes next, if it comes before ``end``."""
        timers = [
            (max(due, self.now), link)
            for link in (self.client.link, self.server.link)
            if (due := link.next_timer()) is not None
        ]
        at, link = min(timers, key=lambda one: one[0], default=(end + 1, None))
        arrives = self.flying[0][0] if self.flying else end + 1
        if min(at, arrives) > end:
            return False
        before, self.now = self.now, max(self.now, min(at, arrives))
        self.standing = self.standing + 1 if self.now == before else 0
        assert self.standing < STANDING, "timers fire and time does not pass"
        if arrives <= at:
            _, _, to, datagram = heapq.heappop(self.flying)
            to.link.receive(datagram)
        elif link is not None:
            link.handle_timer()
        return True

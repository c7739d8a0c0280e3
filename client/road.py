"""A road: the QUIC connection of one link, and the ways on which its datagrams go.

    datagram, by its first byte (RFC 9443 where it has one):

         4 -  15   envelope of a forwarder (on a direct pair only)  -> ``envelope``
        17         feedback on pictures   -> ``feedback``
        16 -  63   probe of a way         -> ``probe``
        64 - 127   QUIC                   -> the connection
       128 - 191   sealed media           -> ``media``
       192 - 255   QUIC                   -> the connection

QUIC never learns which way its packets go: it has one constant address. What
comes in counts whichever way it came; what goes out goes where ``use`` said.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from client.net.candidates import Description
from client.net.direct import DirectCarrier
from client.net.quic import QuicLink
from vc_core.feedback import FEEDBACK
from vc_core.ids import Rung, Way
from vc_core.link import CONTROL_STREAM
from vc_core.messages import Road as RoadMessage

# Implementation
MAX_STALLED = 4 * 1024 * 1024  # bytes that may wait for a peer that takes nothing
LINGER = 2.0  # s to get the last words out
LINGER_STEP = 0.02  # s


class Told(Protocol):
    """Who hears what a road says."""

    def described(self, road: RoadMessage) -> None:
        """Our side of an attempt can be tried at these addresses."""

    def opened(self, way: Way) -> None:
        """A direct pair was found."""

    def failed(self, way: Way, word: str) -> None:
        """An attempt gave up, or its pair is dead."""

    def envelope(self, datagram: bytes) -> None:
        """An envelope came by a direct pair."""

    def probe(self, way: Way, datagram: bytes) -> None:
        """A probe came."""

    def feedback(self, datagram: bytes) -> None:
        """A viewer of our pictures says what came."""

    def media(self, way: Way, datagram: bytes) -> None:
        """Sealed media came."""

    def stream_opened(self) -> None:
        """Stream 0 stands at both ends."""

    def stream_data(self, data: bytes) -> None:
        """Bytes of stream 0."""

    def stream_closed(self) -> None:
        """QUIC is over."""


MakePair = Callable[
    [Callable[[Description], None], Callable[[bytes], None], Callable[[str], None]], DirectCarrier
]
"""A direct carrier from (on_description, on_datagram, on_state)."""


class Road:
    """One road of one link."""

    def __init__(
        self,
        told: Told,
        *,
        leading: bool,
        make_pair: MakePair,
        through: Callable[[int, bytes], None],
        defer: Callable[[Callable[[], None]], None],
    ) -> None:
        """``through`` sends a datagram to the member by a forwarder's number.

        ``defer`` runs something after the current input was digested.
        """
        self._told = told
        self._defer = defer
        self._leading = leading
        self._make_pair = make_pair
        self._through = through
        self._pairs: dict[int, DirectCarrier] = {}
        self.way: Way | None = None
        """Where is sent."""
        self._streaming = False
        self._unwritten = bytearray()
        """What one input gave us to write: QUIC makes datagrams of all of it at once."""
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.bytes_in = 0
        """Bytes of datagrams that came, since the road was opened."""
        self.bytes_out = 0
        self._quic = QuicLink(
            client=leading,
            now=time.monotonic,
            send=self.send,
            on_stream=self._stream,
            on_ready=self._ready,
            on_closed=self._closed,
        )

    # Direct pairs

    def try_direct(self, attempt: int) -> None:
        """Begin an attempt at a direct pair."""
        way = Way(Rung.DIRECT, attempt)

        def state(word: str) -> None:
            self._state(way, word)

        pair = self._pairs[attempt] = self._make_pair(
            lambda description: self._described(attempt, description),
            partial(self.receive, way),
            state,
        )
        self._spawn(pair.start())

    def drop_direct(self, attempt: int) -> None:
        """End an attempt."""
        pair = self._pairs.pop(attempt, None)
        if pair is not None:
            self._spawn(pair.close())

    def poke_direct(self, attempt: int) -> None:
        """Check at once whether the addresses of a silent pair have changed."""
        pair = self._pairs.get(attempt)
        if pair is not None:
            pair.poke()

    def hint(self, road: RoadMessage) -> None:
        """What the other side said of its end of an attempt."""
        pair = self._pairs.get(road.attempt)
        if pair is not None:
            pair.add_remote(
                Description(road.ufrag, road.pwd, tuple(road.candidates), road.done, road.hard)
            )

    def _described(self, attempt: int, description: Description) -> None:
        self._told.described(
            RoadMessage(
                attempt,
                description.ufrag,
                description.pwd,
                description.candidates,
                description.done,
                description.hard,
            )
        )

    def _state(self, way: Way, state: str) -> None:
        if self._closing or way.number not in self._pairs:
            return
        if state == "connected":
            self._told.opened(way)
        elif state == "failed":
            word = self._pairs[way.number].failure
            self.drop_direct(way.number)
            self._told.failed(way, word)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # World in

    def receive(self, way: Way, datagram: bytes) -> None:
        """Sort one datagram by its first byte."""
        self.bytes_in += len(datagram)
        first = datagram[0] if datagram else 0
        if 128 <= first < 192:
            self._told.media(way, datagram)
        elif first >= 64:
            self._quic.receive(datagram)
            self._arm()
        elif first == FEEDBACK:
            self._told.feedback(datagram)
        elif first >= 16:
            self._told.probe(way, datagram)
        elif first >= 4 and way.rung is Rung.DIRECT:
            self._told.envelope(datagram)

    def _ready(self) -> None:
        if self._leading:
            self._quic.open_stream()  # the first is ``CONTROL_STREAM``
            self._open()

    def _stream(self, stream: int, data: bytes, end: bool) -> None:
        if stream != CONTROL_STREAM or self._closing:
            return
        self._open()
        if data:
            self._defer(lambda: self._told.stream_data(data))
        if end:
            self._closed("closed")

    def _open(self) -> None:
        if not self._streaming:
            self._streaming = True
            self._defer(self._told.stream_opened)

    def _closed(self, _reason: str) -> None:
        if not self._closing:
            self._defer(self._told.stream_closed)

    # Verbs

    def use(self, way: Way | None) -> None:
        """Send this way from now on."""
        self.way = way
        if way is not None and not self._quic.started:
            self._quic.start()
            self._arm()

    def write(self, data: bytes) -> None:
        """Queue bytes of stream 0; a peer that takes nothing for too long loses the link."""
        if not self._streaming:
            return
        waiting = self._quic.pending(CONTROL_STREAM) + len(self._unwritten)
        if waiting + len(data) > MAX_STALLED:
            self._closed("stalled")
            return
        if not self._unwritten:
            self._defer(self._flush)
        self._unwritten += data

    def _flush(self) -> None:
        data, self._unwritten = bytes(self._unwritten), bytearray()
        if data:
            self._quic.write(CONTROL_STREAM, data)
            self._arm()

    def send(self, datagram: bytes) -> None:
        """One datagram the way that is in use; dropped while there is none."""
        if self.way is not None:
            self.send_by(self.way, datagram)

    def send_by(self, way: Way, datagram: bytes) -> None:
        """One datagram a certain way."""
        self.bytes_out += len(datagram)
        if way.rung is not Rung.DIRECT:
            self._through(way.number, datagram)
        elif (pair := self._pairs.get(way.number)) is not None:
            pair.send(datagram)

    def send_direct(self, datagram: bytes) -> None:
        """One datagram by the direct pair that is in use, or the newest."""
        if self.way is not None and self.way.rung is Rung.DIRECT:
            self.send_by(self.way, datagram)
        elif self._pairs:
            self.send_by(Way(Rung.DIRECT, max(self._pairs)), datagram)

    def wake(self) -> None:
        """The path answers again."""
        self._quic.wake()
        self._arm()

    async def close(self) -> None:
        """Let the last words out, then end everything."""
        self._flush()
        self._closing = True
        patience = int(LINGER / LINGER_STEP)
        while patience and self._streaming and self._quic.pending(CONTROL_STREAM):
            await asyncio.sleep(LINGER_STEP)
            patience -= 1
        self._quic.close()
        if self._timer is not None:
            self._timer.cancel()
        for attempt in list(self._pairs):
            self.drop_direct(attempt)
        if self._tasks:
            await asyncio.wait(self._tasks)

    # Time

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._quic.next_timer()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, due - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._quic.handle_timer()
        self._arm()

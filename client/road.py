"""A road: the carrier of one link and the QUIC connection that runs over it.

    datagram from the carrier, by its first byte (RFC 9443 where it has one):

        16 -  63   probe of the path      -> ``on_probe``
        64 - 127   QUIC                   -> the connection
       128 - 191   sealed media           -> ``on_media``
       192 - 255   QUIC                   -> the connection

QUIC never learns which way its packets go: it has one constant address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from client.net.candidates import Description
from client.net.direct import DirectCarrier
from client.net.quic import QuicLink
from client.net.turn_uri import TurnServer
from vc_core.link import CONTROL_STREAM
from vc_core.messages import Road as RoadMessage

# Implementation
MAX_STALLED = 4 * 1024 * 1024  # bytes that may wait for a peer that takes nothing
LINGER = 2.0  # s to get the last words out
LINGER_STEP = 0.02  # s


class Told(Protocol):
    """Who hears what a road says."""

    def described(self, road: RoadMessage) -> None:
        """Our side can be tried at these addresses."""

    def opened(self) -> None:
        """Datagrams flow."""

    def failed(self) -> None:
        """The carrier gave up."""

    def probe(self, datagram: bytes) -> None:
        """A probe came."""

    def media(self, datagram: bytes) -> None:
        """Sealed media came."""

    def stream_opened(self) -> None:
        """Stream 0 stands at both ends."""

    def stream_data(self, data: bytes) -> None:
        """Bytes of stream 0."""

    def stream_closed(self) -> None:
        """QUIC is over."""


class Road:
    """One road of one link."""

    def __init__(
        self,
        told: Told,
        *,
        leading: bool,
        stun: Sequence[tuple[str, int]],
        turn: Sequence[TurnServer],
        loopback: bool,
        defer: Callable[[Callable[[], None]], None],
    ) -> None:
        """``defer`` runs something after the current input was digested."""
        self._told = told
        self._defer = defer
        self._leading = leading
        self._streaming = False
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.bytes_in = 0
        """Bytes of datagrams that came, since the road was opened."""
        self.bytes_out = 0
        self.carrier = DirectCarrier(
            controlling=leading,
            stun=stun,
            turn=turn,
            loopback=loopback,
            on_description=self._described,
            on_datagram=self.receive,
            on_state=self._state,
        )
        self._quic = QuicLink(
            client=leading,
            now=time.monotonic,
            send=self.send,
            on_stream=self._stream,
            on_ready=self._ready,
            on_closed=self._closed,
        )

    # World in

    def receive(self, datagram: bytes) -> None:
        """Sort one datagram by its first byte."""
        self.bytes_in += len(datagram)
        first = datagram[0] if datagram else 0
        if 128 <= first < 192:
            self._told.media(datagram)
        elif first >= 64:
            self._quic.receive(datagram)
            self._arm()
        elif first >= 16:
            self._told.probe(datagram)

    def _described(self, description: Description) -> None:
        self._told.described(
            RoadMessage(
                description.ufrag,
                description.pwd,
                description.candidates,
                description.done,
                description.hard,
            )
        )

    def _state(self, state: str) -> None:
        if self._closing:
            return
        if state == "connected":
            self._told.opened()
            self._quic.start()
            self._arm()
        elif state == "failed":
            self._told.failed()

    def _ready(self) -> None:
        if self._leading:
            assert self._quic.open_stream() == CONTROL_STREAM
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

    def hint(self, road: RoadMessage) -> None:
        """What the other side said of itself."""
        self.carrier.add_remote(
            Description(road.ufrag, road.pwd, tuple(road.candidates), road.done, road.hard)
        )

    def write(self, data: bytes) -> None:
        """Queue bytes of stream 0; a peer that takes nothing for too long loses the link."""
        if not self._streaming:
            return
        if self._quic.pending(CONTROL_STREAM) + len(data) > MAX_STALLED:
            self._closed("stalled")
            return
        self._quic.write(CONTROL_STREAM, data)
        self._arm()

    def send(self, datagram: bytes) -> None:
        """One datagram straight on the path."""
        self.bytes_out += len(datagram)
        self.carrier.send(datagram)

    def wake(self) -> None:
        """The path answers again."""
        self._quic.wake()
        self._arm()

    async def close(self) -> None:
        """Let the last words out, then end everything."""
        self._closing = True
        patience = int(LINGER / LINGER_STEP)
        while patience and self._streaming and self._quic.pending(CONTROL_STREAM):
            await asyncio.sleep(LINGER_STEP)
            patience -= 1
        self._quic.close()
        if self._timer is not None:
            self._timer.cancel()
        await self.carrier.close()

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

"""One QUIC connection with one peer, without IO: the reliable plane's pipe.

    datagram in ──► receive ──► on_ready / on_stream / on_closed
    write ─────────► send (datagrams out)
    time ──────────► handle_timer, due at next_timer

Rule 1: QUIC sees one constant address and one clock, so a road may change under
        it and only packets are lost.
Rule 2: what comes out of aioquic because of a peer's bytes ends this connection
        and nothing else; datagrams that are no QUIC of ours are dropped.
Rule 3: its TLS is transport only. The client verifies no certificate and the
        server's is made up: identity and secrecy come from the channel above.

No media goes through here: its congestion control would delay it. aioquic takes
a while to import, so that happens in ``start`` or in ``preload``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from vc_core.errors import LocalProtocolError

if TYPE_CHECKING:
    from client.net.quic_connection import BoundedConnection

# Implementation
IDLE_TIMEOUT: Final = 60.0  # seconds without a packet; the room's heartbeats come more often
MAX_UNACKNOWLEDGED: Final = 8 << 20  # bytes of one stream; whoever writes asks ``pending`` first
VERSION_1: Final = b"\0\0\0\1"
TICK: Final = 1e-5  # seconds; at its very due time aioquic's loss timer can round to "not yet"
LONG_HEADER: Final = 0xC0
FIXED_BIT: Final = 0x40
RETRY: Final = 0xF0

log = logging.getLogger(__name__)


class State(Enum):
    """Where a link stands."""

    NEW = "not started"
    OPENING = "the handshake runs"
    READY = "streams may be written"
    CLOSED = "over"


def preload() -> None:
    """Import what is heavy and make the certificate; may run in a thread."""
    from client.net import quic_connection

    quic_connection.certificate()


class QuicLink:
    """One end of a QUIC connection; ``client`` is the one that begins.

    ``now`` is a monotonic clock in seconds and ``send`` takes datagrams of at
    most 1200 bytes. ``on_stream`` gets a stream's bytes in order, with a mark at
    its end (also when the peer broke it off); ``on_closed`` gets a word, once,
    unless this side closed: "closed" (by the peer), "idle" or "broken".
    """

    def __init__(
        self,
        *,
        client: bool,
        now: Callable[[], float],
        send: Callable[[bytes], None],
        on_stream: Callable[[int, bytes, bool], None],
        on_ready: Callable[[], None],
        on_closed: Callable[[str], None],
        idle_timeout: float = IDLE_TIMEOUT,
    ) -> None:
        self._client = client
        self._now = now
        self._send = send
        self._on_stream = on_stream
        self._on_ready = on_ready
        self._on_closed = on_closed
        self._idle_timeout = idle_timeout
        self._state = State.NEW
        self._connection: BoundedConnection | None = None
        self._pumping = self._again = False

    # getters

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    def pending(self, stream: int) -> int:
        """Bytes of a stream that are buffered: written and not yet acknowledged."""
        return self._connection.unacknowledged(stream) if self._connection is not None else 0

    # world in

    def receive(self, datagram: bytes) -> None:
        """A datagram from the peer; garbage is dropped."""
        if self._state in (State.NEW, State.CLOSED) or not _is_ours(datagram):
            return
        if self._connection is None:
            self._accept(datagram)
        else:
            self._feed(lambda known: known.take(datagram, self._now()))

    def handle_timer(self) -> None:
        """Call when ``next_timer`` is due; calling early does nothing."""
        due = self.next_timer()
        if due is not None and due <= self._now():
            self._feed(lambda known: known.handle_timer(self._now()), ending="idle")

    # verbs

    @property
    def started(self) -> bool:
        """Whether ``start`` was called."""
        return self._state is not State.NEW

    def start(self) -> None:
        """Begin: the client sends its first datagram, the server waits for it."""
        if self._state is not State.NEW:
            raise LocalProtocolError("a QUIC link is started once")
        from client.net import quic_connection

        self._state = State.OPENING
        if self._client:
            self._connection = quic_connection.client(self._idle_timeout, self._now())
        self._pump()

    def open_stream(self) -> int:
        """Number of a new stream of this side; both sides may write to it."""
        return self._ready("open a stream").reserve()

    def write(self, stream: int, data: bytes, end: bool = False) -> None:
        """Queue bytes for a stream; ``end`` says that they are its last.

        Bytes for a stream that the peer refuses, and for a link that is over,
        are dropped.
        """
        if self._state is State.CLOSED:
            return
        connection = self._ready("write")
        if not connection.writable(stream):
            return
        if connection.unacknowledged(stream) + len(data) > MAX_UNACKNOWLEDGED:
            raise LocalProtocolError(f"stream {stream} was written without asking pending()")
        connection.send_stream_data(stream, data, end)
        self._pump()

    def wake(self) -> None:
        """The path answers again: probe now instead of when the backed-off timer says."""
        self._feed(lambda known: known.probe(self._now()))

    def close(self) -> None:
        """Say goodbye to the peer and forget everything; no callback follows."""
        connection, self._connection = self._connection, None
        self._state = State.CLOSED
        if connection is None:
            return
        try:
            connection.close()
            datagrams = connection.datagrams_to_send(self._now())
        except Exception as error:
            log.info("a QUIC connection ends without a goodbye: %r", error)
            return
        for datagram, _ in datagrams:
            self._send(datagram)

    # outputs

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due on the clock ``now``; None when never."""
        due = self._connection.get_timer() if self._connection is not None else None
        return due + TICK if due is not None else None

    # the pump

    def _ready(self, what: str) -> BoundedConnection:
        if self._state is not State.READY or self._connection is None:
            raise LocalProtocolError(f"cannot {what}: {self._state.value}")
        return self._connection

    def _accept(self, datagram: bytes) -> None:
        """Server: become the other end of whoever sends a valid first packet."""
        from client.net import quic_connection

        made = quic_connection.server(self._idle_timeout, datagram)
        if made is not None and made.begins_with(datagram, self._now()):
            self._connection = made
            self._pump()

    def _feed(self, step: Callable[[BoundedConnection], None], ending: str = "broken") -> None:
        if self._connection is None:
            return
        try:
            step(self._connection)
        except Exception as error:  # aioquic's asserts and lookups fail on hostile bytes
            self._break(error)
        self._pump(ending)

    def _pump(self, ending: str = "broken") -> None:
        """Events, then datagrams, then perhaps the end."""
        self._again = True
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._again:
                self._again = False
                self._turn()
        finally:
            self._pumping = False
        known = self._connection
        if known is not None and known.ending is not None:
            self._end("closed" if known.left_politely else ending)

    def _turn(self) -> None:
        """Hand all events on, then all datagrams out."""
        while self._connection is not None:
            if not self._connection.hand_on(self._became_ready, self._on_stream):
                break
        known = self._connection
        if known is None:
            return
        try:
            datagrams = known.datagrams_to_send(self._now())
        except Exception as error:
            self._break(error)
            return
        for datagram, _ in datagrams:
            self._send(datagram)

    def _became_ready(self) -> None:
        self._state = State.READY
        self._on_ready()

    def _end(self, reason: str) -> None:
        self._state = State.CLOSED
        self._connection = None
        self._on_closed(reason)

    def _break(self, error: Exception) -> None:
        log.info("a QUIC connection broke: %r", error)
        self._end("broken")


def _is_ours(datagram: bytes) -> bool:
    """Whether this can be a QUIC packet that vchat's other end would send.

    Version negotiation and Retry are dropped: both ends know the one version,
    neither sends Retry, and nothing in them is authenticated.
    """
    if not datagram or not datagram[0] & FIXED_BIT:
        return False
    long = datagram[0] & LONG_HEADER == LONG_HEADER
    return not long or (datagram[1:5] == VERSION_1 and datagram[0] & RETRY != RETRY)

"""aioquic's connection with an end to everything that a peer could make grow.

What aioquic 1.7 does otherwise, and this file changes:

- It doubles its flow-control windows as bytes arrive, whether or not they could
  be handed on; a peer that leaves out the first byte of a stream could make it
  keep anything. Here windows slide: delivered bytes plus a constant.
- It lets a peer open 128 streams of each direction; here ``MAX_STREAMS`` with
  two directions, and none with one.
- It makes four key shares for each handshake; here one, X25519.
- It sends nothing new while a full window is unacknowledged, and its probe
  timer backs off without limit; ``probe`` starts over at once.

It leans on private names of aioquic, so the version is checked at import.
"""

from __future__ import annotations

import datetime
import functools
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final

import aioquic
from aioquic import tls
from aioquic._buffer import Buffer
from aioquic.quic import events
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.connection import (
    MAX_STREAM_DATA_FRAME_CAPACITY,
    Limit,
    QuicConnection,
    QuicConnectionState,
)
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicPacketType,
    QuicProtocolVersion,
    pull_quic_header,
)
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

if not aioquic.__version__.startswith("1.7."):
    raise ImportError(f"aioquic 1.7 is needed, this is {aioquic.__version__}")

# Specification
ALPN: Final = "vchat/1"
DATAGRAM_SIZE: Final = 1200  # bytes; SMALLEST_MAX_DATAGRAM_SIZE of RFC 9000, 14

# Implementation
WINDOW: Final = 2 << 20  # bytes a peer may send ahead of what was delivered, in all
STREAM_WINDOW: Final = 1 << 20  # the same for one stream, so that it cannot block the others
WINDOW_STEP: Final = STREAM_WINDOW // 4  # bytes delivered before a window is said anew
MAX_STREAMS: Final = 64  # streams of the peer at one time
MAX_GAPS: Final = 2048  # ranges out of order in one stream; a lossy full window has 500
CONNECTION_ID_SIZE: Final = 8
ADDRESS: Final = ("vchat", 0)  # constant: QUIC never sees a road change
POLITE: Final = (QuicErrorCode.NO_ERROR, QuicErrorCode.APPLICATION_ERROR)
LIFE: Final = datetime.timedelta(days=3650)

log = logging.getLogger(__name__)


class SlidingLimit(Limit):
    """The connection's window: what was delivered, in steps, plus ``WINDOW``."""

    def __init__(self) -> None:
        self.delivered = 0
        super().__init__(QuicFrameType.MAX_DATA, "max_data", WINDOW)

    @property
    def value(self) -> int:
        """The limit now, bytes since the beginning."""
        return self.delivered - self.delivered % WINDOW_STEP + WINDOW

    @value.setter
    def value(self, value: int) -> None:
        """aioquic's doubling has no effect."""


class BoundedConnection(QuicConnection):
    """A QUIC connection whose memory is bounded; see the top of this file."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._window = SlidingLimit()
        self._local_max_data = self._window
        self._local_max_streams_bidi.value = self._local_max_streams_bidi.sent = MAX_STREAMS
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = 0

    @property
    def ending(self) -> events.ConnectionTerminated | None:
        """How it ended, as soon as that is known (aioquic's event waits for 3 PTO)."""
        return self._close_event

    @property
    def left_politely(self) -> bool:
        """Whether it ended because the peer said goodbye."""
        return self.ending is not None and self.ending.error_code in POLITE

    def begins_with(self, datagram: bytes, now: float) -> bool:
        """Server: take the first datagram; False if it was not what its header claims."""
        try:
            self.take(datagram, now)
        except Exception as error:  # nothing of it is authenticated, so nobody is to blame
            log.debug("dropped a first packet: %r", error)
            return False
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    def take(self, datagram: bytes, now: float) -> None:
        """A datagram of the peer; raises anything on hostile bytes."""
        self.receive_datagram(datagram, ADDRESS, now)
        pieces = (len(stream.receiver._ranges) for stream in self._streams.values())
        if max(pieces, default=0) > MAX_GAPS:
            self.close(QuicErrorCode.INTERNAL_ERROR, QuicFrameType.PADDING, "too many gaps")

    def hand_on(
        self, on_ready: Callable[[], None], on_stream: Callable[[int, bytes, bool], None]
    ) -> bool:
        """Hand the next event on; False when there is none."""
        match self.next_event():
            case None:
                return False
            case events.HandshakeCompleted():
                on_ready()
            case events.StreamDataReceived(data, end, stream):
                self._window.delivered += len(data)
                on_stream(stream, data, end)
            case events.StreamReset(_, stream):
                on_stream(stream, b"", True)
        return True

    def reserve(self) -> int:
        """Number of a new stream of this side, with both directions."""
        stream = self.get_next_available_stream_id()
        self.send_stream_data(stream, b"")
        return stream

    def writable(self, stream: int) -> bool:
        """Whether the stream is there and the peer has not refused to read it."""
        known = self._streams.get(stream)
        return known is not None and known.sender._reset_error_code is None

    def unacknowledged(self, stream: int) -> int:
        """Bytes written to a stream that the peer has not acknowledged."""
        known = self._streams.get(stream)
        return len(known.sender._buffer) if known is not None else 0

    def probe(self, now: float) -> None:
        """Ask for a sign of life now, whatever is outstanding."""
        self._loss._pto_count = 0
        self._loss.reschedule_data(now=now)
        if not self._ping_pending:
            self.send_ping(0)

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls._supported_groups = [tls.Group.X25519]

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        number = stream.stream_id
        if number is None or stream.receiver.is_finished:
            return
        limit = stream.receiver.starting_offset() + STREAM_WINDOW
        if limit - stream.max_stream_data_local >= WINDOW_STEP:
            stream.max_stream_data_local = limit
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            frame = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            frame.push_uint_var(number)
            frame.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local


def client(idle_timeout: float, now: float) -> BoundedConnection:
    """A connection whose first datagram is ready.

    The certificate is not verified: TLS is transport only here, and who the
    other side is comes from the channel above.
    """
    settings = _settings(idle_timeout, is_client=True)
    settings.verify_mode = ssl.CERT_NONE
    connection = BoundedConnection(configuration=settings)
    connection.connect(ADDRESS, now)
    return connection


def server(idle_timeout: float, datagram: bytes) -> BoundedConnection | None:
    """The other end of the client that sent ``datagram``; None if it is no first packet."""
    if len(datagram) < SMALLEST_MAX_DATAGRAM_SIZE:
        return None
    try:
        header = pull_quic_header(Buffer(data=datagram), host_cid_length=CONNECTION_ID_SIZE)
    except ValueError:
        return None
    first = header.packet_type is QuicPacketType.INITIAL
    if not first or header.version != QuicProtocolVersion.VERSION_1:
        return None
    settings = _settings(idle_timeout, is_client=False)
    settings.certificate, settings.private_key = certificate()
    return BoundedConnection(
        configuration=settings, original_destination_connection_id=header.destination_cid
    )


def _settings(idle_timeout: float, *, is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[ALPN],
        cipher_suites=[tls.CipherSuite.AES_128_GCM_SHA256],
        congestion_control_algorithm="cubic",
        connection_id_length=CONNECTION_ID_SIZE,
        idle_timeout=idle_timeout,
        max_data=WINDOW,
        max_datagram_size=DATAGRAM_SIZE,
        max_stream_data=STREAM_WINDOW,
        supported_versions=[QuicProtocolVersion.VERSION_1],
    )


@functools.cache
def certificate() -> tuple[x509.Certificate, Ed25519PrivateKey]:
    """A self-signed certificate that proves nothing, one for each process."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vchat")])
    since = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(since + LIFE)
        .sign(key, None)
    )
    return made, key

"""QUIC links over a bad pipe with a virtual clock."""

from __future__ import annotations

import random
import runpy

import aioquic
import pytest
from aioquic.quic.packet import QuicFrameType
from hypothesis import given, settings
from hypothesis import strategies as st

from client.net import quic, quic_connection
from client.net.quic import MAX_UNACKNOWLEDGED, State
from client.net.quic_connection import MAX_STREAMS, STREAM_WINDOW, WINDOW, BoundedConnection
from tests.client.net.pipe import End, Pipe
from vc_core.errors import LocalProtocolError

TEXT = random.Random(7).randbytes(300_000)


def connection(end: End) -> BoundedConnection:
    found = end.link._connection
    assert found is not None
    return found


def pour(pipe: Pipe, data: bytes, bound: int = 256_000) -> int:
    """Write as a file is written: never more than ``bound`` bytes ahead."""
    link = pipe.client.link
    stream = link.open_stream()
    for at in range(0, len(data), 16_000):
        link.write(stream, data[at : at + 16_000], at + 16_000 >= len(data))
        pipe.run(lambda: link.pending(stream) <= bound)
    return stream


def test_the_client_may_write_after_one_round_trip() -> None:
    pipe = Pipe(delay=0.025).open()
    assert pipe.client.ready_at == pytest.approx(1000.050, abs=0.001)
    assert pipe.server.ready_at == pytest.approx(1000.075, abs=0.001)
    assert pipe.client.link.state is State.READY


def test_every_datagram_is_quic_by_its_first_byte_and_at_most_1200_bytes() -> None:
    pipe = Pipe().open()
    pour(pipe, TEXT)
    for datagram in pipe.client.sent + pipe.server.sent:
        assert 64 <= datagram[0] <= 127 or datagram[0] >= 192
        assert len(datagram) <= 1200


@pytest.mark.parametrize("seed", range(4))
def test_exact_bytes_arrive_over_a_pipe_that_loses_doubles_and_reorders(seed: int) -> None:
    pipe = Pipe(loss=0.05, twice=0.05, seed=seed)
    pipe.jitter = 0.03
    pipe.open()
    stream = pour(pipe, TEXT)
    pipe.run(lambda: pipe.server.ended)
    assert bytes(pipe.server.streams[stream]) == TEXT
    assert not pipe.client.closed and not pipe.server.closed


def test_time_passes_although_aioquics_loss_timer_rounds_to_not_yet() -> None:
    pipe = Pipe(loss=0.08, seed=25, delay=0.0276237)
    pipe.now = 125.0
    pipe.open()
    pour(pipe, bytes(500_000))
    pipe.run(lambda: pipe.server.ended)


def test_both_sides_write_to_one_stream_and_to_their_own() -> None:
    pipe = Pipe().open()
    first = pipe.client.link.open_stream()
    pipe.client.link.write(first, b"question", end=True)
    pipe.run(lambda: pipe.server.ended == [first])
    pipe.server.link.write(first, b"answer", end=True)
    own = pipe.server.link.open_stream()
    pipe.server.link.write(own, b"by the way")
    pipe.run(lambda: own in pipe.client.streams and pipe.client.ended)
    assert (first, own) == (0, 1)
    assert pipe.client.streams == {first: b"answer", own: b"by the way"}


def test_a_callback_may_write_and_may_close() -> None:
    pipe = Pipe()
    pipe.server.on_stream = lambda stream, data, _: pipe.server.link.write(stream, data.upper())
    pipe.open()
    stream = pipe.client.link.open_stream()
    pipe.client.link.write(stream, b"echo")
    pipe.client.on_stream = lambda *_: pipe.client.link.close()
    pipe.run(lambda: pipe.client.link.state is State.CLOSED)
    pipe.run(lambda: pipe.server.closed)
    assert pipe.client.streams[stream] == b"ECHO"
    assert pipe.server.closed == ["closed"] and pipe.client.closed == []


def test_pending_counts_what_is_not_acknowledged() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.dark = True
    pipe.client.link.write(stream, TEXT)
    assert pipe.client.link.pending(stream) == len(TEXT)
    pipe.dark = False
    pipe.run(lambda: pipe.client.link.pending(stream) == 0)


def test_writing_without_asking_pending_is_a_local_error() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.dark = True
    with pytest.raises(LocalProtocolError):
        for _ in range(MAX_UNACKNOWLEDGED // len(TEXT) + 1):
            pipe.client.link.write(stream, TEXT)


def test_writing_before_the_handshake_is_a_local_error() -> None:
    pipe = Pipe()
    pipe.start()
    with pytest.raises(LocalProtocolError):
        pipe.client.link.write(0, b"too early")
    with pytest.raises(LocalProtocolError):
        pipe.client.link.start()


def test_after_twenty_seconds_of_darkness_wake_brings_the_text_at_once() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.client.link.write(stream, b"before ")
    pipe.wait(1)
    pipe.dark = True
    pipe.client.link.write(stream, b"in the dark")
    pipe.wait(20)
    pipe.dark = False
    woken = pipe.now
    pipe.client.link.wake()
    pipe.run(lambda: pipe.server.streams[stream] == b"before in the dark")
    assert pipe.now - woken <= pipe.delay + 0.001


def test_without_wake_the_backed_off_timer_would_wait_for_seconds() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.dark = True
    pipe.client.link.write(stream, b"in the dark")
    pipe.wait(20)
    due = pipe.client.link.next_timer()
    assert due is not None and due - pipe.now > 1


def test_wakes_with_a_full_window_in_flight() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.dark = True
    pipe.client.link.write(stream, TEXT)
    pipe.wait(20)
    pipe.dark = False
    woken = pipe.now
    for _ in range(50):
        pipe.client.link.wake()
    pipe.run(lambda: len(pipe.server.streams.get(stream, b"")) == len(TEXT))
    assert pipe.now - woken < 3


def test_a_link_that_hears_nothing_ends_as_idle() -> None:
    pipe = Pipe().open()
    pipe.dark = True
    pipe.run(lambda: pipe.client.closed and pipe.server.closed)
    assert pipe.client.closed == pipe.server.closed == ["idle"]
    assert pipe.now == pytest.approx(1060, abs=2)
    assert pipe.client.link.next_timer() is None


def test_a_client_whose_peer_never_answers_ends_as_idle() -> None:
    pipe = Pipe()
    pipe.dark = True
    pipe.start()
    pipe.run(lambda: pipe.client.closed)
    assert pipe.client.closed == ["idle"]


def test_a_polite_goodbye_is_heard_after_half_a_round_trip() -> None:
    pipe = Pipe().open()
    began = pipe.now
    pipe.client.link.close()
    pipe.run(lambda: pipe.server.closed)
    assert pipe.server.closed == ["closed"] and pipe.client.closed == []
    assert pipe.now - began <= pipe.delay + 0.001


def test_what_was_written_before_the_goodbye_is_handed_on_before_it() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.client.link.write(stream, b"last words", end=True)
    pipe.client.link.close()
    pipe.run(lambda: pipe.server.closed)
    assert pipe.server.streams[stream] == b"last words"


def test_a_closed_link_takes_everything_and_does_nothing() -> None:
    pipe = Pipe().open()
    link = pipe.client.link
    stream = link.open_stream()
    link.close()
    count = len(pipe.client.sent)
    link.close()
    link.wake()
    link.write(stream, b"late")
    link.receive(pipe.server.sent[-1])
    link.handle_timer()
    assert link.pending(stream) == 0 and link.next_timer() is None
    assert len(pipe.client.sent) == count and pipe.client.closed == []


def test_a_stream_that_the_peer_breaks_off_ends() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.client.link.write(stream, b"half")
    pipe.run(lambda: pipe.server.streams)
    connection(pipe.client).reset_stream(stream, 1)
    pipe.client.link.wake()
    pipe.run(lambda: pipe.server.ended)
    assert pipe.server.ended == [stream]


def test_bytes_for_a_stream_that_the_peer_refuses_are_dropped() -> None:
    pipe = Pipe().open()
    stream = pipe.client.link.open_stream()
    pipe.client.link.write(stream, b"listen")
    pipe.run(lambda: pipe.server.streams)
    connection(pipe.server).stop_stream(stream, 1)
    pipe.server.link.wake()
    pipe.run(lambda: not connection(pipe.client).writable(stream))
    pipe.client.link.write(stream, b"still there?")
    pipe.wait(1)
    assert pipe.server.streams[stream] == b"listen"
    assert not pipe.client.closed and not pipe.server.closed


# hostile peers


def test_garbage_is_dropped_at_every_stage() -> None:
    pipe = Pipe()
    pipe.start()
    chance = random.Random(3)

    def throw() -> None:
        for end in (pipe.client, pipe.server):
            for sample in [*pipe.client.sent[-3:], *pipe.server.sent[-3:]]:
                broken = bytearray(sample)
                broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
                end.link.receive(bytes(broken))
                end.link.receive(sample[: chance.randrange(len(sample))])
            first = bytes([chance.randrange(256)])
            end.link.receive(first + chance.randbytes(chance.randrange(1400)))
            end.link.receive(b"")

    for _ in range(30):
        throw()
        pipe.step(pipe.now + 1)
    pipe.run(lambda: pipe.client.ready_at and pipe.server.ready_at)
    stream = pipe.client.link.open_stream()
    pipe.client.link.write(stream, b"still well")
    throw()
    pipe.run(lambda: pipe.server.streams.get(stream, b"") == b"still well")
    assert not pipe.client.closed and not pipe.server.closed


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=1300), max_size=20), st.booleans())
def test_no_bytes_raise_anything(datagrams: list[bytes], client: bool) -> None:
    pipe = Pipe()
    pipe.start()
    end = pipe.client if client else pipe.server
    for datagram in datagrams:
        end.link.receive(datagram)
        end.link.receive(b"\xc0\0\0\0\1\x08" + datagram.ljust(1200, b"\0"))
    pipe.run(lambda: pipe.client.ready_at and pipe.server.ready_at)


def test_version_negotiation_and_retry_cannot_end_a_handshake() -> None:
    pipe = Pipe()
    pipe.start()
    first = pipe.client.sent[0]
    theirs = first[6:14]
    ours = first[15:23]
    pipe.client.link.receive(b"\xc0\0\0\0\0\x08" + ours + b"\x08" + theirs + b"\x1a\x2a\x3a\x4a")
    pipe.client.link.receive(b"\xf0\0\0\0\1\x08" + ours + b"\x08" + theirs + bytes(40))
    pipe.run(lambda: pipe.client.ready_at)


def test_a_forged_first_packet_does_not_keep_the_real_client_out() -> None:
    pipe = Pipe()
    pipe.server.link.start()
    pipe.server.link.receive(b"\xc0\0\0\0\1\x08" + bytes(8) + b"\x08" + bytes(8) + bytes(1200))
    assert pipe.server.link.next_timer() is None
    pipe.client.link.start()
    pipe.run(lambda: pipe.server.ready_at)


class Hostile:
    """A peer that knows the keys and sends frames of its own making."""

    def __init__(self) -> None:
        self.pipe = Pipe(delay=0.001).open()
        self.victim = self.pipe.server
        self.connection = connection(self.pipe.client)

    def send(self, frames: list[bytes]) -> None:
        from aioquic import tls
        from aioquic.quic.packet import QuicPacketType
        from aioquic.quic.packet_builder import QuicPacketBuilder

        mine = self.connection
        builder = QuicPacketBuilder(
            host_cid=mine.host_cid,
            is_client=True,
            max_datagram_size=1200,
            packet_number=mine._packet_number,
            peer_cid=mine._peer_cid.cid,
            version=mine._version or 1,
        )
        builder.start_packet(QuicPacketType.ONE_RTT, mine._cryptos[tls.Epoch.ONE_RTT])
        for frame in frames:
            buffer = builder.start_frame(frame[0], capacity=len(frame))
            buffer.push_bytes(frame[1:])
        datagrams, _ = builder.flush()
        mine._packet_number = builder.packet_number
        for datagram in datagrams:
            self.victim.link.receive(datagram)


def variable(value: int) -> bytes:
    """A variable-length integer of eight bytes (RFC 9000, 16)."""
    return (value | 3 << 62).to_bytes(8, "big")


def stream_frame(stream: int, offset: int, data: bytes) -> bytes:
    kind = bytes([QuicFrameType.STREAM_BASE | 6])
    return kind + variable(stream) + variable(offset) + variable(len(data)) + data


def test_a_peer_may_open_a_bounded_number_of_streams() -> None:
    peer = Hostile()
    peer.send([stream_frame(4 * (MAX_STREAMS - 1), 0, b"x")])
    assert not peer.victim.closed
    peer.send([stream_frame(4 * MAX_STREAMS, 0, b"x")])
    assert peer.victim.closed == ["broken"]


def test_a_peer_may_open_no_stream_of_one_direction() -> None:
    peer = Hostile()
    peer.send([stream_frame(2, 0, b"x")])
    assert peer.victim.closed == ["broken"]


def test_a_finished_stream_makes_room_for_a_new_one() -> None:
    pipe = Pipe(delay=0.001).open()
    pipe.server.on_stream = lambda stream, *_: pipe.server.link.write(stream, b"", end=True)
    for number in range(3 * MAX_STREAMS):
        stream = pipe.client.link.open_stream()
        pipe.client.link.write(stream, b"short", end=True)
        pipe.wait(0.01)
        assert stream == 4 * number
    pipe.wait(1)
    assert len(pipe.server.ended) == 3 * MAX_STREAMS
    assert not connection(pipe.server)._streams


def test_a_peer_that_leaves_out_the_first_byte_cannot_make_us_keep_more_than_a_window() -> None:
    peer = Hostile()
    data = bytes(1000)
    kept = 0
    for offset in range(1, 4 * STREAM_WINDOW, len(data)):
        peer.send([stream_frame(0, offset, data)])
        if peer.victim.closed:
            break
        streams = connection(peer.victim)._streams.values()
        kept = sum(len(stream.receiver._buffer) for stream in streams)
    assert peer.victim.closed == ["broken"]
    assert STREAM_WINDOW // 2 < kept <= STREAM_WINDOW


def test_windows_slide_with_what_was_handed_on_and_do_not_grow() -> None:
    pipe = Pipe(delay=0.001).open()
    data = bytes(5 * WINDOW)
    stream = pour(pipe, data)
    pipe.run(lambda: pipe.server.ended)
    assert len(pipe.server.streams[stream]) == len(data)
    assert connection(pipe.server)._local_max_data.value - len(data) <= WINDOW


def test_a_peer_that_sends_a_stream_in_crumbs_is_cut_off() -> None:
    peer = Hostile()
    for start in range(1, 200_000, 400):
        peer.send([stream_frame(0, start + 2 * i, b"x") for i in range(30)])
        if peer.victim.closed:
            break
    assert peer.victim.closed == ["broken"]


@pytest.mark.parametrize(
    "frame",
    [
        b"\x1f",
        b"\x18" + variable(0) + variable(0) + b"\x00" + bytes(16),
        b"\x19" + variable(99),
        b"\x1e",
        b"\x30hello",
        b"\x06" + variable(1 << 30) + variable(1) + b"x",
        b"\x04" + variable(0) + variable(0) + variable(1 << 40),
    ],
)
def test_forbidden_frames_end_this_link_and_raise_nothing(frame: bytes) -> None:
    peer = Hostile()
    peer.send([frame])
    assert peer.victim.closed == ["broken"]
    assert peer.victim.link.state is State.CLOSED


def test_acknowledging_what_was_never_sent_raises_nothing() -> None:
    peer = Hostile()
    peer.send([b"\x02" + variable(1 << 40) + variable(0) + variable(0) + variable(0)])
    stream = peer.victim.link.open_stream()
    peer.victim.link.write(stream, TEXT)
    peer.pipe.wait(1)
    assert len(peer.victim.sent) < 2 * len(TEXT) // 1000


def test_what_aioquic_raises_ends_this_link_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Pipe().open()

    def fail(*_: object) -> None:
        raise AssertionError("a bug that hostile bytes found")

    monkeypatch.setattr(connection(pipe.server), "receive_datagram", fail)
    pipe.client.link.wake()
    pipe.run(lambda: pipe.server.closed)
    assert pipe.server.closed == ["broken"]
    assert pipe.server.link.next_timer() is None


@pytest.mark.parametrize("verb", ["close", "wake"])
def test_what_aioquic_raises_keeps_nobody_from_closing(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a state that hostile bytes brought about")

    link = Pipe().open().client.link
    for method in ("datagrams_to_send", "probe"):
        monkeypatch.setattr(BoundedConnection, method, refuse)
    getattr(link, verb)()
    assert link.state is State.CLOSED


def test_the_certificate_is_made_once() -> None:
    quic.preload()
    assert quic_connection.certificate() is quic_connection.certificate()


def test_a_wrong_version_of_aioquic_is_refused_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioquic, "__version__", "1.8.0")
    with pytest.raises(ImportError, match=r"aioquic 1\.7 is needed"):
        runpy.run_path(quic_connection.__file__)

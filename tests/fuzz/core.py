"""Targets of ``vc_core``: pure parsers."""

from __future__ import annotations

import random
from contextlib import suppress

from tests.fuzz import seeds
from vc_core.entry import Action, Seat, Signed
from vc_core.errors import RemoteProtocolError
from vc_core.invite import make_link, make_spoken, parse_invitation, server_url, write_invitation
from vc_core.keys import Identity, mac16
from vc_core.messages import JOIN, MEET, PEER, Bundle, Introduction, Parcel, Profile
from vc_core.packet import Kid, MediaOpener, MediaSealer, media_key, parse_header
from vc_core.path import Path
from vc_core.roster import Roster
from vc_core.signals import TO_CLIENT, TO_SERVER
from vc_core.streams import StreamOpener, StreamSealer
from vc_core.stun_binding import StunResponder, read_answer, read_request, write_answer
from vc_core.stun_binding import write_request as write_stun
from vc_core.wire import Family, Reader, Record

KEY = b"k" * 32
HERE = bytes((192, 0, 2, 1))
SIDE = random.Random(7).randbytes  # chance of things that are made once


def _family(family: Family, data: bytes) -> None:
    record = family.read(data)
    assert family.write(record) == data, f"{record!r} is written in another way than it came"


def signals_to_server(data: bytes) -> None:
    """What a signaling server gets."""
    _family(TO_SERVER, data)


def signals_to_client(data: bytes) -> None:
    """What it says."""
    _family(TO_CLIENT, data)


def join(data: bytes) -> None:
    """Bodies of an exchange."""
    _family(JOIN, data)


def meet(data: bytes) -> None:
    """Bodies between members."""
    _family(MEET, data)


def peer(data: bytes) -> None:
    """Messages of the control stream and of letters."""
    _family(PEER, data)


INNER: tuple[type[Record], ...] = (Introduction, Bundle, Parcel, Profile)


def inner_records(data: bytes) -> None:
    """Records that stand inside sealed payloads; the first byte chooses."""
    if data:
        reader = Reader(data[1:])
        record = INNER[data[0] % len(INNER)].read_fields(reader)
        reader.finish()
        assert record.write_fields() == data[1:]


HOST, GUEST = Identity.generate(SIDE), Identity.generate(SIDE)
NONCE = SIDE(32)


def _roster() -> Roster:
    return Roster.found(HOST, "host", NONCE)


def roster(data: bytes) -> None:
    """A signed entry as it comes, and as a newcomer takes it whose host signed anything."""
    with suppress(RemoteProtocolError):
        Signed.parse(data).read()
    signature = HOST.sign("vchat-1 roster", data)
    Roster.welcome(Signed(data, signature), HOST.public.sign)


def roster_chain(data: bytes) -> None:
    """Any entry that the host signed, for a member who has the first one."""
    mine = _roster()
    with suppress(RemoteProtocolError):
        mine.receive(data)
    signed = Signed(data[:65_000], HOST.sign("vchat-1 roster", data[:65_000]))
    mine.receive(signed.write_fields())


def media(data: bytes) -> None:
    """A packet from a stranger, and one that a member sealed with a counter of its choice."""
    key = media_key(KEY, KEY, Kid(1, 2, 0), KEY)
    opener = MediaOpener(key)
    with suppress(RemoteProtocolError):
        opener.open(parse_header(data), data)
    with suppress(RemoteProtocolError):
        opener.open(parse_header(b"\x80" + data), b"\x80" + data)
    if 6 <= len(data) <= 1100:
        sealer = MediaSealer(key)
        sealer.next_ctr = int.from_bytes(data[:6], "big") % 5000
        sealed = sealer.seal(data[0], int.from_bytes(data[1:5], "big"), data[6:])
        assert opener.open(parse_header(sealed), sealed).payload == data[6:]


def streams(data: bytes) -> None:
    """Pieces of a stream of any size: raw ones, and bodies that a member sealed."""
    opener, sealer = StreamOpener(KEY, 0), StreamSealer(KEY, 0)
    bodies = [part[:16_000] for part in data.split(b"\xff")]
    sealed = b"".join(sealer.seal(body) for body in bodies)
    size = 1 + (data[0] if data else 0)
    opened: list[bytes] = []
    for at in range(0, len(sealed), size):
        opened += opener.receive(sealed[at : at + size])
    assert opened == bodies
    opener.receive(data)


def invitation(data: bytes) -> None:
    """A code or link that somebody typed."""
    typed = data.decode("utf-8", "surrogateescape")
    with suppress(RemoteProtocolError):
        server_url(typed)
    understood = parse_invitation(typed)
    assert parse_invitation(write_invitation(understood)) == understood


def probe(data: bytes) -> None:
    """A probe from a stranger, and one with a right MAC."""
    path = Path(KEY, KEY, 0.0)
    path.handle_timer(0.0)
    with suppress(RemoteProtocolError):
        path.receive(data, 1.0)
    with suppress(RemoteProtocolError):
        path.receive(data + mac16(KEY, data), 1.1)
    path.handle_timer(2.0)
    assert path.rtt is None or path.rtt >= 0
    assert 0 <= path.loss_out <= 1


def stun(data: bytes) -> None:
    """Questions and answers of STUN."""
    responder = StunResponder(0.0)
    answer = responder.receive_datagram(data, (HERE, 1024), 0.0)
    assert answer is None or read_answer(answer)[1] == (HERE, 1024)
    with suppress(RemoteProtocolError):
        read_request(data)
    read_answer(data)


# Seeds


def seeds_to_server() -> list[bytes]:
    """Two of each."""
    return seeds.of_family(TO_SERVER)


def seeds_to_client() -> list[bytes]:
    """Two of each."""
    return seeds.of_family(TO_CLIENT)


def seeds_join() -> list[bytes]:
    """Two of each."""
    return seeds.of_family(JOIN)


def seeds_meet() -> list[bytes]:
    """Two of each."""
    return seeds.of_family(MEET)


def seeds_peer() -> list[bytes]:
    """Two of each."""
    return seeds.of_family(PEER)


def seeds_inner() -> list[bytes]:
    """One of each."""
    return [bytes([n]) + seeds.record(kind).write_fields() for n, kind in enumerate(INNER)]


def seeds_roster() -> list[bytes]:
    """The first entries of a room."""
    mine = _roster()
    guest = Seat.of(mine.entry.next_number, GUEST.public, "guest")  # type: ignore[arg-type]
    second = mine.extend(HOST, Action.ADD, guest.number, guest)
    third = mine.extend(HOST, Action.LOCK, mine.host)
    entries = [_roster().signed, second, third]
    return [one.entry for one in entries] + [one.write_fields() for one in entries]


def seeds_media() -> list[bytes]:
    """A voice packet, and one of the sound of pictures."""
    sealer = MediaSealer(media_key(KEY, KEY, Kid(1, 2, 0), KEY))
    return [
        sealer.seal(1, 960, bytes(80)),
        sealer.seal(4, 960, bytes(240)),
        bytes(6) + b"voice",
        b"",
    ]


def seeds_streams() -> list[bytes]:
    """Bodies, and sealed ones."""
    sealer = StreamSealer(KEY, 0)
    return [b"one\xfftwo\xff", sealer.seal(b"one") + sealer.seal(b"two", last=True)]


def seeds_invitation() -> list[bytes]:
    """One of each form."""
    spoken = make_spoken(SIDE, "4821", "192.168.1.7:8765")
    link = make_link(SIDE, "4821", HOST.public.fingerprint, ("ws://192.168.1.7:8765",))
    texts = [write_invitation(spoken), write_invitation(link)]
    return [text.encode() for text in (*texts, "4821 apple robot candle", "wss://[::1]:1/x")]


def seeds_probe() -> list[bytes]:
    """The first of a path."""
    path = Path(KEY, KEY, 0.0)
    whole = path.handle_timer(0.0)[0]
    return [whole, whole[:-16]]


def seeds_stun() -> list[bytes]:
    """A question and two answers."""
    name = bytes(range(12))
    return [
        write_stun(name),
        write_answer(name, (HERE, 1024)),
        write_answer(name, (bytes(range(16)), 1024)),
    ]

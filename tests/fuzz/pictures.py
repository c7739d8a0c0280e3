"""Targets of pictures: pieces, feedback, and what a viewer may ask of a sharer."""

from __future__ import annotations

from contextlib import suppress

from tests.video.links import STREAM, Stage
from vc_core.errors import RemoteProtocolError
from vc_core.feedback import FEEDBACK_LAYOUT, Feedback, Feedbacks, Wanted
from vc_core.ids import Member
from vc_core.keys import mac16
from vc_core.packet import MAX_PAYLOAD, Media
from vc_core.senderkeys import Opened
from video.fragment import Codec, Fragments, Picture
from video.reassembly import MAX_BYTES, MAX_FRAMES
from video.watching import Watching

KEY = b"k" * 32


def feedback(data: bytes) -> None:
    """From a stranger, and with a right MAC."""
    ends = Feedbacks(KEY, KEY)
    with suppress(RemoteProtocolError):
        ends.read(data)
    read = ends.read(data + mac16(KEY, data))
    assert len(data) + 16 <= 1200
    assert all(ctr < 1 << 49 for ctr, _ in read.arrivals)


def pieces(data: bytes) -> None:
    """Pieces that a member sealed; each begins with its length, its time and its counter."""
    watching, at, now, ctr = Watching(Member(1), STREAM, 0.0), 0, 0.0, 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big") % (MAX_PAYLOAD + 1)
        now += data[at + 2] / 1000
        ctr = ctr + 1 + data[at + 3]
        payload = data[at + 4 : at + 4 + size]
        at += 4 + size
        watching.receive(Opened(Member(1), 1, ctr, Media(3, 0, payload), b"", STREAM), now)
        watching.feedback(now)
        watching.key_wanted(now)
        assert watching.waiting <= MAX_BYTES + MAX_PAYLOAD
        assert len(watching._reassembly._frames) <= MAX_FRAMES


def sharer(data: bytes) -> None:
    """What a viewer says that the link believes, beside another one: any arrivals, any wishes."""
    stage = Stage(most=1e6)
    stage.join(1)
    stage.join(2)
    stage.run(0.05)
    ends = Feedbacks(KEY, KEY)
    for part in data.split(b"\xfe\xfe")[:8]:
        with suppress(RemoteProtocolError):
            said = ends.read(part + mac16(KEY, part))
            stage.sharer.feedback(Member(1), said, stage.clock.now)
        stage.run(0.02)
    rate = stage.sharer.rate_of(Member(1))
    assert rate is not None
    assert 0 < rate.target < 1e9
    assert 0 <= rate.loss <= 1
    streaming = stage.sharer._streams[STREAM]
    assert streaming.slow < {1, 2} or streaming.groups.rising, "nobody gets the first encoding"
    assert streaming.second_on is stage.encoders[1].on
    other = stage.sharer.rate_of(Member(2))
    assert other is not None and other.target >= 1e6, "one viewer's words slow another"


# Seeds


def _some() -> Feedback:
    arrivals = tuple((n, 1.0 + n / 1000) for n in range(4))
    return Feedback(STREAM, 1, arrivals, (Wanted(0, 0), Wanted(1, 65535)))


def seeds_feedback() -> list[bytes]:
    """A usual one and an empty one."""
    ends = Feedbacks(KEY, KEY)
    return [ends.write(one)[:-16] for one in (_some(), Feedback(STREAM, 0))]


def seeds_pieces() -> list[bytes]:
    """Key frames and the next ones of both encodings in one row, whole and with parity."""
    found = []
    for number, back in ((0, 0), (1, 1), (2, 0), (3, 2), (4, 2)):
        cut = Fragments(Picture(number, back, Codec.H264, 0, 64, 48, bytes(3000)))
        payloads = [cut.data(n) for n in range(cut.count)] + [cut.parity(0)]
        found.append(b"".join(len(one).to_bytes(2, "big") + b"\x05\x00" + one for one in payloads))
    return [b"".join(found), found[0], found[1]]


def seeds_sharer() -> list[bytes]:
    """A few in a row."""
    ends = Feedbacks(KEY, KEY)
    many = [ends.write(_some())[:-16] for _ in range(3)]
    return [b"\xfe\xfe".join(many), many[0], bytes(FEEDBACK_LAYOUT.size)]

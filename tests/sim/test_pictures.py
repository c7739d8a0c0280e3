"""Pictures between whole sessions: who is offered what, who opens it, when it ends."""

from __future__ import annotations

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from vc_core.errors import LocalProtocolError
from vc_core.events import (
    KeyFrameWanted,
    StreamCarried,
    StreamEnded,
    StreamOffered,
    StreamWatched,
    Warned,
)
from vc_core.feedback import Feedback
from vc_core.ids import LinkId, Rung, Way
from vc_core.pictures import FEEDBACK, SCREEN, Pictures
from vc_core.senderkeys import MAX_STREAMS, Opened
from video.fragment import Codec
from video.sending import Sharer
from video.sharing import Encoded
from video.watching import Watching, digest_of

WAY = Way(Rung.DIRECT, 1)


def pictures(person: Person) -> Pictures:
    found = person.session.pictures
    assert found is not None
    return found


def told(person: Person, kind: type) -> list[object]:
    return [event for event in person.events if isinstance(event, kind)]


def link_to(one: Person, other: Person) -> LinkId:
    return next(end.link for end in one.ends.values() if end.member == other.number)


class Share:
    """One person's screen, and the way of its frames to others."""

    def __init__(self, bottle: Bottle, sharer: Person) -> None:
        self.bottle = bottle
        self.sharer = sharer
        self.sending = Sharer(pictures(sharer), bottle.now)
        self.stream = pictures(sharer).share(SCREEN, 1280, 720, 30)
        self.sending.begin(self.stream, 1280, 720, 30)
        self.settle()

    def settle(self, seconds: float = 0.5) -> None:
        self.bottle.pump(self.sharer)
        self.bottle.run(seconds)

    def watch(self, viewer: Person) -> Watching:
        pictures(viewer).watch(self.sharer.number, self.stream)
        self.bottle.pump(viewer)
        self.bottle.run(0.3)
        self.sending.watched(self.stream, viewer.number, True, self.bottle.now)
        return Watching(self.sharer.number, self.stream, self.bottle.now)

    def frame(self, *, key: bool, size: int = 4000) -> list[bytes]:
        """The datagrams of one frame."""
        data = self.bottle.rng(size)
        encoded = Encoded(self.bottle.now, key, Codec.H264, 1280, 720, data)
        self.sending.push(self.stream, encoded, self.bottle.now)
        found = []
        for _ in range(40):
            self.bottle.run(0.005)
            found += [one.datagram for one in self.sending.datagrams(self.bottle.now)]
        self.bottle.pump(self.sharer)
        return found

    def hear(self, viewer: Person, datagram: bytes) -> Opened | None:
        link = link_to(viewer, self.sharer)
        return viewer.session.hear(self.sharer.number, link, WAY, datagram, self.bottle.now)


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(41)


def test_everybody_is_offered_a_stream_also_who_comes_later(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    late = bottle.join("late", bottle.code(host))
    bottle.run(5)
    offer = StreamOffered(host.number, share.stream, "screen", 1280, 720, 30)
    assert told(ann, StreamOffered) == told(late, StreamOffered) == [offer]


def test_frames_reach_a_viewer_whole_and_signed(bottle: Bottle) -> None:
    host, ann, _bob = bottle.party("host", "ann", "bob")
    share = Share(bottle, ann)
    watching = share.watch(host)
    assert told(ann, StreamWatched) == [StreamWatched(host.number, share.stream, True)]
    shown = []
    for number in range(8):
        for datagram in share.frame(key=number == 0):
            opened = share.hear(host, datagram)
            assert opened is not None and opened.stream == share.stream
            for whole in watching.receive(opened, bottle.now):
                shown.append(whole.picture.number)
                pictures(host).whole(
                    ann.number,
                    share.stream,
                    whole.picture.number,
                    digest_of(whole),
                    whole.generation,
                    bottle.now,
                )
    bottle.run(5)
    assert shown == list(range(8))
    assert not told(host, Warned)


def test_a_frame_that_its_sender_did_not_sign_is_shown_as_forged(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    bottle.run(4)
    share = Share(bottle, ann)
    share.watch(host)
    pictures(host).whole(ann.number, share.stream, 9, bytes(12), 1, bottle.now)
    keyring = host.session._inside.keyring  # type: ignore[union-attr]
    generation = max(keyring._others._by_member[ann.number])
    pictures(host).whole(ann.number, share.stream, 10, bytes(12), generation, bottle.now)
    bottle.run(4)
    assert [event.word for event in told(host, Warned)] == ["picture-forged"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["unwatch", "unshare"])
def test_frames_just_before_the_end_are_not_taken_for_forged(bottle: Bottle, end: str) -> None:
    host, guest = bottle.party("host", "ann")
    share = Share(bottle, guest)
    watching = share.watch(host)
    bottle.run(4)
    seen = 0
    for number in range(2):
        for datagram in share.frame(key=number == 0):
            opened = share.hear(host, datagram)
            assert opened is not None
            for whole in watching.receive(opened, bottle.now):
                seen += 1
                name = guest.number, share.stream, whole.picture.number
                pictures(host).whole(*name, digest_of(whole), whole.generation, bottle.now)
    assert seen == 2
    if end == "unwatch":
        pictures(host).unwatch(guest.number, share.stream)
        bottle.pump(host)
    else:
        pictures(guest).unshare(share.stream)
        bottle.pump(guest)
    bottle.run(6)
    assert told(host, Warned) == []


def test_when_a_picture_was_taken_is_known_on_the_viewers_clock(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, ann)
    share.watch(host)
    bottle.run(3)
    when = pictures(host).captured_at(ann.number, share.stream, int(bottle.now * 1000))
    assert when == pytest.approx(bottle.now, abs=0.03)


def test_nothing_is_sealed_for_who_does_not_watch(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    assert pictures(host).viewers(share.stream) == []
    assert share.frame(key=True) == []
    share.watch(ann)
    assert pictures(host).viewers(share.stream) == [ann.number]
    pictures(ann).unwatch(host.number, share.stream)
    bottle.pump(ann)
    bottle.run(0.3)
    assert pictures(host).viewers(share.stream) == []


def test_who_is_kicked_loses_its_subscription_and_opens_nothing_new(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    share = Share(bottle, bob)
    share.watch(ann)
    link = link_to(ann, bob)
    host.session.kick(ann.number, bottle.now)
    bottle.pump(host)
    bottle.run(2.1)
    assert pictures(bob).viewers(share.stream) == []
    assert told(bob, StreamWatched)[-1] == StreamWatched(ann.number, share.stream, False)
    sealed = pictures(bob).seal(share.stream, 0, b"secret", bottle.now)
    assert sealed is not None
    assert ann.session.hear(bob.number, link, WAY, sealed.datagram, bottle.now) is None


def test_a_stream_ends_with_its_sharer(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    share = Share(bottle, ann)
    share.watch(bob)
    ann.session.leave(bottle.now)
    bottle.pump(ann)
    bottle.run(1)
    ended = [StreamEnded(ann.number, share.stream)]
    assert told(host, StreamEnded) == told(bob, StreamEnded) == ended
    with pytest.raises(LocalProtocolError):
        pictures(bob).watch(ann.number, share.stream)


def test_a_stream_that_ends_is_over_for_its_viewers(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    share.watch(ann)
    pictures(host).unshare(share.stream)
    bottle.pump(host)
    bottle.run(0.5)
    assert told(ann, StreamEnded) == [StreamEnded(host.number, share.stream)]
    assert pictures(host).seal(share.stream, 0, b"more", bottle.now) is None
    again = Share(bottle, host)
    assert again.stream == share.stream
    assert len(told(ann, StreamOffered)) == 2


def test_offers_and_subscriptions_outlive_a_link(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    share.watch(ann)
    bottle.cut("host", "ann")
    bottle.run(6)
    bottle.mend("host", "ann")
    bottle.run(15)
    assert pictures(host).viewers(share.stream) == [ann.number]
    assert share.hear(ann, share.frame(key=True)[0]) is not None


def test_an_end_that_was_not_heard_is_said_again(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    bottle.cut("host", "ann")
    bottle.run(5)
    pictures(host).unshare(share.stream)
    bottle.pump(host)
    bottle.run(1)
    bottle.mend("host", "ann")
    bottle.run(15)
    assert told(ann, StreamEnded) == [StreamEnded(host.number, share.stream)]


def test_a_new_generation_goes_on_without_a_gap(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    share.watch(ann)
    before = share.frame(key=True)
    host.session.lock(True, bottle.now)
    bottle.pump(host)
    bottle.run(1.5)
    after = share.frame(key=False)
    opened = [share.hear(ann, datagram) for datagram in (*before, *after)]
    assert all(one is not None for one in opened)
    assert len({one.generation for one in opened if one is not None}) == 2


def test_feedback_counts_from_viewers_only(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    share = Share(bottle, host)
    share.watch(ann)
    feedback = Feedback(share.stream, 1, ((3, 1.0),))
    for viewer, counts in ((ann, True), (bob, False)):
        datagram = pictures(viewer).seal_feedback(host.number, feedback)
        assert datagram is not None
        link = link_to(host, viewer)
        read = pictures(host).open_feedback(viewer.number, link, datagram, bottle.now)
        assert (read is not None) is counts
        wrong = pictures(host).open_feedback(ann.number, LinkId(99), datagram, bottle.now)
        assert wrong is None


def test_a_viewer_that_floods_is_heard_so_often_and_no_more(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    share.watch(ann)
    link, heard = link_to(host, ann), 0
    for _ in range(1000):
        datagram = pictures(ann).seal_feedback(host.number, Feedback(share.stream, 1))
        assert datagram is not None
        read = pictures(host).open_feedback(ann.number, link, datagram, bottle.now)
        heard += read is not None
    assert heard == FEEDBACK.burst


def test_key_frames_and_ways_are_said(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Share(bottle, host)
    share.watch(ann)
    pictures(ann).want_key(host.number, share.stream)
    bottle.pump(ann)
    pictures(host).carry(share.stream, ann.number, 77)
    pictures(host).carry(share.stream, ann.number, 77)
    bottle.pump(host)
    bottle.run(0.5)
    assert told(host, KeyFrameWanted) == [KeyFrameWanted(ann.number, share.stream)]
    assert told(ann, StreamCarried) == [StreamCarried(host.number, share.stream, 77)]


def test_streams_are_few(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    numbers = [pictures(host).share(SCREEN, 640, 480, 30) for _ in range(MAX_STREAMS)]
    assert numbers == list(range(1, MAX_STREAMS + 1))
    with pytest.raises(LocalProtocolError):
        pictures(host).share(SCREEN, 640, 480, 30)
    with pytest.raises(LocalProtocolError):
        pictures(ann).share(SCREEN, 0, 480, 30)

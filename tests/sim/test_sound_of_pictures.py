"""The sound of pictures between whole sessions: who opens it, who asked for it, who signs it."""

from __future__ import annotations

import pytest

from tests.sim.bottle import Bottle
from tests.sim.people import Person
from tests.sim.test_pictures import WAY, link_to, pictures, told
from vc_core.events import StreamOffered, Warned
from vc_core.keyring import PICTURE
from vc_core.pictures import RATE, SCREEN
from vc_core.senderkeys import MAX_STREAMS, Opened, pictures_of, sound_of

PACKET = bytes(240)


class Listening:
    """One shares with sound, another one watches."""

    def __init__(self, bottle: Bottle, sharer: Person, *, sound: bool = True) -> None:
        self.bottle, self.sharer = bottle, sharer
        self.stream = pictures(sharer).share(SCREEN, 1280, 720, 30, sound=sound)
        self.settle(sharer)

    def settle(self, person: Person, seconds: float = 0.4) -> None:
        self.bottle.pump(person)
        self.bottle.run(seconds)

    def watch(self, viewer: Person) -> None:
        pictures(viewer).watch(self.sharer.number, self.stream)
        self.settle(viewer)

    def play(self, at: float | None = None) -> bytes | None:
        """One packet of the track."""
        timestamp = round((self.bottle.now if at is None else at) * RATE) % (1 << 32)
        sealed = pictures(self.sharer).seal_sound(self.stream, timestamp, PACKET, self.bottle.now)
        self.bottle.pump(self.sharer)
        return sealed

    def hear(self, viewer: Person, datagram: bytes) -> Opened | None:
        link = link_to(viewer, self.sharer)
        return viewer.session.hear(self.sharer.number, link, WAY, datagram, self.bottle.now)

    def take(self, viewer: Person, datagram: bytes) -> int | None:
        """The stream whose sound a packet is for this viewer, if it wants it."""
        opened = self.hear(viewer, datagram)
        return pictures(viewer).takes_sound(opened, self.bottle.now) if opened else None


@pytest.fixture
def bottle() -> Bottle:
    return Bottle(43)


def test_numbers_of_sound_stand_for_those_of_pictures() -> None:
    sounds = [sound_of(stream) for stream in range(1, MAX_STREAMS + 1)]
    assert sounds == [17, 18, 19, 20]
    assert [pictures_of(one) for one in sounds] == [1, 2, 3, 4]
    assert [pictures_of(one) for one in (0, 1, 4, 16, 21, 65535)] == [None] * 6


def test_an_offer_tells_of_sound_and_goes_on_telling(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, host)
    pictures(host).changed(share.stream, 640, 360, 15)
    share.settle(host)
    name = host.number, share.stream, "screen"
    assert told(ann, StreamOffered) == [
        StreamOffered(*name, 1280, 720, 30, sound=True),
        StreamOffered(*name, 640, 360, 15, sound=True),
    ]


def test_a_track_reaches_who_watches_and_is_signed(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, host)
    share.watch(ann)
    bottle.run(4)
    sizes = set()
    for _ in range(120):
        datagram = share.play()
        assert datagram is not None
        sizes.add(len(datagram))
        assert share.take(ann, datagram) == share.stream
        bottle.run(0.02)
    bottle.run(5)
    assert sizes == {276}
    assert not told(ann, Warned)


def test_the_last_of_a_track_is_signed_at_its_end(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, host)
    share.watch(ann)
    bottle.run(4)
    datagram = share.play()
    assert datagram is not None and share.take(ann, datagram) == share.stream
    pictures(host).unshare(share.stream)
    share.settle(host, 5)
    assert not told(ann, Warned)


def test_who_does_not_watch_takes_no_sound(bottle: Bottle) -> None:
    host, ann, bob = bottle.party("host", "ann", "bob")
    share = Listening(bottle, host)
    share.watch(ann)
    bottle.run(4)
    datagram = share.play()
    assert datagram is not None
    opened = share.hear(bob, datagram)
    assert opened is not None, "it opens, since bob has the key"
    assert pictures(bob).takes_sound(opened, bottle.now) is None
    pictures(ann).unwatch(host.number, share.stream)
    share.settle(ann)
    assert share.take(ann, datagram) is None
    bottle.run(5)
    assert not told(bob, Warned) and not told(ann, Warned)


def test_sound_that_was_not_offered_is_not_even_opened(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, host, sound=False)
    share.watch(ann)
    assert share.play() is None, "a polite sharer seals none"
    sealer = host.session._inside.keyring.own.sealer(sound_of(share.stream))  # type: ignore[union-attr]
    assert share.hear(ann, sealer.seal(4, 0, PACKET)) is None


def test_pictures_in_a_stream_of_sound_are_dropped(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, host)
    share.watch(ann)
    sealer = host.session._inside.keyring.own.sealer(sound_of(share.stream))  # type: ignore[union-attr]
    assert share.take(ann, sealer.seal(PICTURE, 0, PACKET)) is None


def test_sound_in_another_ones_name_is_shown_as_forged(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, host)
    share.watch(ann)
    bottle.run(4)
    keyring = host.session._inside.keyring  # type: ignore[union-attr]
    forged = keyring.own.sealer(sound_of(share.stream)).seal(4, 0, PACKET)
    assert share.take(ann, forged) == share.stream
    bottle.run(4)
    assert [event.word for event in told(ann, Warned)] == ["sound-forged"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("ago", [0.0, 0.5])
def test_when_it_was_played_is_known_on_the_viewers_clock(bottle: Bottle, ago: float) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, ann)
    share.watch(host)
    bottle.run(3)
    timestamp = round((bottle.now - ago) * RATE) % (1 << 32)
    when = pictures(host).heard_at(ann.number, share.stream, timestamp, bottle.now)
    assert when == pytest.approx(bottle.now - ago, abs=0.03)


def test_the_clock_of_sound_may_wrap(bottle: Bottle) -> None:
    host, ann = bottle.party("host", "ann")
    share = Listening(bottle, ann)
    share.watch(host)
    bottle.run(3)
    now = bottle.now
    early = pictures(host).heard_at(ann.number, share.stream, 0, now)
    later = pictures(host).heard_at(ann.number, share.stream, 960, now)
    assert early is not None and later is not None
    assert later - early == pytest.approx(0.02, abs=1e-6)
    assert abs(early - now) <= (1 << 31) / RATE

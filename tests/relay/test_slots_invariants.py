"""What holds for the forwarder whatever anybody sends, in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.limits import Limits
from tests.relay.bottle import GENEROUS, OTHER_ROOM, ROOM, SECRET, Bottle, Place, claim_of
from vc_core.envelope import (
    ATTACHED,
    COOKIE,
    EVERYBODY,
    PASS,
    PONG,
    REFUSED,
    read_pass,
    write_bye,
    write_claim,
    write_hello,
    write_pass,
    write_ping,
    write_spread,
    write_want,
)

ROOMS = (ROOM, OTHER_ROOM)
PLACES = [Place(bytes([10, 0, 0, n % 3]), 1000 + n) for n in range(6)]
TIGHT = dict(slots_per_room=3, slots_per_customer=3, slots=5)

places = st.integers(0, len(PLACES) - 1)
slots = st.integers(0, 4)
Step = tuple[Any, ...]
steps = st.one_of(
    st.tuples(st.just("hello"), places),
    st.tuples(st.just("claim"), places, st.integers(0, 1), slots, st.booleans()),
    st.tuples(st.just("pass"), places, slots),
    st.tuples(st.just("spread"), places, st.integers(0, 1)),
    st.tuples(st.just("want"), places, st.integers(0, 5), slots | st.just(EVERYBODY)),
    st.tuples(st.just("ping"), places),
    st.tuples(st.just("bye"), places, st.booleans()),
    st.tuples(st.just("garbage"), places, st.binary(max_size=130)),
    st.tuples(st.just("gone"), places),
    st.tuples(st.just("evict"), st.integers(0, 1), slots),
    st.tuples(st.just("close"), st.integers(0, 1)),
    st.tuples(st.just("drain")),
    st.tuples(st.just("time"), st.floats(0, 40)),
)


class Watcher:
    """Plays steps, and knows by itself who may hear what."""

    def __init__(self, limits: Limits) -> None:
        self.bottle = Bottle(limits, SECRET, **TIGHT)
        self.cookies: dict[Place, bytes] = {}
        self.claimed: dict[Place, bytes] = {}
        self.rooms: dict[Place, tuple[int, int]] = {}
        """Which room and slot an address proved last."""
        self.sent = 0
        self.attached = 0

    def play(self, what: str, *arguments: Any) -> None:
        """One step."""
        getattr(self, f"_{what}")(*arguments)
        counts = self.bottle.slots.counts()
        limits = self.bottle.limits
        assert counts["slots"] <= limits.slots
        for room in self.bottle.slots._members.rooms.values():
            assert 0 < len(room.slots) <= limits.slots_per_room
        held = [place for place in PLACES if self.bottle.slots.holds(place)]
        assert len(held) == counts["slots"]
        assert sum(self.bottle.slots._members.of_customer.values()) == len(held)
        assert not held or self.bottle.slots.next_timer() is not None

    def say(self, place: Place, data: bytes) -> list[tuple[Place, bytes]]:
        """Send, and look at everything that comes out."""
        held = self.bottle.slots.holds(place)
        outputs = self.bottle.say(place, data)
        for target, answer in outputs:
            kind = answer[0]
            if kind == PASS:
                assert held
                assert target in self.rooms
                assert self.bottle.slots.holds(target)
                assert self.rooms[target][0] == self.rooms[place][0], "another room's"
                assert read_pass(answer)[0] == self.rooms[place][1]
            else:
                assert target == place
                assert kind in (COOKIE, ATTACHED, REFUSED, PONG)
                assert len(answer) <= len(data) or (kind == PONG and held)
            if kind == COOKIE:
                self.cookies[place] = answer[3:]
        return outputs

    def _hello(self, place: int) -> None:
        assert self.say(PLACES[place], write_hello())

    def _claim(self, number: int, room: int, slot: int, true: bool) -> None:
        place, bottle = PLACES[number], self.bottle
        cookie = self.cookies.get(place, bytes(16))
        claim = claim_of(bottle.grant(slot, ROOMS[room]), cookie)
        if not true:
            claim = type(claim)(cookie, claim.claims, claim.tag, bytes(32))
        outputs = self.say(place, write_claim(claim))
        if outputs and outputs[0][1][0] == ATTACHED:
            assert true
            self.rooms[place] = (room, slot)
            self.claimed[place] = cookie
            self.attached += 1

    def _pass(self, number: int, slot: int) -> None:
        self.sent += 1
        self.say(PLACES[number], write_pass(slot, b"\x80 %d" % self.sent + bytes(20)))

    def _spread(self, number: int, handle: int) -> None:
        outputs = self.say(PLACES[number], write_spread(handle, b"\x80 spread" + bytes(20)))
        targets = [target for target, data in outputs if data[0] == PASS]
        assert len(set(targets)) == len(targets)
        assert PLACES[number] not in targets

    def _want(self, number: int, sequence: int, slot: int) -> None:
        self.say(PLACES[number], write_want(sequence, ((slot, 0), (slot, 1))))

    def _ping(self, number: int) -> None:
        self.say(PLACES[number], write_ping(1))

    def _bye(self, number: int, true: bool) -> None:
        place = PLACES[number]
        held = self.bottle.slots.holds(place)
        self.say(place, write_bye(self.claimed.get(place, bytes(16)) if true else b"x" * 16))
        assert self.bottle.slots.holds(place) == (held and not true)

    def _garbage(self, number: int, data: bytes) -> None:
        self.say(PLACES[number], data)

    def _gone(self, number: int) -> None:
        self.bottle.slots.disconnected(PLACES[number])

    def _evict(self, room: int, slot: int) -> None:
        self.bottle.slots.evict(ROOMS[room], slot, self.bottle.now)

    def _close(self, room: int) -> None:
        self.bottle.slots.close_room(ROOMS[room], self.bottle.now)
        assert ROOMS[room] not in self.bottle.slots._members.rooms

    def _drain(self) -> None:
        self.bottle.slots.drain()

    def _time(self, seconds: float) -> None:
        self.bottle.pass_time(seconds)


OPENING: list[Step] = [
    *(("hello", n) for n in range(4)),
    *(("claim", n, n // 2, n % 2, True) for n in range(4)),
    ("want", 1, 1, EVERYBODY),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=60))
def test_only_who_has_proven_a_slot_hears_anything_and_only_of_its_own_room(
    script: list[Step],
) -> None:
    watcher = Watcher(GENEROUS)
    for step in [*OPENING, *script]:
        watcher.play(*step)
    assert watcher.attached >= 4


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=40))
def test_after_a_minute_of_silence_nothing_is_left(script: list[Step]) -> None:
    watcher = Watcher(GENEROUS)
    for step in [*OPENING, *script]:
        watcher.play(*step)
    watcher.bottle.pass_time(62)
    assert watcher.bottle.slots.is_empty
    assert watcher.bottle.slots.counts()["rooms"] == 0
    assert watcher.bottle.slots.next_timer() is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=1300), st.integers(4, 15) | st.none())
def test_a_stranger_is_never_told_more_than_it_said(data: bytes, kind: int | None) -> None:
    bottle = Bottle()
    data = data if kind is None else bytes([kind]) + data
    outputs = bottle.say(PLACES[0], data)
    assert all(target == PLACES[0] and len(answer) <= len(data) for target, answer in outputs)
    assert bottle.slots.is_empty

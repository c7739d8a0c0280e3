"""Whatever strangers do in whatever order: nothing raises, nothing grows, nothing leaks.

Each body that is sent carries the number of its sender. A model beside the rooms
keeps who was told of which exchange and who is attached to which mailbox; a body
may arrive only where the model says that it belongs.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.limits import Limits
from tests.signaling.bottle import Bottle, Client
from vc_core.bucket import Rate
from vc_core.signals import (
    Allocate,
    Allocated,
    Attach,
    Close,
    Closed,
    Detach,
    Drop,
    Dropped,
    Free,
    Knock,
    Opened,
    Post,
    Posted,
)
from vc_core.wire import Record

TIGHT = Limits(
    connects=Rate(5, 6),
    guesses=Rate(2, 20),
    strikes=Rate(1, 10),
    allocations=Rate(2, 10),
    grants=Rate(3, 12),
    grant_rate=1000,
    connections=6,
    connections_per_customer=4,
    greetings=5,
    greetings_per_customer=3,
    nameplates=5,
    nameplates_per_customer=4,
    nameplates_per_connection=3,
    exchanges=6,
    exchanges_per_customer=5,
    exchanges_per_connection=3,
    exchanges_per_nameplate=4,
    attachments=7,
    attachments_per_customer=6,
    attachments_per_connection=4,
    attachments_per_mailbox=3,
    nameplate_life=20.0,
    exchange_life=10.0,
    ended_memory=15.0,
    ended_nameplates=4,
    idle_customers=2,
)

ADDRESSES = [bytes([10, 0, 0, n]) for n in range(3)] + [b"\x20\x01" + bytes(13) + b"\x01"]
BOXES = [bytes([n]) * 32 for n in range(3)]
TOKENS = [bytes([n]) * 16 for n in range(2)]

Step = tuple[Any, ...]

which = st.integers(0, 2) | st.integers(0, 30)
steps = st.one_of(
    st.tuples(st.just("connect"), which),
    st.tuples(st.just("leave"), which),
    st.tuples(st.just("wait"), st.floats(0, 12)),
    st.tuples(st.just("allocate"), which, which, st.integers(0, 25)),
    st.tuples(st.just("claim"), which, which, which),
    st.tuples(st.just("knock"), which, which),
    st.tuples(st.just("post"), which, which),
    st.tuples(st.just("close"), which, which),
    st.tuples(st.just("free"), which, which, st.integers(0, 5)),
    st.tuples(st.just("attach"), which, which),
    st.tuples(st.just("detach"), which, which),
    st.tuples(st.just("drop"), which, which),
)


OPENING: list[Step] = [
    ("connect", 0),
    ("connect", 1),
    ("connect", 2),
    ("allocate", 0, 0, 0),
    ("knock", 1, 0),
    ("post", 0, 0),
]
"""A host, a guest and a stranger, so that every script begins in the middle of things."""


class Watcher:
    """Plays the steps, and checks each signal against what may be heard."""

    def __init__(self) -> None:
        self.bottle = Bottle(TIGHT)
        self.digits = ["1234", "0000", "", "x" * 16]
        self.numbers = [0, 2**32 - 1]
        self.ends: dict[int, set[int]] = defaultdict(set)
        self.posted = 0
        self.attached: dict[bytes, set[int]] = {box: set() for box in BOXES}

    def play(self, name: str, *choice: int) -> None:
        """One step by one client, if there is any."""
        if name == "connect":
            self.bottle.try_connect(ADDRESSES[choice[0] % len(ADDRESSES)])
        elif name == "wait":
            self.bottle.pass_time(choice[0])
        elif self.bottle.clients:
            clients = list(self.bottle.clients.values())
            self.act(clients[choice[0] % len(clients)], name, *choice[1:])
        self.listen()
        self.weigh()

    def act(self, client: Client, name: str, *choice: int) -> None:
        """One step by ``client``."""
        if name == "leave":
            client.leave()
            for members in self.attached.values():
                members.discard(client.number)
            return
        client.send(self.signal(client, name, *choice))
        box = BOXES[choice[0] % len(BOXES)]
        if name == "attach" and not client.inbox:
            self.attached[box].add(client.number)
        if name == "detach":
            self.attached[box].discard(client.number)

    def signal(self, client: Client, name: str, *choice: int) -> Record:
        """What ``client`` says."""
        digits = self.digits[-1 - choice[0] % len(self.digits)]  # the newest first
        number = self.numbers[-1 - choice[0] % len(self.numbers)]
        box = BOXES[choice[0] % len(BOXES)]
        mark = client.number.to_bytes(4, "big")
        signals: dict[str, Record] = {
            "allocate": Allocate("", TOKENS[choice[0] % 2], choice[-1]),
            "claim": Allocate(digits, TOKENS[choice[-1] % 2], 0),
            "knock": Knock(digits),
            "post": Post(number, mark),
            "close": Close(number),
            "free": Free(digits, choice[-1]),
            "attach": Attach(box),
            "detach": Detach(box),
            "drop": Drop(box, mark),
        }
        return signals[name]

    def listen(self) -> None:
        """Empty all inboxes and check what is in them."""
        heard = [
            (client, signal) for client in self.bottle.clients.values() for signal in client.inbox
        ]
        for client in self.bottle.clients.values():
            client.inbox.clear()
        for client, signal in heard:
            if isinstance(signal, Allocated):
                self.digits.append(signal.nameplate)
            elif isinstance(signal, Opened):
                self.ends[signal.exchange].add(client.number)
                self.numbers.append(signal.exchange)
            elif isinstance(signal, Closed):
                assert client.number in self.ends[signal.exchange]
            elif isinstance(signal, Posted):
                sender = int.from_bytes(signal.body, "big")
                assert self.ends[signal.exchange] == {client.number, sender}
                assert sender != client.number
                self.posted += 1
            elif isinstance(signal, Dropped):
                assert client.number in self.attached[signal.mailbox]
                assert int.from_bytes(signal.body, "big") != client.number

    def weigh(self) -> None:
        """Nothing is over its cap, and what is counted is what is held."""
        counts, rooms = self.bottle.rooms.counts(), self.bottle.rooms
        assert counts["connections"] == len(self.bottle.clients) <= TIGHT.connections
        assert counts["nameplates"] <= TIGHT.nameplates
        assert counts["ended"] <= TIGHT.ended_nameplates
        assert counts["exchanges"] <= TIGHT.exchanges
        assert counts["attachments"] <= TIGHT.attachments
        assert counts["attachments"] == sum(map(len, self.attached.values()))
        busy = rooms._customers._busy.values()
        idle = rooms._customers._idle.values()
        assert len(idle) <= TIGHT.idle_customers
        assert all(one.is_idle for one in idle)
        assert sum(one.connections for one in busy) == counts["connections"]
        assert sum(one.nameplates for one in busy) == counts["nameplates"]
        assert sum(one.exchanges for one in (*busy, *idle)) == counts["exchanges"]
        assert sum(one.attachments for one in (*busy, *idle)) == counts["attachments"]
        for one in busy:
            assert one.connections <= TIGHT.connections_per_customer
            assert one.nameplates <= TIGHT.nameplates_per_customer
            assert one.exchanges <= TIGHT.exchanges_per_customer
            assert one.attachments <= TIGHT.attachments_per_customer


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=80))
def test_bodies_reach_only_whom_they_belong_to_and_caps_hold(
    script: list[Step],
) -> None:
    watcher = Watcher()
    for step in [*OPENING, *script]:
        watcher.play(*step)
    assert watcher.posted


@settings(max_examples=50, deadline=None)
@given(st.lists(steps, max_size=60))
def test_after_all_have_gone_nothing_is_left(script: list[Step]) -> None:
    watcher = Watcher()
    for step in [("connect", 0), ("connect", 1), *script]:
        watcher.play(*step)
    for client in list(watcher.bottle.clients.values()):
        client.leave()
    watcher.bottle.pass_time(TIGHT.nameplate_life + 1)
    counts = watcher.bottle.rooms.counts()
    held = ("connections", "nameplates", "exchanges", "mailboxes", "attachments")
    assert [counts[name] for name in held] == [0] * len(held)
    assert watcher.bottle.rooms.next_timer() is None


def test_the_tight_limits_leave_no_cap_at_its_default() -> None:
    wide, tight = dataclasses.asdict(Limits()), dataclasses.asdict(TIGHT)
    same = {name for name in wide if wide[name] == tight[name]}
    assert same == {"traffic", "message_cost"}

"""The pump with a session that a test leads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from client.driver import Driver, Reach
from client.road import Road
from vc_core.commands import CloseRoad, Command, OpenForwarder, OpenRoad, UseWay
from vc_core.grant import Claims, make_grant, open_secret
from vc_core.ids import LinkId, Member, Rung, Way

ANN, BOB = Member(2), Member(3)
LINKS = {ANN: LinkId(1), BOB: LinkId(2)}
DIRECT = Way(Rung.DIRECT, 1)
GRANT = make_grant(open_secret(), Claims(bytes(16), 1, 1000, 2**40))


class Session:
    """Asks for what a test wants."""

    def __init__(self) -> None:
        self.commands: deque[Command] = deque()
        peers = {one: self._peer(one) for one in LINKS}
        self.room = SimpleNamespace(
            epoch=0.0,
            hosting=False,
            peers=peers,
            host=peers[ANN],
            commands=self.commands,
            events=[],
        )
        self.forwarding = None
        self.asked = 0

    @staticmethod
    def _peer(member: Member) -> Any:
        return SimpleNamespace(number=member, link=SimpleNamespace(id=LINKS[member]))

    def next_command(self) -> Command | None:
        return self.commands.popleft() if self.commands else None

    def next_event(self) -> None:
        return None

    def ready_media(self) -> list[Any]:
        return []

    def next_timer(self) -> None:
        self.asked += 1


Sent = list[tuple[Member, bytes]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Datagrams, by whose road they went."""
    found: Sent = []

    def note(road: Road, _way: Way, datagram: bytes) -> None:
        found.append((cast(Any, road)._told.member, datagram))

    monkeypatch.setattr(Road, "send_by", note)
    return found


@pytest.fixture
async def driver(sent: Sent) -> AsyncIterator[Driver]:
    made = Driver(
        cast(Any, None),
        Reach(stun=(), turn=(), loopback=True, own=None, mapper=None),
        on_event=lambda _: None,
        on_voice=lambda _: None,
        on_server=lambda _: None,
    )
    made.start(lambda _: cast(Any, Session()))
    for member, link in LINKS.items():
        ask(made, OpenRoad(member, link, False), UseWay(member, link, DIRECT))
    yield made
    await made.close()


def ask(driver: Driver, *commands: Command) -> None:
    assert driver.session is not None
    cast(Any, driver.session).commands.extend(commands)
    driver.pump()


def open_hosted(driver: Driver, number: int) -> None:
    ask(driver, OpenForwarder(number, Rung.HOSTED, (), (GRANT,)))


async def test_the_hosts_forwarder_is_asked_by_the_pair_to_the_host(
    driver: Driver, sent: Sent
) -> None:
    open_hosted(driver, 7)
    assert [who for who, _ in sent] == [ANN]


async def test_a_new_hosts_forwarder_is_asked_by_the_pair_that_stands_already(
    driver: Driver, sent: Sent
) -> None:
    room = cast(Any, driver.session).room
    room.host = room.peers[BOB]
    open_hosted(driver, 8)
    assert [who for who, _ in sent] == [BOB]


async def test_without_a_pair_to_the_host_its_forwarder_is_not_asked_by_one(
    driver: Driver, sent: Sent
) -> None:
    ask(driver, CloseRoad(ANN, LINKS[ANN]))
    sent.clear()
    open_hosted(driver, 7)
    await asyncio.sleep(0)
    assert sent == []


async def test_media_asks_a_session_for_its_timer_only_when_it_gave_it_something_to_do(
    driver: Driver, sent: Sent
) -> None:
    session = cast(Any, driver.session)
    await asyncio.sleep(0)
    before = session.asked
    driver.feed_media(lambda: driver.send_to(ANN, b"picture"))
    await asyncio.sleep(0)
    assert sent == [(ANN, b"picture")] and session.asked == before
    driver.feed_media(lambda: session.commands.append(UseWay(BOB, LINKS[BOB], DIRECT)))
    await asyncio.sleep(0)
    assert not session.commands and session.asked == before + 1


async def test_what_arises_while_media_is_sent_waits_until_it_was(driver: Driver) -> None:
    order = []

    def media() -> None:
        driver.feed(lambda: order.append("after"))
        driver.feed_media(lambda: order.append("media after"))
        order.append("first")

    driver.feed_media(media)
    assert order == ["first", "after", "media after"]

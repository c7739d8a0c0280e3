"""Targets of whole sessions: what a server, a stranger or a member may say to one.

Nothing of it may raise: a session drops what is wrong, or ends that peer's
conversation. The first byte of a piece chooses what it is; pieces end with
``SPLIT``.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.fuzz import seeds
from tests.sim.bottle import Bottle
from tests.sim.kem import SeededKem
from tests.sim.people import Person
from vc_core.errors import RemoteProtocolError
from vc_core.events import CodeReady
from vc_core.messages import JOIN, MEET, PEER
from vc_core.signals import TO_CLIENT, Allocated, Hello, Opened, Posted
from vc_core.wire import Reader, Record

SPLIT = b"\xff\x00\xff"
MAX_PIECES = 12
MAX_USES = 200  # inputs after which a room in a bottle is made anew
EXCHANGE = 7
MAILBOX = Opened.read_fields(Reader(seeds.record(Opened).write_fields()))


def _signals(data: bytes) -> list[Record]:
    """A piece is a signal, or the body of a ``Posted`` for the one exchange."""
    found: list[Record] = []
    for piece in data.split(SPLIT)[:MAX_PIECES]:
        if piece[:1] == b"B":
            found.append(Posted(EXCHANGE, piece[1:60_000]))
        else:
            try:
                found.append(TO_CLIENT.read(piece))
            except RemoteProtocolError:
                continue
    return found


def reception(data: bytes) -> None:
    """A host that has a code, and a knock from somebody."""
    bottle = Bottle(1)
    bottle.server_up = True
    host = bottle.host("host")
    assert bottle.run(5, lambda: bool(host.of(CodeReady)))
    host.session.receive_signal(_knocked(bottle.code(host)), bottle.now)
    for signal in _signals(data):
        host.session.receive_signal(signal, bottle.now)
        _drain(host, bottle.now)
    host.session.handle_timer(bottle.now + 11)
    _drain(host, bottle.now + 11)


def arrival(data: bytes) -> None:
    """A guest who knocks, and whatever answers."""
    bottle = Bottle(2)
    bottle._kem = SeededKem(random.Random(2))
    guest = bottle.join("guest", "4821-apple-robot-candle")
    guest.session.receive_signal(_knocked("4821-"), bottle.now)
    for signal in _signals(data):
        guest.session.receive_signal(signal, bottle.now)
        _drain(guest, bottle.now)
    guest.session.handle_timer(bottle.now + 11)
    _drain(guest, bottle.now + 11)


def _knocked(code: str) -> Opened:
    """The server opened the exchange that the bodies of a piece belong to."""
    return replace(MAILBOX, exchange=EXCHANGE, nameplate=code.partition("-")[0])


def _drain(person: Person, now: float) -> None:
    session = person.session
    while session.next_command() is not None:
        pass
    while session.next_event() is not None:
        pass
    timer = session.next_timer()
    assert timer is None or timer >= 0
    assert not session.ready_media() or now >= 0


class _Party:
    """Two members with a link, kept as long as it holds."""

    bottle: Bottle
    host: Person
    guest: Person
    uses = MAX_USES

    @classmethod
    def ready(cls) -> bool:
        """Whether both still have each other."""
        return (
            cls.uses < MAX_USES
            and cls.host.living
            and cls.guest.living
            and all(
                peer.link for p in (cls.host, cls.guest) for peer in p.session.room.peers.values()
            )
            and len(cls.guest.session.room.peers) == len(cls.host.session.room.peers) == 1
        )

    @classmethod
    def begin(cls) -> None:
        """A new room, or the one from before."""
        if not cls.ready():
            cls.bottle, cls.uses = Bottle(3), 0
            cls.host, cls.guest = cls.bottle.party("host", "guest")
        cls.uses += 1


def member(data: bytes) -> None:
    """A member who says anything on its own control stream, to the host and to a guest."""
    _Party.begin()
    bottle = _Party.bottle
    for one, other in ((_Party.guest, _Party.host), (_Party.host, _Party.guest)):
        for piece in data.split(SPLIT)[:MAX_PIECES]:
            _tell(bottle, one, other, piece[:16_000])
    bottle.run(0.5)


def _tell(bottle: Bottle, one: Person, other: Person, body: bytes) -> None:
    here = other.session.room.peers.get(one.number)
    there = one.session.room.peers.get(other.number)
    if here is None or there is None or here.link is None or there.link is None:
        return
    sealed = there.link._sealer.seal(body)
    other.session.receive_stream(one.number, here.link.id, sealed, bottle.now)
    bottle.pump(other)


# Seeds


def seeds_reception() -> list[bytes]:
    """Every body of an exchange, every signal."""
    bodies = [b"B" + body for body in seeds.of_family(JOIN)]
    signals = [TO_CLIENT.write(Posted(EXCHANGE, body)) for body in seeds.of_family(JOIN)]
    return [*bodies, *signals, *seeds.of_family(TO_CLIENT), SPLIT.join(bodies)]


def seeds_arrival() -> list[bytes]:
    """The same, and what a server says first."""
    hello = TO_CLIENT.write(seeds.record(Hello))
    allocated = TO_CLIENT.write(seeds.record(Allocated))
    return [*seeds_reception(), hello, allocated]


def seeds_member() -> list[bytes]:
    """Every message of a member, and those that come by way of the host."""
    bodies = seeds.of_family(PEER)
    return [*bodies, *seeds.of_family(MEET), SPLIT.join(bodies[:12])]

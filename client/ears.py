"""Ears of the driver: what roads and forwarders say becomes inputs of the session."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from vc_core.ids import LinkId, Member, Way
from vc_core.messages import Road as RoadMessage
from vc_core.record import record

if TYPE_CHECKING:
    from vc_core.forwarding import Forwarding
    from vc_core.senderkeys import Opened
    from vc_core.session import Session


class Inputs(Protocol):
    """The driver, as its ears see it."""

    session: Session | None
    on_feedback: Callable[[Member, LinkId, bytes], None]
    on_voice: Callable[[Opened], None]

    def feed(self, action: Callable[[], None]) -> None:
        """An input of the session: now, or behind those that wait."""

    def envelope(self, member: Member, link: LinkId, datagram: bytes) -> None:
        """An envelope, by a direct pair."""

    def inner(self, number: int, slot: int, datagram: bytes) -> None:
        """What a forwarder brought from a slot."""


@record
class RoadEar:
    """Brings what one road says to the session, in the name of its link."""

    driver: Inputs
    member: Member
    link: LinkId

    def _tell(self, what: Callable[[Session, float], None]) -> None:
        session = self.driver.session
        if session is not None:
            self.driver.feed(lambda: what(session, time.monotonic()))

    def described(self, road: RoadMessage) -> None:
        """Our side of an attempt can be tried."""
        self._tell(lambda s, _: s.road_described(self.member, self.link, road))

    def opened(self, way: Way) -> None:
        """A direct pair was found."""
        self._tell(lambda s, now: s.way_opened(self.member, self.link, way, now))

    def failed(self, way: Way, word: str) -> None:
        """An attempt gave up, or its pair is dead."""
        self._tell(lambda s, now: s.way_failed(self.member, self.link, way, word, now))

    def envelope(self, datagram: bytes) -> None:
        """An envelope came by a direct pair."""
        self.driver.envelope(self.member, self.link, datagram)

    def probe(self, way: Way, datagram: bytes) -> None:
        """A probe came."""
        self._tell(lambda s, now: s.receive_probe(self.member, self.link, way, datagram, now))

    def feedback(self, datagram: bytes) -> None:
        """A viewer says what came."""
        self.driver.on_feedback(self.member, self.link, datagram)

    def media(self, way: Way, datagram: bytes) -> None:
        """Sealed media came."""
        driver = self.driver
        if driver.session is not None:
            now = time.monotonic()
            opened = driver.session.hear(self.member, self.link, way, datagram, now)
            if opened is not None:
                driver.on_voice(opened)

    def stream_opened(self) -> None:
        """Stream 0 stands."""
        self._tell(lambda s, now: s.stream_opened(self.member, self.link, now))

    def stream_data(self, data: bytes) -> None:
        """Bytes of stream 0."""
        self._tell(lambda s, now: s.receive_stream(self.member, self.link, data, now))

    def stream_closed(self) -> None:
        """QUIC is over."""
        self._tell(lambda s, now: s.stream_closed(self.member, self.link, now))


@record
class BerthEar:
    """Brings what forwarders say to the session, and what they carry to the roads."""

    driver: Inputs

    def attached(self, number: int, transport: str, *, ending: bool) -> None:
        """The slot is ours."""
        self._tell(
            lambda forwarding, now: forwarding.attached(number, transport, now, ending=ending)
        )

    def lost(self, number: int, word: str) -> None:
        """It does not answer."""
        self._tell(lambda forwarding, now: forwarding.lost(number, word, now))

    def _tell(self, what: Callable[[Forwarding, float], None]) -> None:
        session = self.driver.session
        forwarding = session.forwarding if session is not None else None
        if forwarding is not None:
            self.driver.feed(lambda: what(forwarding, time.monotonic()))

    def inner(self, number: int, slot: int, datagram: bytes) -> None:
        """A member's datagram came."""
        self.driver.inner(number, slot, datagram)

"""Sharing: what the parts of sending keep and hand to each other.

    Encoded   a frame of the share child        Outgoing   a datagram for the engine
    Order     words for the share child         Edge       what seals and signs

A stream has up to two encodings and a lane for each viewer or forwarder; a viewer has
one rate for all streams that it watches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from vc_core.ids import Member
from vc_core.keyring import SealedPiece
from vc_core.record import record
from video.demand import Demand
from video.exploring import Exploring
from video.groups import Groups, Shape
from video.history import History, OnItsWay
from video.pace import Lane
from video.rate import RateControl


class Edge(Protocol):
    """``vc_core.pictures.Pictures``, or a double."""

    def seal(self, stream: int, timestamp: int, payload: bytes, now: float) -> SealedPiece | None:
        """One datagram of pictures."""

    def sign(self, stream: int, number: int, digest: bytes, now: float) -> None:
        """A frame is attested."""

    def carry(self, stream: int, member: Member, forwarder: int) -> None:
        """A viewer is told by which forwarder its copies come."""


@record
class Encoded:
    """One frame of the share child."""

    captured: float
    """s on the sharer's monotonic clock."""
    key: bool
    codec: int
    width: int
    height: int
    data: bytes
    second: bool = False
    """Of the second encoding."""


@record
class Outgoing:
    """One datagram: to a viewer by the way in use, or to a forwarder with a handle."""

    datagram: bytes
    member: Member | None
    forwarder: int = 0
    handle: int = 0


@record
class Order:
    """Words for the share child of a stream.

    ``second``: they concern the second encoding, which ``open`` (without a source: the
    same one) begins or changes and ``stop`` ends.
    """

    stream: int
    words: dict[str, Any]
    second: bool = False


@dataclass
class Viewer:
    """One member, for all streams that it watches."""

    member: Member
    rate: RateControl
    rtt: float = 0.05
    forwarder: int = 0
    """By which it is reached; 0: directly."""


LaneKey = tuple[int, Member | None, int]
"""(stream, viewer, 0) or (stream, None, forwarder)."""
Item = tuple[OnItsWay, bool, int]
"""(frame, parity, index)."""


@dataclass
class Out:
    """One lane of one stream and whom it reaches."""

    lane: Lane[Item]
    waits_for_key: bool = True
    large: bool = False
    """A key frame is leaving, which may take longer than others."""
    key_rate: float = 0.0
    """Of the lane, in bit/s, when that began."""


@dataclass
class Encoding:
    """The first or the second of a stream, as the share child was told."""

    bitrate: float = 0.0
    key_ordered: float = float("-inf")
    key_pushed: float = float("-inf")
    last: int | None = None
    """The number of its newest frame."""
    demand: Demand = field(default_factory=Demand)


@dataclass
class Streaming:
    """One stream of our own."""

    number: int
    width: int
    height: int
    fps: int
    bitrate: float
    """bit/s at most; 0: as much as the paths carry."""
    seconds: bool
    """Whether the share child can make a second encoding."""
    history: History
    first: Encoding = field(default_factory=Encoding)
    second: Encoding = field(default_factory=Encoding)
    viewers: set[Member] = field(default_factory=set)
    fresh: set[Member] = field(default_factory=set)
    """Who came since it was last decided, and needs a key frame."""
    groups: Groups = field(default_factory=Groups)
    exploring: Exploring = field(default_factory=Exploring)
    rises_from: float = float("inf")
    """bit/s of path with which a viewer gets the first encoding."""
    shape: Shape | None = None
    """Of the second encoding; None: there is none now."""
    shaped: float = float("-inf")
    """When it got that."""
    spread: dict[Member, tuple[int, float]] = field(default_factory=dict)
    """(forwarder, since) of viewers that get copies of a forwarder."""
    quiet: dict[Member, float] = field(default_factory=dict)
    """Until when nothing is sent to a viewer that copies still come to."""
    outs: dict[LaneKey, Out] = field(default_factory=dict)
    frames: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """data, parity, again, dropped: pieces; bytes, of all datagrams."""

    def encoding(self, second: bool) -> Encoding:
        """The first or the second one."""
        return self.second if second else self.first

    @property
    def second_on(self) -> bool:
        """Whether there is a second encoding now."""
        return self.shape is not None

    @property
    def slow(self) -> frozenset[Member]:
        """Who gets the second encoding, or would if there were one."""
        return self.groups.slow

    def gets_second(self, member: Member | None) -> bool:
        """Which of the two a viewer gets; a forwarder (None) copies the first."""
        return self.second_on and member in self.slow

    def thin(self, name: LaneKey) -> bool:
        """Whether a viewer cannot follow what there is for it."""
        return name[1] in (self.groups.crawling if self.second_on else self.slow)

    def leave(self, member: Member) -> None:
        """A viewer is gone."""
        self.viewers.discard(member)
        self.fresh.discard(member)
        self.exploring.forget(member)
        self.spread.pop(member, None)
        self.quiet.pop(member, None)
        self.outs.pop((self.number, member, 0), None)

    def drop(self, out: Out) -> None:
        """Forget what waits in a lane."""
        self.sent["dropped"] += out.lane.drop(lambda item: True)

    def clear(self, member: Member) -> None:
        """Forget what waits for a viewer; its next frame is a key frame."""
        out = self.outs.get((self.number, member, 0))
        if out is not None:
            self.drop(out)
            out.waits_for_key = True

    def behind(self, name: LaneKey, viewers: Mapping[Member, Viewer]) -> list[Viewer]:
        """The viewers that a lane reaches."""
        _, member, forwarder = name
        if member is not None:
            found = [member]
        else:
            found = [one for one, (by, _) in self.spread.items() if by == forwarder]
        return [viewers[one] for one in found if one in viewers]

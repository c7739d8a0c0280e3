"""Reaching: by which way each viewer of our pictures is reached, looked at now and then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vc_core.ids import Member, Rung

if TYPE_CHECKING:
    from client.driver import Driver
    from video.sending import Sharer

# Implementation
LOOK = 1.0  # s between two looks
USUAL_RTT = 0.05  # s, while it is not known


class Reaching:
    """The ways of one call."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._looked_at = -math.inf
        self._ways: dict[Member, object] = {}
        """By which way a viewer was reached when we last looked."""

    def look_again(self) -> None:
        """Something has changed: the next look is due."""
        self._looked_at = -math.inf

    def look(self, sharer: Sharer, now: float) -> None:
        """Tell the sharer how each viewer is reached, if that is due."""
        session = self._driver.session
        pictures = session.pictures if session is not None else None
        if session is None or pictures is None or now - self._looked_at < LOOK:
            return
        self._looked_at = now
        viewers = {one for stream in pictures.shared for one in pictures.viewers(stream)}
        for member in viewers:
            peer = session.room.peers.get(member)
            link = peer.link if peer is not None else None
            if link is None or link.used is None:
                continue
            way, path = link.used, link.paths.get(link.used)
            rtt = path.rtt if path is not None and path.rtt is not None else USUAL_RTT
            moved = self._ways.get(member, way) != way
            self._ways[member] = way
            forwarder = 0 if way.rung is Rung.DIRECT else way.number
            sharer.reached(member, rtt, forwarder, now, moved=moved)

"""Why a direct carrier failed, as a word for the ladder and for people."""

from __future__ import annotations

from enum import Enum


class Failure(Enum):
    """The value is the word."""

    NONE = ""
    NO_CANDIDATES = "no-candidates"
    """One of both ends has no address that the other could try, or of its IP version."""
    BLOCKED = "udp-blocked"
    """STUN servers were asked over UDP, and none ever answered."""
    BOTH_HARD = "both-change-ports"
    """Both ends are behind NATs that give another port to each destination."""
    UNANSWERED = "nothing-answered"
    """There were addresses, and no packet came through."""
    LOST = "lost"
    """A pair was found and died."""


def why_none(*, addresses: bool, blocked: bool, both_hard: bool) -> Failure:
    """Why no pair was found; ``addresses``: both ends had some of one IP version."""
    if not addresses:
        return Failure.NO_CANDIDATES
    if blocked:
        return Failure.BLOCKED
    return Failure.BOTH_HARD if both_hard else Failure.UNANSWERED

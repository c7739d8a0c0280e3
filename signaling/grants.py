"""Grants for relays: signed with the secret that signaling and relays share."""

from __future__ import annotations

from vc_core.grant import MAX_LIFE, Claims, make_grant, relay_room
from vc_core.signals import AskGrants, Grants


def sign(secret: bytes, asked: AskGrants, rate: int, unix: float) -> Grants:
    """One grant for each slot, for as long as any may live; ``rate`` in bytes per second."""
    room, expires = relay_room(asked.room_key), int(unix) + MAX_LIFE
    return Grants(
        tuple(make_grant(secret, Claims(room, slot, rate, expires)) for slot in asked.slots)
    )

"""Heartbeats: guests know that the host lives, the host knows that guests do.

Every 2 s a guest sends a fresh nonce and the host echoes it beside the place of
its newest entry. A guest counts time from the moment it *sent* a nonce, so that
delayed or replayed heartbeats prove nothing, and only when its own chain reaches
that place, so that no removal can be kept from it.

    guest   10 s without   no key goes out; media freezes, unless a deputy may take over
            10 s without any sign of life of the host   shown as gone
            60 s without   the room is over
    host    10 s without any sign of life of a guest    entry: absent
"""

from __future__ import annotations

from vc_core.courier import Courier
from vc_core.entry import Action
from vc_core.errors import Ending
from vc_core.events import MemberLeft, Warned
from vc_core.forks import Forks
from vc_core.keyring import Keyring
from vc_core.messages import Bye, Heartbeat, Pulse, Standing
from vc_core.path import next_beat
from vc_core.peer import Peer
from vc_core.registrar import Registrar
from vc_core.room import NONCE_LIFE, Room
from vc_core.roster import Place

# Specification
PULSE_INTERVAL = 2.0  # s between a guest's nonces
VANISHED = 10.0  # s without a sign of life until a member is absent
HOST_PATIENCE = 60.0  # s without a heartbeat until a guest gives the room up
ROAD_PATIENCE = 20.0  # s that a joiner waits for the first packet of the host

# Implementation
MAX_PULSES = 16  # nonces that may wait for their echo
ASLEEP = 3.0  # s between two looks after which this process, not the others, was silent


class Heartbeats:
    """Both halves, for one member."""

    def __init__(
        self, room: Room, courier: Courier, keyring: Keyring, registrar: Registrar, forks: Forks
    ) -> None:
        self._room = room
        self._courier = courier
        self._keyring = keyring
        self._registrar = registrar
        self._forks = forks
        self._pulses: dict[bytes, float] = {}
        self._next_pulse = room.fresh_at
        self._pulsed_at = room.fresh_at
        self._road_until = room.fresh_at + ROAD_PATIENCE
        self._reached = False
        """Whether any way has brought a joiner something of the host: then it is slow only."""
        self.looked = room.fresh_at
        """When ``handle_timer`` last ran."""
        self.awake_since = float("-inf")
        """When this process woke from a sleep in which it could hear nobody."""

    # World in

    def take_pulse(self, peer: Peer, pulse: Pulse, now: float) -> None:
        """The host answers a guest's nonce; who is it no more says where it stands."""
        if not peer.answers.take(now):
            return
        if self._room.hosting:
            self._registrar.take_back(peer, now)
            self._courier.send(peer, Heartbeat(pulse.nonce, self._room.roster.position))
        else:
            self._courier.send(peer, Standing(self._room.roster.position))

    def take_heartbeat(self, peer: Peer, beat: Heartbeat, now: float) -> None:
        """The host lives, if it answered one of our nonces in time."""
        room = self._room
        if peer is not room.host:
            return
        sent = self._pulses.pop(beat.nonce, None)
        if sent is None or now - sent >= NONCE_LIFE:
            return
        if not self._forks.agrees(peer, beat.position, now):
            return
        if room.roster.place(beat.position) is not Place.OURS:
            self._courier.send(peer, Standing(room.roster.position))
            return
        was_fresh = room.fresh(now)
        room.fresh_at = max(room.fresh_at, sent)
        if not peer.here:
            self._registrar.show(peer)
        if not was_fresh:
            self._keyring.announce_all(now)

    # Time

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        room = self._room
        if not room.hosting:
            new = room.host_since > self._pulsed_at
            return min(self._next_pulse, room.host_since) if new else self._next_pulse
        return min(map(self._heard, room.present()), default=float("inf")) + VANISHED

    def _heard(self, peer: Peer) -> float:
        """From when on a member's silence counts."""
        return max(peer.last_life, self._room.host_since, self.awake_since)

    def handle_timer(self, now: float) -> None:
        """Look after each other."""
        if now - self.looked > ASLEEP:
            self.awake_since = now
        self.looked = now
        if not self._room.hosting:
            self._watch_host(now)
            return
        for peer in list(self._room.present()):
            if now >= self._heard(peer) + VANISHED:
                self._registrar.extend(Action.ABSENT, peer.number, now)

    def pulse(self, now: float) -> None:
        """A fresh nonce for the host."""
        host = self._room.host
        if host is None:
            return
        self._next_pulse, self._pulsed_at = next_beat(now, PULSE_INTERVAL), now
        nonce = self._room.rng(8)
        if self._courier.send(host, Pulse(nonce)):
            self._pulses[nonce] = now
            while len(self._pulses) > MAX_PULSES:
                del self._pulses[next(iter(self._pulses))]

    def _watch_host(self, now: float) -> None:
        room, host = self._room, self._room.host
        if host is None:
            return
        if now >= self._next_pulse or room.host_since > self._pulsed_at:
            self.pulse(now)
        heard = max(room.fresh_at, self._heard(host))
        if host.here and now >= heard + VANISHED:
            host.here = False
            room.tell(MemberLeft(host.number, host.name, "vanished"))
            room.tell(Warned("host-silent", host.number))
        if now >= max(room.fresh_at, room.host_since, self.awake_since) + HOST_PATIENCE:
            room.end(Ending.HOST_LOST)
        self._watch_first_road(host, now)

    def _watch_first_road(self, host: Peer, now: float) -> None:
        """A joiner that finds no road at all gives up."""
        changed = self._room.host_since > float("-inf")
        if not self._reached and host.link is not None and host.link.carried:
            self._reached = True
            self._road_until += HOST_PATIENCE - ROAD_PATIENCE
        if host.streaming or host.blocked or changed:
            self._road_until = float("inf")
        elif now >= self._road_until:
            self._courier.part(host, Bye())  # by letter: the host need not wait for our silence
            self._room.end(Ending.NO_ROAD)

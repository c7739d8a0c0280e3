"""A hostile signaling server: it drops, doubles, delays, changes, invents and replays."""

from __future__ import annotations

import random

from tests.sim.people import Person
from vc_core.ids import ExchangeId
from vc_core.signals import Allocated, Closed, Dropped, Ended, Opened, Posted, Refusal, Refused
from vc_core.wire import Record

KEPT = 200  # signals remembered to be said again


class HostileServer:
    """A hand on every signal that the server delivers."""

    def __init__(self, chance: random.Random, evil: float | None = None) -> None:
        """``evil`` is the share of signals that are tampered with."""
        self._chance = chance
        self._evil = evil if evil is not None else chance.choice((0.02, 0.1, 0.3))
        self._seen: list[Record] = []
        self._held: dict[str, list[Record]] = {}

    def __call__(self, person: Person, signal: Record) -> list[Record]:
        self._seen = [*self._seen[-KEPT:], signal]
        if self._chance.random() >= self._evil:
            return [*self._held.pop(person.name, []), signal]
        trick = self._chance.choice(
            (
                self._drop,
                self._double,
                self._hold,
                self._flip,
                self._swap,
                self._replay,
                self._invent,
            )
        )
        return trick(person, signal)

    def _drop(self, person: Person, signal: Record) -> list[Record]:
        return []

    def _double(self, person: Person, signal: Record) -> list[Record]:
        return [signal, signal]

    def _hold(self, person: Person, signal: Record) -> list[Record]:
        """Later, behind others."""
        self._held.setdefault(person.name, []).append(signal)
        return []

    def _flip(self, person: Person, signal: Record) -> list[Record]:
        """One bit of a body."""
        if isinstance(signal, Posted | Dropped) and signal.body:
            at = self._chance.randrange(len(signal.body))
            changed = bytearray(signal.body)
            changed[at] ^= 1 << self._chance.randrange(8)
            return [type(signal)(**{**signal.__dict__, "body": bytes(changed)})]
        return [signal]

    def _swap(self, person: Person, signal: Record) -> list[Record]:
        """Another body of another exchange or mailbox, in this one's place."""
        others = [s for s in self._seen if type(s) is type(signal) and hasattr(s, "body")]
        if isinstance(signal, Posted | Dropped) and others:
            body = self._chance.choice(others).body
            return [type(signal)(**{**signal.__dict__, "body": body})]
        return [signal]

    def _replay(self, person: Person, signal: Record) -> list[Record]:
        """Something that anybody was told before."""
        return [signal, self._chance.choice(self._seen)]

    def _invent(self, person: Person, signal: Record) -> list[Record]:
        rng = self._chance.randbytes
        invented: list[Record] = [
            Opened(ExchangeId(self._chance.randrange(20)), rng(32), "1234"),
            Closed(self._chance.randrange(20)),
            Allocated(str(self._chance.randrange(1000, 9999)), 600),
            Ended("1234", Refusal.EXPIRED),
            Refused(self._chance.randrange(12), ""),
            Posted(self._chance.randrange(20), rng(self._chance.randrange(300))),
            Dropped(rng(32), rng(200)),
        ]
        return [signal, self._chance.choice(invented)]

"""The chain as one member holds it: entries in order, and strays that do not join it yet.

    ours      1:4 ── 1:5 ── 1:6                     (term:n)
                 └── 65534:5 ── 65534:6             strays: a deputy took over after 1:4

A stray waits until a way of entries leads from ours to it. Which way is followed
is decided by ``vc_core.roster``; here they are only kept and found.
"""

from __future__ import annotations

from collections import OrderedDict

from vc_core.entry import Action, Entry, Signed
from vc_core.messages import Position
from vc_core.record import record

# Implementation
KEPT_ENTRIES = 512  # newest entries kept to catch members up and to see forks
MAX_STRAYS = 128  # entries that wait for those before them


@record
class Step:
    """One entry, as it travels and as it reads."""

    signed: Signed
    entry: Entry
    hash: bytes

    @classmethod
    def of(cls, signed: Signed, entry: Entry) -> Step:
        """With its hash, which is computed once."""
        return cls(signed, entry, entry.hash)

    @classmethod
    def parse(cls, data: bytes) -> Step:
        """Of a ``Signed`` entry; nothing of it is checked."""
        signed = Signed.parse(data)
        return cls.of(signed, signed.read())

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands; later entries and higher terms compare greater."""
        return self.entry.term, self.entry.n


class Chain:
    """Entries by place and by hash."""

    def __init__(self, first: Step) -> None:
        self._kept: OrderedDict[tuple[int, int], Step] = OrderedDict()
        self._by_hash: dict[bytes, Step] = {}
        self._strays: OrderedDict[bytes, Step] = OrderedDict()
        self.append(first)

    @property
    def newest(self) -> Step:
        """The last of ours."""
        return next(reversed(self._kept.values()))

    def append(self, step: Step) -> None:
        """The next of ours; the oldest are forgotten."""
        self._kept[step.order] = self._by_hash[step.hash] = step
        self._strays.pop(step.hash, None)
        while len(self._kept) > KEPT_ENTRIES:
            _, old = self._kept.popitem(last=False)
            del self._by_hash[old.hash]

    def at(self, position: Position) -> Step | None:
        """Ours at a place."""
        return self._kept.get(position.order)

    def named(self, hash_: bytes) -> Step | None:
        """Ours with a hash."""
        return self._by_hash.get(hash_)

    def after(self, order: tuple[int, int]) -> list[Step]:
        """Ours beyond a place, in order."""
        return [step for step in self._kept.values() if step.order > order]

    def rewind(self, base: Step) -> tuple[Entry, ...]:
        """Forget ours after ``base``; what was forgotten, in order."""
        dropped = self.after(base.order)
        for step in dropped:
            del self._kept[step.order], self._by_hash[step.hash]
        return tuple(step.entry for step in dropped)

    def takeovers(self) -> list[Step]:
        """Ours with which a host began, oldest first."""
        return [step for step in self._kept.values() if step.entry.action == Action.TAKEOVER]

    # Strays

    def stray(self, step: Step) -> None:
        """Keep an entry that does not join ours yet."""
        self._strays[step.hash] = step
        while len(self._strays) > MAX_STRAYS:
            self._strays.popitem(last=False)

    def discard(self, step: Step) -> None:
        """A stray was wrong."""
        self._strays.pop(step.hash, None)

    def ahead(self) -> list[Step]:
        """Strays beyond our newest, the highest first."""
        newest = self.newest.order
        found = [step for step in self._strays.values() if step.order > newest]
        return sorted(found, key=lambda step: step.order, reverse=True)

    def way(self, step: Step) -> tuple[Step, list[Step]] | None:
        """(the entry of ours where it begins, all strays up to ``step``), if there is one."""
        way = [step]
        while (base := self._by_hash.get(way[0].entry.previous)) is None:
            before = self._strays.get(way[0].entry.previous)
            if before is None or before.order >= way[0].order:
                return None
            way.insert(0, before)
        return base, way

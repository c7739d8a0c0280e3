"""Sender keys: each member seals its own media, everybody else can open it.

A *generation* is a fresh random key made for one roster entry, sent to each
member over the pairwise channel with the entry's position. Every sender counts
its own generations; there is no common epoch to agree on.

    new generation    at each roster entry, every 5 minutes, after 2^20 frames
    in use            when all who hear the one before have it, or after 1 s
    old generations   open for 10 s; 2 s after a removal; a removed member's: not at all;
                      our own seals for no longer either
    streams           voice is stream 0; each stream of pictures has a KID of its own
                      in every generation, and so has its sound

Rule 1: a packet names exactly one key by its routing id. There is no trial
        decryption, and a packet counts only from the member whose key it names.
Rule 2: a generation that is over stays over: taken again, its replay window
        would begin anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import Member, Rng
from vc_core.messages import Position, SenderKey
from vc_core.packet import Kid, Media, MediaOpener, MediaSealer, media_key, parse_header
from vc_core.record import record
from vc_core.replay import PICTURE_AHEAD, PICTURE_WINDOW, Window

# Specification
VOICE = 0  # stream number
SOUND = 16  # added to the number of a stream of pictures: its sound
MAX_AGE = 300.0  # s that a generation is used
MAX_FRAMES = 1 << 20  # frames that a generation seals
PATIENCE = 1.0  # s until a generation is used without all acknowledgements
OLD_LIFE = 10.0  # s that an older generation still opens
REMOVAL_LIFE = 2.0  # s that it still opens after a removal
UNKNOWN_LIFE = 0.5  # s that a packet waits for its key

# Implementation
MAX_WAITING = 64  # packets that wait for keys
MAX_STREAMS = 4  # streams of pictures of one member, numbered from 1
MAX_GENERATIONS = 6  # generations kept for one member


def sound_of(stream: int) -> int:
    """The number of the sound of a stream of pictures."""
    return stream + SOUND


def pictures_of(stream: int) -> int | None:
    """Whose sound a stream is: the number of the pictures; None if it is no sound."""
    return stream - SOUND if SOUND < stream <= SOUND + MAX_STREAMS else None


@record
class Generation:
    """One of our own keys."""

    announcement: SenderKey
    sealer: MediaSealer
    """Of voice."""
    begun: float
    pictures: dict[int, MediaSealer] = field(default_factory=dict)
    """By stream, made when first needed; a stream's counters are never begun anew."""

    @property
    def sealed(self) -> int:
        """The most packets that any stream has."""
        counts = [one.next_ctr for one in self.pictures.values()]
        return max([self.sealer.next_ctr, *counts])


class OwnKeys:
    """The sending half."""

    def __init__(self, member: Member, room: bytes, rng: Rng) -> None:
        self._member = member
        self._room = room
        self._rng = rng
        self._count = 0
        self.current: Generation | None = None
        self.coming: Generation | None = None
        self._waiting: set[Member] = set()
        self._deadline = 0.0
        self._held = False
        self._removal: tuple[int, int] = (0, 0)
        """Where the newest removal stands in the roster."""
        self._removed_at = 0.0
        """When the first came for which the generation in use was not made."""

    @property
    def newest(self) -> Generation:
        """What members are told: the coming generation, or the current one."""
        newest = self.coming or self.current
        if newest is None:
            raise LocalProtocolError("no sender key was made yet")
        return newest

    def rotate(self, position: Position, holders: set[Member], now: float) -> SenderKey:
        """Make a generation; it is used once ``holders`` acknowledged it, or after 1 s."""
        self._count += 1
        deadline = self._deadline if self.coming is not None else now + PATIENCE
        key = self._rng(32)
        kid = Kid(self._count, self._member, VOICE)
        sealer = MediaSealer(media_key(key, self._room, kid, position.hash))
        announcement = SenderKey(self._count, key, position)
        self.coming = Generation(announcement, sealer, now)
        self._waiting = set(holders)
        self._deadline = deadline  # entries that follow each other quickly postpone nothing
        self.handle_timer(now)
        return announcement

    def taken(self, member: Member, generation: int, now: float) -> None:
        """A member holds a generation."""
        if self.coming is not None and generation == self.coming.announcement.generation:
            self._waiting.discard(member)
            self.handle_timer(now)

    def gone(self, member: Member, now: float) -> None:
        """Nobody waits for this member any more."""
        self._waiting.discard(member)
        self.handle_timer(now)

    def hurry(self, position: Position, now: float) -> None:
        """After a removal: a generation made for an earlier entry seals for 2 s more."""
        if self._outlasts_removals():
            self._removed_at = now
        self._removal = position.order

    def _outlasts_removals(self) -> bool:
        return self.current is None or self.current.announcement.position.order >= self._removal

    def in_use(self, now: float) -> Generation | None:
        """What seals now; None if that is over and the next one waits."""
        outlasts = self._outlasts_removals() or now < self._removed_at + REMOVAL_LIFE
        return self.current if outlasts else None

    def hold(self, *, on: bool, now: float) -> None:
        """While nobody may be told a key, none that was not told is used."""
        if self._held and not on:
            self._deadline = now + PATIENCE
        self._held = on

    def begin(self) -> None:
        """Use the coming generation, whoever has acknowledged it; what is sealed waits for it."""
        if self.coming is not None and not self._held:
            self.current, self.coming = self.coming, None

    def due(self, now: float) -> bool:
        """Whether age or use asks for a new generation."""
        current = self.current
        if current is None or self.coming is not None:
            return False
        return now >= current.begun + MAX_AGE or current.sealed >= MAX_FRAMES

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        if self.coming is not None:
            return None if self._held else self._deadline
        return self.current.begun + MAX_AGE if self.current else None

    def handle_timer(self, now: float) -> None:
        """Begin to use the coming generation when its time has come."""
        if self.coming is None or self._held:
            return
        if not self._waiting or now >= self._deadline:
            self.current, self.coming = self.coming, None

    def sealer(self, stream: int) -> MediaSealer:
        """Seals pictures of a stream under the current generation."""
        if self.current is None:
            raise LocalProtocolError("no sender key is in use yet")
        sealer = self.current.pictures.get(stream)
        if sealer is None:
            told = self.current.announcement
            kid = Kid(told.generation, self._member, stream)
            sealer = MediaSealer(media_key(told.key, self._room, kid, told.position.hash))
            self.current.pictures[stream] = sealer
        return sealer


@dataclass
class Opening:
    """One key of somebody else."""

    member: Member
    announcement: SenderKey
    opener: MediaOpener
    """Of voice."""
    expires: float = float("inf")
    pictures: dict[int, MediaOpener] = field(default_factory=dict)
    """Openers of streams that the member offers, by stream."""

    def routes(self) -> list[bytes]:
        """Every routing id of the generation."""
        return [one.key.route for one in (self.opener, *self.pictures.values())]


@record
class Opened:
    """A packet that was what it claims to be."""

    member: Member
    generation: int
    ctr: int
    media: Media
    datagram: bytes
    stream: int = VOICE


class OthersKeys:
    """The receiving half, for all other members."""

    def __init__(self, room: bytes) -> None:
        self._room = room
        self._by_route: dict[bytes, tuple[Opening, MediaOpener]] = {}
        self._by_member: dict[Member, dict[int, Opening]] = {}
        self._highest: dict[Member, int] = {}
        self._streams: dict[Member, set[int]] = {}
        """Streams of pictures that members offer."""
        self._removal: tuple[int, int] = (0, 0)
        """Where the newest removal stands in the roster."""
        self._waiting: deque[tuple[float, Member, bytes]] = deque(maxlen=MAX_WAITING)

    def learn(self, member: Member, announcement: SenderKey, now: float) -> list[Opened]:
        """Take a key; packets that waited for it come out."""
        known = self._by_member.setdefault(member, {})
        generation = announcement.generation
        if generation in known:
            if known[generation].announcement != announcement:
                raise RemoteProtocolError("two keys for one generation")
            return []
        if generation <= self._highest.get(member, 0):
            return []  # over already, or overtaken by a newer one
        kid = Kid(generation, member, VOICE)
        key = media_key(announcement.key, self._room, kid, announcement.position.hash)
        opening = Opening(member, announcement, MediaOpener(key))
        for stream in self._streams.get(member, ()):
            self._make(opening, stream)
        if not self._by_route.keys().isdisjoint(opening.routes()):
            raise RemoteProtocolError("a key with the routing id of another one")
        if announcement.position.order < self._removal:
            opening.expires = now + REMOVAL_LIFE  # whoever was removed may know it
        for older in known.values():
            older.expires = min(older.expires, now + OLD_LIFE)
        known[generation] = opening
        for opener in (opening.opener, *opening.pictures.values()):
            self._by_route[opener.key.route] = opening, opener
        self._highest[member] = generation
        while len(known) > MAX_GENERATIONS:
            self._drop(known[min(known)])
        return self._retry(now)

    def offer(self, member: Member, stream: int) -> None:
        """A member offers pictures, or sound: their routing ids are known from now on."""
        streams = self._streams.setdefault(member, set())
        if stream in streams:
            return
        if not VOICE < stream <= MAX_STREAMS and pictures_of(stream) is None:
            raise RemoteProtocolError("a stream with a number that nobody has")
        streams.add(stream)
        for opening in self._by_member.get(member, {}).values():
            if stream not in opening.pictures:
                opener = self._make(opening, stream)
                self._by_route.setdefault(opener.key.route, (opening, opener))

    def withdraw(self, member: Member, stream: int) -> None:
        """A stream is over; its openers stay with their keys, so that no window begins anew."""
        self._streams.get(member, set()).discard(stream)

    def _make(self, opening: Opening, stream: int) -> MediaOpener:
        told = opening.announcement
        kid = Kid(told.generation, opening.member, stream)
        window = Window(PICTURE_WINDOW, PICTURE_AHEAD)
        opener = MediaOpener(media_key(told.key, self._room, kid, told.position.hash), window)
        opening.pictures[stream] = opener
        return opener

    def forget(self, member: Member, *, number_too: bool = False) -> None:
        """A member is gone: its keys die at once.

        ``number_too``: another chain may give its number to somebody else, whose
        generations begin anew.
        """
        if number_too:
            self._highest.pop(member, None)
        for opening in list(self._by_member.get(member, {}).values()):
            self._drop(opening)
        self._by_member.pop(member, None)
        self._streams.pop(member, None)

    def hurry(self, position: Position, now: float) -> None:
        """After a removal: keys made for earlier entries live 2 s more."""
        self._removal = max(self._removal, position.order)
        for opening, _ in self._by_route.values():
            if opening.announcement.position.order < position.order:
                opening.expires = min(opening.expires, now + REMOVAL_LIFE)

    def announcement(self, member: Member, generation: int) -> SenderKey | None:
        """The key message of a generation that is still known."""
        opening = self._by_member.get(member, {}).get(generation)
        return opening.announcement if opening else None

    def open(self, sender: Member, datagram: bytes, now: float) -> Opened | None:
        """What a packet from ``sender``'s own path says; None if its key is not here yet."""
        header = parse_header(datagram)
        found = self._by_route.get(header.route)
        if found is None:
            self._waiting.append((now, sender, datagram))
            return None
        opening, opener = found
        if now >= opening.expires:
            self._drop(opening)
            raise RemoteProtocolError("a packet under a key that is over")
        if opening.member != sender:
            raise RemoteProtocolError("a packet under another member's key")
        media = opener.open(header, datagram)
        generation, stream = opening.announcement.generation, opener.key.kid.stream
        return Opened(sender, generation, header.ctr, media, datagram, stream)

    def _retry(self, now: float) -> list[Opened]:
        waiting = [w for w in self._waiting if now - w[0] <= UNKNOWN_LIFE]
        self._waiting.clear()
        opened = []
        for since, sender, datagram in waiting:
            if parse_header(datagram).route not in self._by_route:
                self._waiting.append((since, sender, datagram))
                continue
            try:
                found = self.open(sender, datagram, now)
            except RemoteProtocolError:
                continue
            if found is not None:
                opened.append(found)
        return opened

    def _drop(self, opening: Opening) -> None:
        for route in opening.routes():
            self._by_route.pop(route, None)
        self._by_member.get(opening.member, {}).pop(opening.announcement.generation, None)

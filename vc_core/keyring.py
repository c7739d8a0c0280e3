"""The keyring: who is told our sender key and when, and what the others sealed.

Rule 1: a key goes only to members who are present in our roster, are not
        blocked, and only while the host is known to be alive (freshness), so
        that a hidden removal cannot be used to collect keys. While a deputy
        may take over, media goes on under the keys that were told before.
Rule 2: what comes in counts only from the path of the member whose key it names.
Rule 3: in a crowd, who is silent tells a new key to newcomers alone, and to all others
        when it has something to seal, or nobody has come for a while: else each newcomer
        would cost as many messages as there are pairs. After a removal all are told.
Rule 4: a new key waits only for members whose path is alive: nobody else hears the
        old one either, and a newcomer should not wait for whoever has gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vc_core.attest import Signer
from vc_core.courier import Courier
from vc_core.errors import RemoteProtocolError
from vc_core.events import Warned
from vc_core.ids import Member
from vc_core.messages import Attest, Attested, KeyTaken, SenderKey
from vc_core.peer import Peer
from vc_core.record import record
from vc_core.room import Room
from vc_core.senderkeys import VOICE, Generation, Opened, OthersKeys, OwnKeys, pictures_of

# Specification
PICTURE = 3  # kind of sealed media: a piece of a frame of pictures
TRACK = 4  # 20 ms of the sound that belongs to pictures

RESTED = 10.0  # s without anything sealed, or without newcomers, that count in a crowd

# Implementation
FORGED_PAUSE = 30.0  # s between two warnings about one member
SETTLING = 3.0  # s after a new control stream, or darkness, in which nothing counts as forged
QUIET = 1.0  # s without life after which signatures may be late

Viewers = Callable[[], list[Peer]]
"""Who watches a stream of ours now."""


@record
class SealedPiece:
    """One datagram of pictures and the counter that it was sealed under."""

    generation: int
    ctr: int
    datagram: bytes


class Keyring:
    """Sender keys of everybody, as one member holds them."""

    def __init__(self, room: Room, courier: Courier) -> None:
        self._room = room
        self._courier = courier
        self.own = OwnKeys(room.number, room.id, room.rng)
        self._others = OthersKeys(room.id)
        self._signer = Signer(room.id, room.number, room.identity)
        self._picture_signers: dict[int, tuple[Signer, Viewers]] = {}
        self.on_gone: Callable[[Member], None] = lambda member: None
        """Told of a member that is out or away."""
        self._warned: dict[Member, float] = {}
        self.ready: list[Opened] = []
        """Packets that had waited for their key and are open now."""
        self._sealed_at = float("-inf")
        self._untold = False
        """Whether the newest generation waits for something to seal, or for ``_tell_at``."""
        self._tell_at = float("inf")

    # Our own keys

    def rotate(self, now: float, newcomer: Member | None = None, *, lazily: bool = False) -> None:
        """A new generation for the newest entry, told to everybody who may know it.

        ``lazily``: nobody is locked out by it, so that a silent member of a crowd may wait.
        """
        told = self.own.coming is not None and not self._untold  # perhaps after a removal
        silent = self.own.current is not None and now - self._sealed_at >= RESTED
        self._untold = lazily and silent and self._room.crowded and not told
        self._tell_at = now + RESTED
        self._hold(now)
        before = self.own.newest.announcement.generation if self.own.current else 0
        holders = {
            peer.number
            for peer in self._room.present()
            if peer.key_sent == before > 0 and self._on_path(peer)
        }
        self.own.rotate(self._room.roster.position, holders - {newcomer}, now)
        self.announce_all(now)

    def _hold(self, now: float) -> None:
        self.own.hold(on=self._untold or not self._room.fresh(now), now=now)

    def announce_all(self, now: float) -> None:
        """Tell everybody present who does not know it yet; for now, perhaps, newcomers alone."""
        self._hold(now)
        for peer in self._room.present():
            if not (self._untold and peer.key_sent):
                self.announce(peer, now)

    def _speak_up(self, now: float) -> Generation | None:
        """There is something to seal: the generation for it, or None while we must not send.

        What was not told yet is told, and used at once.
        """
        if self.own.current is None or not self._room.flows(now):
            return None
        self._sealed_at = now
        if self._untold and self._tell(now):
            self.own.begin()
        return self.own.in_use(now)

    def _tell(self, now: float) -> bool:
        if fresh := self._room.fresh(now):
            self._untold = False
            self.announce_all(now)
        self._tell_at = now + RESTED
        return fresh

    def opening(self, peer: Peer, now: float) -> None:
        """A fresh control stream: repeat what was not acknowledged, letters get lost."""
        peer.steady_since = now
        peer.key_sent = peer.key_taken
        self.announce(peer, now)

    def announce(self, peer: Peer, now: float) -> None:
        """Tell a member our newest generation, once per link."""
        key = self.key_for(peer, now)
        if key is None or peer.link is None or peer.key_sent >= key.generation:
            return
        if self._courier.send(peer, key):
            peer.key_sent = key.generation

    def key_for(self, peer: Peer, now: float) -> SenderKey | None:
        """Our newest generation, if this member may have it now."""
        if peer.blocked or not peer.seat.present or not self._room.fresh(now):
            return None
        return self.own.newest.announcement

    def taken(self, peer: Peer, message: KeyTaken, now: float) -> None:
        """A member holds one of our generations."""
        if message.generation <= peer.key_sent:
            peer.key_taken = max(peer.key_taken, message.generation)
            self.own.taken(peer.number, message.generation, now)

    def forget(self, member: Member) -> None:
        """A number may belong to somebody else from now on."""
        self._others.forget(member, number_too=True)

    def gone(self, member: Member, now: float) -> None:
        """A member is out or away: its keys die, the others' older ones soon."""
        peer = self._room.peers.get(member)
        if peer is not None:
            peer.witness.clear()
        self._others.forget(member)
        for keys in (self._others, self.own):
            keys.hurry(self._room.roster.position, now)
        self.own.gone(member, now)
        self.on_gone(member)

    # Media

    def seal(self, kind: int, timestamp: int, payload: bytes, now: float) -> bytes | None:
        """One datagram of voice for everybody, or None while we must not speak."""
        current = self._speak_up(now)
        if current is None:
            return None
        ctr = current.sealer.next_ctr
        datagram = current.sealer.seal(kind, timestamp, payload)
        if full := self._signer.sealed(current.announcement, ctr, datagram, now):
            self._attest(full)
        return datagram

    def open(self, peer: Peer, datagram: bytes, now: float) -> Opened | None:
        """What a member's packet says; None if its key has not come yet."""
        if peer.blocked or not peer.seat.present or not self._room.flows(now):
            raise RemoteProtocolError("media from somebody who may not be heard now")
        opened = self._others.open(peer.seat.number, datagram, now)
        if opened is not None and opened.stream == VOICE:
            peer.witness.heard(opened, now)
        return opened

    def learn(self, peer: Peer, key: SenderKey, now: float) -> None:
        """Take a member's key and acknowledge it."""
        if not peer.seat.present:
            return
        opened = self._others.learn(peer.number, key, now)
        self._courier.send(peer, KeyTaken(key.generation))
        for one in opened:
            if one.stream == VOICE:
                peer.witness.heard(one, now)
        self.ready += opened

    # Pictures

    def begin(self, stream: int, viewers: Viewers) -> None:
        """A stream of our own: its frames are signed for its ``viewers``."""
        signer = Signer(self._room.id, self._room.number, self._room.identity, stream)
        self._picture_signers[stream] = signer, viewers

    def finish(self, stream: int) -> None:
        """A stream of our own is over; its last frames are signed."""
        if (known := self._picture_signers.pop(stream, None)) is not None:
            signer, viewers = known
            self._attest(signer.finish(), viewers())

    def seal_piece(
        self, stream: int, timestamp: int, payload: bytes, now: float
    ) -> SealedPiece | None:
        """One datagram of pictures, or None while we must not send."""
        current = self._speak_up(now)
        if current is None:
            return None
        sealer = self.own.sealer(stream)
        ctr = sealer.next_ctr
        datagram = sealer.seal(PICTURE, timestamp, payload)
        return SealedPiece(current.announcement.generation, ctr, datagram)

    def seal_sound(self, stream: int, timestamp: int, payload: bytes, now: float) -> bytes | None:
        """One datagram of a stream of sound, signed as voice is, for its viewers."""
        known = self._picture_signers.get(stream)
        current = self._speak_up(now) if known is not None else None
        if current is None or known is None:
            return None
        sealer, (signer, viewers) = self.own.sealer(stream), known
        ctr = sealer.next_ctr
        datagram = sealer.seal(TRACK, timestamp, payload)
        self._attest(signer.sealed(current.announcement, ctr, datagram, now), viewers())
        return datagram

    def sign(self, stream: int, number: int, digest: bytes, now: float) -> None:
        """A frame of ours is on its way: its viewers get our signature for it."""
        current, known = self.own.current, self._picture_signers.get(stream)
        if current is not None and known is not None:
            signer, viewers = known
            attests = signer.made(current.announcement, Attested(number, digest), now)
            self._attest(attests, viewers())

    def offer(self, peer: Peer, stream: int) -> None:
        """A member's packets of a stream open from now on."""
        self._others.offer(peer.number, stream)

    def withdraw(self, peer: Peer, stream: int) -> None:
        """A member's stream is over."""
        self._others.withdraw(peer.number, stream)

    # Attestations

    def attested(self, peer: Peer, attest: Attest, now: float) -> None:
        """A member signed what it sent."""
        key = self._others.announcement(peer.number, attest.generation)
        if key is not None and not peer.witness.receive(attest, key):
            self._warn(peer, attest.stream, now)

    def _attest(self, attests: list[Attest], to: Iterable[Peer] | None = None) -> None:
        for attest in attests:
            for peer in self._room.present() if to is None else to:
                if peer.streaming and not peer.blocked:
                    self._courier.send(peer, attest)

    def _warn(self, peer: Peer, stream: int, now: float) -> None:
        if now - self._warned.get(peer.number, float("-inf")) >= FORGED_PAUSE:
            self._warned[peer.number] = now
            word = "voice-forged" if stream == VOICE else "picture-forged"
            word = word if pictures_of(stream) is None else "sound-forged"
            self._room.tell(Warned(word, peer.number))

    # Time

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        signers = (one.next_timer() for one, _ in self._picture_signers.values())
        untold = self._tell_at if self._untold else None
        times = (untold, self.own.next_timer(), self._signer.next_timer(), *signers)
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Rotate what is due, sign what is due, name what nobody signed."""
        if self._untold and now >= self._tell_at:
            self._tell(now)
        self._hold(now)
        self.own.handle_timer(now)
        if self.own.due(now) and self._room.fresh(now):
            self.rotate(now, lazily=True)
        self._attest(self._signer.handle_timer(now))
        for signer, viewers in self._picture_signers.values():
            self._attest(signer.handle_timer(now), viewers())
        for peer in self._room.present():
            if not self._on_path(peer):
                self.own.gone(peer.number, now)
            if self._unjudged(peer, now):
                peer.witness.clear()
                continue
            for stream, generation in peer.witness.overdue(now):
                if self._known(peer, generation):
                    self._warn(peer, stream, now)

    def _known(self, peer: Peer, generation: int) -> bool:
        """Whether a signature over frames of a generation could be checked."""
        return self._others.announcement(peer.number, generation) is not None

    def _unjudged(self, peer: Peer, now: float) -> bool:
        """Signatures could not come: the stream is new, the path is or was away, or we were."""
        link = peer.link
        peer.steady_since = max(peer.steady_since, self._room.awake_since)
        if link is None or not link.alive or now - link.last_life > QUIET:
            peer.steady_since = now
        return not peer.streaming or now - peer.steady_since < SETTLING

    @staticmethod
    def _on_path(peer: Peer) -> bool:
        """Whether packets flow between us and a member."""
        return peer.link is not None and peer.link.alive

"""Pictures: who shares what with whom, and who watches.

    sharer   StreamOffered -> everybody          viewer   Watch -> the sharer
             StreamEnded   -> everybody                   KeyWanted, feedback -> the sharer
             StreamCarried -> a viewer whose copies come by a forwarder

A stream may have sound, a track of its own that goes to the same viewers.
Frames themselves do not pass through here: ``video.sending`` cuts and paces,
``video.watching`` puts together; here pieces are sealed and feedback is opened.

Rule 1: a piece is sent only to members who said ``Watch`` and are here and not blocked.
Rule 2: a stream ends with its sharer; a subscription ends with its viewer or its stream.
Rule 3: everything is said again on a new control stream, since words may be lost with one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vc_core import events
from vc_core.bucket import Bucket, Rate
from vc_core.courier import Courier
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.feedback import Feedback
from vc_core.ids import LinkId, Member
from vc_core.keyring import TRACK, Keyring, SealedPiece
from vc_core.messages import KeyWanted, StreamCarried, StreamEnded, StreamOffered, Watch
from vc_core.peer import Peer
from vc_core.room import Room
from vc_core.senderkeys import MAX_STREAMS, Opened, pictures_of, sound_of
from vc_core.wire import Record

# Specification
SCREEN, CAMERA = 1, 2
KINDS = {SCREEN: "screen", CAMERA: "camera"}
MAX_WIDTH = MAX_HEIGHT = 16384  # pixels
MAX_FPS = 240
RATE = 48_000  # samples per second: the clock of sound

# Implementation
WORDS = Rate(per_second=4, burst=40)  # offers, watches and wishes of one member that are heard
FEEDBACK = Rate(per_second=600, burst=300)  # of one viewer: four streams, each 10 ms, in halves


@dataclass
class Shared:
    """A stream of our own."""

    offer: StreamOffered
    """``clock`` is filled in for each member."""
    viewers: set[Member] = field(default_factory=set)
    carried: dict[Member, int] = field(default_factory=dict)
    """The forwarder by which a viewer gets it."""


class Pictures:
    """For one member."""

    def __init__(self, room: Room, courier: Courier, keyring: Keyring) -> None:
        self._room = room
        self._courier = courier
        self._keyring = keyring
        self._ended_once: set[int] = set()
        """Streams of ours that are over: said again, as the word may have been lost."""
        self._shared: dict[int, Shared] = {}
        self._offers: dict[tuple[Member, int], StreamOffered] = {}
        self._watched: set[tuple[Member, int]] = set()
        self._words: dict[Member, Bucket] = {}
        self._told: dict[Member, Bucket] = {}
        """How much feedback viewers may still send."""
        keyring.on_gone = self.gone

    # Our own streams

    def share(self, source: int, width: int, height: int, fps: int, *, sound: bool = False) -> int:
        """Offer a stream to everybody, with ``sound`` or without; its number."""
        free = [one for one in range(1, MAX_STREAMS + 1) if one not in self._shared]
        if not free:
            raise LocalProtocolError(f"at most {MAX_STREAMS} streams at a time")
        stream = free[0]
        self._ended_once.discard(stream)
        offer = self._offer(stream, source, width, height, fps)
        self._shared[stream] = Shared(replace(offer, sound=sound))
        self._keyring.begin(stream, lambda: self._viewing(stream))
        if sound:
            self._keyring.begin(sound_of(stream), lambda: self._viewing(stream))
        self._tell_all(stream)
        return stream

    @staticmethod
    def _offer(stream: int, source: int, width: int, height: int, fps: int) -> StreamOffered:
        offer = StreamOffered(stream, source, width, height, fps, 0)
        if not _sensible(offer):
            raise LocalProtocolError("pictures of a size or rate that nobody can have")
        return offer

    def changed(self, stream: int, width: int, height: int, fps: int) -> None:
        """Our stream has another size or rate now."""
        shared = self._own(stream)
        offer = self._offer(stream, shared.offer.source, width, height, fps)
        offer = replace(offer, sound=shared.offer.sound)
        if offer != shared.offer:
            shared.offer = offer
            self._tell_all(stream)

    def unshare(self, stream: int) -> None:
        """Our stream is over."""
        self._own(stream)
        self._keyring.finish(stream)
        self._keyring.finish(sound_of(stream))
        del self._shared[stream]
        self._ended_once.add(stream)
        self._courier.send_all(StreamEnded(stream))

    def _own(self, stream: int) -> Shared:
        shared = self._shared.get(stream)
        if shared is None:
            raise LocalProtocolError("no such stream")
        return shared

    def _tell_all(self, stream: int) -> None:
        for peer in self._room.present():
            self._tell(peer, stream)

    def _tell(self, peer: Peer, stream: int) -> None:
        if peer.link is not None and not peer.blocked:
            clock = int(peer.link.begun * 1000) % (1 << 32)
            self._courier.send(peer, replace(self._shared[stream].offer, clock=clock))

    @property
    def shared(self) -> list[int]:
        """Our own streams."""
        return list(self._shared)

    def viewers(self, stream: int) -> list[Member]:
        """Who may be sent pieces of our stream."""
        return [peer.number for peer in self._viewing(stream)]

    def is_watched(self, stream: int) -> bool:
        """Whether anybody wants to see our stream, even if out of reach just now."""
        shared = self._shared.get(stream)
        return shared is not None and bool(shared.viewers)

    def _viewing(self, stream: int) -> list[Peer]:
        shared = self._shared.get(stream)
        found = (self._room.peers.get(one) for one in (shared.viewers if shared else ()))
        return [
            peer
            for peer in found
            if peer is not None and peer.seat.present and not peer.blocked and peer.link is not None
        ]

    def carry(self, stream: int, member: Member, forwarder: int) -> None:
        """Tell a viewer by which forwarder its copies come; 0: by itself."""
        shared, peer = self._own(stream), self._room.peers.get(member)
        if peer is not None and shared.carried.get(member, 0) != forwarder:
            shared.carried[member] = forwarder
            self._courier.send(peer, StreamCarried(stream, forwarder))

    # The short way of pieces

    def seal(self, stream: int, timestamp: int, payload: bytes, now: float) -> SealedPiece | None:
        """One piece for all viewers; None while media is frozen or the stream is over."""
        if stream not in self._shared or self._room.ended:
            return None
        return self._keyring.seal_piece(stream, timestamp, payload, now)

    def seal_sound(self, stream: int, timestamp: int, payload: bytes, now: float) -> bytes | None:
        """20 ms of the sound of a stream of ours; None while nothing may be sent."""
        if stream not in self._shared or self._room.ended:
            return None
        return self._keyring.seal_sound(sound_of(stream), timestamp, payload, now)

    @staticmethod
    def sound_handle(stream: int) -> int:
        """By which forwarders know the sound of a stream."""
        return sound_of(stream)

    def carried(self, stream: int) -> dict[Member, int]:
        """By which forwarder a viewer of ours was told to take its copies; 0: by none."""
        shared = self._shared.get(stream)
        return shared.carried if shared is not None else {}

    def sign(self, stream: int, number: int, digest: bytes, now: float) -> None:
        """A frame of ours goes out: it is attested to its viewers."""
        self._keyring.sign(stream, number, digest, now)

    def whole(
        self, member: Member, stream: int, number: int, digest: bytes, generation: int, now: float
    ) -> None:
        """A member's frame is whole: its sender must sign it."""
        peer = self._room.peers.get(member)
        if peer is not None:
            peer.witness.seen(stream, number, digest, generation, now)

    # Others' streams

    def watch(self, member: Member, stream: int) -> None:
        """Subscribe to a member's stream."""
        if (member, stream) not in self._offers:
            raise LocalProtocolError("no such stream")
        self._watched.add((member, stream))
        self._send(member, Watch(stream, True))

    def unwatch(self, member: Member, stream: int) -> None:
        """Subscribe no longer."""
        if (member, stream) in self._watched:
            self._watched.discard((member, stream))
            self._send(member, Watch(stream, False))
            if (peer := self._room.peers.get(member)) is not None:
                peer.witness.forget(stream)
                peer.witness.forget(sound_of(stream))

    def want_key(self, member: Member, stream: int) -> None:
        """Nothing can be shown before the next key frame."""
        if (member, stream) in self._watched:
            self._send(member, KeyWanted(stream))

    def takes_sound(self, opened: Opened, now: float) -> int | None:
        """The stream whose sound a packet is, if we asked for it: its sender must sign it."""
        member, stream = opened.member, pictures_of(opened.stream)
        offer = self._offers.get((member, stream)) if stream is not None else None
        if stream is None or offer is None or not offer.sound or opened.media.kind != TRACK:
            return None
        peer = self._room.peers.get(member)
        if peer is None or (member, stream) not in self._watched:
            return None
        peer.witness.heard(opened, now)
        return stream

    @property
    def offered(self) -> dict[tuple[Member, int], StreamOffered]:
        """What others share, by member and stream."""
        return dict(self._offers)

    def captured_at(self, member: Member, stream: int, timestamp: int) -> float | None:
        """When a picture was taken, on our own clock in seconds; None while that is not known.

        The offer names the birth of the link on the sharer's clock, the path's probes
        compare the clocks of the two links.
        """
        zero, offer = self._zero(member), self._offers.get((member, stream))
        if offer is None or zero is None:
            return None
        half = 1 << 31
        return zero + ((timestamp - offer.clock + half) % (2 * half) - half) / 1000

    def heard_at(self, member: Member, stream: int, timestamp: int, now: float) -> float | None:
        """The same for 20 ms of sound: when its first sample was played, nearest to ``now``."""
        zero, offer = self._zero(member), self._offers.get((member, stream))
        if offer is None or zero is None:
            return None
        half, near = 1 << 31, round((now - zero) * RATE)
        born = offer.clock * (RATE // 1000)
        ahead = (timestamp - born - near + half) % (2 * half) - half
        return zero + (near + ahead) / RATE

    def _zero(self, member: Member) -> float | None:
        """When the sharer's end of our link was born, on our own clock."""
        peer = self._room.peers.get(member)
        link = peer.link if peer is not None else None
        path = link.paths.get(link.used) if link is not None and link.used is not None else None
        if link is None or path is None or path.clock_offset is None:
            return None
        return link.begun - path.clock_offset

    def _send(self, member: Member, message: Record) -> None:
        peer = self._room.peers.get(member)
        if peer is not None:
            self._courier.send(peer, message)

    # Feedback

    def seal_feedback(self, member: Member, feedback: Feedback) -> bytes | None:
        """A datagram for the way in use; None while there is no link."""
        peer = self._room.peers.get(member)
        if peer is None or peer.link is None:
            return None
        return peer.link.feedback.write(feedback)

    def open_feedback(
        self, member: Member, link: LinkId, datagram: bytes, now: float
    ) -> Feedback | None:
        """What a viewer of ours says; None unless it verifies, is one and says it seldom enough."""
        peer = self._room.peers.get(member)
        if peer is None or peer.link is None or peer.link.id != link:
            return None
        try:
            feedback = peer.link.feedback.read(datagram)
        except RemoteProtocolError:
            return None
        peer.alive(now)
        bucket = self._told.setdefault(member, Bucket(FEEDBACK, now))
        heard = bucket.take(now) and member in self.viewers(feedback.stream)
        return feedback if heard else None

    # World in

    def take_offer(self, peer: Peer, message: StreamOffered, now: float) -> None:
        """A member shares something."""
        self._heard(peer, now)
        if not _sensible(message):
            raise RemoteProtocolError("pictures of a size or rate that nobody can have")
        self._keyring.offer(peer, message.stream)
        if message.sound:
            self._keyring.offer(peer, sound_of(message.stream))
        name = peer.number, message.stream
        before, self._offers[name] = self._offers.get(name), message
        if before is None or replace(before, clock=0) != replace(message, clock=0):
            kind, size = KINDS[message.source], (message.width, message.height, message.fps)
            self._room.tell(events.StreamOffered(*name, kind, *size, message.sound))

    def take_end(self, peer: Peer, message: StreamEnded, now: float) -> None:
        """A member's stream is over."""
        self._heard(peer, now)
        self._ended(peer.number, message.stream)
        self._keyring.withdraw(peer, message.stream)
        self._keyring.withdraw(peer, sound_of(message.stream))

    def _ended(self, member: Member, stream: int) -> None:
        self._watched.discard((member, stream))
        if self._offers.pop((member, stream), None) is not None:
            self._room.tell(events.StreamEnded(member, stream))

    def take_watch(self, peer: Peer, message: Watch, now: float) -> None:
        """A member watches a stream of ours, or no longer; of one that is over: nothing."""
        self._heard(peer, now)
        shared = self._shared.get(message.stream)
        if shared is None or message.on is (peer.number in shared.viewers):
            return
        (shared.viewers.add if message.on else shared.viewers.discard)(peer.number)
        shared.carried.pop(peer.number, None)
        self._room.tell(events.StreamWatched(peer.number, message.stream, message.on))

    def take_key_wanted(self, peer: Peer, message: KeyWanted, now: float) -> None:
        """A viewer of ours can show nothing."""
        self._heard(peer, now)
        shared = self._shared.get(message.stream)
        if shared is not None and peer.number in shared.viewers:
            self._room.tell(events.KeyFrameWanted(peer.number, message.stream))

    def take_carried(self, peer: Peer, message: StreamCarried, now: float) -> None:
        """What we watch comes by a forwarder, or by itself again."""
        self._heard(peer, now)
        if (peer.number, message.stream) in self._watched:
            carried = events.StreamCarried(peer.number, message.stream, message.forwarder)
            self._room.tell(carried)

    def _heard(self, peer: Peer, now: float) -> None:
        bucket = self._words.setdefault(peer.number, Bucket(WORDS, now))
        if not bucket.take(now):
            raise RemoteProtocolError("more words about pictures than anybody needs")

    # Links and members

    def opening(self, peer: Peer) -> None:
        """A fresh control stream: offers and subscriptions are said again."""
        for stream, shared in self._shared.items():
            self._tell(peer, stream)
            if shared.carried.pop(peer.number, 0):
                self._courier.send(peer, StreamCarried(stream, 0))
        for stream in self._ended_once:
            self._courier.send(peer, StreamEnded(stream))
        for member, stream in self._offers:
            if member == peer.number:
                self._courier.send(peer, Watch(stream, (member, stream) in self._watched))

    def gone(self, member: Member) -> None:
        """A member is out or away: its streams end, and its subscriptions."""
        for owner, stream in list(self._offers):
            if owner == member:
                self._ended(owner, stream)
        for stream, shared in self._shared.items():
            shared.carried.pop(member, None)
            if member in shared.viewers:
                shared.viewers.discard(member)
                self._room.tell(events.StreamWatched(member, stream, False))
        self._words.pop(member, None)
        self._told.pop(member, None)


def _sensible(offer: StreamOffered) -> bool:
    sized = 0 < offer.width <= MAX_WIDTH and 0 < offer.height <= MAX_HEIGHT
    return sized and offer.source in KINDS and 0 < offer.fps <= MAX_FPS

"""Who spoke: signatures under voice, so that no member can pose as another.

Media keys are shared by the group, so any member could seal a packet in another
one's name. On a direct path the packet's road betrays that; in general each
sender signs, twice a second and on the reliable plane, which frames were its
own: for each the CTR and 12 bytes of BLAKE2s over the sealed bytes.
Frames that nobody signs within 2 s are shown as forged by a member of the room;
the one they name is not muted for them. The seconds are those in which the witness
itself runs: while its process is stopped, signatures wait unread in its own socket.

A frame of pictures travels in many packets, of which some may be lost and made
up from others. There the counter is the frame's number, and the digest covers the
frame itself.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.keys import Identity, digest, verify
from vc_core.messages import FRAME_DIGEST_SIZE, MAX_ATTESTED, Attest, Attested, SenderKey
from vc_core.packet import Kid
from vc_core.senderkeys import VOICE, Opened, pictures_of

# Specification
INTERVAL = 0.5  # s between attestations
PATIENCE = 2.0  # s until a frame without one counts as forged
LONGEST_LOOK = 0.5  # s that count between two looks, at most: who runs looks as often
LABEL_ATTEST = "vchat-1 attest"
LABEL_KEY = "vchat-1 sender key"

# Implementation
MAX_UNSIGNED = 2048  # frames that wait for a signature, of one member: more than PATIENCE brings


def frame_digest(datagram: bytes) -> bytes:
    """12 bytes that stand for a sealed frame."""
    return hashlib.blake2s(datagram, digest_size=FRAME_DIGEST_SIZE).digest()


def picture_digest(number: int, timestamp: int, key: bool, codec: int, body: bytes) -> bytes:
    """12 bytes that stand for a frame of pictures, whatever packets it came in."""
    head = number.to_bytes(4, "big") + timestamp.to_bytes(4, "big") + bytes((key, codec))
    return hashlib.blake2s(head + body, digest_size=FRAME_DIGEST_SIZE).digest()


def _parts(
    room: bytes, key: SenderKey, kid: Kid, frames: tuple[Attested, ...]
) -> tuple[bytes, ...]:
    body = b"".join([frame.write_fields() for frame in frames])
    return room, key.position.hash, digest(LABEL_KEY, key.key), kid.pack(), body


Name = tuple[int, int, int]
"""A frame: stream, generation (0 for pictures), counter."""


def _counts_packets(stream: int) -> bool:
    """Whether what is signed of a stream are its packets, as of voice and other sound."""
    return stream == VOICE or pictures_of(stream) is not None


class Signer:
    """Our own frames of one stream."""

    def __init__(
        self, room: bytes, member: Member, identity: Identity, stream: int = VOICE
    ) -> None:
        self._room = room
        self._member = member
        self._identity = identity
        self._stream = stream
        self._frames: list[Attested] = []
        self._key: SenderKey | None = None
        self._next = float("inf")

    def sealed(self, key: SenderKey, ctr: int, datagram: bytes, now: float) -> list[Attest]:
        """Remember one frame of sound; attestations that became full come out."""
        return self.made(key, Attested(ctr, frame_digest(datagram)), now)

    def made(self, key: SenderKey, frame: Attested, now: float) -> list[Attest]:
        """Remember one frame; attestations that became full come out."""
        ready = []
        if self._frames and self._key is not key:
            ready.append(self._sign())
        if not self._frames:
            self._next = now + INTERVAL
        self._key = key
        self._frames.append(frame)
        if len(self._frames) == MAX_ATTESTED:
            ready.append(self._sign())
        return ready

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        return self._next if self._frames else None

    def handle_timer(self, now: float) -> list[Attest]:
        """The attestation that is due."""
        return [self._sign()] if self._frames and now >= self._next else []

    def finish(self) -> list[Attest]:
        """The attestation of what is not signed yet: the stream is over."""
        return [self._sign()] if self._frames else []

    def _sign(self) -> Attest:
        assert self._key is not None
        frames, self._frames = tuple(self._frames), []
        kid = Kid(self._key.generation, self._member, self._stream)
        parts = _parts(self._room, self._key, kid, frames)
        signature = self._identity.sign(LABEL_ATTEST, *parts)
        return Attest(self._key.generation, self._stream, frames, signature)


class Witness:
    """The frames of one other member."""

    def __init__(self, room: bytes, member: Member, sign: bytes) -> None:
        self._room = room
        self._member = member
        self._sign = sign
        self._unsigned: OrderedDict[Name, tuple[float, bytes, int]] = OrderedDict()
        self._signed: OrderedDict[Name, bytes] = OrderedDict()
        self._crowded_out: set[tuple[int, int]] = set()
        """(stream, generation) of frames that others left no place to wait."""
        self._looked = float("-inf")
        self._ran = 0.0
        """Seconds that count so far."""

    def _clock(self, now: float) -> float:
        """Time in which we ran; a look that comes late says that we did not."""
        self._ran += min(max(0.0, now - self._looked), LONGEST_LOOK)
        self._looked = now
        return self._ran

    def heard(self, opened: Opened, now: float) -> None:
        """A frame of voice, or of other sound, was opened under this member's key."""
        seen = frame_digest(opened.datagram)
        self._take((opened.stream, opened.generation, opened.ctr), seen, opened.generation, now)

    def seen(self, stream: int, number: int, digest: bytes, generation: int, now: float) -> None:
        """A frame of pictures is whole; its number is unique in all generations."""
        self._take((stream, 0, number), digest, generation, now)

    def _take(self, frame: Name, seen: bytes, generation: int, now: float) -> None:
        since = self._clock(now)
        if self._signed.pop(frame, None) == seen:
            return
        self._unsigned[frame] = (since, seen, generation)
        if len(self._unsigned) > MAX_UNSIGNED:
            (stream, *_), (_, _, generation) = self._unsigned.popitem(last=False)
            self._crowded_out.add((stream, generation))

    def receive(self, attest: Attest, key: SenderKey) -> bool:
        """Strike off what the member signed; False if a signed frame differs from ours."""
        kid = Kid(attest.generation, self._member, attest.stream)
        parts = _parts(self._room, key, kid, attest.frames)
        if not verify(self._sign, attest.signature, LABEL_ATTEST, *parts):
            raise RemoteProtocolError("an attestation with a wrong signature")
        honest = True
        for frame in attest.frames:
            packets = _counts_packets(attest.stream)
            name = attest.stream, attest.generation if packets else 0, frame.counter
            seen = self._unsigned.pop(name, None)
            if seen is None:
                self._signed[name] = frame.digest
            elif seen[1] != frame.digest:
                honest = False
        while len(self._signed) > MAX_UNSIGNED:
            self._signed.popitem(last=False)
        return honest

    def overdue(self, now: float) -> set[tuple[int, int]]:
        """(stream, generation) of frames that nobody signed in time; each frame counts once.

        So do those that a flood has crowded out: it would hide itself else.
        """
        found, self._crowded_out = self._crowded_out, set()
        ran = self._clock(now)
        while self._unsigned:
            frame, (since, _, generation) = next(iter(self._unsigned.items()))
            if ran - since < PATIENCE:
                break
            del self._unsigned[frame]
            found.add((frame[0], generation))
        return found

    def forget(self, stream: int) -> None:
        """We asked for this stream no longer: nobody signs its last frames for us."""
        for frame in [one for one in self._unsigned if one[0] == stream]:
            del self._unsigned[frame]
        self._crowded_out = {one for one in self._crowded_out if one[0] != stream}

    def clear(self) -> None:
        """Forget what waits (the reliable plane was away, so nothing could be signed)."""
        self._unsigned.clear()
        self._crowded_out.clear()

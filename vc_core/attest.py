"""Who spoke: signatures under voice, so that no member can pose as another.

Media keys are shared by the group, so any member could seal a packet in another
one's name. On a direct path the packet's road betrays that; in general each
sender signs, twice a second and on the reliable plane, which frames were its
own: for each the CTR and the first 12 bytes of BLAKE2s over the sealed bytes.
Frames that nobody signs within 2 s are shown as forged by a member of the room;
the one they name is not muted for them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member
from vc_core.keys import Identity, digest, verify
from vc_core.messages import MAX_ATTESTED, Attest, Attested, SenderKey
from vc_core.packet import Kid
from vc_core.senderkeys import VOICE, Opened

# Specification
INTERVAL = 0.5  # s between attestations
PATIENCE = 2.0  # s until a frame without one counts as forged
LABEL_ATTEST = "vchat-1 attest"
LABEL_KEY = "vchat-1 sender key"

# Implementation
MAX_UNSIGNED = 512  # frames that wait for a signature, of one member


def frame_digest(datagram: bytes) -> bytes:
    """12 bytes that stand for a sealed frame."""
    return hashlib.blake2s(datagram, digest_size=12).digest()


def _parts(
    room: bytes, key: SenderKey, member: Member, frames: tuple[Attested, ...]
) -> tuple[bytes, ...]:
    kid = Kid(key.generation, member, VOICE)
    body = b"".join(frame.write_fields() for frame in frames)
    return room, key.position.hash, digest(LABEL_KEY, key.key), kid.pack(), body


class Signer:
    """Our own frames."""

    def __init__(self, room: bytes, member: Member, identity: Identity) -> None:
        self._room = room
        self._member = member
        self._identity = identity
        self._frames: list[Attested] = []
        self._key: SenderKey | None = None
        self._next = float("inf")

    def sealed(self, key: SenderKey, ctr: int, datagram: bytes, now: float) -> list[Attest]:
        """Remember one frame; attestations that became full come out."""
        ready = []
        if self._frames and self._key != key:
            ready.append(self._sign())
        if not self._frames:
            self._next = now + INTERVAL
        self._key = key
        self._frames.append(Attested(ctr, frame_digest(datagram)))
        if len(self._frames) == MAX_ATTESTED:
            ready.append(self._sign())
        return ready

    def next_timer(self) -> float | None:
        """When ``handle_timer`` wants to run."""
        return self._next if self._frames else None

    def handle_timer(self, now: float) -> list[Attest]:
        """The attestation that is due."""
        return [self._sign()] if self._frames and now >= self._next else []

    def _sign(self) -> Attest:
        assert self._key is not None
        frames, self._frames = tuple(self._frames), []
        parts = _parts(self._room, self._key, self._member, frames)
        signature = self._identity.sign(LABEL_ATTEST, *parts)
        return Attest(self._key.generation, VOICE, frames, signature)


class Witness:
    """The frames of one other member."""

    def __init__(self, room: bytes, member: Member, sign: bytes) -> None:
        self._room = room
        self._member = member
        self._sign = sign
        self._unsigned: OrderedDict[tuple[int, int], tuple[float, bytes]] = OrderedDict()
        self._signed: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def heard(self, opened: Opened, now: float) -> None:
        """A frame was opened under this member's key."""
        frame = opened.generation, opened.ctr
        seen = frame_digest(opened.datagram)
        if self._signed.pop(frame, None) == seen:
            return
        self._unsigned[frame] = (now, seen)
        if len(self._unsigned) > MAX_UNSIGNED:
            self._unsigned.popitem(last=False)

    def receive(self, attest: Attest, key: SenderKey) -> bool:
        """Strike off what the member signed; False if a signed frame differs from ours."""
        parts = _parts(self._room, key, self._member, attest.frames)
        if attest.stream != VOICE or not verify(self._sign, attest.signature, LABEL_ATTEST, *parts):
            raise RemoteProtocolError("an attestation with a wrong signature")
        honest = True
        for frame in attest.frames:
            name = attest.generation, frame.counter
            seen = self._unsigned.pop(name, None)
            if seen is None:
                self._signed[name] = frame.digest
            elif seen[1] != frame.digest:
                honest = False
        while len(self._signed) > MAX_UNSIGNED:
            self._signed.popitem(last=False)
        return honest

    def overdue(self, now: float) -> set[int]:
        """Generations of frames that nobody signed in time; each frame counts once."""
        generations = set()
        while self._unsigned:
            frame, (since, _) = next(iter(self._unsigned.items()))
            if now - since < PATIENCE:
                break
            del self._unsigned[frame]
            generations.add(frame[0])
        return generations

    def clear(self) -> None:
        """Forget what waits (the reliable plane was away, so nothing could be signed)."""
        self._unsigned.clear()

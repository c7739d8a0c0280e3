"""One sound on its way in: jitter buffer -> opus -> samples of any count.

A member's voice, or the stereo track that comes with pictures. It is pulled by the
speaker's clock; what is missing is restored, or made up.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from audio.codec import Decoder, carries_fec
from audio.jitter import Jitter, Kind, Slot, Stretch
from audio.pcm import BLOCK, FRAME, RATE, Frame, Samples, fade_in, fade_out, filled, joined, silence
from audio.stretch import lengthen, shorten
from vc_core.errors import RemoteProtocolError
from vc_core.record import record

# Implementation
JOINT = 240  # samples: 5 ms from what was made up to what was said


class VoiceDecoder(Protocol):
    """What a receiver needs of a decoder; bad bytes raise ``RemoteProtocolError``."""

    def decode(self, payload: bytes) -> Frame:
        """The frame of a packet."""

    def decode_fec(self, next_payload: bytes) -> Frame:
        """The frame before that of a packet."""

    def conceal(self) -> Frame:
        """A made-up frame."""

    def keep(self) -> None:
        """Remember what it has heard."""

    def back(self) -> None:
        """Forget all since then."""


@record(slots=True)
class VoiceStats:
    """What arrived of one member's voice since the report before."""

    playout_ms: float
    """Mean delay added by the jitter buffer."""
    concealed: float
    """Share of the frames played that were made up, 0 to 1."""
    repaired: float
    """Share restored from redundancy, 0 to 1."""
    frames: int
    """Frames played."""
    jitter_ms: float
    """Interarrival jitter (RFC 3550), as of now."""
    loss: float
    """Estimated share of packets that never came, as of now, 0 to 1."""


class _Tally:
    """Counts since the last report."""

    def __init__(self) -> None:
        self.played = self.concealed = self.repaired = 0
        self.waited = 0.0

    @property
    def frames(self) -> int:
        return self.played + self.concealed + self.repaired

    def share(self, count: int) -> float:
        return count / self.frames if self.frames else 0.0


class VoiceReceiver:
    """The voice of one member on its way in."""

    def __init__(self, decoder: VoiceDecoder | None = None) -> None:
        """``OpusMissing`` when there is no decoder and no library to make one."""
        self.talking = False
        self.concealed = 0
        """Frames made up since the beginning."""
        self.repaired = 0
        """Frames restored from in-band FEC."""
        self.stretched = 0
        """Frames whose time was made longer or shorter."""
        self._decoder: VoiceDecoder = Decoder() if decoder is None else decoder
        self._jitter = Jitter()
        self._guess: Samples = silence(0)
        """What is left of the frame that was made up last."""
        self._joint: Samples = silence(0)
        """What would go on where something else begins."""
        self._waiting = False
        """Whether the decoder was kept, and has not gone back."""
        self._held: Samples = silence(0)
        self._tally = _Tally()
        self._playout = 0.0

    @property
    def at_rest(self) -> bool:
        """Whether there is silence until the next packet."""
        return not self.talking and self._jitter.at_rest

    def hold(self, seconds: float) -> None:
        """Wait so much longer than the network asks for."""
        self._jitter.hold = seconds

    @property
    def playing(self) -> tuple[int, float] | None:
        """A timestamp, and the seconds until it is pulled; None while there is silence."""
        timestamp = self._jitter.next
        return (timestamp, len(self._held) / RATE) if timestamp is not None else None

    def receive(self, timestamp: int, payload: bytes, last: bool, now: float) -> None:
        """Take an opened packet that arrived ``now``; whatever it holds, nothing is raised."""
        self._jitter.put(timestamp, payload, last, now)

    def pull(self, now: float, count: int = BLOCK) -> Samples | None:
        """The next ``count`` samples to play, or None for silence."""
        while len(self._held) < count:
            slot = self._jitter.get(now, len(self._held), count)
            if slot.kind is Kind.SILENCE:
                return self._drain(count)
            self.talking = True
            samples = self._samples(slot)
            self._held = np.concatenate((self._held, samples)) if len(self._held) else samples
        block, self._held = self._held[:count], self._held[count:]
        return block

    def stats(self) -> VoiceStats:
        """What happened since this was last asked."""
        tally, self._tally = self._tally, _Tally()
        if tally.played:
            self._playout = tally.waited / tally.played
        return VoiceStats(
            playout_ms=self._playout * 1000,
            concealed=tally.share(tally.concealed),
            repaired=tally.share(tally.repaired),
            frames=tally.frames,
            jitter_ms=self._jitter.jitter * 1000,
            loss=self._jitter.loss,
        )

    def _drain(self, count: int) -> Samples | None:
        """What is left at the end of a talk spurt, then nothing."""
        left, self._held = self._held, silence(0)
        self.talking = len(left) > 0
        return filled(left, count) if len(left) else None

    def _samples(self, slot: Slot) -> Samples:
        """The frame of a slot, or a part of it, longer or shorter if the slot says so."""
        if slot.kind is Kind.CONCEAL:
            samples = self._conceal(slot)
            return fade_out(samples) if slot.last else samples
        frame = self._decoded(slot)
        if slot.first:
            frame = fade_in(frame)
        if slot.stretch is Stretch.NONE:
            return frame
        samples = lengthen(frame) if slot.stretch is Stretch.LONGER else shorten(frame, slot.most)
        self.stretched += len(samples) != FRAME
        return samples

    def _decoded(self, slot: Slot) -> Samples:
        if slot.back and self._waiting:
            self._waiting = False
            self._joint = self._guess if len(self._guess) else self._decoder.conceal()
            self._decoder.back()
        samples = self._decode(slot)[slot.skip :]
        if len(self._joint) and len(samples):
            samples, self._joint = joined(self._joint[:JOINT], samples), self._joint[:0]
        return samples

    def _decode(self, slot: Slot) -> Frame:
        try:
            if slot.kind is Kind.PLAY:
                return self._play(slot)
            if carries_fec(slot.payload):
                return self._restore(slot)
        except RemoteProtocolError:
            pass  # not Opus: as good as lost
        return self._make_up()

    def _play(self, slot: Slot) -> Frame:
        frame = self._decoder.decode(slot.payload)
        self._tally.played += 1
        self._tally.waited += slot.waited + len(self._held) / RATE
        return frame

    def _restore(self, slot: Slot) -> Frame:
        frame = self._decoder.decode_fec(slot.payload)
        self._tally.repaired += 1
        self.repaired += 1
        return frame

    def _conceal(self, slot: Slot) -> Samples:
        """The next samples of a frame that is made up."""
        if slot.keep:
            self._waiting = True
            self._decoder.keep()
        if not slot.skip:
            self._guess = self._make_up()
        samples, self._guess = self._guess[: slot.length], self._guess[slot.length :]
        return samples

    def _make_up(self) -> Frame:
        self._tally.concealed += 1
        self.concealed += 1
        return self._decoder.conceal()

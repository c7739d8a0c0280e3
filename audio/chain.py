"""The way of a voice, written out once.

    microphone -> gate -> opus -> (sealed, sent)
    (opened) -> jitter buffer -> opus -> mixer -> speaker

``VoiceSender`` is one's own voice, ``VoiceReceiver`` that of one other member,
``Listening`` all others at once. All run in the event loop's thread; ``now`` is
in monotonic seconds. Timestamps count the talker's samples, silence included,
as in RTP (RFC 3550, 5.1), so that silence is never taken for delay.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from audio.codec import Decoder, Encoder, carries_fec
from audio.gate import Gate, Verdict
from audio.jitter import Jitter, Kind, Slot, Stretch
from audio.mixer import Mixer, gain_of
from audio.pcm import (
    BLOCK,
    FRAME,
    RATE,
    Frame,
    Framer,
    Samples,
    fade_in,
    fade_out,
    filled,
    silence,
)
from audio.stretch import lengthen, shorten
from audio.tracks import Tracks
from vc_core.errors import RemoteProtocolError

# Implementation
_WRAP = 1 << 32  # timestamps are u32


@dataclass(frozen=True, slots=True)
class VoicePacket:
    """20 ms of one's own voice, ready to be sealed."""

    timestamp: int
    """u32: first sample of the frame on the talker's clock."""
    payload: bytes
    """Opus; always the same number of bytes."""
    last: bool
    """Silence follows; what is missing after this packet is not lost."""


class VoiceEncoder(Protocol):
    """What a sender needs of an encoder."""

    def encode(self, frame: Frame) -> bytes:
        """The packet of a frame."""

    def set_loss(self, share: float) -> None:
        """The share of packets that listeners lose."""


class VoiceDecoder(Protocol):
    """What a receiver needs of a decoder; bad bytes raise ``RemoteProtocolError``."""

    def decode(self, payload: bytes) -> Frame:
        """The frame of a packet."""

    def decode_fec(self, next_payload: bytes) -> Frame:
        """The frame before that of a packet."""

    def conceal(self) -> Frame:
        """A made-up frame."""


class VoiceSender:
    """One's own voice on its way out."""

    def __init__(
        self, encoder: VoiceEncoder | None = None, rng: Callable[[int], bytes] = os.urandom
    ) -> None:
        """``OpusMissing`` when there is no encoder and no library to make one."""
        self.muted = False
        self.talking = False
        self._encoder: VoiceEncoder = Encoder() if encoder is None else encoder
        self._gate = Gate()
        self._timestamp = int.from_bytes(rng(4), "big")

    def push(self, frame: Frame) -> list[VoicePacket]:
        """Take the microphone's next frame; the packets to send, none or one."""
        timestamp = self._timestamp
        self._timestamp = (timestamp + FRAME) % _WRAP
        if self.muted:
            return self._fall_silent(timestamp)
        verdict = self._gate.judge(frame)
        self.talking = verdict is Verdict.TALKING
        if verdict is Verdict.SILENT:
            return []
        last = verdict is Verdict.LAST
        return [VoicePacket(timestamp, self._encoder.encode(frame), last)]

    def _fall_silent(self, timestamp: int) -> list[VoicePacket]:
        """Muted: nothing of the microphone is sent, but an open talk spurt is ended."""
        if not self._gate.close():
            return []
        self.talking = False
        return [VoicePacket(timestamp, self._encoder.encode(silence()), last=True)]

    def mute(self, on: bool) -> None:
        """Send nothing from the next frame on, or send again."""
        self.muted = on
        if on:
            self.talking = False

    def set_loss(self, share: float) -> None:
        """The share of packets that listeners lose (0 to 1): decides about FEC."""
        self._encoder.set_loss(share)


@dataclass(frozen=True, slots=True)
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
        self.frames = 0
        """Frames played since the beginning."""
        self.concealed = 0
        """Of these, made up."""
        self.repaired = 0
        """Of these, restored from in-band FEC."""
        self.stretched = 0
        """Frames whose time was made longer or shorter."""
        self._decoder: VoiceDecoder = Decoder() if decoder is None else decoder
        self._jitter = Jitter()
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

    def stats(self, now: float) -> VoiceStats:
        """What happened since this was last asked."""
        del now  # part of the contract: rates may need it
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
        """The frame of a slot, longer or shorter if the slot says so."""
        frame = self._decoded(slot)
        self.frames += 1
        if slot.first:
            frame = fade_in(frame)
        if slot.last and slot.kind is Kind.CONCEAL:
            frame = fade_out(frame)
        if slot.stretch is Stretch.NONE:
            return frame
        samples = lengthen(frame) if slot.stretch is Stretch.LONGER else shorten(frame, slot.most)
        self.stretched += len(samples) != FRAME
        return samples

    def _decoded(self, slot: Slot) -> Frame:
        try:
            if slot.kind is Kind.PLAY:
                return self._play(slot)
            if slot.kind is Kind.RESTORE and carries_fec(slot.payload):
                return self._restore(slot)
        except RemoteProtocolError:
            return self._conceal()  # not Opus: as good as lost
        return self._conceal()

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

    def _conceal(self) -> Frame:
        self._tally.concealed += 1
        self.concealed += 1
        return self._decoder.conceal()


class Listening:
    """All other members: their voices in, what the speaker plays out."""

    def __init__(
        self,
        on_talking: Callable[[int, bool], None] | None = None,
        on_member_frame: Callable[[int, Frame], None] | None = None,
        make_receiver: Callable[[], VoiceReceiver] = VoiceReceiver,
        make_track: Callable[[], VoiceReceiver] = lambda: VoiceReceiver(Decoder(channels=2)),
    ) -> None:
        """``on_talking(member, on)`` on each change; ``on_member_frame(member, frame)``
        for each 20 ms of every member, silence included (for recording)."""
        self.on_talking = on_talking
        self.on_member_frame = on_member_frame
        self.deafened = False
        self.tracks = Tracks(make_track)
        """The sound that comes with pictures."""
        self.receivers: dict[int, VoiceReceiver] = {}
        self._gains: dict[int, float] = {}
        self._framers: dict[int, Framer] = {}
        self._talking: set[int] = set()
        self._mixer = Mixer()
        self._make_receiver = make_receiver

    def receive(self, member: int, timestamp: int, payload: bytes, last: bool, now: float) -> None:
        """Take an opened packet of ``member``; nothing in it can raise."""
        receiver = self.receivers.get(member)
        if receiver is None:
            receiver = self.receivers[member] = self._make_receiver()
        receiver.receive(timestamp, payload, last, now)

    @property
    def silent(self) -> bool:
        """Whether nobody needs a pull until the next packet comes."""
        resting = self.tracks.at_rest and all(one.at_rest for one in self.receivers.values())
        return self.on_member_frame is None and resting

    def pull(self, now: float, count: int = BLOCK) -> Samples:
        """The next ``count`` samples of everybody together; stereo while a track plays."""
        voices = [(member, one.pull(now, count)) for member, one in self.receivers.items()]
        if any(one.talking != (member in self._talking) for member, one in self.receivers.items()):
            self._note_talking()
        if self.on_member_frame is not None:
            self._show_frames(self.on_member_frame, voices, count)
        tracks = self.tracks.pull(now, count)
        if self.deafened:
            return self._mixer.mix((), count)
        heard = [(one, self._gains.get(who, 1.0)) for who, one in voices if one is not None]
        heard += [(one, self._gains.get(who, 1.0) * gain) for who, one, gain in tracks]
        return self._mixer.mix(heard, count)

    def _show_frames(
        self,
        show: Callable[[int, Frame], None],
        voices: list[tuple[int, Samples | None]],
        count: int,
    ) -> None:
        for member, samples in voices:
            framer = self._framers.setdefault(member, Framer())
            for frame in framer.push(silence(count) if samples is None else samples):
                show(member, frame)

    def _note_talking(self) -> None:
        talking = {member for member, one in self.receivers.items() if one.talking}
        changed, self._talking = talking ^ self._talking, talking
        if self.on_talking is not None:
            for member in sorted(changed):
                self.on_talking(member, member in talking)

    def volume(self, member: int, percent: float) -> None:
        """How loud a member is for oneself: 0 to 400 percent."""
        self._gains[member] = gain_of(percent)

    def deafen(self, on: bool) -> None:
        """Hear nobody, or everybody again; talking marks and recording go on."""
        self.deafened = on

    def forget(self, member: int) -> None:
        """The member has left."""
        self.receivers.pop(member, None)
        self._gains.pop(member, None)
        self._framers.pop(member, None)
        self.tracks.forget(member)
        self._note_talking()

    def stats(self, now: float) -> dict[int, VoiceStats]:
        """By member: what happened since this was last asked."""
        return {member: one.stats(now) for member, one in self.receivers.items()}

"""The way of a voice, written out once.

    microphone -> gate -> opus -> (sealed, sent)
    (opened) -> jitter buffer -> opus -> mixer -> speaker

``VoiceSender`` is one's own voice, ``Listening`` all others at once, with a
``VoiceReceiver`` (``audio.receiver``) for each. All run in the event loop's thread;
``now`` is in monotonic seconds. Timestamps count the talker's samples, silence included,
as in RTP (RFC 3550, 5.1), so that silence is never taken for delay.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from audio.codec import Decoder, Encoder
from audio.gate import Gate, Verdict
from audio.mixer import Mixer, gain_of
from audio.pcm import (
    BLOCK,
    FRAME,
    Frame,
    Framer,
    Samples,
    silence,
)
from audio.receiver import VoiceReceiver, VoiceStats
from audio.tracks import Tracks
from vc_core.record import record

# Implementation
_WRAP = 1 << 32  # timestamps are u32


@record(slots=True)
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

    def silent(self) -> bool:
        """Whether nobody needs a pull until the next packet comes."""
        if self.on_member_frame is not None:
            return False
        for one in self.receivers.values():
            if not one.at_rest:
                return False
        return self.tracks.at_rest

    def pull(self, now: float, count: int = BLOCK) -> Samples:
        """The next ``count`` samples of everybody together; stereo while a track plays."""
        voices, changed = [], False
        for member, one in self.receivers.items():
            voices.append((member, one.pull(now, count)))
            changed = changed or one.talking is not (member in self._talking)
        if changed:
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

    def stats(self) -> dict[int, VoiceStats]:
        """By member: what happened since this was last asked."""
        return {member: one.stats() for member, one in self.receivers.items()}

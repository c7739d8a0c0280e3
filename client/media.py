"""Sound: the microphone's way into the session and the members' way to the speaker.

Voice travels as kind 1, the last packet of a talk spurt as kind 2.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from audio.chain import Listening, VoicePacket, VoiceSender
from audio.microphone import Microphone, open_microphone
from audio.pcm import Frame, Samples, silence
from audio.receiver import VoiceStats
from audio.record import Recorder
from audio.speaker import Speaker, open_speaker
from vc_core.packet import Media
from vc_core.senderkeys import Opened

# Specification
VOICE, LAST_VOICE = 1, 2  # kinds of sealed media


class Sound:
    """One's own voice out, everybody's voice in."""

    def __init__(
        self,
        speak: Callable[[int, int, bytes], None],
        on_talking: Callable[[int, bool], None],
        on_own_talking: Callable[[bool], None],
        name_of: Callable[[int], str],
        record: Path | None = None,
        on_unwritten: Callable[[str], None] | None = None,
    ) -> None:
        """``on_unwritten`` hears why ``record``, or the speaker's file, cannot be written."""
        self._speak = speak
        self.name_of = name_of
        self._on_own_talking = on_own_talking
        self._on_unwritten = on_unwritten
        self._sender = VoiceSender()
        self._recorder = Recorder(record, name_of, on_unwritten) if record is not None else None
        self.on_member_frame: Callable[[int, Frame], None] | None = None
        """Every member's 20 ms at every beat, silence included, for bots."""
        self.listening = Listening(on_talking=on_talking, on_member_frame=None)
        if self._recorder is not None:
            self.listening.tracks.on_frame = self._recorder.on_track_frame
        self._arm_frames()
        self.microphone = Microphone()
        self.speaker: Speaker | None = None
        self._muted = False
        self._push_to_talk: bool | None = None
        """None: open microphone; else whether the key is down."""
        self._talking = False

    def _arm_frames(self) -> None:
        wanted = self._recorder is not None or self.on_member_frame is not None
        self.listening.on_member_frame = self._member_frame if wanted else None

    def _member_frame(self, member: int, frame: Frame) -> None:
        if self._recorder is not None:
            self._recorder.on_member_frame(member, frame)
        if self.on_member_frame is not None:
            self.on_member_frame(member, frame)

    def hook(self, on_member_frame: Callable[[int, Frame], None]) -> None:
        """Give every member's frames to a program."""
        self.on_member_frame = on_member_frame
        self._arm_frames()
        if self.speaker is not None:
            self.speaker.wake()

    async def open_speaker(self, spec: str) -> None:
        """``AudioUnavailable`` if it cannot be had."""
        self.speaker = await open_speaker(spec, self._pull, silent=self.listening.silent)
        self.speaker.on_failure = self._on_unwritten

    async def open_microphone(self, spec: str) -> None:
        """``AudioUnavailable`` if it cannot be had."""
        self.microphone = await open_microphone(spec, self._captured)

    def _pull(self, count: int) -> Samples:
        return self.listening.pull(time.monotonic(), count)

    def _captured(self, frame: Frame, _captured_at: float) -> None:
        self.push(frame)

    def push(self, frame: Frame) -> None:
        """20 ms of one's own voice (48 kHz mono float32)."""
        for packet in self._sender.push(frame):
            self._send(packet)
        if self._sender.talking is not self._talking:
            self._talking = self._sender.talking
            self._on_own_talking(self._talking)

    def break_off(self) -> None:
        """The microphone brings nothing more: what was being said has ended."""
        self._sender.mute(True)
        self.push(silence())
        self._sender.mute(self.muted)

    def _send(self, packet: VoicePacket) -> None:
        self._speak(LAST_VOICE if packet.last else VOICE, packet.timestamp, packet.payload)

    def receive(self, opened: Opened) -> None:
        """A member's packet that was opened."""
        media = opened.media
        if media.kind in (VOICE, LAST_VOICE):
            last = media.kind == LAST_VOICE
            self.listening.receive(
                opened.member, media.timestamp, media.payload, last, time.monotonic()
            )
            if self.speaker is not None:
                self.speaker.wake()

    def receive_track(self, name: tuple[int, int], media: Media) -> None:
        """20 ms of the sound of a member's stream."""
        now = time.monotonic()
        self.listening.tracks.receive(name, media.timestamp, media.payload, now)
        if self.speaker is not None:
            self.speaker.wake()

    # Verbs

    @property
    def muted(self) -> bool:
        """Whether nothing of the microphone is sent."""
        return self._muted or self._push_to_talk is False

    def mute(self, on: bool) -> bool:
        """Send nothing, or send again; whether that changed what the others see."""
        before, self._muted = self.muted, on
        self._sender.mute(self.muted)
        return before is not self.muted

    def push_to_talk(self, on: bool) -> bool:
        """The key is down or up; from the first use on, up means muted."""
        before, self._push_to_talk = self.muted, on
        if on:
            self._muted = False
        self._sender.mute(self.muted)
        return before is not self.muted

    def forget(self, member: int) -> None:
        """A member has left."""
        self.listening.forget(member)
        if self._recorder is not None:
            self._recorder.forget(member)

    def set_loss(self, share: float) -> None:
        """What listeners lose, as the paths measure it."""
        self._sender.set_loss(share)

    def stats(self) -> dict[int, VoiceStats]:
        """By member, since this was last asked."""
        return self.listening.stats()

    def close(self) -> None:
        """Let go of devices and files."""
        self.microphone.close()
        if self.speaker is not None:
            self.speaker.close()
        if self._recorder is not None:
            self._recorder.close()

"""The one error of microphones and speakers: what was asked for cannot be had."""

from __future__ import annotations

from vc_core.errors import VchatError


class AudioUnavailable(VchatError):
    """An unknown device, an unreadable file, a SPEC that means nothing."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        """``code`` is a word that never changes; ``message`` and ``hint`` are for people."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def malformed(spec: str, kinds: str) -> AudioUnavailable:
    """The error for a SPEC that means nothing."""
    return AudioUnavailable("audio-spec", f"'{spec}' names no sound device", f"use {kinds}")

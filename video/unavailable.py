"""The one error of screens, cameras and encoders: what was asked for cannot be had."""

from __future__ import annotations

from vc_core.errors import VchatError


class PictureUnavailable(VchatError):
    """An unknown screen, an unreadable file, a SPEC that means nothing."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        """``code`` is a word that never changes; ``message`` and ``hint`` are for people."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

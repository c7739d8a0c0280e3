"""The one error that ends the program with a sentence instead of a traceback."""

from __future__ import annotations

from vc_core.errors import Ending, VchatError


class Refused(VchatError):
    """What was asked for cannot be done."""

    def __init__(self, code: str, message: str, hint: str = "", ending: Ending = Ending.FAILED):
        super().__init__(message)
        self.code = code
        """The word in the ``error`` event; it never changes."""
        self.message = message
        """For people: lower case, no full stop."""
        self.hint = hint
        """What can be done about it, or empty."""
        self.ending = ending
        """What ``ended`` and the exit code say."""

"""Two blames, and the one table of all the ways in which a conversation ends.

Rule 1: a ``LocalProtocolError`` is our own bug and is loud.
Rule 2: bytes from the network raise ``RemoteProtocolError`` and nothing else;
        it ends that peer's conversation or drops the datagram.
Rule 3: an ``Ending`` is a name and a number; the sentence that a person reads
        stands in ``client.words``.
"""

from __future__ import annotations

import errno
from enum import Enum


class VchatError(Exception):
    """The root of everything that vchat raises on purpose."""


class LocalProtocolError(VchatError):
    """This program asked for something that the protocol does not allow now."""


class RemoteProtocolError(VchatError):
    """The other side sent bytes that the protocol does not allow."""


class CannotListenError(VchatError):
    """A daemon cannot start where it was told to; ``hint`` may be empty."""

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.hint = hint

    @classmethod
    def at(cls, host: str, port: int, error: OSError) -> CannotListenError:
        """What the system said when a socket was to be bound."""
        if error.errno == errno.EADDRINUSE:
            hint = "another program listens there; give another HOST:PORT, port 0 for any"
            return cls(f"port {port} of {host} is in use", hint)
        if error.errno == errno.EACCES:
            return cls(f"not allowed to listen on port {port}", "take one above 1023")
        return cls(f"cannot listen on {host} port {port}: {reason(error)}")


class Ending(Enum):
    """Why a process ends: (word of the JSON interface, exit code)."""

    LEFT = ("left", 0)
    HOST_LEFT = ("host-left", 0)
    FAILED = ("failed", 1)
    KICKED = ("kicked", 1)
    ROOM_FORKED = ("room-forked", 6)
    ROOM_MOVED = ("room-moved", 3)
    USAGE = ("usage", 2)
    CODE_MALFORMED = ("code-malformed", 3)
    CODE_WRONG = ("code-wrong", 3)
    CODE_EXPIRED = ("code-expired", 3)
    CODE_USED = ("code-used", 3)
    CODE_WITHDRAWN = ("code-withdrawn", 3)
    ROOM_FULL = ("room-full", 3)
    ROOM_LOCKED = ("room-locked", 3)
    BANNED = ("banned", 3)
    TOO_MANY_TRIES = ("too-many-tries", 3)
    OTHER_VERSION = ("other-version", 1)
    NO_SIGNALING = ("no-signaling", 4)
    NO_ROAD = ("no-road", 5)
    HOST_LOST = ("host-lost", 5)
    NOT_THE_HOST = ("not-the-host", 6)
    VERIFICATION_FAILED = ("verification-failed", 6)
    LIBRARY_MISSING = ("library-missing", 7)
    INTERRUPTED = ("interrupted", 130)

    @property
    def word(self) -> str:
        """The word in the ``ended`` event; it never changes."""
        return self.value[0]

    @property
    def exit_code(self) -> int:
        """The exit code of the process (docs/interface.md)."""
        return self.value[1]


def reason(error: Exception) -> str:
    """What a system or a library says, in our manner: lower case, without its numbers."""
    word = getattr(error, "reason", None)  # of TLS, of text that cannot be decoded
    said = word.replace("_", " ") if isinstance(word, str) else getattr(error, "strerror", None)
    if "PEM lib" in str(error):  # all that OpenSSL says of a file that is something else
        return "no certificate with its key in PEM stands there"
    return str(said or error).lower()

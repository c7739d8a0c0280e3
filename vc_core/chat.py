"""Text between two members: in order, exactly once, acknowledged.

Each direction of a pair counts its texts from 1. What is not acknowledged is
sent again whenever a new control stream stands; the receiver takes a sequence
once and acknowledges all that it has. Texts wait here while a member is away.
"""

from __future__ import annotations

from collections import OrderedDict

from vc_core.clean import clean_text
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.messages import MAX_TEXT, Chat, ChatTaken

# Implementation
MAX_WAITING = 1024  # texts that wait for one member
MAX_WAITING_BYTES = 2 * 1024 * 1024


class TooMuchWaiting(LocalProtocolError):
    """A member has taken nothing for so long that no more can wait for it."""


def flaw(text: str) -> str:
    """Why a text may not be sent, in one sentence; empty if it may."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "a text is unicode, without halves of surrogate pairs"
    if not 0 < size <= MAX_TEXT:
        return "a text has 1 byte to 16 KiB"
    return "" if clean_text(text) else "nothing of this text could be shown"


class Conversation:
    """Both directions of text with one member."""

    def __init__(self) -> None:
        self._sequence = 0
        self._waiting: OrderedDict[int, Chat] = OrderedDict()
        self._waiting_bytes = 0
        self._next = 1
        self._taken = 0

    def say(self, id: bytes, text: str, *, private: bool) -> Chat:
        """The next text; raises ``TooMuchWaiting`` when nothing more can wait."""
        size = len(text.encode("utf-8", "replace"))
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise TooMuchWaiting("too many texts wait for this member")
        self._sequence += 1
        chat = Chat(self._sequence, id, private, text)
        self._waiting[self._sequence] = chat
        self._waiting_bytes += size
        return chat

    def unacknowledged(self) -> list[Chat]:
        """What is not known to have arrived, in order."""
        return list(self._waiting.values())

    def next_unsent(self) -> Chat | None:
        """The text to send next on this control stream, in order."""
        return self._waiting.get(self._next)

    def sent(self) -> None:
        """It was sent."""
        self._next += 1

    def rewind(self) -> None:
        """A new control stream: what is not acknowledged is sent again."""
        self._next = next(iter(self._waiting), self._sequence + 1)

    def acknowledged(self, taken: ChatTaken) -> list[bytes]:
        """The ids that are delivered now."""
        if taken.sequence > self._sequence:
            raise RemoteProtocolError("an acknowledgement for a text never sent")
        done = []
        while self._waiting and next(iter(self._waiting)) <= taken.sequence:
            _, chat = self._waiting.popitem(last=False)
            self._waiting_bytes -= len(chat.text.encode("utf-8", "replace"))
            done.append(chat.id)
        self._next = max(self._next, taken.sequence + 1)
        return done

    def receive(self, chat: Chat) -> tuple[bool, ChatTaken]:
        """Whether the text is new, and the acknowledgement to send."""
        if chat.sequence > self._taken + 1:
            raise RemoteProtocolError("a text is missing before this one")
        new = chat.sequence == self._taken + 1
        self._taken = max(self._taken, chat.sequence)
        return new, ChatTaken(self._taken)

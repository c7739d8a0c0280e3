"""Mailboxes: names of 32 bytes, and which connections hear what is sent to them.

A mailbox is there while somebody is attached to it. Its name is its only key.
"""

from __future__ import annotations

from collections.abc import Iterator

from signaling.customers import Connection
from signaling.limits import Limits


class Mailboxes:
    """All mailboxes that somebody is attached to."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._attached: dict[bytes, dict[int, Connection]] = {}
        self._attachments = 0

    def counts(self) -> tuple[int, int]:
        """How many mailboxes there are, and how many attachments to them."""
        return len(self._attached), self._attachments

    def attach(self, member: Connection, mailbox: bytes) -> bool:
        """Let ``member`` hear ``mailbox``; False when a cap is reached."""
        if mailbox in member.mailboxes:
            return True
        if not self._has_room(member, mailbox):
            return False
        self._attached.setdefault(mailbox, {})[member.number] = member
        member.mailboxes.add(mailbox)
        member.customer.attachments += 1
        self._attachments += 1
        return True

    def detach(self, member: Connection, mailbox: bytes) -> None:
        """Let ``member`` hear ``mailbox`` no longer, if it did."""
        if mailbox not in member.mailboxes:
            return
        attached = self._attached[mailbox]
        del attached[member.number]
        if not attached:
            del self._attached[mailbox]
        member.mailboxes.discard(mailbox)
        member.customer.attachments -= 1
        self._attachments -= 1

    def others(self, sender: Connection, mailbox: bytes) -> Iterator[Connection]:
        """Who hears what ``sender`` sends to ``mailbox``."""
        attached = self._attached.get(mailbox, {})
        return (member for member in attached.values() if member is not sender)

    def _has_room(self, member: Connection, mailbox: bytes) -> bool:
        limits = self._limits
        return (
            self._attachments < limits.attachments
            and len(member.mailboxes) < limits.attachments_per_connection
            and member.customer.attachments < limits.attachments_per_customer
            and len(self._attached.get(mailbox, ())) < limits.attachments_per_mailbox
        )

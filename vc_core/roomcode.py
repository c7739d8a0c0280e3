"""The room code: four words that show that all screens have the same roster.

For each roster every member draws a nonce and sends the others its commitment,
digest("vchat-1 commit", roster hash, own key, nonce). It reveals the nonce once
it holds every commitment. The code is made of the first 44 bits of
digest("vchat-1 room code", roster hash, nonces in the order of keys). Since
nobody can choose a nonce after having seen another's, a short code is enough.
"""

from __future__ import annotations

from vc_core.errors import RemoteProtocolError
from vc_core.ids import Member, Rng
from vc_core.keys import digest, same
from vc_core.messages import Commit, Reveal
from vc_core.wordlist import room_code_words

# Specification
LABEL_COMMIT = "vchat-1 commit"
LABEL_CODE = "vchat-1 room code"
PATIENCE = 5.0  # s until those who did not reveal are named


class RoomCode:
    """One round, for one roster."""

    def __init__(
        self, roster: bytes, own: Member, keys: dict[Member, bytes], rng: Rng, now: float
    ) -> None:
        """``keys`` are the Ed25519 keys of everybody present, oneself included."""
        self.roster = roster
        self.begun = now
        self._own = own
        self._keys = keys
        self._nonce = rng(32)
        own_commitment = digest(LABEL_COMMIT, roster, keys[own], self._nonce)
        self._commitments: dict[Member, bytes] = {own: own_commitment}
        self._nonces: dict[Member, bytes] = {own: self._nonce}
        self.words: tuple[str, ...] | None = None
        """The code, once everybody has revealed."""
        self.named: set[Member] = set()
        """Who was named because the round waits for them."""

    @property
    def commit(self) -> Commit:
        """What everybody gets first."""
        return Commit(self.roster, self._commitments[self._own])

    @property
    def reveal(self) -> Reveal | None:
        """What everybody gets once all commitments are here."""
        if len(self._commitments) < len(self._keys):
            return None
        return Reveal(self.roster, self._nonce)

    def committed(self, member: Member, commit: Commit) -> bool:
        """Take a commitment; True if it was the last one missing."""
        if commit.roster != self.roster or member not in self._keys:
            return False
        known = self._commitments.get(member)
        if known is not None:
            if known != commit.commitment:
                raise RemoteProtocolError("a second commitment")
            return False
        self._commitments[member] = commit.commitment
        return self.reveal is not None

    def revealed(self, member: Member, reveal: Reveal) -> tuple[str, ...] | None:
        """Take a nonce; the four words once all are here."""
        if reveal.roster != self.roster or member not in self._commitments:
            return None
        if member in self._nonces:
            return None
        expected = digest(LABEL_COMMIT, self.roster, self._keys[member], reveal.nonce)
        if not same(expected, self._commitments[member]):
            raise RemoteProtocolError("a nonce that was not committed to")
        self._nonces[member] = reveal.nonce
        if len(self._nonces) == len(self._keys):
            self.words = self._code()
        return self.words

    def _code(self) -> tuple[str, ...]:
        order = sorted(self._keys, key=lambda member: self._keys[member])
        nonces = (self._nonces[member] for member in order)
        return room_code_words(digest(LABEL_CODE, self.roster, *nonces))

    def missing(self) -> list[Member]:
        """For whom the round waits: nobody reveals before all have committed."""
        all_committed = self.reveal is not None
        given = self._nonces if all_committed else self._commitments
        return [member for member in self._keys if member not in given]

"""A stand-in for ML-KEM-768 whose chance is seeded, so that a schedule can be run again."""

from __future__ import annotations

import hashlib
import random
from typing import Any


class SeededKem:
    """Shaped like ML-KEM-768 and without its strength: enough for schedules."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def generate(self) -> tuple[bytes, object]:
        """A public key of 1 184 bytes and its secret."""
        secret = self._rng.randbytes(32)
        return hashlib.shake_256(b"public" + secret).digest(1184), secret

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """A shared secret and a ciphertext of 1 088 bytes."""
        fresh = self._rng.randbytes(32)
        pad = hashlib.shake_256(b"pad" + public).digest(32)
        hidden = bytes(a ^ b for a, b in zip(fresh, pad, strict=True))
        return fresh, hidden + bytes(1088 - 32)

    def decapsulate(self, secret: Any, ciphertext: bytes) -> bytes:
        """The shared secret."""
        public = hashlib.shake_256(b"public" + secret).digest(1184)
        pad = hashlib.shake_256(b"pad" + public).digest(32)
        return bytes(a ^ b for a, b in zip(ciphertext[:32], pad, strict=True))

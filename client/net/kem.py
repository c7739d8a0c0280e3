"""ML-KEM-768 (FIPS 203) as an edge: the library draws its own randomness."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
)

from vc_core.errors import LocalProtocolError, RemoteProtocolError

# Specification
PUBLIC_SIZE: Final = 1184  # bytes of an encapsulation key
CIPHERTEXT_SIZE: Final = 1088
SHARED_SIZE: Final = 32


class MlKem:
    """Key encapsulation: who holds a public key can send its owner 32 secret bytes."""

    def generate(self) -> tuple[bytes, object]:
        """A fresh pair: public key (1184 bytes) and an opaque secret for ``decapsulate``."""
        secret = MLKEM768PrivateKey.generate()
        return secret.public_key().public_bytes_raw(), secret

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Shared secret (32 bytes) and the ciphertext (1088 bytes) that carries it.

        ``RemoteProtocolError`` when ``public`` has another size or fails the
        modulus check of FIPS 203, 7.2.
        """
        if len(public) != PUBLIC_SIZE:
            raise RemoteProtocolError("an ML-KEM key of the wrong size")
        try:
            return MLKEM768PublicKey.from_public_bytes(public).encapsulate()
        except ValueError as error:
            raise RemoteProtocolError("an ML-KEM key that cannot be used") from error

    def decapsulate(self, secret: object, ciphertext: bytes) -> bytes:
        """The shared secret (32 bytes).

        A forged ciphertext of the right size gives an unrelated secret and no
        error (implicit rejection); the wrong size is a ``RemoteProtocolError``.
        """
        if not isinstance(secret, MLKEM768PrivateKey):
            raise LocalProtocolError("not a secret that generate() made")
        if len(ciphertext) != CIPHERTEXT_SIZE:
            raise RemoteProtocolError("an ML-KEM ciphertext of the wrong size")
        try:
            return secret.decapsulate(ciphertext)
        except ValueError as error:
            raise RemoteProtocolError("an ML-KEM ciphertext that cannot be used") from error

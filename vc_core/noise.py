"""Noise handshakes (noiseprotocol.org, revision 34) over X25519 and ChaCha20-Poly1305.

A pattern is data: which static keys are known before, and per message the
tokens in their order. ``Handshake`` walks its pattern one message at a time.
vchat uses XXpsk3 (joiner to host) and KKpsk2 (member to member) with BLAKE2s;
the other patterns and BLAKE2b are here because they cost nothing but their
rows and let the public vectors of others speak.

    message   = keys | sealed payload        at most 65 535 bytes
    keys      = e: 32 bytes | s: 32 bytes, sealed once a key is mixed (48)
    payload   = plain before the first key, then ciphertext | 16-byte tag
    nonce     = 4 zero bytes | u64 little-endian

Rule 1: messages alternate, beginning with the initiator; a call out of turn is
        a ``LocalProtocolError`` and changes nothing.
Rule 2: a message that cannot be read is a ``RemoteProtocolError`` and changes
        nothing either, so bytes that somebody slipped in do not spoil the
        exchange (as in WireGuard). The caller decides whether to go on.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import field, replace

from nacl import bindings, exceptions

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.keys import KEY_SIZE, KeyPair, x25519
from vc_core.record import record

# Specification
TAG_SIZE = 16  # bytes of a Poly1305 tag
MAX_MESSAGE = 65_535  # bytes of one Noise message (section 3)
HASHES = {"BLAKE2s": "blake2s", "BLAKE2b": "blake2b"}  # Noise's name: hashlib's

Payload = bytes | Callable[[bytes], bytes]
"""Bytes, or a function from the handshake hash so far to the bytes."""


@record
class Pattern:
    """One handshake (sections 7 and 9): what is known, what is sent."""

    initiator_known: bool
    """The responder knows the initiator's static key before (``-> s`` above the dots)."""
    responder_known: bool
    """The initiator knows the responder's static key before (``<- s``)."""
    messages: tuple[str, ...]
    """Tokens of each message; the first is the initiator's."""


PATTERNS = {
    "NN": Pattern(False, False, ("e", "e ee")),
    "NK": Pattern(False, True, ("e es", "e ee")),
    "KK": Pattern(True, True, ("e es ss", "e ee se")),
    "IK": Pattern(False, True, ("e es s ss", "e ee se")),
    "XX": Pattern(False, False, ("e", "e ee s es", "s se")),
    "NNpsk0": Pattern(False, False, ("psk e", "e ee")),
    "KKpsk0": Pattern(True, True, ("psk e es ss", "e ee se")),
    "KKpsk2": Pattern(True, True, ("e es ss", "e ee se psk")),
    "IKpsk2": Pattern(False, True, ("e es s ss", "e ee se psk")),
    "XXpsk3": Pattern(False, False, ("e", "e ee s es", "s se psk")),
}


@record
class Cipher:
    """ChaCha20-Poly1305 (RFC 8439) under one key; nonces are explicit."""

    key: bytes = field(repr=False)

    def seal(self, nonce: int, plaintext: bytes, ad: bytes = b"") -> bytes:
        """Ciphertext and tag; ``nonce`` is a u64 and never used twice with one key."""
        wide = b"\0\0\0\0" + nonce.to_bytes(8, "little")
        return bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, ad, wide, self.key)

    def open(self, nonce: int, ciphertext: bytes, ad: bytes = b"") -> bytes:
        """The plaintext; ``RemoteProtocolError`` when the tag is wrong."""
        wide = b"\0\0\0\0" + nonce.to_bytes(8, "little")
        if len(ciphertext) < TAG_SIZE:
            raise RemoteProtocolError("a Noise message ends too early")
        try:
            return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(
                ciphertext, ad, wide, self.key
            )
        except exceptions.CryptoError as error:
            raise RemoteProtocolError("a Noise message with a wrong tag") from error


@record
class Symmetric:
    """Chaining key, hash, key and nonce (section 5.2); each step gives a new one."""

    function: str
    """The hash function, by hashlib's name."""
    chaining: bytes = field(repr=False)
    hash: bytes
    cipher: Cipher | None = None
    nonce: int = 0

    @classmethod
    def start(cls, protocol: str, hash_name: str) -> Symmetric:
        """The state that belongs to a protocol name."""
        function = HASHES[hash_name]
        size = hashlib.new(function).digest_size
        name = protocol.encode()
        first = name.ljust(size, b"\0")
        if len(name) > size:
            first = hashlib.new(function, name).digest()
        return cls(function, first, first)

    def _hkdf(self, material: bytes, count: int) -> list[bytes]:
        secret = hmac.digest(self.chaining, material, self.function)
        outputs: list[bytes] = []
        for number in range(1, count + 1):
            before = outputs[-1] if outputs else b""
            outputs.append(hmac.digest(secret, before + bytes([number]), self.function))
        return outputs

    def mix_hash(self, data: bytes) -> Symmetric:
        """``data`` becomes part of the transcript."""
        return replace(self, hash=hashlib.new(self.function, self.hash + data).digest())

    def mix_key(self, material: bytes) -> Symmetric:
        """A Diffie-Hellman result becomes part of the key."""
        chaining, key = self._hkdf(material, 2)
        return replace(self, chaining=chaining, cipher=Cipher(key[:KEY_SIZE]), nonce=0)

    def mix_key_and_hash(self, material: bytes) -> Symmetric:
        """A pre-shared key becomes part of key and transcript."""
        chaining, word, key = self._hkdf(material, 3)
        mixed = self.mix_hash(word)
        return replace(mixed, chaining=chaining, cipher=Cipher(key[:KEY_SIZE]), nonce=0)

    def seal(self, plaintext: bytes) -> tuple[Symmetric, bytes]:
        """EncryptAndHash: the next state and the bytes to send."""
        if self.cipher is None:
            return self.mix_hash(plaintext), plaintext
        sealed = self.cipher.seal(self.nonce, plaintext, self.hash)
        return replace(self.mix_hash(sealed), nonce=self.nonce + 1), sealed

    def open(self, data: bytes) -> tuple[Symmetric, bytes]:
        """DecryptAndHash: the next state and the plaintext."""
        if self.cipher is None:
            return self.mix_hash(data), data
        plain = self.cipher.open(self.nonce, data, self.hash)
        return replace(self.mix_hash(data), nonce=self.nonce + 1), plain

    def split(self) -> tuple[bytes, bytes]:
        """The keys initiator to responder and responder to initiator."""
        first, second = self._hkdf(b"", 2)
        return first[:KEY_SIZE], second[:KEY_SIZE]


class Handshake:
    """One side of one handshake (section 5.3).

    ``pattern`` is a row of ``PATTERNS``; ``static`` and ``remote_static`` are
    needed where the pattern says so. ``ephemeral`` must be fresh.
    """

    hash_name = "BLAKE2s"

    def __init__(
        self,
        pattern: str,
        *,
        initiator: bool,
        prologue: bytes,
        ephemeral: KeyPair,
        static: KeyPair | None = None,
        remote_static: bytes | None = None,
        psk: bytes | None = None,
    ) -> None:
        self._pattern = PATTERNS[pattern]
        self._with_psk = "psk" in pattern
        self._initiator = initiator
        self._own = {"e": ephemeral} | ({"s": static} if static else {})
        self._remote = {"s": remote_static} if remote_static else {}
        self._psk: bytes | None = None
        self._done = 0
        self.payload_hash = b""
        """The handshake hash just before the latest payload was sealed."""
        if psk is not None:
            self.set_psk(psk)
        name = f"Noise_{pattern}_25519_ChaChaPoly_{self.hash_name}"
        self._state = Symmetric.start(name, self.hash_name).mix_hash(prologue)
        self._mix_known_keys()

    def _mix_known_keys(self) -> None:
        known = ((self._pattern.initiator_known, True), (self._pattern.responder_known, False))
        for is_known, of_initiator in known:
            if is_known:
                own = of_initiator == self._initiator
                key = self._own_key("s").public if own else self._remote_key("s", self._remote)
                self._state = self._state.mix_hash(key)

    def _own_key(self, letter: str) -> KeyPair:
        if letter not in self._own:
            raise LocalProtocolError("this Noise pattern needs a static key of our own")
        return self._own[letter]

    def _remote_key(self, letter: str, remote: dict[str, bytes]) -> bytes:
        if letter not in remote:
            raise LocalProtocolError("this Noise pattern needs the static key of the other side")
        return remote[letter]

    # Getters

    @property
    def finished(self) -> bool:
        """Whether the last message of the pattern was written or read."""
        return self._done == len(self._pattern.messages)

    @property
    def handshake_hash(self) -> bytes:
        """h: the transcript so far; final, for channel binding, once finished."""
        return self._state.hash

    @property
    def remote_static(self) -> bytes | None:
        """The static key of the other side, once known."""
        return self._remote.get("s")

    @property
    def remote_ephemeral(self) -> bytes | None:
        """The ephemeral key of the other side, once known."""
        return self._remote.get("e")

    # Verbs

    def set_psk(self, psk: bytes) -> None:
        """Give the 32-byte pre-shared key, at the latest before its token."""
        if len(psk) != KEY_SIZE:
            raise LocalProtocolError("a pre-shared key has 32 bytes")
        self._psk = psk

    def write_message(self, payload: Payload = b"") -> bytes:
        """Our next message around ``payload``."""
        tokens = self._turn(writing=True)
        state, out = self._state, b""
        for token in tokens:
            if token == "e":
                piece = self._own_key("e").public
                state = self._mix_ephemeral(state, piece)
            elif token == "s":
                state, piece = state.seal(self._own_key("s").public)
            else:
                state, piece = self._mix_secret(state, token, self._remote), b""
            out += piece
        before = state.hash
        state, sealed = state.seal(payload(before) if callable(payload) else payload)
        if len(out) + len(sealed) > MAX_MESSAGE:
            raise LocalProtocolError("a Noise message of more than 65535 bytes")
        self._commit(state, before, self._remote)
        return out + sealed

    def read_message(self, data: bytes) -> bytes:
        """The payload of the other side's next message."""
        tokens = self._turn(writing=False)
        if len(data) > MAX_MESSAGE:
            raise RemoteProtocolError("a Noise message of more than 65535 bytes")
        state, remote = self._state, dict(self._remote)
        for token in tokens:
            if token in ("e", "s"):
                size = KEY_SIZE + (TAG_SIZE if token == "s" and state.cipher else 0)
                piece, data = data[:size], data[size:]
                if len(piece) != size:
                    raise RemoteProtocolError("a Noise message ends too early")
                if token == "e":
                    remote["e"] = piece
                    state = self._mix_ephemeral(state, piece)
                else:
                    state, remote["s"] = state.open(piece)
            else:
                state = self._mix_secret(state, token, remote)
        before = state.hash
        state, plain = state.open(data)
        self._commit(state, before, remote)
        return plain

    def split(self) -> tuple[bytes, bytes]:
        """(send key, receive key) of this side, 32 bytes each, once finished."""
        if not self.finished:
            raise LocalProtocolError("a Noise handshake has no keys before its end")
        first, second = self._state.split()
        return (first, second) if self._initiator else (second, first)

    # Inside

    def _turn(self, *, writing: bool) -> list[str]:
        if self.finished:
            raise LocalProtocolError("the Noise handshake is over")
        if writing != (self._initiator == (self._done % 2 == 0)):
            raise LocalProtocolError("it is the other side's turn in the Noise handshake")
        return self._pattern.messages[self._done].split()

    def _mix_ephemeral(self, state: Symmetric, public: bytes) -> Symmetric:
        mixed = state.mix_hash(public)
        return mixed.mix_key(public) if self._with_psk else mixed  # section 9.2

    def _mix_secret(self, state: Symmetric, token: str, remote: dict[str, bytes]) -> Symmetric:
        if token == "psk":
            if self._psk is None:
                raise LocalProtocolError("the pre-shared key is not known yet")
            return state.mix_key_and_hash(self._psk)
        # "es": the initiator's e with the responder's s
        ours, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        return state.mix_key(x25519(self._own_key(ours).secret, self._remote_key(theirs, remote)))

    def _commit(self, state: Symmetric, before: bytes, remote: dict[str, bytes]) -> None:
        self._state, self.payload_hash, self._remote = state, before, remote
        self._done += 1

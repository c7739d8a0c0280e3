"""Meeting: two members who stand in the same roster agree on fresh keys.

    1  initiator -> responder   Greet   ML-KEM key, Noise_KKpsk2 message 1 (empty)
    2  responder -> initiator   Reply   ciphertext, Noise message 2 with a Bundle
    3  initiator -> responder   Letter  the first of the new link

The smaller Ed25519 key initiates. psk = HKDF(room secret || ML-KEM secret ||
hash of its key and ciphertext), so that neither stolen long-term keys nor a
later quantum computer opens what was said. Message 1 says nothing, because it
could be replayed; the responder keeps an older link until message 3 opens.

A greeting's tag is a MAC that only the two can make, under a key of their static
keys: whoever else drops greetings into a mailbox costs the responder one hash.

A removal is for one who may know nobody here any more: it is sealed for its static
key, so that others who know the mailbox do not read who is in the room now, and
who sealed it does not matter.
"""

from __future__ import annotations

from functools import cached_property

from vc_core.errors import RemoteProtocolError
from vc_core.ids import Rng
from vc_core.join import LABEL_KEM, Kem
from vc_core.keys import (
    KEY_SIZE,
    Identity,
    KeyPair,
    PublicIdentity,
    digest,
    hkdf,
    mac16,
    same,
    x25519,
)
from vc_core.messages import PROTOCOL_VERSION, TAG_SIZE, Bundle, Greet, Removal, Reply
from vc_core.noise import Handshake
from vc_core.record import record
from vc_core.seal import open_box, seal_box
from vc_core.wire import Reader, fields

# Specification
LABEL_PROLOGUE = "vchat-1 meet"
LABEL_PSK = "vchat-1 meet psk"
LABEL_GREETING = "vchat-1 greeting"
LABEL_REMOVAL = "vchat-1 removal"


def initiates(own: PublicIdentity, other: PublicIdentity) -> bool:
    """Whether our side begins: the smaller Ed25519 key does."""
    return own.sign < other.sign


def _psk(room_secret: bytes, shared: bytes, kem_public: bytes, ciphertext: bytes) -> bytes:
    return hkdf(room_secret + shared + digest(LABEL_KEM, kem_public, ciphertext), LABEL_PSK)


@record
class Pair:
    """Who meets whom, and in which room."""

    own: Identity
    other: PublicIdentity
    room: bytes

    @cached_property
    def _greeting_key(self) -> bytes:
        """One X25519 operation for each member; ``RemoteProtocolError`` for an unusable key."""
        signs = sorted((self.own.public.sign, self.other.sign))
        return hkdf(x25519(self.own.dh.secret, self.other.dh), LABEL_GREETING, self.room, *signs)

    def greeting_tag(self, ephemeral: bytes, kem_public: bytes) -> bytes:
        """The tag of a greeting with these two fresh keys."""
        return mac16(self._greeting_key, ephemeral + kem_public)[:TAG_SIZE]

    def proves(self, greet: Greet) -> bool:
        """Whether one of the two made a greeting; it may be a copy."""
        return same(greet.tag, self.greeting_tag(greet.noise[:KEY_SIZE], greet.kem_public))


def _handshake(pair: Pair, tag: bytes, ephemeral: KeyPair, *, initiator: bool) -> Handshake:
    own, other = pair.own, pair.other
    first, second = (own.public, other) if initiator else (other, own.public)
    version = PROTOCOL_VERSION.to_bytes(2, "big")
    return Handshake(
        "KKpsk2",
        initiator=initiator,
        prologue=fields(LABEL_PROLOGUE, version, pair.room, first.sign, second.sign, tag),
        ephemeral=ephemeral,
        static=own.dh,
        remote_static=other.dh,
    )


def _read_bundle(payload: bytes) -> Bundle:
    reader = Reader(payload)
    bundle = Bundle.read_fields(reader)
    reader.finish()
    return bundle


class Greeting:
    """The initiator's side of one attempt."""

    def __init__(self, pair: Pair, kem: Kem, rng: Rng, now: float) -> None:
        self.begun = now
        self._kem = kem
        self._kem_public, self._kem_secret = kem.generate()
        ephemeral = KeyPair.generate(rng)
        self.tag = pair.greeting_tag(ephemeral.public, self._kem_public)
        self._noise = _handshake(pair, self.tag, ephemeral, initiator=True)
        self.greet = Greet(self.tag, self._kem_public, self._noise.write_message())

    def receive(
        self, reply: Reply, secrets: list[bytes]
    ) -> tuple[tuple[bytes, bytes], bytes, Bundle]:
        """Keys (send, receive), the room secret in use, the responder's first messages.

        ``secrets`` are the room secrets that may be in use, newest first.
        """
        if reply.tag != self.tag:
            raise RemoteProtocolError("a reply to another greeting")
        shared = self._kem.decapsulate(self._kem_secret, reply.ciphertext)
        for secret in secrets:
            self._noise.set_psk(_psk(secret, shared, self._kem_public, reply.ciphertext))
            try:
                payload = self._noise.read_message(reply.noise)
            except RemoteProtocolError:
                continue
            return self._noise.split(), secret, _read_bundle(payload)
        raise RemoteProtocolError("a reply that no room secret opens")


def reply_to(
    greet: Greet, pair: Pair, secret: bytes, bundle: Bundle, kem: Kem, rng: Rng
) -> tuple[Reply, tuple[bytes, bytes]]:
    """The responder's whole side: message 2 and keys (send, receive)."""
    if not pair.proves(greet):
        raise RemoteProtocolError("a greeting of somebody else")
    noise = _handshake(pair, greet.tag, KeyPair.generate(rng), initiator=False)
    noise.read_message(greet.noise)
    shared, ciphertext = kem.encapsulate(greet.kem_public)
    noise.set_psk(_psk(secret, shared, greet.kem_public, ciphertext))
    message = noise.write_message(bundle.write_fields())
    return Reply(greet.tag, ciphertext, message), noise.split()


def seal_removal(entry: bytes, dh: bytes, room: bytes, rng: Rng) -> Removal:
    """A ``Signed`` entry for the X25519 key ``dh``; ``RemoteProtocolError`` if it is of no use."""
    ephemeral = KeyPair.generate(rng)
    key = hkdf(x25519(ephemeral.secret, dh), LABEL_REMOVAL, room, ephemeral.public, dh)
    return Removal(ephemeral.public, seal_box(key, entry, b"", rng))


def open_removal(removal: Removal, dh: KeyPair, room: bytes) -> bytes:
    """The ``Signed`` entry; nothing of it is checked."""
    shared = x25519(dh.secret, removal.ephemeral)
    key = hkdf(shared, LABEL_REMOVAL, room, removal.ephemeral, dh.public)
    return open_box(key, removal.sealed, b"")

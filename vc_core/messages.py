"""What members say to each other, and the layouts of both handshakes.

Three families, each told apart by its first byte:

``JOIN``   bodies of an exchange at the signaling server: a newcomer and the host.
``MEET``   bodies that members send through the host or a re-join mailbox.
``PEER``   what two members say once they share keys: inside a ``Letter`` before
           their QUIC connection stands, as records of its stream 0 afterwards.

Every field is bounded here, so that a reader needs no limits of its own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Self

from vc_core.errors import LocalProtocolError
from vc_core.grant import Grant
from vc_core.keys import KEY_SIZE, SIGNATURE_SIZE
from vc_core.record import record
from vc_core.wire import (
    Bytes,
    Codec,
    Family,
    Fixed,
    Flag,
    Layout,
    Many,
    Nested,
    Reader,
    Record,
    Text,
    UInt,
)

# Specification
PROTOCOL_VERSION = 1
KEM_PUBLIC_SIZE = 1184  # ML-KEM-768 (FIPS 203)
KEM_CIPHERTEXT_SIZE = 1088
NOISE_OPENING_SIZE = 48  # an ephemeral key and an empty sealed payload
TAG_SIZE = 8
MAX_LETTER = 48 * 1024
MAX_ENTRY = 16 * 1024  # 64 seats of at most 197 bytes and the rest
MAX_CARRY = 20 * 1024  # so that a letter inside a carry inside a letter fits
MAX_TEXT = 16 * 1024  # bytes of UTF-8 in one chat message
MAX_NAME = 64  # bytes of UTF-8
MAX_MEMBERS = 64  # seats of one roster
MAX_FORWARDERS = 4  # of one room
MAX_ATTESTED = 64  # frames that one attestation covers
FRAME_DIGEST_SIZE = 12  # bytes of BLAKE2s that stand for a frame in it
MAX_BANNED = 255  # keys of people who were kicked, the newest

_U8, _U16, _U32, _U48, _U64 = UInt(1), UInt(2), UInt(4), UInt(6), UInt(8)
_KEY: Codec = Fixed(KEY_SIZE)
_HASH: Codec = Fixed(32)
_SIGNATURE: Codec = Fixed(SIGNATURE_SIZE)


# ---- JOIN: newcomer and host, through the exchange ------------------------------


class Form(IntEnum):
    """Which invitation the newcomer holds."""

    SPOKEN = 1
    LINK = 2


class Denial(IntEnum):
    """Why the host ends an exchange."""

    WRONG_CODE = 1
    USED = 2
    TOO_MANY_TRIES = 3
    LOCKED = 4
    FULL = 5
    BANNED = 6
    VERSION = 7
    MALFORMED = 8
    TOO_SLOW = 9


@record
class Ask(Record):
    """Message 1, newcomer: its half of CPace and what it promises to use."""

    form: int
    nonce: bytes
    share: bytes
    version: int
    features: int
    ephemeral: bytes
    """Its Noise ephemeral key."""
    kem_hash: bytes
    """digest("vchat-1 kem key", its ML-KEM-768 key)."""

    LAYOUT: ClassVar[Layout] = (
        ("form", _U8),
        ("nonce", _HASH),
        ("share", _KEY),
        ("version", _U16),
        ("features", _U32),
        ("ephemeral", _KEY),
        ("kem_hash", _HASH),
    )


@record
class Answer(Record):
    """Message 2, host: its half of CPace."""

    nonce: bytes
    share: bytes
    version: int
    features: int
    ephemeral: bytes

    LAYOUT: ClassVar[Layout] = (
        ("nonce", _HASH),
        ("share", _KEY),
        ("version", _U16),
        ("features", _U32),
        ("ephemeral", _KEY),
    )


@record
class Confirm(Record):
    """Message 3, newcomer: proof of the code, its ML-KEM key, Noise message 1."""

    tag: bytes
    kem_public: bytes
    noise: bytes

    LAYOUT: ClassVar[Layout] = (
        ("tag", Fixed(64)),
        ("kem_public", Fixed(KEM_PUBLIC_SIZE)),
        ("noise", Fixed(NOISE_OPENING_SIZE)),
    )


@record
class Accept(Record):
    """Message 4, host: its proof, the ML-KEM ciphertext, sealed Noise message 2."""

    tag: bytes
    ciphertext: bytes
    sealed: bytes

    LAYOUT: ClassVar[Layout] = (
        ("tag", Fixed(64)),
        ("ciphertext", Fixed(KEM_CIPHERTEXT_SIZE)),
        ("sealed", Bytes(1024)),
    )


@record
class Finish(Record):
    """Message 5, newcomer: sealed Noise message 3."""

    sealed: bytes

    LAYOUT: ClassVar[Layout] = (("sealed", Bytes(1024)),)


@record
class Denied(Record):
    """The host ends the exchange. Not authenticated: it may end a try, nothing else."""

    reason: int

    LAYOUT: ClassVar[Layout] = (("reason", _U8),)


@record
class Letter(Record):
    """One sealed ``PEER`` message, under the keys of a finished handshake."""

    tag: bytes
    """Which handshake."""
    counter: int
    """The nonce; the receiver takes each counter once."""
    sealed: bytes

    LAYOUT: ClassVar[Layout] = (
        ("tag", Fixed(TAG_SIZE)),
        ("counter", _U64),
        ("sealed", Bytes(MAX_LETTER)),
    )


JOIN = Family({1: Ask, 2: Answer, 3: Confirm, 4: Accept, 5: Finish, 6: Denied, 7: Letter})


@record
class Introduction(Record):
    """Payload of Noise messages 2 and 3 of a join: who speaks."""

    sign: bytes
    cross: bytes
    signature: bytes
    """Over ("vchat-1 xx", role, handshake hash before this payload)."""

    LAYOUT: ClassVar[Layout] = (("sign", _KEY), ("cross", _SIGNATURE), ("signature", _SIGNATURE))


# ---- MEET: member to member ------------------------------------------------------


@record
class Greet(Record):
    """Noise_KKpsk2 message 1 with nothing inside, and a fresh ML-KEM key."""

    tag: bytes
    kem_public: bytes
    noise: bytes

    LAYOUT: ClassVar[Layout] = (
        ("tag", Fixed(TAG_SIZE)),
        ("kem_public", Fixed(KEM_PUBLIC_SIZE)),
        ("noise", Fixed(NOISE_OPENING_SIZE)),
    )


@record
class Reply(Record):
    """Noise_KKpsk2 message 2; the ciphertext stands outside, since the psk needs it."""

    tag: bytes
    ciphertext: bytes
    noise: bytes
    """Its payload is a ``Bundle``."""

    LAYOUT: ClassVar[Layout] = (
        ("tag", Fixed(TAG_SIZE)),
        ("ciphertext", Fixed(KEM_CIPHERTEXT_SIZE)),
        ("noise", Bytes(MAX_LETTER)),
    )


@record
class Removal(Record):
    """The entry that removes the receiver, for its static key. No link: a host has signed it."""

    ephemeral: bytes
    sealed: bytes
    """A ``Signed`` entry."""

    LAYOUT: ClassVar[Layout] = (("ephemeral", _KEY), ("sealed", Bytes(MAX_LETTER)))


MEET = Family({1: Greet, 2: Reply, 3: Letter, 4: Removal})


@record
class Bundle(Record):
    """Several ``PEER`` messages in one payload."""

    messages: tuple[bytes, ...]

    LAYOUT: ClassVar[Layout] = (("messages", Many(Bytes(MAX_LETTER), 16)),)


@record
class Parcel(Record):
    """What is dropped into a re-join mailbox, sealed for the room."""

    sender: int
    receiver: int
    body: bytes
    """A ``MEET`` message."""

    LAYOUT: ClassVar[Layout] = (("sender", _U16), ("receiver", _U16), ("body", Bytes(MAX_LETTER)))


# ---- PEER: two members with keys --------------------------------------------------


@record
class Position(Record):
    """A place in the roster's chain."""

    term: int
    n: int
    hash: bytes

    LAYOUT: ClassVar[Layout] = (("term", _U32), ("n", _U32), ("hash", _HASH))

    @property
    def order(self) -> tuple[int, int]:
        """Later entries compare greater."""
        return self.term, self.n


_POSITION: Codec = Nested(Position)


@record
class Profile(Record):
    """A newcomer's first letter: the name it would like."""

    name: str

    LAYOUT: ClassVar[Layout] = (("name", Text(MAX_NAME)),)


@record
class Welcome(Record):
    """The host's first letter: the newest entry and the newcomer's place in it."""

    number: int
    founder: bytes
    """Ed25519 key of the room's founder."""
    nonce: bytes
    """room = digest("vchat-1 room", founder, nonce)."""
    secret_number: int
    secret: bytes
    """The room secret."""
    entry: bytes
    """A ``Signed`` entry."""

    LAYOUT: ClassVar[Layout] = (
        ("number", _U16),
        ("founder", _KEY),
        ("nonce", _HASH),
        ("secret_number", _U32),
        ("secret", _KEY),
        ("entry", Bytes(MAX_ENTRY)),
    )


@record
class Turned(Record):
    """Instead of a welcome: the code was right, the room takes nobody in."""

    reason: int
    """A ``Denial``."""

    LAYOUT: ClassVar[Layout] = (("reason", _U8),)


@record
class Road(Record):
    """Where one's side of a direct way can be tried (ICE, RFC 8445)."""

    attempt: int
    """Counts the attempts of a link from 1; a higher one begins a new ICE session."""
    ufrag: str
    pwd: str
    candidates: tuple[str, ...]
    done: bool
    """No more candidates will come, but those of addresses that change in a call."""
    hard: bool = False
    """Its NAT gives another port to each destination, as far as it knows."""

    LAYOUT: ClassVar[Layout] = (
        ("attempt", _U16),
        ("ufrag", Text(256)),
        ("pwd", Text(256)),
        ("candidates", Many(Text(255), 32)),
        ("done", Flag()),
        ("hard", Flag()),
    )


@record
class SenderKey(Record):
    """A generation of the sender's media key."""

    generation: int
    key: bytes
    position: Position
    """The entry it was made for; its hash stays in the AAD."""

    LAYOUT: ClassVar[Layout] = (("generation", _U32), ("key", _KEY), ("position", _POSITION))


@record
class KeyTaken(Record):
    """The receiver holds a generation."""

    generation: int

    LAYOUT: ClassVar[Layout] = (("generation", _U32),)


@record
class NewEntry(Record):
    """A signed entry of the roster's chain."""

    entry: bytes

    LAYOUT: ClassVar[Layout] = (("entry", Bytes(MAX_ENTRY)),)


@record
class Standing(Record):
    """How far the sender's chain reaches; who knows more answers with what is missing."""

    position: Position

    LAYOUT: ClassVar[Layout] = (("position", _POSITION),)


@record
class Pulse(Record):
    """A guest's fresh nonce, every 2 s."""

    nonce: bytes

    LAYOUT: ClassVar[Layout] = (("nonce", Fixed(8)),)


@record
class Heartbeat(Record):
    """The host is alive and this is its newest entry."""

    nonce: bytes
    """Of the ``Pulse`` it answers."""
    position: Position

    LAYOUT: ClassVar[Layout] = (("nonce", Fixed(8)), ("position", _POSITION))


@record
class Carry(Record):
    """A ``MEET`` body for (to the host) or from (by the host) another member."""

    member: int
    body: bytes

    LAYOUT: ClassVar[Layout] = (("member", _U16), ("body", Bytes(MAX_CARRY)))


@record
class NewSecret(Record):
    """The room secret after a removal or a takeover."""

    number: int
    """Counts the secrets of one term from 1; only rising numbers are taken."""
    secret: bytes

    LAYOUT: ClassVar[Layout] = (("number", _U32), ("secret", _KEY))


@record
class Chat(Record):
    """A line of text."""

    sequence: int
    """Counts up from 1 for each pair and direction."""
    id: bytes
    private: bool
    """For this receiver alone."""
    text: str

    LAYOUT: ClassVar[Layout] = (
        ("sequence", _U64),
        ("id", Fixed(8)),
        ("private", Flag()),
        ("text", Text(MAX_TEXT)),
    )


@record
class ChatTaken(Record):
    """All texts up to ``sequence`` were taken."""

    sequence: int

    LAYOUT: ClassVar[Layout] = (("sequence", _U64),)


@record
class Commit(Record):
    """First half of the room code: digest("vchat-1 commit", hash, key, nonce)."""

    roster: bytes
    commitment: bytes

    LAYOUT: ClassVar[Layout] = (("roster", _HASH), ("commitment", _HASH))


@record
class Reveal(Record):
    """Second half of the room code."""

    roster: bytes
    nonce: bytes

    LAYOUT: ClassVar[Layout] = (("roster", _HASH), ("nonce", _HASH))


@record
class Attested(Record):
    """One sealed frame: its CTR and its digest of 12 bytes."""

    counter: int
    digest: bytes

    LAYOUT: ClassVar[Layout] = (("counter", _U48), ("digest", Fixed(FRAME_DIGEST_SIZE)))

    def write_fields(self) -> bytes:
        """As ``LAYOUT`` says; written out, since every frame is written twice and read once."""
        if len(self.digest) != FRAME_DIGEST_SIZE:
            raise LocalProtocolError(f"{len(self.digest)} bytes where a digest belongs")
        return _U48.write(self.counter) + self.digest

    @classmethod
    def read_fields(cls, reader: Reader) -> Self:
        """The frame that stands next."""
        return cls(_U48.read(reader), reader.take(FRAME_DIGEST_SIZE))


@record
class Attest(Record):
    """The sender's signature under what it sent in the last half second."""

    generation: int
    stream: int
    frames: tuple[Attested, ...]
    signature: bytes
    """Over ("vchat-1 attest", room, roster hash, H(sender key), KID, frames)."""

    LAYOUT: ClassVar[Layout] = (
        ("generation", _U32),
        ("stream", _U16),
        ("frames", Many(Nested(Attested), MAX_ATTESTED)),
        ("signature", _SIGNATURE),
    )


@record
class Mute(Record):
    """The sender's microphone is off (or on again)."""

    on: bool

    LAYOUT: ClassVar[Layout] = (("on", Flag()),)


@record
class Bye(Record):
    """The sender leaves politely."""

    LAYOUT: ClassVar[Layout] = ()


@record
class Forwarder(Record):
    """One forwarder of the room, and how this member gets its slot there."""

    number: int
    """Random; another room key at the same forwarder makes another number."""
    rung: int
    """2 hosted (the host's own client), 3 relayed."""
    addresses: tuple[str, ...]
    """Where it is reached, the best first."""
    grants: tuple[Grant, ...]
    """The last one is for a forwarder that is open."""

    LAYOUT: ClassVar[Layout] = (
        ("number", _U32),
        ("rung", _U8),
        ("addresses", Many(Text(255), 8)),
        ("grants", Many(Nested(Grant), 2)),
    )


@record
class Forwarders(Record):
    """The forwarders of the room in order of preference, from the host."""

    round: int
    """Counts up; an older list is not taken."""
    forwarders: tuple[Forwarder, ...]

    LAYOUT: ClassVar[Layout] = (
        ("round", _U32),
        ("forwarders", Many(Nested(Forwarder), MAX_FORWARDERS)),
    )


@record
class Missed(Record):
    """A deputy hears nothing of the host, and asks whether the receiver does."""

    LAYOUT: ClassVar[Layout] = ()


@record
class Heard(Record):
    """The answer of one whom the host has answered within the last seconds."""

    LAYOUT: ClassVar[Layout] = ()


@record
class Moved(Record):
    """The host has yielded to a chain in which the receiver has no seat."""

    LAYOUT: ClassVar[Layout] = ()


@record
class Estate(Record):
    """What the host's duties need besides the roster, for whoever takes them over."""

    server: str
    """URL of the signaling server that the host keeps itself; empty for the one in use."""
    banned: tuple[bytes, ...]
    """Ed25519 keys of those who were kicked."""

    LAYOUT: ClassVar[Layout] = (("server", Text(255)), ("banned", Many(_KEY, MAX_BANNED)))


@record
class StreamOffered(Record):
    """The sender shares pictures; said again on each link, and when size or rate change."""

    stream: int
    """From 1; voice is 0."""
    source: int
    """1 screen, 2 camera."""
    width: int
    height: int
    fps: int
    clock: int
    """The birth of this link on the clock of the stream's timestamps, in ms modulo 2^32."""
    sound: bool = False
    """Whether a track of sound belongs to it."""

    LAYOUT: ClassVar[Layout] = (
        ("stream", _U16),
        ("source", _U8),
        ("width", _U16),
        ("height", _U16),
        ("fps", _U8),
        ("clock", _U32),
        ("sound", Flag()),
    )


@record
class StreamEnded(Record):
    """A stream of the sender is over."""

    stream: int

    LAYOUT: ClassVar[Layout] = (("stream", _U16),)


@record
class Watch(Record):
    """The sender watches a stream of the receiver from now on, or no longer."""

    stream: int
    on: bool

    LAYOUT: ClassVar[Layout] = (("stream", _U16), ("on", Flag()))


@record
class KeyWanted(Record):
    """A viewer can show nothing before the next key frame."""

    stream: int

    LAYOUT: ClassVar[Layout] = (("stream", _U16),)


@record
class StreamCarried(Record):
    """A stream of the sender comes as copies of one forwarder from now on."""

    stream: int
    forwarder: int
    """Its number; 0: the stream comes by itself again."""

    LAYOUT: ClassVar[Layout] = (("stream", _U16), ("forwarder", _U32))


PEER = Family(
    {
        1: Profile,
        2: Welcome,
        3: Turned,
        4: Road,
        5: SenderKey,
        6: KeyTaken,
        7: NewEntry,
        8: Standing,
        9: Pulse,
        10: Heartbeat,
        11: Carry,
        12: NewSecret,
        13: Chat,
        14: ChatTaken,
        15: Commit,
        16: Reveal,
        17: Attest,
        18: Mute,
        19: Bye,
        20: Forwarders,
        21: Missed,
        22: Heard,
        23: Moved,
        24: Estate,
        25: StreamOffered,
        26: StreamEnded,
        27: Watch,
        28: KeyWanted,
        29: StreamCarried,
    }
)

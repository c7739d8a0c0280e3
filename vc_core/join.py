"""Joining: a short code becomes a verified channel between joiner and host.

    1  joiner -> host   Ask      CPace share, ADa
    2  host -> joiner   Answer   CPace share, ADb
    3  joiner -> host   Confirm  Ta, ML-KEM key, Noise message 1
    4  host -> joiner   Accept   Tb, ML-KEM ciphertext, sealed Noise message 2
    5  joiner -> host   Finish   sealed Noise message 3

ADa binds version, features, the Noise ephemeral key and the hash of the ML-KEM
key; ADb the host's nonce, version, features and ephemeral key. From ISK and the
ML-KEM secret come the keys that seal messages 4 and 5 and the psk of
Noise_XXpsk3. The joiner proves the code first, so that a wrong guess learns
nothing; a joiner with a link checks the host's fingerprint before message 5.

Rule: each message is taken once and in its place; anything else ends the
      exchange and never the room.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from vc_core.errors import RemoteProtocolError
from vc_core.ids import Rng
from vc_core.keys import Identity, KeyPair, PublicIdentity, digest, hkdf, same, verify
from vc_core.machine import Table, step
from vc_core.messages import (
    PROTOCOL_VERSION,
    TAG_SIZE,
    Accept,
    Answer,
    Ask,
    Confirm,
    Finish,
    Form,
    Introduction,
)
from vc_core.noise import Cipher, Handshake
from vc_core.pake import Exchange, lv_cat
from vc_core.record import record
from vc_core.wire import Reader, fields

# Specification
FEATURES = 0
LABEL_SID = "vchat-1 sid"
LABEL_KEM_KEY = "vchat-1 kem key"
LABEL_KEM = "vchat-1 kem"
LABEL_PROLOGUE = "vchat-1 join"
LABEL_TO_HOST = "vchat-1 join joiner"
LABEL_TO_NEWCOMER = "vchat-1 join host"
LABEL_PSK = "vchat-1 join psk"
LABEL_XX = "vchat-1 xx"
LABEL_TAG = "vchat-1 link tag"
FORM_NAMES = {Form.SPOKEN: b"spoken", Form.LINK: b"link"}


class Kem(Protocol):
    """ML-KEM-768 (FIPS 203), given from outside because it draws its own chance."""

    def generate(self) -> tuple[bytes, object]:
        """A public key (1 184 bytes) and its secret."""
        ...

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """A shared secret (32 bytes) and its ciphertext (1 088 bytes)."""
        ...

    def decapsulate(self, secret: Any, ciphertext: bytes) -> bytes:
        """The shared secret; ``RemoteProtocolError`` for a ciphertext of wrong form."""
        ...


class WrongCode(RemoteProtocolError):
    """The other side does not hold the same code."""


class NotTheHost(RemoteProtocolError):
    """The link names another host than the one who answered."""


class OtherVersion(RemoteProtocolError):
    """The other side speaks another version of the protocol."""


class State(Enum):
    """How far an exchange has come."""

    ASKED = "the joiner has sent its share"
    WAITING = "the host waits for a joiner"
    ANSWERED = "the host has sent its share"
    CONFIRMED = "the joiner has proven the code"
    ACCEPTED = "the host has proven the code and said who it is"
    DONE = "both know each other and share keys"


MOVES: Table[State] = {
    State.ASKED: {Answer: State.CONFIRMED},
    State.CONFIRMED: {Accept: State.DONE},
    State.WAITING: {Ask: State.ANSWERED},
    State.ANSWERED: {Confirm: State.ACCEPTED},
    State.ACCEPTED: {Finish: State.DONE},
    State.DONE: {},
}


def _move(state: State, message: object) -> State:
    if type(message) not in MOVES[state]:
        raise RemoteProtocolError(f"a {type(message).__name__} while {state.value}")
    return step(MOVES, state, message)


@record
class Met:
    """The fruit of a finished exchange."""

    identity: PublicIdentity
    keys: tuple[bytes, bytes]
    """(send, receive)."""
    tag: bytes
    """Names the link in its letters."""


@record
class Password:
    """One invitation as CPace takes it."""

    form: Form
    secret: bytes
    nameplate: str

    @property
    def channel(self) -> bytes:
        """CI. Servers are left out: they have different names for different people."""
        return lv_cat(b"vchat-1", FORM_NAMES[self.form], self.nameplate.encode())


def _ad_joiner(ask: Ask) -> bytes:
    numbers = ask.version.to_bytes(2, "big"), ask.features.to_bytes(4, "big")
    return fields("joiner", *numbers, ask.ephemeral, ask.kem_hash)


def _ad_host(answer: Answer) -> bytes:
    numbers = answer.version.to_bytes(2, "big"), answer.features.to_bytes(4, "big")
    return fields("host", answer.nonce, *numbers, answer.ephemeral)


def _sid(mailbox: bytes, ask_nonce: bytes) -> bytes:
    return digest(LABEL_SID, mailbox, ask_nonce)


def _prologue(ask: Ask, answer: Answer, tag: bytes, kem_public: bytes) -> bytes:
    return digest(LABEL_PROLOGUE, ask.write_fields(), answer.write_fields(), tag, kem_public)


class _Channel:
    """Keys from CPace and ML-KEM together: both would have to break."""

    def __init__(self, isk: bytes, kem_secret: bytes, kem_public: bytes, ciphertext: bytes) -> None:
        root = isk + kem_secret + digest(LABEL_KEM, kem_public, ciphertext)
        self.to_host = Cipher(hkdf(root, LABEL_TO_HOST))
        self.to_joiner = Cipher(hkdf(root, LABEL_TO_NEWCOMER))
        self.psk = hkdf(root, LABEL_PSK)


def _introduce(identity: Identity, role: str, handshake_hash: bytes) -> bytes:
    public = identity.public
    signature = identity.sign(LABEL_XX, role.encode(), handshake_hash)
    return Introduction(public.sign, public.cross, signature).write_fields()


def _identify(payload: bytes, role: str, noise: Handshake) -> PublicIdentity:
    reader = Reader(payload)
    said = Introduction.read_fields(reader)
    reader.finish()
    assert noise.remote_static is not None
    who = PublicIdentity(said.sign, noise.remote_static, said.cross)
    signed = verify(said.sign, said.signature, LABEL_XX, role.encode(), noise.payload_hash)
    if not (signed and who.valid()):
        raise RemoteProtocolError("an identity that does not prove itself")
    return who


def _met(noise: Handshake, identity: PublicIdentity) -> Met:
    tag = digest(LABEL_TAG, noise.handshake_hash)[:TAG_SIZE]
    return Met(identity, noise.split(), tag)


class JoinerExchange:
    """The joiner's side: ``ask``, then ``receive`` twice."""

    def __init__(
        self,
        password: Password,
        mailbox: bytes,
        identity: Identity,
        kem: Kem,
        rng: Rng,
        *,
        fingerprint: str | None = None,
    ) -> None:
        """``fingerprint`` is the host's, when a link told it."""
        self.state = State.ASKED
        self._identity = identity
        self._kem = kem
        self._fingerprint = fingerprint
        self._ephemeral = KeyPair.generate(rng)
        self._kem_public, self._kem_secret = kem.generate()
        nonce = rng(32)
        ask = Ask(
            form=password.form,
            nonce=nonce,
            share=bytes(32),
            version=PROTOCOL_VERSION,
            features=FEATURES,
            ephemeral=self._ephemeral.public,
            kem_hash=digest(LABEL_KEM_KEY, self._kem_public),
        )
        self._pake = Exchange(
            password.secret,
            password.channel,
            _sid(mailbox, nonce),
            _ad_joiner(ask),
            initiator=True,
            rng=rng,
        )
        self.ask = Ask(**{**ask.__dict__, "share": self._pake.share})

    @property
    def proven(self) -> bool:
        """Whether our proof of the code has gone out."""
        return self.state is not State.ASKED

    def receive_answer(self, answer: Answer) -> Confirm:
        """Message 3 for message 2."""
        state = _move(self.state, answer)
        if answer.version != PROTOCOL_VERSION:
            raise OtherVersion("the host speaks another version")
        self._isk = self._pake.finish(answer.share, _ad_host(answer))
        tag = self._pake.own_tag
        self._answer = answer
        self._noise = Handshake(
            "XXpsk3",
            initiator=True,
            prologue=_prologue(self.ask, answer, tag, self._kem_public),
            ephemeral=self._ephemeral,
            static=self._identity.dh,
        )
        self.state = state
        return Confirm(tag, self._kem_public, self._noise.write_message())

    def receive_accept(self, accept: Accept) -> tuple[Finish, Met]:
        """Message 5 for message 4, and who the host is.

        Raises ``WrongCode`` when the host does not hold the code and
        ``NotTheHost`` when it is not the one that the link names.
        """
        state = _move(self.state, accept)
        try:
            self._pake.check_tag(accept.tag)
        except RemoteProtocolError as error:
            raise WrongCode("the host's tag is wrong") from error
        shared = self._kem.decapsulate(self._kem_secret, accept.ciphertext)
        channel = _Channel(self._isk, shared, self._kem_public, accept.ciphertext)
        payload = self._noise.read_message(channel.to_joiner.open(0, accept.sealed))
        if self._noise.remote_ephemeral != self._answer.ephemeral:
            raise RemoteProtocolError("another ephemeral key than the promised one")
        host = _identify(payload, "host", self._noise)
        if self._fingerprint is not None and host.fingerprint != self._fingerprint:
            raise NotTheHost("the host is not the one that the link names")
        self._noise.set_psk(channel.psk)
        message = self._noise.write_message(lambda h: _introduce(self._identity, "joiner", h))
        self.state = state
        return Finish(channel.to_host.seal(0, message)), _met(self._noise, host)


class HostExchange:
    """The host's side of one knock."""

    def __init__(self, mailbox: bytes, identity: Identity, kem: Kem, rng: Rng) -> None:
        self.state = State.WAITING
        self._mailbox = mailbox
        self._identity = identity
        self._kem = kem
        self._rng = rng
        self._ephemeral = KeyPair.generate(rng)

    def receive_ask(self, ask: Ask, password: Password) -> Answer:
        """Message 2 for message 1; ``password`` is the one of the asked form."""
        state = _move(self.state, ask)
        if ask.version != PROTOCOL_VERSION:
            raise OtherVersion("the joiner speaks another version")
        draft = Answer(self._rng(32), bytes(32), PROTOCOL_VERSION, FEATURES, self._ephemeral.public)
        self._pake = Exchange(
            password.secret,
            password.channel,
            _sid(self._mailbox, ask.nonce),
            _ad_host(draft),
            initiator=False,
            rng=self._rng,
        )
        self._isk = self._pake.finish(ask.share, _ad_joiner(ask))
        self._ask = ask
        self._answer = Answer(**{**draft.__dict__, "share": self._pake.share})
        self.state = state
        return self._answer

    def receive_confirm(self, confirm: Confirm) -> Accept:
        """Message 4 for message 3; raises ``WrongCode`` when the tag is wrong."""
        state = _move(self.state, confirm)
        try:
            self._pake.check_tag(confirm.tag)
        except RemoteProtocolError as error:
            raise WrongCode("the joiner's tag is wrong") from error
        if not same(digest(LABEL_KEM_KEY, confirm.kem_public), self._ask.kem_hash):
            raise RemoteProtocolError("another ML-KEM key than the promised one")
        self._noise = Handshake(
            "XXpsk3",
            initiator=False,
            prologue=_prologue(self._ask, self._answer, confirm.tag, confirm.kem_public),
            ephemeral=self._ephemeral,
            static=self._identity.dh,
        )
        self._noise.read_message(confirm.noise)
        if self._noise.remote_ephemeral != self._ask.ephemeral:
            raise RemoteProtocolError("another ephemeral key than the promised one")
        shared, ciphertext = self._kem.encapsulate(confirm.kem_public)
        self._channel = _Channel(self._isk, shared, confirm.kem_public, ciphertext)
        message = self._noise.write_message(lambda h: _introduce(self._identity, "host", h))
        self._noise.set_psk(self._channel.psk)
        self.state = state
        return Accept(self._pake.own_tag, ciphertext, self._channel.to_joiner.seal(0, message))

    def receive_finish(self, finish: Finish) -> Met:
        """Who the joiner is, proven by message 5."""
        state = _move(self.state, finish)
        payload = self._noise.read_message(self._channel.to_host.open(0, finish.sealed))
        who = _identify(payload, "joiner", self._noise)
        self.state = state
        return _met(self._noise, who)

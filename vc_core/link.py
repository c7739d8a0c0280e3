"""A link: what two members share after one handshake.

Two 32-byte keys, one for each direction, come out of Noise. Each use takes its
own key from them by HKDF with a label of its own:

    letters             ChaCha20-Poly1305, nonce = counter of the letter
    stream 0 of QUIC    vc_core.streams
    probes of each way  vc_core.path
    feedback            vc_core.feedback

Letters carry ``PEER`` messages while there is no QUIC connection yet, through
the exchange, the host or a re-join mailbox. They may be lost and overtaken but
not replayed: between two of them the host's own way to us may have changed, from
an exchange to its stream. A letter may also come later than records of the stream
that were sent after it, so nothing that undoes another goes as a letter.
"""

from __future__ import annotations

from collections.abc import Callable

from vc_core.attempts import Attempts
from vc_core.errors import RemoteProtocolError
from vc_core.feedback import Feedbacks
from vc_core.ids import LinkId, Member, Way
from vc_core.keys import hkdf
from vc_core.messages import PEER, Letter
from vc_core.noise import Cipher
from vc_core.path import Path, State
from vc_core.replay import Window
from vc_core.streams import StreamOpener, StreamSealer
from vc_core.wire import Record

# Specification
LABEL_LETTER = "vchat-1 letter"
LABEL_PROBE = "vchat-1 probe"
LABEL_FEEDBACK = "vchat-1 feedback"
CONTROL_STREAM = 0
LINK_CHANCE = 10.0  # s that a link has to carry its first packet
LETTER_WINDOW = 256  # letters that may be overtaken by one


class Link:
    """One session with one member: its letters, its control stream, its ways."""

    def __init__(
        self,
        member: Member,
        number: LinkId,
        tag: bytes,
        keys: tuple[bytes, bytes],
        *,
        leading: bool,
        now: float,
        secret: bytes | None = None,
    ) -> None:
        """``keys`` are (send, receive); ``leading`` opens QUIC and controls ICE.

        ``secret`` is the room secret of the handshake: the other side knows it, so
        its mailbox is where letters of this link are heard.
        """
        send, receive = keys
        self.member = member
        self.id = number
        self.tag = tag
        self.leading = leading
        self.begun = now
        self.chance_until = now + LINK_CHANCE
        """When it is dead if it has not carried a packet."""
        self.secret = secret
        self.streaming = False
        """Whether records may be written: QUIC stands and both ends know stream 0."""
        self.told_generation = 0
        """The generation of our sender key that the handshake itself carried."""
        self.paths: dict[Way, Path] = {}
        """The ways that are open."""
        self.last_life = now
        """When something verified came over any of them."""
        self.used: Way | None = None
        """The way that the driver was told to use."""
        self.paired = True
        """Whether a direct pair is looked for in a room too large for a mesh, too."""
        self.leave_at = float("inf")
        """When ways are let go of that are not allowed any more."""
        self.pairs: list[int] = []
        """Attempts at a direct pair that are open, the newest last."""
        self.attempts = Attempts(now)
        self._keys = keys
        self._letters_out = Cipher(hkdf(send, LABEL_LETTER))
        self._letters_in = Cipher(hkdf(receive, LABEL_LETTER))
        self._counter_out = 0
        self._counters_in = Window(LETTER_WINDOW, ahead=1 << 64)  # any number may be lost
        self.feedback = Feedbacks(hkdf(send, LABEL_FEEDBACK), hkdf(receive, LABEL_FEEDBACK))
        self._sealer = StreamSealer(send, CONTROL_STREAM)
        self._opener = StreamOpener(receive, CONTROL_STREAM)

    # Ways

    def open_path(
        self, way: Way, now: float, *, crowded: bool = False, spare: bool = False
    ) -> Path:
        """A way can be tried: a path with keys of its own."""
        send, receive = (hkdf(key, LABEL_PROBE, way.name) for key in self._keys)
        path = Path(send, receive, now, origin=self.begun, crowded=crowded)
        path.spare = spare
        self.paths[way] = path
        return path

    def excuse(self, seconds: float, now: float) -> None:
        """Our own process did not run for so long: what came meanwhile has not been read yet."""
        if self.carried:
            self.last_life = min(now, self.last_life + seconds)
        self.chance_until += seconds
        for path in self.paths.values():
            path.excuse(seconds, now)

    @property
    def carried(self) -> bool:
        """Whether any way has ever carried a packet."""
        return self.last_life > self.begun

    @property
    def alive(self) -> bool:
        """Whether any way carries packets."""
        return any(path.state is State.ALIVE for path in self.paths.values())

    def sort_ways(self, spare: Callable[[Way], bool]) -> None:
        """Which of the ways are spare now."""
        for way, path in self.paths.items():
            path.spare = spare(way)

    # Letters and records

    def seal_letter(self, message: Record) -> Letter:
        """A ``PEER`` message for any road that carries letters."""
        sealed = self._letters_out.seal(self._counter_out, PEER.write(message), self.tag)
        letter = Letter(self.tag, self._counter_out, sealed)
        self._counter_out += 1
        return letter

    def open_letter(self, letter: Letter) -> Record:
        """The message of a letter that was not opened before."""
        if not self._counters_in.check(letter.counter):
            raise RemoteProtocolError("a letter that came before")
        message = PEER.read(self._letters_in.open(letter.counter, letter.sealed, self.tag))
        self._counters_in.advance(letter.counter)
        return message

    def seal_record(self, message: Record) -> bytes:
        """Bytes for stream 0."""
        return self._sealer.seal(PEER.write(message))

    def open_records(self, data: bytes) -> list[Record]:
        """The messages that became complete with ``data`` of stream 0."""
        return [PEER.read(body) for body in self._opener.receive(data)]

"""What happens in a room beside what the session tells: sound, pictures and signaling."""

from __future__ import annotations

from vc_core.events import Event
from vc_core.ids import Member
from vc_core.record import record


@record
class AudioOpened:
    """Microphone and speaker are open."""

    mic: str
    speaker: str
    mic_started: float | None
    """Unix time of the first sample."""
    speaker_started: float | None
    missing: tuple[str, ...]
    """Words for what was asked for and is not there; ``client.words`` has the sentences."""


@record
class AudioFailed:
    """A sound device could not be opened; the call goes on without."""

    code: str
    message: str
    hint: str


@record
class Talked:
    """Somebody (oneself included) began or ended to talk."""

    member: Member
    on: bool


@record
class SignalingChanged:
    """The signaling server was lost, or is back."""

    connected: bool


@record
class Announced:
    """The server inside is announced in this network."""

    code: str
    """The code as it can be used there, without a server behind it."""


@record
class PicturesFailed:
    """Something cannot be shown or seen; the call goes on."""

    code: str
    message: str
    hint: str
    member: Member | None = None
    """Whose stream could not be seen; None: what we wanted to show."""
    stream: int = 0


@record
class SoundNotShared:
    """What we share goes without sound."""

    code: str
    message: str
    hint: str


@record
class StreamStarted:
    """The first picture of a stream that we watch was decoded."""

    member: Member
    stream: int
    codec: str
    width: int
    height: int


@record
class StreamUnwatched:
    """We watch a stream no more, while it goes on."""

    member: Member
    stream: int


@record
class SourcesListed:
    """What can be shared here."""

    what: str
    """screens or cameras."""
    sources: tuple[tuple[str, str], ...]
    """(what to share it by, what is known about it)."""


RoomEvent = (
    Event
    | AudioOpened
    | AudioFailed
    | Talked
    | SignalingChanged
    | Announced
    | PicturesFailed
    | SoundNotShared
    | StreamStarted
    | StreamUnwatched
    | SourcesListed
)

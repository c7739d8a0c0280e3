"""What happened in the room, in the past tense, for whoever shows it."""

from __future__ import annotations

from vc_core.errors import Ending
from vc_core.ids import Member
from vc_core.keys import PublicIdentity
from vc_core.record import record


@record
class RoomOpened:
    """One's own place in the room is certain."""

    room: bytes
    member: Member
    name: str
    """As the host gave it: a name that was taken got a number."""
    hosting: bool


@record
class CodeReady:
    """The host has an invitation to hand out."""

    code: str
    link: str
    guests_left: int
    expires_at: float
    """Time ``now`` at which it ends."""


@record
class CodeFailed:
    """Somebody tried a wrong code."""

    left: int
    """Tries that the code still allows."""


@record
class CodeEnded:
    """The invitation admits nobody any more."""

    reason: str
    """used, expired, burned, withdrawn."""


@record
class MemberJoined:
    """A member stands in the roster; told before any key goes out to it."""

    member: Member
    name: str
    identity: PublicIdentity
    hosting: bool


@record
class HostChanged:
    """A deputy has taken over, or the host whom we follow is another one now."""

    member: Member
    name: str


@record
class MemberLeft:
    """A member is absent or out of the roster."""

    member: Member
    name: str
    reason: str
    """left, vanished, kicked, moved."""


@record
class PathChanged:
    """Packets to a member flow another way now."""

    member: Member
    rung: str
    """direct, hosted, relayed, none."""
    transport: str
    """udp, tcp."""
    reasons: dict[str, str]
    """Rung -> a word for what it does or why it does not; ``client.words`` has sentences."""
    rtt: float | None
    """Seconds, when known."""


@record
class Chatted:
    """Another member's text has come."""

    member: Member
    id: bytes
    text: str
    private: bool


@record
class Delivered:
    """A member took a text of ours."""

    id: bytes
    member: Member


@record
class MemberMuted:
    """A member turned its microphone off or on."""

    member: Member
    on: bool


@record
class StreamOffered:
    """A member shares pictures, or shares them in another size."""

    member: Member
    stream: int
    kind: str
    """screen, camera."""
    width: int
    height: int
    fps: int
    sound: bool = False
    """Whether they come with sound."""


@record
class StreamEnded:
    """A member's stream of pictures is over."""

    member: Member
    stream: int


@record
class StreamWatched:
    """A member watches a stream of ours, or no longer."""

    member: Member
    stream: int
    on: bool


@record
class KeyFrameWanted:
    """A viewer of a stream of ours needs a key frame."""

    member: Member
    stream: int


@record
class StreamCarried:
    """A stream that we watch comes as copies of a forwarder: want them there."""

    member: Member
    stream: int
    forwarder: int
    """0: it comes by itself again."""


@record
class RoomCodeShown:
    """Four words that are equal on all screens."""

    words: tuple[str, ...]


@record
class RoomLocked:
    """The room takes nobody in (or does again)."""

    on: bool


@record
class Warned:
    """Something that a person should know; the call goes on."""

    word: str
    member: Member | None = None


@record
class Ended:
    """The room is over for this member."""

    ending: Ending


Event = (
    RoomOpened
    | CodeReady
    | CodeFailed
    | CodeEnded
    | MemberJoined
    | HostChanged
    | MemberLeft
    | PathChanged
    | Chatted
    | Delivered
    | MemberMuted
    | StreamOffered
    | StreamEnded
    | StreamWatched
    | KeyFrameWanted
    | StreamCarried
    | RoomCodeShown
    | RoomLocked
    | Warned
    | Ended
)

"""Every sentence that a person reads, beside the word that the machines use.

Lower case, no full stop, one thing at a time: what happened (message) and what
can be done about it (hint, where there is something). ``{name}`` is a member.
The words stand in the JSON interface and never change; the sentences may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from vc_core.errors import Ending

if TYPE_CHECKING:
    from vc_core.invite import InvitationError


class Words(NamedTuple):
    """A sentence, and what to do about it."""

    message: str
    hint: str = ""

    def naming(self, name: str) -> Words:
        """With a member's name in it."""
        return Words(self.message.replace("{name}", name), self.hint.replace("{name}", name))


AGAIN = "install vchat again, with all that it needs"
NEW_CODE = "ask the host for a new code (/code there)"
WITH_SERVER = "type the part behind the @ too, or give the server: --signal ws://HOST:PORT"

ENDINGS: Mapping[Ending, Words] = {
    Ending.LEFT: Words("you left the room"),
    Ending.HOST_LEFT: Words("the host left, and the room ended with that"),
    Ending.FAILED: Words(
        "the call broke off: something came that the protocol does not allow",
        "try again; with -v the log says more",
    ),
    Ending.KICKED: Words("the host removed you from the room"),
    Ending.ROOM_FORKED: Words(
        "two different lists of members carry the host's signature, so the room stopped",
        "somebody may be cheating: talk to the host in another way before you try again",
    ),
    Ending.ROOM_MOVED: Words(
        "the room goes on under another host, who does not know you yet",
        "ask there for a new code",
    ),
    Ending.USAGE: Words(
        "vchat was called in a way that it does not understand", "see: vchat --help"
    ),
    Ending.CODE_MALFORMED: Words(
        "this is no code that vchat could read", "a code looks like 4821-apple-robot-candle"
    ),
    Ending.CODE_WRONG: Words(
        "the code is wrong", "check the digits and each word with the host, then try again"
    ),
    Ending.CODE_EXPIRED: Words("the code has expired", NEW_CODE),
    Ending.CODE_USED: Words("the code has let in all the guests that it was made for", NEW_CODE),
    Ending.CODE_WITHDRAWN: Words("the host has taken this code back", NEW_CODE),
    Ending.ROOM_FULL: Words("the room is full"),
    Ending.ROOM_LOCKED: Words(
        "the host has locked the room", "ask the host to unlock it (/lock off there)"
    ),
    Ending.BANNED: Words("the host removed you from this room and takes you back no more"),
    Ending.TOO_MANY_TRIES: Words(
        "too many wrong codes were tried", "wait a minute, and " + NEW_CODE
    ),
    Ending.OTHER_VERSION: Words(
        "the other side runs a version of vchat that this one cannot talk to",
        "install the same version on both sides",
    ),
    Ending.NO_SIGNALING: Words(
        "the signaling server cannot be reached",
        "check its address and the network; vchat doctor shows what works here",
    ),
    Ending.NO_ROAD: Words(
        "no network path to the host was found",
        "a network blocks udp, or both routers change ports: try another network on either side",
    ),
    Ending.HOST_LOST: Words(
        "the host cannot be reached any more",
        "ask the host whether vchat still runs, or those inside: a new host has a new code",
    ),
    Ending.NOT_THE_HOST: Words(
        "who answered is not the host that the link names, so nothing was sent",
        "somebody may be in between: get the link again in another way",
    ),
    Ending.VERIFICATION_FAILED: Words(
        "the other side could not prove who it is, so the call was ended",
        "try again; if it happens again, somebody may be in between",
    ),
    Ending.LIBRARY_MISSING: Words(
        "a library or a device that this needs is missing", "vchat doctor shows what is missing"
    ),
    Ending.INTERRUPTED: Words("interrupted"),
}

FLAWS: Mapping[str, Words] = {
    "EMPTY": Words(
        "there is no code", "type what the host reads out: vchat join 4821-apple-robot-candle"
    ),
    "TOO_LONG": Words("this is too long for a code", "paste the link alone"),
    "NO_NAMEPLATE": Words(
        "a code begins with four or more digits", "it looks like 4821-apple-robot-candle"
    ),
    "TOO_FEW_WORDS": Words("the code has fewer than three words", "type all of its words"),
    "TOO_MANY_WORDS": Words("the code has more than eight words", "type the code alone"),
    "UNKNOWN_WORD": Words("'{what}' is in no code", "check this word with the host"),
    "BAD_SERVER": Words(
        "'{what}' behind the @ is no address", "it looks like @192.168.1.7:8765 or @example.org"
    ),
    "DAMAGED_LINK": Words("the link was cut or changed on its way", "copy all of it once more"),
    "NEWER_LINK": Words("the link is of a newer version of vchat", "install the newer version"),
}
"""By the name of ``vc_core.invite.Flaw``."""

NO_SERVER = Words(
    "the code names no server, and none is set",
    WITH_SERVER,
)
LAN: Mapping[str, Words] = {
    "DEAF": Words(
        "the code names no server, and this machine cannot look for its host in the network",
        WITH_SERVER,
    ),
    "NOBODY": Words("the code names no server, and no host was found in this network", WITH_SERVER),
    "OTHERS": Words(
        "the code names no server, and none of the hosts in this network has this code",
        "check the digits with the host, or " + WITH_SERVER,
    ),
    "SILENT": Words("a host in this network has this code, but does not answer", WITH_SERVER),
}
"""By the name of ``client.net.lan.Missing``; all of them are ``no-signaling``."""
FORBIDDEN_ROADS = Words(
    ENDINGS[Ending.NO_ROAD].message,
    "--only forbids the other rungs here: allow them, or ask the host what it allows",
)
LAN_WRONG = Words(
    ENDINGS[Ending.CODE_WRONG].message,
    "check it with the host; if it is right, somebody else in this network answered: "
    + WITH_SERVER,
)
_TRUSTED = "give a server that you trust: --signal ws://HOST:PORT"
REVEALS = Words(
    "--only relayed keeps your address to yourself, and the server behind the @ may be a member's",
    _TRUSTED,
)
REVEALS_OWN = Words(
    "--only relayed keeps your address to yourself, and a code without a server would name it",
    _TRUSTED,
)

UNREACHABLE: Mapping[str, Words] = {
    "ADDRESS": Words("the server's address is not a ws:// or wss:// address"),
    "NAME": Words("no machine has the name of the signaling server", "check its spelling"),
    "SILENT": Words(
        "nothing answers at the address of the signaling server",
        "is it running, and does its firewall let you in?",
    ),
    "SLOW": Words("the signaling server did not answer in time", "check the network"),
    "CERTIFICATE": Words(
        "the certificate of the signaling server is not trusted, or it speaks no tls",
        "is it wss:// or ws:// there?",
    ),
    "PROXY": Words(
        "the proxy did not let us through to the signaling server",
        "check HTTPS_PROXY; SOCKS_PROXY cannot be used",
    ),
    "BUSY": Words("the signaling server takes no more connections now", "try again in a minute"),
    "STRANGER": Words("what answers there is no vchat signaling server", "check address and port"),
    "VERSION": Words(
        "the signaling server speaks another version", "install the same version on both sides"
    ),
}
"""By the name of ``client.net.mailbox.Unreachable``; all of them are ``no-signaling``."""

PATHS: Mapping[str, str] = {
    "not-tried": "{rung} was not tried yet",
    "none-known": "{rung} is not tried: no forwarder of that kind is known",
    "trying": "{rung} is being looked for",
    "awaited": "{rung}: the other side has not come to the forwarder",
    "answered": "{rung}: the other side answers",
    "silent": "{rung} fell silent; trying to wake it",
    "proving": "{rung} answers again, and must go on for a while",
    "forbidden": "{rung} is not allowed here",
    "refused": "{rung}: the other side does not allow it",
    "crowded": "{rung} is not tried in a room of so many",
    "no-candidates": "{rung} failed: no address of one side can be tried from the other",
    "nothing-answered": "{rung} failed: no pair of addresses answered",
    "both-change-ports": "{rung} failed: both networks change ports per destination",
    "udp-blocked": "{rung} failed: this network passes no udp",
    "lost": "{rung} failed: the pair of addresses died",
    "relay-silent": "{rung} failed: the forwarder does not answer any more",
    "relay-unreachable": "{rung} failed: no forwarder answered",
    "relay-unknown": "{rung} failed: neither you nor your signaling server named the host's relays",
    "relay-refused": "{rung} failed: the forwarder gave no slot",
}
"""By a word of the ladder, for each rung that is in use or is not."""

DEPARTURES: Mapping[str, str] = {
    "left": "{name} left",
    "vanished": "{name} is gone: nothing was heard for 10 seconds",
    "kicked": "{name} was removed by the host",
    "moved": "{name} was let in by a host that the room has left, and needs a new code",
}
"""By the ``reason`` of ``member-left``."""

KNOWN: Mapping[str, str] = {
    "new": "never met before",
    "known": "met before, the same key",
    "changed": "not the key of the contact of that name",
}
"""By ``known`` of ``member-joined``."""

CODE_ENDS: Mapping[str, Words] = {
    "used": Words("the code has let in all its guests", "/code makes a new one"),
    "expired": Words("the code has expired", "/code makes a new one"),
    "withdrawn": Words("the code admits nobody any more", "/code makes a new one"),
    "burned": Words(
        "the code was tried wrongly too often and is dead now", "/code makes a new one"
    ),
}

WARNINGS: Mapping[str, Words] = {
    "identity-changed": Words(
        "{name} has another key than your contact of that name, so nothing is exchanged",
        "ask in another way, then /accept {name}",
    ),
    "identity-in-use": Words(
        "your identity is in use by another vchat on this machine: here you have one for this call",
        "use --config DIR to be two people on one machine",
    ),
    "contacts-damaged": Words(
        "the list of contacts could not be read and was put aside",
        "contacts.json.damaged is what it was; people count as new now",
    ),
    "host-silent": Words("nothing is heard from the host: the call goes on while it is looked for"),
    "entries-dropped": Words(
        "the room came together under another host: what the one before it did meanwhile is lost",
        "see who is here; whoever was let in, removed or locked out then must be so again",
    ),
    "no-server": Words(
        "you are the host now, but no signaling server can be reached or opened here",
        "the call goes on; /invite tries again to make a code for newcomers",
    ),
    "voice-forged": Words(
        "somebody in the room sent voice in the name of {name}", "compare the room code by voice"
    ),
    "picture-forged": Words(
        "somebody in the room sent pictures in the name of {name}", "compare the room code by voice"
    ),
    "sound-forged": Words(
        "somebody in the room sent the sound of a stream in the name of {name}",
        "compare the room code by voice",
    ),
    "no-system-sound": Words(
        "what this machine plays is not shared: that is not possible here",
        "this needs PulseAudio, or PipeWire with pipewire-pulse",
    ),
    "no-film-sound": Words("this film holds no sound", "only its pictures go"),
    "pictures-broken": Words(
        "{name} sends pictures that cannot be, so they are watched no more",
        "ask them to share again, and which version of vchat they have",
    ),
    "room-code-missing": Words("{name} did not help to make the room code, so there is none now"),
    "roster-differs": Words(
        "{name} sees another list of members", "compare the room code by voice"
    ),
    "peer-misbehaved": Words(
        "{name}, or somebody on the way, sent what the protocol does not allow;"
        " the connection is made anew"
    ),
    "text-refused": Words(
        "a text to {name} could not be delivered", "it was too much at once: send it again later"
    ),
    "signaling-lost": Words(
        "the signaling server is gone: the call goes on, but nobody new can join"
    ),
    "signaling-back": Words("the signaling server is back: people can join again"),
    "microphone-gone": Words(
        "the microphone has gone: the default one takes its place, as soon as there is one",
        "see what is in use now; /mute if others shall not hear it",
    ),
    "speaker-gone": Words(
        "the speaker has gone: the default one takes its place, as soon as there is one",
        "see what is in use now",
    ),
    "no-sound": Words(
        "no sound device found: you can write, not talk",
        "install libportaudio2 if there is one; vchat doctor says more",
    ),
    "no-microphone": Words(
        "no microphone found: others cannot hear you", "writing works; see vchat devices"
    ),
    "no-speaker": Words(
        "no speaker found: you cannot hear the others", "writing works; see vchat devices"
    ),
}
"""By the ``code`` of a ``warning``."""

ERRORS: Mapping[str, Words] = {
    "bad-command": Words("this is no command of the json interface", "see docs/interface.md"),
    "not-in-room": Words("that needs an open room", "wait for the room event"),
    "listen-failed": Words(
        "the port for guests cannot be opened", "choose another with --listen 0.0.0.0:0"
    ),
}
"""By the ``code`` of an ``error`` that ends nothing by itself."""


def of_ending(ending: Ending) -> Words:
    """Why it ended."""
    return ENDINGS[ending]


def of_ending_word(word: str) -> Words:
    """The same by the ``reason`` of ``ended``; a word that we do not know stands for itself."""
    return next((words for one, words in ENDINGS.items() if one.word == word), Words(word))


def of_invitation(error: InvitationError) -> Words:
    """What is wrong with a code, and what was probably meant."""
    message, hint = FLAWS[error.flaw.name]
    meant = f"did you mean '{error.suggestion}'?" if error.suggestion else hint
    return Words(message.replace("{what}", error.what), meant)


def of_unreachable(reason: str, server: str = "") -> Words:
    """Why signaling cannot be used; ``reason`` is a name of ``Unreachable``."""
    message, hint = UNREACHABLE[reason]
    return Words(f"{message} ({server})" if server else message, hint)


def of_missing(reason: str) -> Words:
    """Why no host was found in this network; ``reason`` is a name of ``Missing``."""
    return LAN[reason]


def of_import(error: ImportError) -> Words:
    """A library that is not there, or is there and does not load."""
    if isinstance(error, ModuleNotFoundError):
        return Words(f"the library {(error.name or '?').partition('.')[0]} is missing", AGAIN)
    return Words(f"a library cannot be used: {error}", AGAIN)


def of_warning(code: str, name: str = "somebody") -> Words:
    """A warning that may name a member."""
    return WARNINGS.get(code, Words(code)).naming(name)


def of_error(code: str) -> Words:
    """An error of the JSON interface."""
    return ERRORS.get(code, Words(code))


def of_path(rung: str, reason: str) -> str:
    """What a rung does, or why it does not carry."""
    return PATHS.get(reason, "{rung}: " + reason).replace("{rung}", rung)


def of_departure(reason: str, name: str) -> str:
    """Somebody is no longer there."""
    return DEPARTURES.get(reason, "{name} left").replace("{name}", name)

"""What a line means that somebody typed: a text, or a command behind a slash.

    parse("/msg ann hello", {"ann": "m1"})  →  Send({"do": "chat", "to": "m1", …})

Pure: a line and the people who are there come in; out comes a command for the
engine (``Send``), something that the face does itself (``Do``), or a sentence for
who typed it (``Say``). A line that begins with two slashes is a text with one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from vc_core.entry import MAX_DEPUTIES
from vc_core.record import record

# Specification
MAX_TEXT = 16 * 1024  # bytes of UTF-8 in one text
MAX_PERCENT = 400  # of a member's volume

QUALITY = re.compile(
    r"(?:(?P<lines>[0-9]{3,4})p(?P<rate>[0-9]{1,3})?"
    r"|(?P<width>[0-9]{2,4})x(?P<height>[0-9]{2,4})(?:@(?P<fps>[0-9]{1,3}))?"
    r"|native(?P<native>[0-9]{1,3})?)",
    re.ASCII | re.IGNORECASE,
)
"""720p30, 1080p60, 1600x900@25, native, native60."""
FPS = (1, 120, 30)
"""Least, most, and what is meant when nothing is said."""

# Implementation
LIKENESS = 2  # letters that a command may be misspelt by and still be guessed

People = Mapping[str, str]
"""Name → member id, of the others in the room."""


class Local(Enum):
    """What a face does without asking the engine first."""

    HELP = "show the commands and keys"
    WHO = "list who is here"
    CODE = "show the code for guests"
    COPY_CODE = "put the code into the clipboard"
    MUTE = "microphone off, or on again"
    DEAFEN = "hear nobody, or everybody again"
    UNSHARE = "end what one shares"
    DETACH = "go, and let the call run"
    LEAVE = "leave the room"


@record
class Send:
    """A command of the JSON interface."""

    command: Mapping[str, Any]


@record
class Do:
    """The face does this itself."""

    what: Local


@record
class Say:
    """A sentence for who typed the line; nothing happens."""

    message: str


Meaning = Send | Do | Say


@record
class Slash:
    """One command as the help shows it."""

    name: str
    wants: str
    about: str
    read: Callable[[Slash, str, People], Meaning]
    """From the rest of the line."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.wants}".rstrip()

    @property
    def names_somebody(self) -> bool:
        """Whether a member's name comes first."""
        return self.wants.lstrip("[").startswith("NAME")


def parse(line: str, people: People) -> Meaning | None:
    """The meaning of one line; None for a blank one."""
    typed = line.strip()
    if not typed:
        return None
    if not typed.startswith("/"):
        return _text(typed)
    if typed.startswith("//"):
        return _text(typed[1:])
    word, _, rest = typed[1:].partition(" ")
    slash = COMMANDS.get(word.lower())
    if slash is None:
        return Say(_unknown(word.lower()))
    return slash.read(slash, rest.strip(), people)


def complete(before: str, people: People) -> list[tuple[str, int]]:
    """What may stand at the end of ``before``: (text, how many letters it replaces)."""
    if not before.startswith("/"):
        if " " in before or not before:
            return []
        return [(f"{name}: ", len(before)) for name in _beginning(people, before)]
    word, blank, rest = before[1:].partition(" ")
    if not blank:
        fits = sorted((s for s in ALL if s.name.startswith(word.lower())), key=lambda s: s.name)
        return [(f"/{s.name}{' ' if s.names_somebody else ''}", len(before)) for s in fits]
    slash = COMMANDS.get(word.lower())
    if slash is None:
        return []
    if slash.names_somebody:
        return [(f"{name} ", len(rest)) for name in _beginning(people, rest)]
    choices = CHOICES.get(slash.name) or ("on", "off") * ("on|off" in slash.wants)
    return [(choice, len(rest)) for choice in choices if choice.startswith(rest.lower())]


def _beginning(people: People, start: str) -> list[str]:
    return sorted(n for n in people if n.lower().startswith(start.lower()))


# ---- One for each way to read the rest ------------------------------------------------


def _text(text: str, **more: str) -> Meaning:
    if len(text.encode("utf-8", "replace")) > MAX_TEXT:
        return Say("a text has at most 16 KiB: send it in parts")
    return Send({"do": "chat", "text": text, **more})


def _alone(slash: Slash, rest: str, _people: People) -> Meaning:
    if rest:
        return Say(f"/{slash.name} stands alone")
    return Do(_LOCAL[slash.name])


def _code(_slash: Slash, rest: str, _people: People) -> Meaning:
    if rest.lower() in ("", "copy"):
        return Do(Local.COPY_CODE if rest else Local.CODE)
    return Say("type /code, or /code copy")


def _plain(slash: Slash, rest: str, _people: People) -> Meaning:
    if rest:
        return Say(f"/{slash.name} stands alone")
    return Send({"do": slash.name})


def _switch(slash: Slash, rest: str, _people: People) -> Meaning:
    word = rest.lower()
    if word in ("on", "off"):
        return Send({"do": slash.name, "on": word == "on"})
    if word:
        return Say(f"type {slash.usage}")
    if slash.name in _LOCAL:
        return Do(_LOCAL[slash.name])
    return Send({"do": slash.name, "on": True})


def _member(slash: Slash, rest: str, people: People) -> Meaning:
    member, behind, sentence = _who(slash, rest, people)
    if member is None or behind:
        return Say(sentence or f"nobody else here is called '{rest}' (/who lists everybody)")
    return Send({"do": slash.name, "member": member})


def _members(slash: Slash, rest: str, people: People) -> Meaning:
    """Names one after another; none of them, for nobody."""
    members: list[str] = []
    while rest and rest.lower() != "nobody":
        member, rest, sentence = _who(slash, rest, people)
        if member is None:
            return Say(sentence)
        members.append(member)
    if not members and not rest:
        return Say(f"type {slash.usage}, or /{slash.name} nobody")
    if len(members) > MAX_DEPUTIES:
        return Say(f"at most {MAX_DEPUTIES}: type {slash.usage}")
    return Send({"do": slash.name, "members": members})


def _message(slash: Slash, rest: str, people: People) -> Meaning:
    member, text, sentence = _who(slash, rest, people)
    if member is None:
        return Say(sentence)
    return _text(text, to=member) if text else Say(f"type {slash.usage}")


def _volume(slash: Slash, rest: str, people: People) -> Meaning:
    member, text, sentence = _who(slash, rest, people)
    if member is None:
        return Say(sentence)
    digits = text.removesuffix("%").strip()
    if not (digits.isascii() and digits.isdigit()) or int(digits[:5]) > MAX_PERCENT:
        return Say(f"type {slash.usage}, from 0 to {MAX_PERCENT}; 100 is as it comes")
    return Send({"do": "volume", "member": member, "percent": int(digits)})


def _watch(slash: Slash, rest: str, people: People) -> Meaning:
    """The stream is chosen by who knows what there is: ``kind`` is no field of the interface."""
    first, _, behind = rest.partition(" ")
    member, behind, sentence = (
        ("me", behind, "") if first.lower() == "me" else _who(slash, rest, people)
    )
    if member is None:
        return Say(sentence)
    command: dict[str, Any] = {"do": slash.name, "member": member}
    while behind:
        word, _, left = behind.partition(" ")
        kind = WATCHED.get(word.lower())
        if kind is None:
            to = _kept(behind)
            return Send({**command, "to": to}) if to else Say(f"type {slash.usage}, {PLACES}")
        command[kind], behind = word.lower(), left.strip()
    return Send(command)


def _kept(place: str) -> str:
    """``file PATH`` or ``player COMMAND``, or with a colon, as the interface has it; else ""."""
    if (found := KEPT.fullmatch(place)) is None:
        return ""
    return f"{found[1].lower()}:{found[2]}"


def _unwatch(slash: Slash, rest: str, people: People) -> Meaning:
    if not rest or rest.lower() == "me":
        return Send({"do": slash.name, **({"member": "me"} if rest else {})})
    return _member(slash, rest, people)


def _share(slash: Slash, rest: str, _people: People) -> Meaning:
    """Words for sound, codec and size come last, in any order; a film brings its sound along."""
    words = rest.split()
    more: dict[str, Any] = {"audio": True} if words and words[0].lower() in PATHS else {}
    while words and words[0].lower() not in PATHS:
        word = words[-1].lower()
        found = SAID.get(word) or parse_quality(word)
        if found is None:
            break
        more |= found
        words.pop()
    source = words[0].lower() if words else "screen"
    which = rest.partition(" ")[2].strip() if source in PATHS else " ".join(words[1:])
    if source not in SOURCES or (source in PATHS and not which) or (source == "test" and which):
        return Say("type /share, and screen, screen N, camera, camera NAME, test or file PATH")
    named = f"{source}:{which}" if which else source
    return Send({"do": "share", "source": named, **more})


def _quality(slash: Slash, rest: str, _people: People) -> Meaning:
    quality = parse_quality(rest)
    if quality is None:
        return Say("type /quality, and 720p30, 1080p60, 1600x900@25, or native")
    return Send({"do": "quality", **quality})


def parse_quality(text: str) -> dict[str, int] | None:
    """Width, height and rate; without a size it is the screen's own. None for anything else."""
    found = QUALITY.fullmatch(text.strip())
    if found is None:
        return None
    fps = int(found["rate"] or found["fps"] or found["native"] or FPS[2])
    if not FPS[0] <= fps <= FPS[1]:
        return None
    if found["lines"]:
        height = int(found["lines"])
        return {"width": (height * 16 // 9 + 1) & ~1, "height": height, "fps": fps}
    if found["width"]:
        return {"width": int(found["width"]) & ~1, "height": int(found["height"]) & ~1, "fps": fps}
    return {"fps": fps}


def _who(slash: Slash, rest: str, people: People) -> tuple[str | None, str, str]:
    """Who is meant at the start of ``rest``: (member or None, what follows, a sentence).

    Names may have blanks, so the longest one that fits wins; the start of a name is
    enough when it is nobody else's.
    """
    if not rest:
        return None, "", f"type {slash.usage}"
    lower = rest.lower()
    for fold in (str, str.lower):
        line = fold(rest)
        whole = [n for n in people if line == fold(n) or line.startswith(fold(n) + " ")]
        longest = [n for n in whole if len(n) == max(map(len, whole))]
        if len(longest) == 1:
            return people[longest[0]], rest[len(longest[0]) :].strip(), ""
    start, _, behind = rest.partition(" ")
    begun = [name for name in people if name.lower().startswith(lower.partition(" ")[0])]
    if len(begun) == 1:
        return people[begun[0]], behind.strip(), ""
    if begun:
        return None, "", f"'{start}' may be {' or '.join(sorted(begun))}"
    return None, "", f"nobody else here is called '{start}' (/who lists everybody)"


WATCHED = {"window": "to", "terminal": "to", "screen": "kind", "camera": "kind"}
"""Words behind a name, and what they say."""
KEPT = re.compile(r"(file|player)[ :]\s*(.+)", re.IGNORECASE)
PLACES = "and window, terminal, file PATH or player COMMAND"
SOURCES = ("screen", "camera", "test", "file", "loop")
PATHS = ("file", "loop")
SAID: Mapping[str, dict[str, Any]] = {
    **{word: {"audio": True} for word in ("audio", "sound")},
    **{codec: {"codec": codec} for codec in ("h264", "vp9", "av1")},
}
"""Words behind what is shared: whether what the machine plays is heard along, how it is encoded."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "code": ("copy",),
    "share": SOURCES,
    "quality": ("720p30", "720p60", "1080p30", "1080p60", "native"),
}
"""What may be typed first behind a command."""

# ---- All commands ---------------------------------------------------------------------

_LOCAL = {
    "help": Local.HELP,
    "who": Local.WHO,
    "mute": Local.MUTE,
    "deafen": Local.DEAFEN,
    "detach": Local.DETACH,
    "leave": Local.LEAVE,
    "unshare": Local.UNSHARE,
}

ALL = (
    Slash("help", "", "these lines", _alone),
    Slash("mute", "[on|off]", "your microphone off, or on again", _switch),
    Slash("deafen", "[on|off]", "hear nobody, or everybody again", _switch),
    Slash("msg", "NAME TEXT", "a text to one member only", _message),
    Slash("who", "", "who is here, and by which road", _alone),
    Slash("volume", "NAME PERCENT", "how loud you hear a member", _volume),
    Slash("code", "[copy]", "the code for guests; copy puts it into the clipboard", _code),
    Slash("invite", "", "a new code for guests (host)", _plain),
    Slash("kick", "NAME", "remove a member (host)", _member),
    Slash("deputies", "NAME [NAME]", "who takes over when you are gone (host)", _members),
    Slash("lock", "[on|off]", "let nobody in any more, or again (host)", _switch),
    Slash("accept", "NAME", "talk to a member whose key has changed", _member),
    Slash("save", "NAME", "keep a member's key as a contact", _member),
    Slash("watch", "NAME [PLACE]", "see what a member shares; file PATH records it", _watch),
    Slash("unwatch", "[NAME]", "see it no more", _unwatch),
    Slash("share", "[WHAT] [audio] [SIZE]", "show a screen, camera, test or file PATH", _share),
    Slash("unshare", "", "end what you share", _alone),
    Slash("quality", "SIZE", "of what you share: 720p30, 1080p60, native", _quality),
    Slash("screens", "", "which screens you could share", _plain),
    Slash("cameras", "", "which cameras you could share", _plain),
    Slash("detach", "", "close this window; the call goes on (vchat attach)", _alone),
    Slash("leave", "", "leave the room", _alone),
)

ALIASES = {"quit": "leave", "exit": "leave", "q": "leave", "w": "msg", "?": "help", "vol": "volume"}

COMMANDS: Mapping[str, Slash] = {
    **{slash.name: slash for slash in ALL},
    **{alias: next(s for s in ALL if s.name == name) for alias, name in ALIASES.items()},
}


def help_lines() -> list[str]:
    """The commands, one on each line."""
    width = max(len(slash.usage) for slash in ALL)
    return [f"{slash.usage.ljust(width)}  {slash.about}" for slash in ALL]


def _unknown(word: str) -> str:
    nearest = min(COMMANDS, key=lambda name: (_edits(word[:20], name), name))
    close = _edits(word[:20], nearest) <= min(LIKENESS, len(nearest) - 1)
    meant = f"did you mean /{nearest}?" if close else "/help lists all commands"
    return f"there is no command /{word[:20]}: {meant}"


def _edits(left: str, right: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, previous + (letter != other))
            previous, row[j] = row[j], cost
    return row[-1]

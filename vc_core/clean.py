"""Text from other people, made harmless before anybody or anything shows it.

Escape sequences go as a whole, control characters and bidirectional overrides
one by one; line feeds and tabs become spaces. Emoji, joiners and combining
marks stay as they were sent.
"""

from __future__ import annotations

import re
import unicodedata

from vc_core.messages import MAX_NAME

# Specification
OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
NAMELESS = "someone"
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: parameters, intermediates, final (ECMA-48)
    r"|[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|[ -/]*[0-~])?"
)
_BLANKS = str.maketrans({"\n": " ", "\t": " ", "\r": None, "\u2028": " ", "\u2029": " "})


def clean_text(text: str) -> str:
    """A text that is safe to show and to hand to scripts."""
    plain = _ESCAPES.sub("", text).translate(_BLANKS)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(
        c for c in plain if c not in OVERRIDES and unicodedata.category(c) not in ("Cc", "Cs")
    )


def clean_name(name: str) -> str:
    """A name in one line, 1 to 64 bytes of UTF-8, without blanks around it."""
    plain = " ".join(unicodedata.normalize("NFC", clean_text(name)).split())
    visible = any(unicodedata.category(c)[0] in "LNPS" for c in plain)
    return shorten(plain, MAX_NAME) if visible else NAMELESS


def shorten(text: str, size: int) -> str:
    """At most ``size`` bytes of UTF-8, cut between characters."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore").strip()


def unique_name(name: str, taken: set[str]) -> str:
    """``name``, or the same with a number behind it when somebody has it."""
    plain = clean_name(name)
    candidate, number = plain, 2
    while candidate in taken:
        suffix = f"-{number}"
        candidate = shorten(plain, MAX_NAME - len(suffix)) + suffix
        number += 1
    return candidate

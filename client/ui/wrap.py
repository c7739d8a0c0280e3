"""Text to rows of a given width: words kept whole, long ones broken, marks never torn.

    cells("añ日")  →  ["a", "ñ", "日"]     a letter and what combines with it stay one

Widths are those of prompt_toolkit, which is what the screen is drawn by. Pictures made of
several characters are as wide as each terminal likes, and one that is not where the screen
believes it to be leaves old letters standing: they are shown in their parts.
"""

from __future__ import annotations

import re

from prompt_toolkit.utils import get_cwidth

# Implementation
_GLUE = re.compile("\u200d(?=[\u2190-\U0010ffff])|\ufe0f|[\U0001f3fb-\U0001f3ff]")
"""Joiners of pictures, the demand for a coloured one, colours of skin."""
_FLAGS = {0x1F1E6 + n: chr(ord("A") + n) for n in range(26)}
"""A flag is two letters of its own kind."""
MAX_PIECE = 16  # characters drawn as one; more marks on a letter are left out


def cells(text: str) -> list[str]:
    """The text in pieces that are drawn as one; marks on nothing are left out."""
    found: list[str] = []
    for letter in text:
        last = found[-1] if found else " "
        if get_cwidth(letter):
            found.append(letter)
        elif last != " " and len(last) < MAX_PIECE:
            found[-1] += letter
    return found


def part(text: str) -> str:
    """The text with its pictures in parts, which are equally wide everywhere."""
    return text if text.isascii() else _GLUE.sub("", text).translate(_FLAGS)


def width_of(text: str) -> int:
    """Cells that the text takes on the screen."""
    return get_cwidth(text)


def cut(text: str, width: int, more: str = "…") -> str:
    """The text in at most ``width`` cells, with ``more`` where something is missing."""
    text = part(text)
    if width_of(text) <= width:
        return text
    kept, room = "", width - width_of(more)
    for cell in cells(text):
        if width_of(kept + cell) > room:
            break
        kept += cell
    return kept + more if room >= 0 else ""


def fit(text: str, width: int, more: str = "…") -> str:
    """The text in exactly ``width`` cells."""
    short = cut(text, width, more)
    return short + " " * (width - width_of(short))


def wrap(text: str, first: int, later: int) -> list[str]:
    """Rows of at most ``first`` cells (the first one) and ``later`` cells (the others).

    A piece that is wider than a row stands alone in its row; widths below 1 count as 1.
    """
    if text.isascii():
        if len(text) <= first:
            return [text]
    else:
        text = "".join(cells(part(text)))
    rows, row, used, limit = [], "", 0, max(1, first)
    for word in _words(text):
        size = width_of(word)
        if used + size > limit and used and not word.startswith(" "):
            rows.append(row.rstrip(" "))
            row, used, limit = "", 0, max(1, later)
        if size <= limit - used or word.startswith(" "):
            row, used = row + word, min(limit, used + size)
            continue
        for cell in cells(word):
            if used and used + width_of(cell) > limit:
                rows.append(row)
                row, used, limit = "", 0, max(1, later)
            row, used = row + cell, used + width_of(cell)
    return [*rows, row.rstrip(" ")] if row.strip(" ") or not rows else rows


def _words(text: str) -> list[str]:
    """Words and the blanks between them, alternately."""
    found: list[str] = []
    for letter in text:
        if found and (letter == " ") == (found[-1][-1] == " "):
            found[-1] += letter
        else:
            found.append(letter)
    return found

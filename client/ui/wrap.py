"""Text to rows of a given width: words kept whole, long ones broken, marks never torn.

    cells("añ日")  →  ["a", "ñ", "日"]     a letter and what combines with it stay one

Widths are those of prompt_toolkit, which is what the screen is drawn by.
"""

from __future__ import annotations

from prompt_toolkit.utils import get_cwidth

# Implementation
JOINER = "\u200d"  # zero width joiner: what follows belongs to the same picture
MAX_PIECE = 16  # characters drawn as one; more marks on a letter are left out


def cells(text: str) -> list[str]:
    """The text in pieces that are drawn as one; marks on nothing are left out."""
    found: list[str] = []
    for letter in text:
        last, width = found[-1] if found else " ", get_cwidth(letter)
        full = len(last) >= MAX_PIECE
        if width and (full or letter == " " or not last.endswith(JOINER)):
            found.append(letter)
        elif last != " " and not full:
            found[-1] += letter
    return found


def width_of(text: str) -> int:
    """Cells that the text takes on the screen."""
    return get_cwidth(text)


def cut(text: str, width: int, more: str = "…") -> str:
    """The text in at most ``width`` cells, with ``more`` where something is missing."""
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
        text = "".join(cells(text))
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

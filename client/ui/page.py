"""The page of help that F1 lays over the screen."""

from __future__ import annotations

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.controls import UIContent, UIControl

from client.ui.slash import ALL
from client.ui.wrap import wrap

KEYS = (
    ("F1, Esc", "this page, and away with it"),
    ("F3", "your microphone off, or on again"),
    ("F4", "hear nobody, or everybody again"),
    ("F8", "ends what you share"),
    ("PgUp, PgDn", "older and newer texts"),
    ("Tab", "completes commands and names"),
    ("Up, Down", "what you typed before"),
    ("Esc", "clears the line"),
    ("Ctrl-C", "leaves the room; twice at once"),
)
ELSE = "whatever else you type is a text to all; // begins a text with a slash"
NARROW = 56  # cells below which explanations stand under what they explain
COLUMN = max(len(slash.usage) for slash in ALL) + 2  # cells of what is explained


class HelpPage(UIControl):
    """Keys and commands, in pages of the height that there is."""

    def __init__(self) -> None:
        self.top = 0
        self._height = 20
        self._count = 0

    def create_content(self, width: int, height: int) -> UIContent:
        """The rows in sight."""
        rows = help_rows(width)
        self._height, self._count = max(1, height), len(rows)
        self.top = max(0, min(self.top, self._count - self._height))
        seen = rows[self.top : self.top + self._height]
        if self.top + self._height < self._count:
            seen[-1] = [("class:page.title", "PgDn: more")]  # the row is the first of the next page
        return UIContent(get_line=seen.__getitem__, line_count=len(seen), show_cursor=False)

    def move(self, pages: int) -> None:
        """Forward or back; ``create_content`` sees to the limits."""
        self.top += pages * max(1, self._height - 1)


def help_rows(width: int) -> list[StyleAndTextTuples]:
    """All rows for a width."""
    rows: list[StyleAndTextTuples] = [[("class:page.title", "vchat: keys and commands")], []]
    for name, about in KEYS:
        rows += _entry(name, about, width)
    rows.append([])
    for slash in ALL:
        rows += _entry(slash.usage, slash.about, width)
    rows.append([])
    rows += [[("", text)] for text in wrap(ELSE, width, width)]
    return rows


def _entry(name: str, about: str, width: int) -> list[StyleAndTextTuples]:
    if width < NARROW:
        texts = wrap(about, width - 4, width - 4)
        return [[("bold", name)], *_texts(texts, 4)]
    first, *texts = wrap(about, width - COLUMN, width - COLUMN)
    return [[("bold", name.ljust(COLUMN)), ("", first)], *_texts(texts, COLUMN)]


def _texts(texts: list[str], indent: int) -> list[StyleAndTextTuples]:
    return [[("", " " * indent + text)] for text in texts]

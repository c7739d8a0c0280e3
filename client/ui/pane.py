"""The pane of texts: the log in rows of the pane's width, and where one looks at it.

Rule 1: only the rows that can be seen are made; a long log costs nothing to draw.
Rule 2: who has scrolled back stays at what is being read, whatever comes in.
"""

from __future__ import annotations

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.controls import UIContent, UIControl

from client.ui.log import Kind, Line
from client.ui.model import Model
from client.ui.theme import Marks, member_class
from client.ui.wrap import part, width_of, wrap
from vc_core.record import record

# Implementation
CLOCK_FROM = 50  # cells of width from which on lines show the time
INDENT = 2  # cells by which the later rows of a line are set in
MIN_TEXT = 10  # cells that a long name must leave for the text
MAX_CACHE = 4000

Place = tuple[int, int]
"""A row: number of its line, row within the line."""
Row = StyleAndTextTuples

SIGNS = {Kind.WARNING: "! ", Kind.ERROR: "! ", Kind.NOTE: "* ", Kind.STATE: "* "}
STYLES = {
    Kind.NOTE: "class:quiet",
    Kind.STATE: "class:quiet",
    Kind.WARNING: "class:warning",
    Kind.ERROR: "class:error",
    Kind.COPY: "class:copy",
    Kind.PRIVATE: "class:private",
    Kind.OWN_PRIVATE: "class:private",
}
TEXTS = (Kind.TEXT, Kind.PRIVATE)


@record
class _Key:
    width: int
    waiting: bool
    marked: bool


class TextPane(UIControl):
    """The log."""

    def __init__(self, model: Model, marks: Marks) -> None:
        self._model = model
        self._marks = marks
        self._cache: dict[int, tuple[_Key, list[Row]]] = {}
        self._width, self._height = 80, 20
        self._bottom: Place | None = None
        """The last row in sight; None while the newest is shown."""
        self._seen = -1
        self._mark: int | None = None
        """The first line that came while one was looking at older ones."""

    @property
    def scrolled(self) -> bool:
        """Whether older rows are looked at."""
        return self._bottom is not None

    @property
    def unread(self) -> int:
        """Texts of others below what is in sight."""
        lines = reversed(self._model.lines)
        if not self.scrolled:
            return 0
        count = 0
        for line in lines:
            if line.number <= self._seen:
                break
            count += line.kind in TEXTS
        return count

    # ---- Drawing ---------------------------------------------------------------------

    def create_content(self, width: int, height: int) -> UIContent:
        """The rows in sight."""
        self._width, self._height = width, height
        self._notice()
        rows = [row for _, row in self._upto(self._bottom, height)]
        return UIContent(get_line=rows.__getitem__, line_count=len(rows), show_cursor=False)

    def _notice(self) -> None:
        """Keep track of what has been seen."""
        newest = self._model.lines[-1].number if self._model.lines else -1
        if not self.scrolled:
            self._seen = newest
        elif self._mark is None and newest > self._seen and self.unread:
            self._mark = self._seen + 1

    def forget_mark(self) -> None:
        """The line between old and new has served."""
        self._mark = None

    # ---- Moving ----------------------------------------------------------------------

    def up(self) -> None:
        """A page back."""
        view = self._upto(self._bottom, max(2, self._height))
        if len(view) < self._height or not view:
            return
        above: Place | None = view[0][0]
        if len(self._upto(above, self._height)) < self._height:
            above = self._from_start(self._height)
        self._bottom = above

    def down(self) -> None:
        """A page on; at the end the newest is followed again."""
        if self._bottom is None:
            return
        self._bottom = self._after(self._bottom, max(1, self._height - 1))

    def end(self) -> None:
        """To the newest."""
        self._bottom = None

    def _upto(self, bottom: Place | None, count: int) -> list[tuple[Place, Row]]:
        """At most ``count`` rows that end with ``bottom``."""
        lines = self._model.lines
        if not lines:
            return []
        at = len(lines) - 1
        if bottom is not None:
            at = min(at, max(0, bottom[0] - lines[0].number))
        found: list[tuple[Place, Row]] = []
        while at >= 0 and len(found) < count:
            line = lines[at]
            rows = self._rows(line)
            if bottom is not None and bottom[0] == line.number:
                rows = rows[: bottom[1] + 1]
            placed = [((line.number, n), row) for n, row in enumerate(rows)]
            found += reversed(placed)
            at -= 1
        return found[:count][::-1]

    def _from_start(self, count: int) -> Place | None:
        """The row ``count`` rows from the start, or None if that is the end."""
        lines = self._model.lines
        return self._after((lines[0].number, 0), count - 1) if lines else None

    def _after(self, place: Place, count: int) -> Place | None:
        """The row ``count`` rows below ``place``, or None if that is the end."""
        lines = self._model.lines
        at, row = max(0, place[0] - lines[0].number), place[1] + count
        while at < len(lines):
            rows = len(self._rows(lines[at]))
            if row < rows:
                last = at == len(lines) - 1 and row == rows - 1
                return None if last else (lines[at].number, row)
            row -= rows
            at += 1
        return None

    # ---- Rows ------------------------------------------------------------------------

    def _rows(self, line: Line) -> list[Row]:
        key = _Key(self._width, bool(line.waiting), line.number == self._mark)
        cached = self._cache.get(line.number)
        if cached is not None and cached[0] == key:
            return cached[1]
        if len(self._cache) > MAX_CACHE:
            self._cache.clear()
        rows = self._make(line)
        if key.marked:
            rows.insert(0, [("class:rule", f"{self._marks.rule * 3} new {self._marks.rule * 3}")])
        self._cache[line.number] = key, rows
        return rows

    def _make(self, line: Line) -> list[Row]:
        style = STYLES.get(line.kind, "")
        if line.kind is Kind.COPY:
            return [[(style, row)] for row in wrap(line.text, self._width, self._width)]
        clock = f"{line.clock} " if line.clock and self._width >= CLOCK_FROM else ""
        indent = len(clock) + INDENT if self._width >= CLOCK_FROM else INDENT
        head: Row = [("class:quiet", clock)] if clock else []
        head += self._head(line)
        taken = sum(width_of(text) for _, text, *_ in head)
        if self._width - taken < min(MIN_TEXT, width_of(line.text)):
            rows: list[Row] = [head]
            texts = wrap(line.text, self._width - indent, self._width - indent)
        else:
            first, *texts = wrap(line.text, self._width - taken, self._width - indent)
            rows = [[*head, (style, first)]]
        rows += [[("", " " * indent), (style, text)] for text in texts]
        if line.waiting:
            rows[-1] = [*rows[-1], ("class:quiet", f" {self._marks.waiting}")]
        return rows

    @staticmethod
    def _head(line: Line) -> Row:
        name = (member_class(line.colour), part(line.name))
        if line.kind in (Kind.TEXT, Kind.OWN):
            return [name, ("", ": ")]
        if line.kind is Kind.PRIVATE:
            return [("class:quiet", "(private) "), name, ("", ": ")]
        if line.kind is Kind.OWN_PRIVATE:
            return [("class:quiet", "(private) to "), name, ("", ": ")]
        sign = SIGNS.get(line.kind, "  ")
        return [(STYLES.get(line.kind, ""), sign)]

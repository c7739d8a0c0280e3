"""Colours and marks, readable on dark and on light backgrounds, and without colour.

Rule: no fact is told by colour alone; each mark is another sign as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from vc_core.record import record

PALETTE = (
    "#0087af",
    "#af5f00",
    "#008700",
    "#d700af",
    "#5f5fff",
    "#af5f5f",
    "#5f8700",
    "#875fd7",
    "#d7005f",
    "#008787",
)
"""Of members, by number. Each stands in the 256 colours of xterm and has a contrast of
at least 4 to black and to white (WCAG 2.1, 1.4.3)."""

QUIET = "#878787"
ALARM = "#d7005f"
GOOD = "#008700"
BAR = "reverse"


@record
class Marks:
    """One sign for each state of a member, each one cell wide."""

    talking: str
    silent: str
    muted: str
    host: str
    waiting: str
    rule: str
    upright: str
    more: str


UNICODE = Marks("●", "○", "×", "*", "…", "─", "│", "…")
ASCII = Marks("#", "-", "x", "*", "~", "-", "|", "~")


def marks(encoding: str | None) -> Marks:
    """Those that the terminal's encoding can write."""
    try:
        "●○×…─│".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def member_class(number: int) -> str:
    """The style class of a member's name."""
    return f"class:member{number % len(PALETTE)}"


def style() -> Style:
    """All style classes of the screen."""
    return Style.from_dict(
        {
            **{f"member{n}": f"{colour} bold" for n, colour in enumerate(PALETTE)},
            "quiet": QUIET,
            "warning": f"{ALARM} bold",
            "error": f"{ALARM} bold",
            "talking": f"{GOOD} bold",
            "own": "bold",
            "private": "italic",
            "copy": "bold",
            "rule": QUIET,
            "status": BAR,
            "status.alarm": f"{BAR} bold",
            "prompt": "bold",
            "page": "",
            "page.title": "bold",
            "completion-menu.completion": BAR,
            "completion-menu.completion.current": "noreverse bold underline",
        }
    )


def color_depth(environment: Mapping[str, str]) -> ColorDepth | None:
    """Without colour where NO_COLOR says so (https://no-color.org); else what fits."""
    if environment.get("NO_COLOR"):
        return ColorDepth.DEPTH_1_BIT
    return None

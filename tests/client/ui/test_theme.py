"""Colours that can be read on both backgrounds, and marks without colour."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.utils import get_cwidth

from client.ui import theme

CONTRAST = 4.0
XTERM = (0, 95, 135, 175, 215, 255)
"""The steps of each channel in the cube of 256 colours."""


def channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [c / 255 for c in channels(colour)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*theme.PALETTE, theme.ALARM, theme.GOOD])
def test_a_colour_can_be_read_on_black_and_on_white(colour: str) -> None:
    light = luminance(colour)
    assert 1.05 / (light + 0.05) >= CONTRAST and (light + 0.05) / 0.05 >= CONTRAST


@pytest.mark.parametrize("colour", theme.PALETTE)
def test_a_colour_stands_in_the_256_of_every_terminal(colour: str) -> None:
    assert set(channels(colour)) <= set(XTERM)


def test_eight_members_have_eight_colours() -> None:
    assert len({theme.member_class(number) for number in range(8)}) == 8
    assert theme.member_class(65535) in {f"class:member{n}" for n in range(len(theme.PALETTE))}


def test_no_color_is_honoured() -> None:
    assert theme.color_depth({"NO_COLOR": "1"}) is ColorDepth.DEPTH_1_BIT
    assert theme.color_depth({"NO_COLOR": ""}) is None and theme.color_depth({}) is None


@pytest.mark.parametrize("marks", [theme.UNICODE, theme.ASCII])
def test_marks_are_one_cell_wide_and_differ_without_colour(marks: theme.Marks) -> None:
    assert all(get_cwidth(mark) == 1 for mark in astuple(marks))
    assert len({marks.talking, marks.silent, marks.muted}) == 3


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None, "no such thing"])
def test_a_terminal_without_unicode_gets_plain_marks(encoding: str | None) -> None:
    assert theme.marks(encoding) is theme.ASCII
    assert theme.marks("utf-8") is theme.UNICODE

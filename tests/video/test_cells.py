"""Half blocks: what a terminal shows after the bytes is the picture, and no byte is wasted."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video.cells import BEGIN, END, RAMP, TOLERANCE, Bytes, Cells, Depth

TOKEN = re.compile(r"\x1b\[(\d+);(\d+)H|\x1b\[([\d;]*)m|(\x1b[78]|\x1b\[\?2026[hl])|([^\x1b])")

Colour = tuple[int, int, int]
BLACK: Colour = (0, 0, 0)


class Glass:
    """As much of a terminal as half blocks need."""

    def __init__(self, rows: int, columns: int) -> None:
        self.colours: Bytes = np.zeros((2 * rows, columns, 3), np.uint8)
        self.letters = [[" "] * columns for _ in range(rows)]
        self.written = 0

    def obey(self, data: bytes) -> None:
        """Everything that is used, and nothing else."""
        text, at, fore, back, x, y = data.decode(), 0, BLACK, BLACK, 0, 0
        while at < len(text):
            token = TOKEN.match(text, at)
            assert token, f"not understood: {text[at : at + 20]!r}"
            at = token.end()
            row, column, colours, _, letter = token.groups()
            if row:
                y, x = int(row) - 1, int(column) - 1
            elif colours is not None:
                fore, back = self._colours(colours, fore, back)
            elif letter:
                self.colours[2 * y, x] = fore if letter == "▀" else back
                self.colours[2 * y + 1, x] = back
                self.letters[y][x] = letter
                x, self.written = x + 1, self.written + 1

    def _colours(self, text: str, fore: Colour, back: Colour) -> tuple[Colour, Colour]:
        numbers = [int(part) for part in text.split(";")]
        while numbers and numbers != [0]:
            ground, kind, *rest = numbers
            assert kind == 2
            colour, numbers = (rest[0], rest[1], rest[2]), rest[3:]
            fore, back = (colour, back) if ground == 38 else (fore, colour)
        return fore, back


def noise(seed: int, rows: int = 6, columns: int = 10) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (2 * rows, columns, 3)).astype(np.uint8)


def test_one_white_cell_over_black_is_these_bytes() -> None:
    rgb = np.zeros((2, 1, 3), np.uint8)
    rgb[0] = 255
    drawn = Cells(1, 1, Depth.TRUE).draw(rgb, left=4, top=2)
    move = b"\x1b[003;005H"
    assert drawn == BEGIN + move + "\x1b[38;2;255;255;255;48;2;0;0;0m▀".encode() + END


def test_a_cell_of_one_colour_is_a_blank() -> None:
    drawn = Cells(1, 2, Depth.TRUE).draw(np.full((2, 2, 3), 7, np.uint8), 0, 0)
    assert drawn == BEGIN + b"\x1b[001;001H\x1b[48;2;7;7;7m  " + END


def test_256_colours_are_told_by_number() -> None:
    rgb = np.zeros((2, 1, 3), np.uint8)
    rgb[0] = (255, 0, 0)
    drawn = Cells(1, 1, Depth.FEW).draw(rgb, 0, 0)
    assert drawn == BEGIN + "\x1b[001;001H\x1b[38;5;196;48;5;16m▀".encode() + END


@pytest.mark.parametrize(
    ("colour", "number"), [((95, 135, 175), 67), ((8, 8, 8), 232), ((238, 238, 238), 255)]
)
def test_colours_of_the_256_are_found_again(colour: tuple[int, int, int], number: int) -> None:
    drawn = Cells(1, 1, Depth.FEW).draw(np.full((2, 1, 3), colour, np.uint8), 0, 0)
    assert f"48;5;{number}m".encode() in drawn


def test_without_colours_bright_letters_stand_for_bright_pixels() -> None:
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[:, 1], rgb[:, 2] = 128, 255
    drawn = Cells(1, 3, Depth.NONE).draw(rgb, 0, 0)
    assert drawn == BEGIN + b"\x1b[001;001H" + bytes((RAMP[0], RAMP[5], RAMP[9])) + END


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.integers(0, 80), st.integers(0, 40))
def test_what_stands_there_in_the_end_is_the_last_picture(
    seeds: list[int], left: int, top: int
) -> None:
    glass, cells = Glass(46, 90), Cells(6, 10, Depth.TRUE)
    for seed in seeds:
        glass.obey(cells.draw(noise(seed), left, top))
    shown = glass.colours[2 * top : 2 * top + 12, left : left + 10].astype(int)
    assert np.abs(shown - noise(seeds[-1])).max() <= TOLERANCE


def test_a_picture_that_stands_still_costs_nothing() -> None:
    cells = Cells(6, 10, Depth.TRUE)
    assert cells.draw(noise(1), 0, 0)
    assert cells.draw(noise(1), 0, 0) == b""


def test_the_noise_of_a_codec_costs_nothing() -> None:
    cells, still = Cells(6, 10, Depth.TRUE), np.full((12, 10, 3), 100, np.uint8)
    cells.draw(still, 0, 0)
    assert cells.draw(still + np.uint8(TOLERANCE), 0, 0) == b""
    assert cells.draw(still + np.uint8(TOLERANCE + 1), 0, 0) != b""


def test_only_cells_that_changed_are_written() -> None:
    glass, cells, rgb = Glass(6, 10), Cells(6, 10, Depth.TRUE), noise(1)
    glass.obey(cells.draw(rgb, 0, 0))
    assert glass.written == 60
    rgb[3, 4] ^= 255
    rgb[9, 9] ^= 255
    glass.obey(cells.draw(rgb, 0, 0))
    assert glass.written == 62


def test_what_something_else_covers_is_left_alone_and_painted_afterwards() -> None:
    glass, cells = Glass(6, 10), Cells(6, 10, Depth.TRUE)
    covered = np.zeros((6, 10), bool)
    covered[2, 3:6] = True
    glass.obey(cells.draw(noise(1), 0, 0))
    glass.obey(cells.draw(noise(1), 0, 0, covered))
    assert glass.written == 60
    glass.obey(cells.draw(noise(1), 0, 0))
    assert glass.written == 63


def test_what_was_forgotten_is_written_again() -> None:
    cells = Cells(6, 10, Depth.TRUE)
    first = cells.draw(noise(1), 0, 0)
    cells.forget()
    assert cells.draw(noise(1), 0, 0) == first

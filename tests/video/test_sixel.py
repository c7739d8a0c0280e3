"""Sixels: drawn again by a reader of our own, they are the picture."""

from __future__ import annotations

import re

import numpy as np
import pytest

from video.sixel import Bytes, levels_of, show

TOKEN = re.compile(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)([?-~])|([?-~])|(\$)|(-)")


def read(data: bytes) -> Bytes:
    """The pixels, by DEC STD 070."""
    text = data.decode()
    head = re.match(r'\x1bP0;1;0q"1;1;(\d+);(\d+)', text)
    assert head and text.endswith("\x1b\\")
    width, height = int(head[1]), int(head[2])
    pixels = np.zeros((height + 6, width, 3), np.uint8)
    palette: dict[int, tuple[int, ...]] = {}
    at, x, y, colour = head.end(), 0, 0, 0
    while at < len(text) - 2:
        token = TOKEN.match(text, at)
        assert token, text[at : at + 20]
        at = token.end()
        number, red, green, blue, chosen, count, run, one, back, down = token.groups()
        if number:
            palette[int(number)] = tuple(int(part) * 255 // 100 for part in (red, green, blue))
        elif chosen:
            colour = int(chosen)
        elif run or one:
            for _ in range(int(count or 1)):
                for bit in range(6):
                    if (ord(run or one) - 63) >> bit & 1:
                        pixels[y + bit, x] = palette[colour]
                x += 1
        elif back:
            x = 0
        elif down:
            x, y = 0, y + 6
    return pixels[:height]


@pytest.mark.parametrize("size", [(12, 9), (13, 31), (6, 1), (1, 40)])
def test_pure_colours_come_back_as_they_were(size: tuple[int, int]) -> None:
    rgb = (np.random.default_rng(2).integers(0, 2, (*size, 3)) * 255).astype(np.uint8)
    assert (read(show(rgb)) == rgb).all()


def test_between_the_levels_the_mean_is_right() -> None:
    rgb = np.full((32, 32, 3), 140, np.uint8)
    assert abs(float(read(show(rgb)).mean()) - 140) < 12


def test_the_same_picture_gives_the_same_bytes() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    assert show(rgb) == show(rgb.copy())


@pytest.mark.parametrize(("registers", "levels"), [(0, 2), (16, 2), (64, 4), (256, 6), (65536, 6)])
def test_the_cube_fits_into_the_registers(registers: int, levels: int) -> None:
    assert levels_of(registers) == levels
    assert levels**3 <= max(8, registers)

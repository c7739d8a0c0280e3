"""The kitty graphics protocol: a picture of true pixels over some cells.

    ESC _ G keys ; base64 ESC \\        in pieces of at most 4 096 letters

Pure. https://sw.kovidgoyal.net/kitty/graphics-protocol/ (version of 2024). Each
picture of a stream has the number of the one before, which the terminal then
forgets, so that its memory does not grow. Nothing is answered (q=2).

A picture goes through the terminal's own bytes, compressed, or by the name of a
file that both can see (a temporary one, which the terminal deletes).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

# Specification
PIECE = 4096  # letters of base64 in one escape
FILE_MARK = "tty-graphics-protocol"
"""Without it in its name a terminal deletes no temporary file."""
QUERY_DIRECT, QUERY_FILE = 31, 32
"""Numbers of the pictures that questions are asked with."""

# Implementation
EFFORT = 1  # of zlib; pictures of a screen shrink well even so


def ask_direct() -> bytes:
    """A picture of one pixel that is only tried; its answer says whether there are pictures."""
    return _escape(f"i={QUERY_DIRECT},s=1,v=1,a=q,t=d,f=24", b"AAAA")


def ask_file(path: str) -> bytes:
    """The same through a file of three bytes: whether the terminal is on this machine."""
    return _escape(f"i={QUERY_FILE},s=1,v=1,a=q,t=t,f=24", base64.b64encode(path.encode()))


def show(rgb: bytes, size: tuple[int, int], number: int, cells: tuple[int, int]) -> bytes:
    """A picture (width, height) at the cursor, over ``cells`` (columns, rows)."""
    return b"".join(_pieces(f"{_place(size, number, cells)},t=d,o=z", zlib.compress(rgb, EFFORT)))


def show_file(path: str, size: tuple[int, int], number: int, cells: tuple[int, int]) -> bytes:
    """The same from a file of RGB, which the terminal deletes."""
    return _escape(f"{_place(size, number, cells)},t=t", base64.b64encode(path.encode()))


def erase(number: int) -> bytes:
    """Take a picture away, and its pixels out of the terminal's memory."""
    return _escape(f"a=d,d=I,i={number},q=2", b"")


def _place(size: tuple[int, int], number: int, cells: tuple[int, int]) -> str:
    (width, height), (columns, rows) = size, cells
    return f"a=T,f=24,s={width},v={height},i={number},p=1,c={columns},r={rows},C=1,q=2"


def _pieces(keys: str, data: bytes) -> Iterator[bytes]:
    letters = base64.b64encode(data)
    for start in range(0, len(letters), PIECE):
        piece = letters[start : start + PIECE]
        more = int(start + PIECE < len(letters))
        yield _escape(f"{keys},m={more}" if not start else f"m={more},q=2", piece)


def _escape(keys: str, letters: bytes) -> bytes:
    return b"\x1b_G" + keys.encode() + b";" + letters + b"\x1b\\"

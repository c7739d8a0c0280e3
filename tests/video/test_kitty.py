"""Kitty graphics: escapes as the protocol's paper has them."""

from __future__ import annotations

import base64
import os
import re
import zlib

from video import kitty

ESCAPE = re.compile(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\")


def pieces(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Keys and letters of each escape; nothing stands between them."""
    assert ESCAPE.sub(b"", data) == b""
    return [
        (dict(key.split("=") for key in keys.decode().split(",")), letters)
        for keys, letters in ESCAPE.findall(data)
    ]


def test_a_picture_comes_in_pieces_that_make_it_whole_again() -> None:
    rgb = os.urandom(3 * 60 * 40)
    first, *rest = pieces(kitty.show(rgb, (60, 40), 9, (20, 10)))
    assert first[0] == {
        **{"a": "T", "f": "24", "s": "60", "v": "40", "i": "9", "p": "1", "c": "20", "r": "10"},
        **{"C": "1", "q": "2", "t": "d", "o": "z", "m": "1"},
    }
    assert len(rest) > 1 and all(len(letters) <= kitty.PIECE for _, letters in (first, *rest))
    assert [keys["m"] for keys, _ in rest] == ["1"] * (len(rest) - 1) + ["0"]
    letters = b"".join(letters for _, letters in (first, *rest))
    assert zlib.decompress(base64.b64decode(letters)) == rgb


def test_a_small_picture_is_one_piece() -> None:
    [(keys, _)] = pieces(kitty.show(bytes(3), (1, 1), 9, (1, 1)))
    assert keys["m"] == "0"


def test_a_file_is_told_by_its_name() -> None:
    [(keys, letters)] = pieces(kitty.show_file("/dev/shm/x", (60, 40), 9, (20, 10)))
    assert keys["t"] == "t" and base64.b64decode(letters) == b"/dev/shm/x"


def test_an_erased_picture_is_forgotten_with_its_pixels() -> None:
    [(keys, _)] = pieces(kitty.erase(9))
    assert (keys["a"], keys["d"], keys["i"]) == ("d", "I", "9")


def test_questions_draw_nothing() -> None:
    for asked in (kitty.ask_direct(), kitty.ask_file("/tmp/x")):
        [(keys, _)] = pieces(asked)
        assert keys["a"] == "q"

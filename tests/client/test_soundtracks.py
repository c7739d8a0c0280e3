"""How often the sound of our pictures is sent to a viewer, by how its path is doing."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.events import SoundNotShared
from client.pictures.soundtracks import copies, open_sound
from tests.video.test_film import write


@pytest.mark.parametrize(
    ("loss", "rate", "often"),
    [
        (0.0, 100_000, 1),
        (0.01, 5_000_000, 1),
        (0.03, 5_000_000, 2),
        (0.3, 5_000_000, 2),
        (0.05, 300_000, 1),
        (0.2, 150_000, 0),
        (0.2, 300_000, 1),
    ],
)
def test_a_second_copy_goes_where_there_is_room_and_none_where_voice_drowns(
    loss: float, rate: float, often: int
) -> None:
    assert copies(loss, rate) == often


async def test_a_source_without_sound_is_told_and_shared_without(tmp_path: Path) -> None:
    told: list[object] = []
    path = write(tmp_path / "mute.avi")
    assert await open_sound(f"file:{path}", told.append) is None
    (warning,) = told
    assert isinstance(warning, SoundNotShared)
    assert warning.code == "no-film-sound"


async def test_that_a_film_cannot_be_read_is_left_to_its_pictures_to_tell() -> None:
    told: list[object] = []
    assert await open_sound("file:/no/such/film", told.append) is None
    assert told == []

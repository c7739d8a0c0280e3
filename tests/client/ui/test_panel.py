"""Members and the status row fit their width and say what matters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.formatted_text import StyleAndTextTuples

from client.ui import panel
from client.ui.model import Model
from client.ui.theme import ASCII, UNICODE
from client.ui.wrap import width_of
from tests.client.ui import story
from vc_core.clean import clean_name


def text_of(row: StyleAndTextTuples) -> str:
    return "".join(text for _, text, *_ in row)


def call(*events: story.Event) -> Model:
    model = Model()
    for event in (story.READY, story.ROOM, story.joined(), story.path(), *events):
        model.receive(event, "14:05")
    return model


def test_each_member_has_mark_name_and_road() -> None:
    model = call(story.on("talking", True))
    rows = [text_of(row) for row in panel.member_rows(model, UNICODE, 30, 10)]
    assert rows == ["○ ann *                    you", "● bob             direct 12 ms"]


def test_who_is_muted_and_who_cannot_be_reached_is_seen_without_colour() -> None:
    model = call(story.on("muted", True), story.path(rung="none", rtt_ms=None))
    row = text_of(panel.member_rows(model, ASCII, 30, 10)[1])
    assert row.startswith("x bob") and row.endswith("no path")


def test_more_members_than_rows_are_counted() -> None:
    model = call(*(story.joined(f"m{n}", f"guest {n}") for n in range(2, 8)))
    rows = [text_of(row) for row in panel.member_rows(model, UNICODE, 30, 4)]
    assert len(rows) == 4 and rows[-1].strip() == "+ 5 more"


def test_a_narrow_terminal_has_all_members_in_one_row() -> None:
    model = call(*(story.joined(f"m{n}", f"guest {n}") for n in range(2, 8)))
    bar = text_of(panel.member_bar(model, UNICODE, 40))
    assert bar.startswith("○ ann *  ○ bob  ○ guest 2") and bar.endswith("+5")
    assert width_of(bar) <= 40


def test_the_status_says_microphone_guests_code_and_keys() -> None:
    model = call({"event": "room-code", "words": ["arise", "myth", "lunar", "item"]})
    model.receive({"event": "audio", "mic": "default", "speaker": "default"})
    row = text_of(panel.status(model, 0, False, 120))
    for part in ("mic on", "7 guests left", "room code: arise myth lunar item", "F4 deafen"):
        assert part in row


def test_what_matters_least_goes_first() -> None:
    model = call(story.on("muted", True, "m0"), story.on("deafened", True))
    row = text_of(panel.status(model, 3, True, 40))
    assert row == " MUTED | DEAFENED | 3 new below (PgDn)".ljust(40)
    assert text_of(panel.status(model, 0, False, 10)).strip() == "MUTED"


@pytest.mark.parametrize("reason", ["used", "expired", "burned"])
def test_a_code_that_has_ended_says_how_to_get_a_new_one(reason: str) -> None:
    model = call({"event": "code-ended", "reason": reason})
    assert f"code {reason}: /code" in text_of(panel.status(model, 0, False, 120))


@given(st.text(min_size=1).map(clean_name), st.integers(24, 40))
def test_whatever_a_name_is_its_row_has_exactly_the_width(name: str, width: int) -> None:
    model = call(story.joined("m2", name, host=True))
    for row in panel.member_rows(model, UNICODE, width, 10):
        assert width_of(text_of(row)) == width
    assert width_of(text_of(panel.member_bar(model, UNICODE, width))) <= width + 2

"""The pane shows the newest rows, and stays where somebody reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from client.ui.log import Kind
from client.ui.model import Model
from client.ui.pane import TextPane
from client.ui.theme import UNICODE
from client.ui.wrap import width_of
from tests.client.ui import story
from vc_core.clean import clean_text


def pane_with(count: int) -> tuple[Model, TextPane]:
    model = Model()
    for number in range(count):
        model.say(Kind.NOTE, f"line {number}", "14:05")
    return model, TextPane(model, UNICODE)


def rows(pane: TextPane, width: int = 80, height: int = 5) -> list[str]:
    content = pane.create_content(width, height)
    lines = [content.get_line(n) for n in range(content.line_count)]
    return ["".join(text for _, text, *_ in line) for line in lines]


def test_the_newest_rows_are_seen() -> None:
    _, pane = pane_with(10)
    assert rows(pane) == [f"14:05 * line {n}" for n in range(5, 10)]


def test_a_long_text_hangs_under_its_beginning() -> None:
    model, pane = pane_with(0)
    model.receive(story.chat("one two three four five six seven eight nine ten"), "14:05")
    assert rows(pane, width=50) == [
        "14:05 bob: one two three four five six seven eight",
        "        nine ten",
    ]
    narrow = ["bob: one two three", "  four five six", "  seven eight nine", "  ten"]
    assert rows(pane, width=20) == narrow


def test_a_name_that_leaves_no_room_stands_above_its_text() -> None:
    model, pane = pane_with(0)
    model.receive(story.chat("hello everybody here", name="a name of thirty cells, or so"), "")
    assert rows(pane, width=32) == ["a name of thirty cells, or so: ", "  hello everybody here"]


def test_the_code_is_alone_in_its_rows() -> None:
    model, pane = pane_with(0)
    model.say(Kind.COPY, "vchat:" + "a" * 54, "14:05")
    assert rows(pane, width=40) == ["vchat:" + "a" * 34, "a" * 20]


def test_private_texts_say_so() -> None:
    model, pane = pane_with(0)
    for event in (story.ROOM, story.joined(), story.chat("psst", private=True)):
        model.receive(event, "")
    model.send({"do": "chat", "text": "what?", "to": "m1"})
    assert rows(pane, 80)[-2:] == ["(private) bob: psst", "(private) to bob: what? …"]


def test_pages_go_back_to_the_start_and_on_to_the_end() -> None:
    _, pane = pane_with(12)
    rows(pane)
    pane.up()
    assert rows(pane)[0] == "14:05 * line 3" and pane.scrolled
    pane.up()
    assert rows(pane) == [f"14:05 * line {n}" for n in range(5)]
    pane.up()
    assert rows(pane)[0] == "14:05 * line 0"
    pane.down()
    assert rows(pane)[0] == "14:05 * line 4"
    pane.down()
    assert rows(pane)[-1] == "14:05 * line 11" and not pane.scrolled


def test_a_log_that_fits_does_not_scroll() -> None:
    _, pane = pane_with(4)
    rows(pane)
    pane.up()
    assert not pane.scrolled and len(rows(pane)) == 4


def test_who_reads_old_texts_stays_there_and_is_told_of_new_ones() -> None:
    model, pane = pane_with(12)
    rows(pane)
    pane.up()
    before = rows(pane)
    for number in range(3):
        model.receive(story.chat(f"new {number}"), "14:06")
    assert rows(pane) == before and pane.unread == 3
    pane.end()
    assert rows(pane, height=4) == [
        "─── new ───",
        *(f"14:06 bob: new {n}" for n in range(3)),
    ]
    assert pane.unread == 0
    pane.forget_mark()
    assert rows(pane, height=4)[0] == "14:05 * line 11"


def test_a_change_of_size_keeps_the_place() -> None:
    model, pane = pane_with(0)
    for number in range(30):
        model.say(Kind.NOTE, f"{number} " + "word " * 20)
    rows(pane, 80, 8)
    pane.up()
    bottom = pane._bottom
    assert bottom is not None
    assert rows(pane, 30, 20) and pane._bottom == bottom
    assert any(row.startswith(f"* {bottom[0]} ") for row in rows(pane, 30, 20))


def test_lines_that_have_been_dropped_are_not_looked_for() -> None:
    model, pane = pane_with(30)
    rows(pane)
    pane.up()
    for number in range(2100):
        model.say(Kind.NOTE, f"later {number}")
    assert rows(pane)
    pane.down()
    assert rows(pane)


TEXTS = st.text(min_size=1, max_size=200).map(clean_text)


@given(st.lists(TEXTS, max_size=8), st.integers(12, 90), st.integers(1, 12), st.data())
def test_every_row_fits_and_scrolling_never_raises(
    texts: list[str], width: int, height: int, data: st.DataObject
) -> None:
    model, pane = pane_with(0)
    for text in texts:
        model.receive(story.chat(text), "14:05")
    for _ in range(data.draw(st.integers(0, 6))):
        move = data.draw(st.sampled_from([pane.up, pane.down, pane.end]))
        move()
        seen = rows(pane, width, height)
        assert len(seen) <= height
        assert all(width_of(row) <= width for row in seen)

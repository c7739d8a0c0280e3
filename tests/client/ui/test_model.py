"""Events become people, lines and a revision."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.ui.log import MAX_LINES, Kind, add_seconds
from client.ui.model import Model
from client.ui.people import differs
from tests.client.ui import story


def told(*events: story.Event, clock: str = "14:05", states: bool = True) -> Model:
    model = Model(states=states)
    for event in events:
        model.receive(event, clock)
    return model


def texts(model: Model) -> list[str]:
    return [line.text for line in model.lines]


def test_the_host_sees_code_and_link_each_alone_on_its_line() -> None:
    model = told(story.READY, story.ROOM)
    assert model.hosting and model.opened and model.own == "m0"
    copied = [line.text for line in model.lines if line.kind is Kind.COPY]
    assert copied == ["4821-apple-robot-candle@127.0.0.1:1", "vchat:AQAENjgxMb"]
    assert "8 guests, until 14:15" in "\n".join(texts(model))


def test_the_host_is_told_that_its_code_works_alone_in_the_network() -> None:
    model = told(story.ROOM, {"event": "announced", "code": "4821-apple-robot-candle"})
    assert texts(model)[-1].endswith("works without its server: 4821-apple-robot-candle")


def test_a_guest_is_told_its_name_as_the_host_gave_it() -> None:
    model = told(story.READY, {**story.GUEST_ROOM, "name": "bob-2"})
    assert model.name == "bob-2" and texts(model) == ["you are in the room as bob-2"]
    model.show_code()
    assert texts(model)[-1] == "only the host has the code"


def test_members_come_and_go() -> None:
    model = told(story.READY, story.ROOM, story.joined(), story.joined("m2", "carl", known="known"))
    assert [p.name for p in model.roster] == ["ann", "bob", "carl"]
    assert model.others == {"bob": "m1", "carl": "m2"}
    model.receive(story.left("m1", "bob", "kicked"))
    assert model.others == {"carl": "m2"}
    assert texts(model)[-3:] == [
        "bob joined (never met before)",
        "carl joined (met before)",
        "bob was removed by the host",
    ]


def test_guests_left_counts_identities_and_no_returns() -> None:
    model = told(story.ROOM, story.joined(), story.left(), story.joined("m2", "bob"))
    assert model.code is not None and model.code.guests_left == 7


def test_a_code_told_again_is_not_shown_again() -> None:
    model = told(story.ROOM)
    count = len(model.lines)
    again = {"event": "code", "code": story.ROOM["code"], "link": "vchat:x", "guests_left": 3}
    model.receive(again)
    assert len(model.lines) == count and model.code is not None and model.code.guests_left == 3
    model.receive({**again, "code": "1111-new-new-new"})
    assert len(model.lines) > count


def test_a_path_is_a_line_when_the_rung_changes_and_not_when_the_time_does() -> None:
    model = told(story.ROOM, story.joined(), story.path(rtt_ms=12.4))
    assert texts(model)[-1] == "bob is connected: direct 12 ms"
    count = len(model.lines)
    model.receive(story.path(rtt_ms=30.0))
    assert len(model.lines) == count and model.people["m1"].road == "direct 30 ms"
    model.receive(story.path(rung="none", rtt_ms=None))
    assert texts(model)[-1] == "no path to bob: direct: because"
    assert model.people["m1"].road == "no path"


def test_a_full_screen_keeps_no_lines_of_what_it_shows_elsewhere() -> None:
    events = (story.ROOM, story.joined(), story.path(), story.on("muted", True, "m0"))
    assert len(told(*events, states=False).lines) == len(told(*events).lines) - 2
    assert [line.number for line in told(*events, states=False).lines] == list(range(6))


def test_talking_and_muted_are_marks() -> None:
    model = told(story.ROOM, story.joined(), story.on("talking", True), story.on("muted", True))
    assert model.people["m1"].talking and model.people["m1"].muted
    assert not model.muted
    model.receive(story.on("muted", True, "m0"))
    assert model.muted and texts(model)[-1] == "your microphone is off"


def test_texts_of_others_carry_name_and_colour() -> None:
    model = told(
        story.ROOM, story.joined("m3", "bob"), story.chat("hi", "m3"), story.chat("x", private=True)
    )
    line, private = model.lines[-2:]
    assert (line.kind, line.name, line.colour, line.clock) == (Kind.TEXT, "bob", 3, "14:05")
    assert private.kind is Kind.PRIVATE


def test_ones_own_text_waits_until_everybody_has_it() -> None:
    model = told(story.ROOM, story.joined(), story.joined("m2", "carl"))
    command = model.send({"do": "chat", "text": "hello"})
    line = model.lines[-1]
    assert line.kind is Kind.OWN and line.waiting == {"m1", "m2"} and model.unconfirmed == 1
    model.receive({"event": "sent", "id": "ab", "ref": command["ref"]})
    model.receive({"event": "delivered", "id": "ab", "member": "m1"})
    assert line.waiting == {"m2"} and model.unconfirmed == 1
    model.receive({"event": "delivered", "id": "ab", "member": "m2"})
    assert not line.waiting and model.unconfirmed == 0


def test_who_has_left_is_not_waited_for() -> None:
    model = told(story.ROOM, story.joined())
    ref = model.send({"do": "chat", "text": "hello", "to": "m1"})["ref"]
    model.receive({"event": "sent", "id": "ab", "ref": ref})
    model.receive(story.left())
    assert model.lines[-2].kind is Kind.OWN_PRIVATE and not model.lines[-2].waiting
    assert model.unconfirmed == 0


def test_a_refused_text_is_not_waited_for() -> None:
    model = told(story.ROOM, story.joined())
    model.send({"do": "chat", "text": "hello"})
    model.receive(story.problem("error", "nobody takes texts at the moment", code="bad-command"))
    assert model.unconfirmed == 0 and not model.lines[-2].waiting
    assert model.lines[-1].text == "nobody takes texts at the moment"


def test_warnings_and_errors_say_what_can_be_done() -> None:
    model = told(
        story.problem("warning", "no microphone found", "writing works"),
        story.problem("error", "it broke", "try again"),
    )
    assert texts(model) == ["no microphone found (writing works)", "it broke (try again)"]
    assert [line.kind for line in model.lines] == [Kind.WARNING, Kind.ERROR]
    assert model.troubles == [("it broke", "try again")]


def test_the_end_has_a_reason_and_an_exit_code() -> None:
    model = told(story.ended("host-left", 0))
    assert (model.ended, model.exit_code) == ("host-left", 0)
    assert "host left" in texts(model)[-1]


def test_an_end_that_an_error_has_told_is_not_told_again_and_less_exactly() -> None:
    error = {**story.problem("error", "the port is in use", ""), "code": "failed"}
    assert texts(told(error, story.ended("failed", 1))) == ["the port is in use"]


def test_a_new_host_is_marked() -> None:
    model = told({**story.GUEST_ROOM}, story.joined("m0", "ann", host=True))
    model.receive({"event": "host-changed", "member": "m1", "name": "bob", **_code("1-a-b-c")})
    assert model.hosting and model.people["m1"].host and not model.people["m0"].host
    assert model.code is not None and model.code.code == "1-a-b-c"


def _code(code: str) -> dict[str, Any]:
    return {"code": code, "link": "vchat:y", "guests_left": 8, "expires_in": 60}


def test_who_tells_everything_that_is_known() -> None:
    model = told(story.READY, story.ROOM, story.joined(), story.path())
    model.show_people()
    own, bob = texts(model)[-2:]
    assert own == "ann, host, you, key aaaaaaaaaaaaaaaa"
    whys = "hosted: because, relayed: because"
    assert bob.startswith(f"bob, direct 12 ms, {whys}, never met before, key key of bob")


def test_the_log_is_bounded_and_its_numbers_go_on() -> None:
    model = told(story.ROOM)
    for number in range(MAX_LINES + 10):
        model.say(Kind.NOTE, str(number))
    assert len(model.lines) == MAX_LINES
    numbers = [line.number for line in model.lines]
    assert numbers == list(range(numbers[0], numbers[0] + MAX_LINES))


@pytest.mark.parametrize(
    "event",
    [
        story.on("talking", False),
        story.path(),
        {"event": "stats", "members": {"m1": {"rtt_ms": 12.9}}, "process": {}},
        {"event": "sent", "id": "1", "ref": "of another face"},
        {"event": "delivered", "id": "1", "member": "m1"},
        {"event": "some-later-event", "member": "m1"},
    ],
)
def test_what_changes_nothing_to_see_draws_nothing(event: story.Event) -> None:
    model = told(story.ROOM, story.joined(), story.path())
    before = model.revision
    model.receive(event)
    same = model.revision == before
    assert same or event["event"] == "path"


def test_a_round_trip_is_drawn_again_when_it_differs_clearly() -> None:
    assert differs(None, 5) and differs(12, 30) and differs(100, 130)
    assert not differs(12, 12.4) and not differs(0.2, 0.9) and not differs(100, 110)


def test_clocks_are_added_over_midnight() -> None:
    assert add_seconds("23:55", 600) == "00:05"
    assert add_seconds("", 600) == "" and add_seconds("12:00", 0) == ""


NAMES = sorted(Model._HANDLERS)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
FIELDS = (
    {"member", "name", "on", "text", "rung", "rtt_ms", "words", "members", "ref"}
    | {"id", "exit", "code", "link", "guests_left", "expires_in", "role", "host"}
    | {"identity", "left", "reason", "message", "hint", "transport", "mic", "speaker"}
    | {"private", "known", "rungs"}
)
EVENTS = st.builds(
    lambda name, fields: {**fields, "event": name},
    st.sampled_from(NAMES),
    st.dictionaries(
        st.sampled_from(sorted(FIELDS)),
        VALUES | st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES),
    ),
)


@given(st.lists(EVENTS, max_size=12))
def test_no_event_raises_and_nothing_harmful_is_kept(events: list[story.Event]) -> None:
    model = told(story.ROOM, story.joined())
    for event in events:
        model.receive(event)
    model.show_people()
    model.show_code()
    shown = [*texts(model), *(line.name for line in model.lines)]
    shown += [p.name + p.road for p in model.roster]
    assert not [c for text in shown for c in text if unicodedata.category(c) in ("Cc", "Cs")]


def test_escape_sequences_of_members_are_gone() -> None:
    evil = "\x1b]0;owned\x07\x9b31mred\x1b[2Jtext\u202edne\r\n"
    model = told(story.ROOM, story.joined(name=f"b{evil}b"), story.chat(evil, "m1"))
    kept = "".join(texts(model)) + model.lines[-1].name
    assert not set(kept) & set("\x1b\x07\x9b\u202e\r\n")

"""Lines become texts, commands, or a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.interface.orders import NEEDED
from client.interface.orders import parse as parse_order
from client.interface.report import write
from client.ui.slash import ALL, COMMANDS, Do, Local, Say, Send, complete, help_lines, parse
from client.ui.streams import LISTS
from client.ui.watching import DOINGS

PEOPLE = {"ann": "m1", "Ann Lee": "m2", "bob": "m3", "bert": "m4"}


def sent(line: str) -> dict[str, object]:
    meaning = parse(line, PEOPLE)
    assert isinstance(meaning, Send), meaning
    return dict(meaning.command)


def said(line: str) -> str:
    meaning = parse(line, PEOPLE)
    assert isinstance(meaning, Say), meaning
    return meaning.message


def test_a_line_without_a_slash_is_a_text() -> None:
    assert sent("  hello, all ") == {"do": "chat", "text": "hello, all"}


def test_two_slashes_begin_a_text_with_one() -> None:
    assert sent("//etc/hosts") == {"do": "chat", "text": "/etc/hosts"}


@pytest.mark.parametrize("line", ["", "   ", "\t\n"])
def test_a_blank_line_means_nothing(line: str) -> None:
    assert parse(line, PEOPLE) is None


def test_a_text_of_16_kib_fits_and_a_byte_more_does_not() -> None:
    assert sent("é" * 8192)["do"] == "chat"
    assert "16 KiB" in said("é" * 8192 + "x")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/msg bob hi there", {"do": "chat", "text": "hi there", "to": "m3"}),
        ("/msg Ann Lee hi", {"do": "chat", "text": "hi", "to": "m2"}),
        ("/msg ann Lee hi", {"do": "chat", "text": "Lee hi", "to": "m1"}),
        ("/msg BOB hi", {"do": "chat", "text": "hi", "to": "m3"}),
        ("/msg bo hi", {"do": "chat", "text": "hi", "to": "m3"}),
        ("/msg bob  /leave", {"do": "chat", "text": "/leave", "to": "m3"}),
        ("/kick bob", {"do": "kick", "member": "m3"}),
        ("/accept Ann Lee", {"do": "accept", "member": "m2"}),
        ("/volume bob 50", {"do": "volume", "member": "m3", "percent": 50}),
        ("/vol Ann Lee 120%", {"do": "volume", "member": "m2", "percent": 120}),
        ("/lock", {"do": "lock", "on": True}),
        ("/LOCK OFF", {"do": "lock", "on": False}),
        ("/mute on", {"do": "mute", "on": True}),
        ("/deafen off", {"do": "deafen", "on": False}),
        ("/invite", {"do": "invite"}),
    ],
)
def test_commands_go_to_the_engine(line: str, command: dict[str, object]) -> None:
    assert sent(line) == command


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("/help", Local.HELP),
        ("/who", Local.WHO),
        ("/code", Local.CODE),
        ("/code copy", Local.COPY_CODE),
        ("/mute", Local.MUTE),
        ("/deafen", Local.DEAFEN),
        ("/detach", Local.DETACH),
        ("/leave", Local.LEAVE),
        ("/quit", Local.LEAVE),
    ],
)
def test_some_things_the_face_does_itself(line: str, what: Local) -> None:
    assert parse(line, PEOPLE) == Do(what)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("/msg", "/msg NAME TEXT"),
        ("/msg bob", "/msg NAME TEXT"),
        ("/msg carl hi", "'carl'"),
        ("/msg b hi", "bert or bob"),
        ("/kick", "/kick NAME"),
        ("/kick bob now", "'bob now'"),
        ("/deputies bob bert bob", "at most 2"),
        ("/volume bob loud", "0 to 400"),
        ("/volume bob 401", "0 to 400"),
        ("/volume bob -1", "0 to 400"),
        ("/lock maybe", "/lock [on|off]"),
        ("/leave now", "alone"),
        ("/invite me", "alone"),
        ("/code red", "/code copy"),
    ],
)
def test_what_cannot_be_is_answered_with_a_sentence(line: str, part: str) -> None:
    assert part in said(line)


def test_nobody_is_chosen_between_names_that_differ_in_capitals_alone() -> None:
    alike = {"Ann": "m1", "ANN": "m2"}
    meaning = parse("/msg ann a secret", alike)
    assert isinstance(meaning, Say) and "ANN or Ann" in meaning.message
    exact = parse("/msg Ann a secret", alike)
    assert isinstance(exact, Send) and exact.command["to"] == "m1"


def test_an_unknown_command_names_the_nearest_one() -> None:
    assert said("/mut") == "there is no command /mut: did you mean /mute?"
    assert said("/leaev") == "there is no command /leaev: did you mean /leave?"
    assert said("/frobnicate") == "there is no command /frobnicate: /help lists all commands"


def test_every_command_stands_in_the_help() -> None:
    text = "\n".join(help_lines())
    assert all(slash.usage in text and slash.about in text for slash in ALL)


def test_completion_knows_commands_names_and_choices() -> None:
    assert complete("/m", PEOPLE) == [("/msg ", 2), ("/mute", 2)]
    assert complete("/msg b", PEOPLE) == [("bert ", 1), ("bob ", 1)]
    assert complete("/kick Ann L", PEOPLE) == [("Ann Lee ", 5)]
    assert complete("/lock o", PEOPLE) == [("on", 1), ("off", 1)]
    assert complete("/code ", PEOPLE) == [("copy", 0)]
    assert complete("bo", PEOPLE) == [("bob: ", 2)]
    assert complete("hello bo", PEOPLE) == []
    assert complete("", PEOPLE) == []
    assert complete("/nothing b", PEOPLE) == []


@given(
    st.text(max_size=60) | st.builds("/{} {}".format, st.sampled_from(sorted(COMMANDS)), st.text())
)
def test_whatever_is_typed_the_engine_understands_what_it_is_sent(line: str) -> None:
    meaning = parse(line, PEOPLE)
    if isinstance(meaning, Send) and meaning.command["do"] in DOINGS:
        return  # members and streams are put in later: tests/client/ui/test_watching.py
    if isinstance(meaning, Send) and meaning.command["do"] not in set(LISTS) - set(NEEDED):
        order = parse_order(write(dict(meaning.command)))
        assert order is not None and order.do == meaning.command["do"]
    elif isinstance(meaning, Say):
        assert meaning.message


@given(st.text(max_size=30))
def test_a_completion_replaces_what_stands_there(before: str) -> None:
    for text, replaced in complete(before, PEOPLE):
        assert 0 <= replaced <= len(before)
        start = before[len(before) - replaced :].lower()
        assert text.lower().startswith(start)


def test_deputies_are_named_one_after_another() -> None:
    people = {"ann": "m1", "bob smith": "m2"}
    assert parse("/deputies bob smith ann", people) == Send(
        {"do": "deputies", "members": ["m2", "m1"]}
    )
    assert parse("/deputies nobody", people) == Send({"do": "deputies", "members": []})
    assert isinstance(parse("/deputies", people), Say)
    assert isinstance(parse("/deputies cyd", people), Say)

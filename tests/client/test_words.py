"""Every word of the machines has its sentence, and every sentence has our manners."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from client import words
from client.net.failure import Failure
from client.net.lan import Missing
from client.net.mailbox import Unreachable
from client.words import Words
from tests.rules import source
from vc_core.errors import Ending
from vc_core.invite import Flaw, InvitationError, parse_invitation
from vc_core.ladder import REASONS

TABLES = (
    words.ENDINGS,
    words.FLAWS,
    words.UNREACHABLE,
    words.LAN,
    words.CODE_ENDS,
    words.WARNINGS,
    words.ERRORS,
)
LISTS = (words.PATHS, words.DEPARTURES, words.KNOWN)


def sentences() -> Iterator[tuple[str, str]]:
    """(where, sentence) of everything that is said."""
    for table in TABLES:
        for word, said in table.items():
            yield from ((f"{word} {which}", one) for which, one in said._asdict().items() if one)
    for listed in LISTS:
        yield from listed.items()
    for one in (words.NO_SERVER, words.LAN_WRONG, words.REVEALS, words.REVEALS_OWN):
        yield from ((one.message, sentence) for sentence in one)


@pytest.mark.parametrize(("where", "said"), list(sentences()), ids=lambda one: str(one)[:40])
def test_a_sentence_is_lower_case_and_has_no_full_stop(where: str, said: str) -> None:
    assert said == said.strip()
    assert not said[0].isupper()
    assert not said.endswith((".", "!"))
    assert "  " not in said
    assert said.isprintable()


def test_every_ending_has_its_sentence() -> None:
    assert set(words.ENDINGS) == set(Ending)


def test_an_ending_is_found_by_its_word() -> None:
    for ending in Ending:
        assert words.of_ending_word(ending.word) is words.ENDINGS[ending]
    assert words.of_ending_word("unheard-of") == Words("unheard-of")


def test_every_flaw_of_a_code_has_its_sentence() -> None:
    assert set(words.FLAWS) == {flaw.name for flaw in Flaw}


def test_every_reason_why_a_server_cannot_be_used_has_its_sentence() -> None:
    assert set(words.UNREACHABLE) == {reason.name for reason in Unreachable}


def test_every_reason_why_no_host_was_found_has_its_sentence() -> None:
    assert set(words.LAN) == {missing.name for missing in Missing}
    assert words.of_missing("NOBODY") is words.LAN["NOBODY"]


def test_every_reason_of_a_path_and_of_a_departure_has_its_sentence() -> None:
    failures = {failure.value for failure in Failure} - {""}
    relays = {"relay-silent", "relay-unreachable", "relay-refused", "relay-unknown"}
    assert set(words.PATHS) == REASONS | failures | relays
    assert set(words.DEPARTURES) == {"left", "vanished", "kicked", "moved"}


def literals(callee: str, place: int) -> set[str]:
    """The literal texts at one place of all calls of a function or class of this name."""
    found = set()
    for path in source.shipped():
        for node in ast.walk(source.tree(path)):
            if not isinstance(node, ast.Call) or len(node.args) <= place:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            argument = node.args[place]
            if name == callee and isinstance(argument, ast.Constant):
                found.add(str(argument.value))
    return found


def test_every_warning_of_the_session_has_its_sentence() -> None:
    said = literals("Warned", 0)
    assert "identity-changed" in said
    assert said <= set(words.WARNINGS)


def test_every_warning_and_error_that_is_asked_for_has_its_sentence() -> None:
    assert literals("of_warning", 0) <= set(words.WARNINGS)
    assert literals("of_error", 0) <= set(words.ERRORS)


def test_the_example_of_a_code_is_one_that_could_be() -> None:
    said = " ".join(sentence for _, sentence in sentences())
    examples = {piece for piece in said.split() if piece[:4] == "4821"}
    assert examples
    for example in examples:
        parse_invitation(example)


def flawed(typed: str) -> Words:
    """What is said of a code that cannot be read."""
    with pytest.raises(InvitationError) as caught:
        parse_invitation(typed)
    return words.of_invitation(caught.value)


def test_a_misspelt_word_is_named_with_what_was_meant() -> None:
    said = flawed("4821-aple-robot-candle")
    assert said == Words("'aple' is in no code", "did you mean 'apple'?")


def test_a_hint_is_given_where_nothing_was_meant() -> None:
    assert flawed("4821-xqzxqzxqz-robot-candle").hint == "check this word with the host"


def test_a_member_is_named() -> None:
    assert words.of_warning("voice-forged", "anna").message.endswith("in the name of anna")
    assert words.of_departure("kicked", "{name}") == "{name} was removed by the host"
    assert words.of_departure("left", "anna") == "anna left"


def test_a_word_that_is_not_in_the_tables_stands_for_itself() -> None:
    assert words.of_warning("later", "anna") == Words("later")
    assert words.of_error("later") == Words("later")
    assert words.of_path("hosted", "later") == "hosted: later"


def test_a_server_that_cannot_be_used_is_named() -> None:
    assert words.of_unreachable("SLOW", "ws://a").message.endswith("(ws://a)")
    assert words.of_unreachable("SLOW") == words.UNREACHABLE["SLOW"]

"""Stories of written words."""

from __future__ import annotations

from tests.calls.engines import EngineProcess
from tests.calls.stage import Stage

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # three emoji and two joiners
MARKS = "e\u0301\u0323 \u0928\u094d\u0926\u0940 \u0644\u0627\u200c\u0645"
LONGEST = 16 * 1024


def _texts(engine: EngineProcess) -> list[str]:
    return [told["text"] for told in engine.of("chat")]


def test_texts_arrive_once_in_order_and_are_acknowledged(stage: Stage) -> None:
    host, guest = stage.pair()
    lines = [f"line {number}" for number in range(200)]
    for number, line in enumerate(lines):
        host.say("chat", text=line, ref=number)
        guest.say("chat", text=f"> {line}")
    host.wait("chat", text="> line 199")
    guest.wait("chat", text="line 199")
    sent = [host.wait("sent", ref=number)["id"] for number in range(200)]
    for id in sent:
        host.wait("delivered", id=id, member=guest.member)
    assert _texts(guest) == lines
    assert _texts(host) == [f"> {line}" for line in lines]
    assert [told["id"] for told in guest.of("chat")] == sent
    assert len(host.of("delivered")) == 200
    assert guest.of("chat")[0]["name"] == "Hilda"
    assert (guest.leave(), host.leave()) == (0, 0)


def test_a_text_that_was_sent_before_leaving_still_arrives(stage: Stage) -> None:
    host, guest = stage.pair()
    guest.say("chat", text="first words")
    guest.wait("delivered")
    guest.say("chat", text="last words")
    guest.say("leave")
    assert guest.finish() == 0
    assert host.wait("chat", text="last words")
    host.wait("member-left", name="Gustav", reason="left")


def test_a_private_text_reaches_only_the_one_it_is_for(stage: Stage) -> None:
    host, guest = stage.pair()
    third = stage.join(host.code, name="Thea")
    for engine in (host, guest):
        engine.meets(third)
        third.meets(engine)
    guest.say("chat", text="for Thea alone", to=third.member)
    guest.say("chat", text="for all")
    assert third.wait("chat", text="for Thea alone")["private"] is True
    assert third.wait("chat", text="for all")["private"] is False
    host.wait("chat", text="for all")
    assert _texts(host) == ["for all"]


def test_the_longest_text_of_emoji_joiners_and_marks_arrives_as_it_was_sent(stage: Stage) -> None:
    host, guest = stage.pair()
    piece = FAMILY + MARKS + " "
    text = piece * (LONGEST // len(piece.encode()))
    text += "x" * (LONGEST - len(text.encode()))
    host.say("chat", text=text)
    assert guest.wait("chat")["text"] == text
    since = host.mark()
    host.say("chat", text=text + "y")
    host.wait("error", since=since, code="bad-command")
    host.say("chat", text="short")
    guest.wait("chat", text="short")
    assert len(guest.of("chat")) == 2


def test_escapes_of_peers_are_harmless_in_texts_and_names(stage: Stage) -> None:
    host = stage.host()
    stage.program(["-m", "tests.calls.rude_guest", host.code])
    told = host.wait("chat")
    joined = host.wait("member-joined")
    raw = host.raw_lines()
    assert raw and not any(byte < 32 or byte > 126 for line in raw for byte in line.rstrip(b"\n"))
    for text in (told["text"], told["name"], joined["name"]):
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e" for c in text)
    assert (told["text"], joined["name"]) == ("redabc 1m", "Gustav")

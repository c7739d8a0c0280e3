"""Stories of codes that open, and of codes that do not."""

from __future__ import annotations

import pytest

from tests.calls.engines import EngineProcess
from tests.calls.sounds import wait_until
from tests.calls.stage import Stage, vchat


def _other_word(code: str) -> str:
    """The same code with a wrong word in it."""
    words, at, server = code.partition("@")
    digits, *three = words.split("-")
    wrong = "apple" if three[2] != "apple" else "robot"
    return f"{digits}-{three[0]}-{three[1]}-{wrong}{at}{server}"


def _refused(engine: EngineProcess, reason: str, exit_code: int) -> None:
    assert engine.ended() == (reason, exit_code, exit_code), engine.story()
    error = engine.of("error")[-1]
    assert error["code"] == reason and error["message"]
    assert "Traceback" not in engine.errors()


def test_a_wrong_code_is_refused_later_each_time_and_the_host_sees_it(stage: Stage) -> None:
    host = stage.host()
    for left, delay in ((9, 1.0), (8, 2.0)):
        guest = stage.join(_other_word(host.code))
        _refused(guest, "code-wrong", 3)
        told = host.wait("code-failed", left=left)
        assert guest.wait("ended")["seen"] - told["seen"] > delay - 0.1
    right = stage.join(host.code)
    right.meets(host)
    assert host.of("member-joined")[0]["member"] == right.member
    assert host.of("code") == []


@pytest.mark.parametrize(
    "code",
    [
        "4821",
        "4821-apple-robot@127.0.0.1:9",
        "apple-robot-candle@127.0.0.1:9",
        "4821-apple-robot-xylophonist@127.0.0.1:9",
        "vchat:AAAA",
        "4821-apple-robot-candle@nowhere:notaport",
    ],
)
def test_a_malformed_code_is_refused_at_once_with_a_sentence(stage: Stage, code: str) -> None:
    _refused(stage.join(code), "code-malformed", 3)


def test_a_malformed_code_is_refused_without_json_too(stage: Stage) -> None:
    _refused_in_words(stage, "4821-apple", 3)


def test_a_wrong_code_and_a_dead_server_are_told_in_words_too(stage: Stage) -> None:
    _refused_in_words(stage, _other_word(stage.host().code), 3)
    _refused_in_words(stage, "4821-apple-robot-candle@127.0.0.1:9", 4)


def _refused_in_words(stage: Stage, code: str, exit_code: int) -> None:
    silent = ("--mic", "none", "--speaker", "none")
    done = vchat("join", code, "--plain", *silent, folder=stage.folder / "plain")
    assert done.returncode == exit_code, done
    assert "vchat: error: " in done.stderr and "vchat: hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_code_of_somebodys_own_server_needs_nothing_beside_it(stage: Stage) -> None:
    _server, address = stage.server()
    host = stage.host(signal=f"ws://{address}")
    assert host.code.endswith(f"@{address}")
    stage.join(host.code).meets(host)
    elsewhere = host.code.partition("@")[0] + "@127.0.0.1:9"
    stage.join(elsewhere, "--signal", address, name="Greta").meets(host)


def test_a_code_for_one_guest_is_used_up_by_the_first(stage: Stage) -> None:
    host = stage.host("--once")
    assert host.room["guests_left"] == 1
    first = stage.join(host.code)
    first.meets(host)
    host.wait("code-ended", reason="used")
    _refused(stage.join(host.code, name="Late"), "code-used", 3)
    host.say("invite")
    fresh = host.wait("code")
    assert fresh["code"] != host.room["code"]
    second = stage.join(fresh["code"], name="Second")
    second.meets(host, first)


def test_no_more_guests_come_in_than_the_code_allows(stage: Stage) -> None:
    host = stage.host("--guests", "2")
    guests = [stage.join(host.code, name=name) for name in ("Ada", "Ben", "Cleo")]
    wait_until(lambda: any(guest.of("ended") for guest in guests), 20.0)
    out = [guest for guest in guests if guest.of("ended")]
    assert len(out) == 1
    _refused(out[0], "code-used", 3)
    inside = [guest for guest in guests if guest is not out[0]]
    inside[0].meets(inside[1], host)
    assert len(host.of("member-joined")) == 2


def test_the_link_opens_the_room_as_well(stage: Stage) -> None:
    host = stage.host()
    guest = stage.join(host.room["link"])
    guest.meets(host)


def test_the_code_can_come_from_the_environment_or_from_stdin(stage: Stage) -> None:
    host = stage.host()
    one = stage.engine("join", name="Env", variables={"VCHAT_CODE": host.code})
    two = stage.engine("join", name="Pipe")
    two.write(host.code.encode() + b"\n")
    for guest in (one, two):
        guest.meets(host)
    two.say("chat", text="after the code")
    host.wait("chat", text="after the code")


def test_where_no_server_answers_the_call_ends_with_4(stage: Stage) -> None:
    guest = stage.join("4821-apple-robot-candle@127.0.0.1:9")
    _refused(guest, "no-signaling", 4)
    host = stage.host(signal="ws://127.0.0.1:9")
    _refused(host, "no-signaling", 4)


def test_a_number_that_no_room_has_is_refused_like_a_wrong_code(stage: Stage) -> None:
    host = stage.host()
    digits, dash, rest = host.code.partition("-")
    other = "1000" if digits != "1000" else "2000"
    guest = stage.join(other + dash + rest)
    reason, exit_code, code = guest.ended()
    assert exit_code == code == 3 and reason in ("code-wrong", "code-expired")
    assert host.of("code-failed") == []

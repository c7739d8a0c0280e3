"""Stories of coming and going."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.calls.engines import EngineProcess
from tests.calls.sounds import pitch, recorded, wait_until
from tests.calls.stage import Stage

VANISHED = (9.9, 13.0)  # seconds after the last sign of life in which the others are told


def _trio(stage: Stage) -> tuple[EngineProcess, EngineProcess, EngineProcess]:
    host = stage.host()
    ada = stage.join(host.code, name="Ada")
    ben = stage.join(host.code, name="Ben")
    for one in (host, ada, ben):
        one.meets(*(other for other in (host, ada, ben) if other is not one))
    return host, ada, ben


def test_equal_names_are_told_apart_and_identities_are_remembered(stage: Stage) -> None:
    host = stage.host(name="Kim")
    first = stage.join(host.code, name="Kim")
    second = stage.join(host.code, name="Kim")
    first.meets(second, host)
    names = {told["name"] for told in first.of("member-joined")}
    names.add(first.room["name"])
    assert names == {"Kim", "Kim-2", "Kim-3"}
    assert all(told["known"] == "new" for told in host.of("member-joined"))
    assert first.wait("member-joined", name="Kim")["host"] is True
    assert first.wait("member-joined", member=second.member)["host"] is False


def test_everybody_sees_the_same_room_code_and_it_changes_with_the_members(stage: Stage) -> None:
    host, ada, ben = _trio(stage)

    def agreed(*engines: EngineProcess) -> list[str] | None:
        newest = [engine.of("room-code")[-1:] for engine in engines]
        words = {tuple(told[0]["words"]) for told in newest if told}
        return list(words.pop()) if len(words) == 1 and all(newest) else None

    wait_until(lambda: agreed(host, ada, ben) is not None, 10.0)
    three = agreed(host, ada, ben)
    assert three is not None and len(three) == 4
    since = host.mark()
    assert ben.leave() == 0
    host.wait("room-code", since=since, where=lambda told: told["words"] != three)
    wait_until(lambda: agreed(host, ada) not in (None, three), 10.0)


def test_a_kicked_guest_ends_and_does_not_come_back(stage: Stage) -> None:
    host, ada, ben = _trio(stage)
    code = host.code
    host.say("chat", text="hello")
    ada.wait("chat", text="hello")
    host.say("kick", member=ada.member)
    assert ada.ended() == ("kicked", 1, 1)
    for engine in (host, ben):
        engine.wait("member-left", member=ada.member, reason="kicked")
    host.wait("code-ended")
    again = stage.join(code, name="Ada", folder=ada.folder.name)
    assert again.ended()[1:] == (3, 3)
    host.say("invite")
    fresh = host.wait("code")["code"]
    again = stage.join(fresh, name="Ada", folder=ada.folder.name)
    assert again.ended() == ("banned", 3, 3)
    ben.say("chat", text="still here")
    host.wait("chat", text="still here")


def test_guests_cannot_kick_lock_or_invite(stage: Stage) -> None:
    host, guest = stage.pair()
    for do, fields in (("kick", {"member": host.member}), ("lock", {"on": True}), ("invite", {})):
        since = guest.mark()
        guest.say(do, **fields)
        guest.wait("error", since=since, code="bad-command", hint="")
    guest.say("chat", text="fine")
    host.wait("chat", text="fine")


def test_a_locked_room_takes_nobody_in_until_it_is_unlocked(stage: Stage) -> None:
    host, guest = stage.pair()
    host.say("lock", on=True)
    guest.wait("locked", on=True)
    late = stage.join(host.code, name="Late")
    assert late.ended() == ("room-locked", 3, 3)
    host.say("lock", on=False)
    guest.wait("locked", on=False)
    late = stage.join(host.code, name="Late")
    late.meets(host, guest)


def test_when_the_host_leaves_its_only_guest_that_ends_with_a_reason(stage: Stage) -> None:
    host, guest = stage.pair()
    assert host.leave() == 0
    assert guest.ended() == ("host-left", 0, 0)


def test_a_killed_guest_is_told_to_the_others_after_ten_seconds(stage: Stage) -> None:
    host, ada, ben = _trio(stage)
    ada.kill()
    killed = time.monotonic()
    for engine in (host, ben):
        engine.wait("path", member=ada.member, rung="none")
    told = [e.wait("member-left", member=ada.member, reason="vanished") for e in (host, ben)]
    for event in told:
        assert VANISHED[0] - 0.6 < event["seen"] - killed < VANISHED[1]
    ben.say("chat", text="still here")
    host.wait("chat", text="still here")
    assert (ben.leave(), host.leave()) == (0, 0)


def test_a_call_outlives_the_signaling_server_and_its_return_brings_guests(stage: Stage) -> None:
    server, address = stage.server()
    host = stage.host(signal=f"ws://{address}")
    guest = stage.join(host.code)
    guest.meets(host)
    server.kill()
    for engine in (host, guest):
        engine.wait("warning", code="signaling-lost")
    guest.say("chat", text="without a server")
    host.wait("chat", text="without a server")
    stage.server(listen=address)
    for engine in (host, guest):
        engine.wait("warning", code="signaling-back", timeout=30.0)
    third = stage.join(host.code, "--signal", f"ws://{address}", name="Thea")
    third.meets(host, guest)
    assert host.of("member-left") == []


def test_one_identity_speaks_in_one_process_and_the_other_gets_a_new_one(stage: Stage) -> None:
    host = stage.host(folder="both")
    guest = stage.join(host.code, folder="both")
    guest.wait("warning", code="identity-in-use")
    guest.meets(host)
    assert host.wait("ready")["identity"] != guest.wait("ready")["identity"]


@pytest.mark.live
def test_eight_members_hear_everyone_and_read_every_line_once(stage: Stage) -> None:
    host = _tone(stage, 0, None)
    everyone = [host, *(_tone(stage, number, host.code) for number in range(1, 8))]
    for one in everyone:
        one.meets(*_others(everyone, one))
    for one in everyone:
        for line in range(5):
            one.say("chat", text=f"{one.room['name']}: {line}")
    for one in everyone:
        for other in _others(everyone, one):
            one.wait("chat", text=f"{other.room['name']}: 4")
            _hears(stage.folder / one.room["name"], other)
        told = [event["text"] for event in one.of("chat")]
        for other in _others(everyone, one):
            name = other.room["name"]
            assert [t for t in told if t.startswith(name)] == [f"{name}: {n}" for n in range(5)]
        assert len(told) == 35
    assert [one.leave() for one in reversed(everyone)] == [0] * 8


def _tone(stage: Stage, number: int, code: str | None) -> EngineProcess:
    """A member who hums a note of its own and records all others."""
    name = f"N{number}"
    sound = {"name": name, "mic": f"tone:{300 + 100 * number}"}
    record = "--record", str(stage.folder / name)
    return stage.host(*record, **sound) if code is None else stage.join(code, *record, **sound)


def _others(everyone: list[EngineProcess], one: EngineProcess) -> list[EngineProcess]:
    return [other for other in everyone if other is not one]


def _hears(tapes: Path, member: EngineProcess) -> None:
    name = member.room["name"]
    path, hertz = tapes / f"{name}-{member.member}.wav", 300 + 100 * int(name[1:])
    wait_until(lambda: abs(pitch(recorded(path, 0.5, 20.0)) - hertz) < 6, 20.0)


def test_ctrl_c_leaves_politely(stage: Stage) -> None:
    host, guest = stage.pair()
    guest.signal(signal.SIGINT)
    assert guest.ended() == ("left", 0, 0)
    host.wait("member-left", member=guest.member, reason="left")
    host.signal(signal.SIGINT)
    assert host.ended() == ("left", 0, 0)

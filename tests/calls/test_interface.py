"""Stories of the JSON interface: what scripts and faces may do wrong, and how they may go."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls.engines import ROOT, EngineProcess, environment
from tests.calls.sounds import wait_until
from tests.calls.stage import Stage, vchat

LINE_LIMIT = 256 * 1024

BAD_LINES = {
    "no JSON": b"hello",
    "half of an object": b'{"do":"chat","text":',
    "no object": b'["do","chat"]',
    "a number": b"17",
    "nothing": b"null",
    "no do": b'{"text":"x"}',
    "an unknown do": b'{"do":"fly"}',
    "a do of another type": b'{"do":["chat"]}',
    "a missing field": b'{"do":"chat"}',
    "a text of another type": b'{"do":"chat","text":5}',
    "a switch of another type": b'{"do":"mute","on":1}',
    "a switch of another word": b'{"do":"mute","on":"perhaps"}',
    "a percentage that is none": b'{"do":"volume","member":"m0","percent":"loud"}',
    "a percentage out of range": b'{"do":"volume","member":"m0","percent":-1}',
    "no number at all": b'{"do":"stats","every":NaN}',
    "an infinite number": b'{"do":"stats","every":1e999}',
    "a negative infinite number": b'{"do":"volume","member":"m1","percent":-Infinity}',
    "a huge integer": b'{"do":"stats","every":' + b"9" * 5000 + b"}",
    "an unknown member": b'{"do":"kick","member":"m77"}',
    "a stranger in to": b'{"do":"chat","text":"x","to":"m77"}',
    "an empty text": b'{"do":"chat","text":""}',
    "oneself": b'{"do":"chat","text":"x","to":"m1"}',
    "half a surrogate pair": b'{"do":"chat","text":"\\ud800"}',
    "a text of control characters": b'{"do":"chat","text":"\\u001b[0m"}',
    "a span before now": b'{"do":"stats","every":-1}',
    "rungs of another type": b'{"do":"only","rungs":[7]}',
    "rungs inside rungs": b'{"do":"only","rungs":[["direct"]]}',
    "no rungs": b'{"do":"only","rungs":[]}',
    "bytes that are no UTF-8": b'{"do":"chat","text":"\xff\xfe"}',
    "a zero byte": b"\x00",
    "deep brackets": b"[" * 100_000,
    "deep objects": b'{"do":' * 30_000 + b"1" + b"}" * 30_000,
    "a line over 256 KiB": b'{"do":"chat","text":"' + b"x" * LINE_LIMIT + b'"}',
    "a line of 3 MiB": b"y" * 3 * 1024 * 1024,
}


def test_whatever_is_malformed_is_told_and_nothing_ends(stage: Stage) -> None:
    host, guest = stage.pair()
    quiet: list[str] = []
    for name, line in BAD_LINES.items():
        since = guest.mark()
        guest.write(line + b"\n")
        try:
            told = guest.wait("error", timeout=5.0, since=since)
            assert told["code"] == "bad-command" and told["message"], name
        except AssertionError:
            quiet.append(name)
    assert quiet == [] and guest.process.poll() is None, guest.errors()
    for blank in (b"\n", b"   \n", b"\t\r\n"):
        since = guest.mark()
        guest.write(blank)
        guest.say("chat", text="fine", ref="r")
        guest.wait("sent", since=since, ref="r")
        assert guest.of("error", since=since) == []
    guest.say("chat", text="after all that")
    host.wait("chat", text="after all that")
    assert {told["text"] for told in host.of("chat")} <= {"fine", "after all that"}


def test_the_longest_line_that_is_allowed_is_taken(stage: Stage) -> None:
    host = stage.host()
    host.wait("room")
    start = host.mark()
    body = b'{"do":"stats"}'
    host.write(body + b" " * (LINE_LIMIT - len(body) - 1) + b"\n")
    host.wait("stats", since=start)
    assert host.of("error") == []


def test_orders_that_come_in_pieces_or_together_are_read_alike(stage: Stage) -> None:
    host, guest = stage.pair()
    whole = b'{"do":"chat","text":"\xc3\xa4","ref":1}\r\n{"do":"chat","text":"b","ref":2}\n{"do":'
    for at in range(len(whole)):
        guest.write(whole[at : at + 1])
    guest.write(b'"chat","text":"c","ref":3}\n')
    host.wait("chat", text="c")
    assert [told["text"] for told in host.of("chat")] == ["ä", "b", "c"]


def test_orders_before_there_is_a_room_are_refused_kindly(stage: Stage) -> None:
    host = stage.host()
    guest = stage.engine("join", variables={"VCHAT_CODE": host.code})
    guest.write(b'{"do":"chat","text":"early"}\n')
    guest.meets(host)
    assert guest.of("error")[0]["code"] == "bad-command" or guest.of("sent")


def test_the_end_of_stdin_does_not_end_the_call(stage: Stage) -> None:
    host, guest = stage.pair()
    guest.write(b'{"do":"chat","text":"no newline at the end"}')
    guest.stdin.close()
    host.wait("chat", text="no newline at the end")
    host.say("chat", text="still there")
    guest.wait("chat", text="still there")
    guest.signal(signal.SIGTERM)
    assert guest.ended() == ("left", 0, 0)


def test_stdout_that_nobody_reads_any_more_ends_the_call(stage: Stage) -> None:
    host, guest = stage.pair()
    # The reading thread sits in read() and holds the pipe until one more line has come.
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, guest.stdout.fileno())
    os.close(silence)

    def gone() -> bool:
        host.say("chat", text="something to tell")
        return bool(host.of("member-left", member=guest.member, reason="left"))

    wait_until(gone, 10.0)
    assert guest.finish() == 0


@pytest.fixture
def silent() -> Iterator[str]:
    """A server, ``host:port``, that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_ctrl_c_twice_ends_at_once(stage: Stage, silent: str) -> None:
    guest = stage.join(f"4821-apple-robot-candle@{silent}")
    guest.wait("ready")
    guest.signal(signal.SIGINT)
    guest.signal(signal.SIGINT)
    assert guest.finish() in (0, 130)


def test_interrupted_while_the_server_is_sought_it_ends_at_once(stage: Stage, silent: str) -> None:
    guest = stage.join(f"4821-apple-robot-candle@{silent}")
    guest.wait("ready")
    guest.signal(signal.SIGINT)
    assert guest.finish(5.0) == 0


class Face:
    """One connection to the control socket of an engine."""

    def __init__(self, engine: EngineProcess) -> None:
        sockets = list((engine.folder / "run" / "vchat").glob("*.sock"))
        assert len(sockets) == 1
        self.path = sockets[0]
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.line.settimeout(10.0)
        self.line.connect(str(self.path))
        self._file = self.line.makefile("rb")

    def say(self, do: str, **fields: Any) -> None:
        """Give an order."""
        self.line.sendall(json.dumps({"do": do, **fields}).encode() + b"\n")

    def wait(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next event that fits."""
        for line in self._file:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event and all(told.get(k) == v for k, v in fields.items()):
                return told
        raise AssertionError(f"no {event}: the engine hung up")

    def hung_up(self) -> bool:
        """Whether the engine ends the connection, after whatever it still had to say."""
        return all(json.loads(line)["event"] for line in self._file)

    def vanish(self) -> None:
        """Without a word."""
        self._file.close()
        self.line.close()


def test_the_control_socket_is_private_and_mutes_from_outside(stage: Stage) -> None:
    host = stage.host()
    host.wait("audio")
    folder = host.folder / "run" / "vchat"
    (path,) = folder.glob("*.sock")
    assert folder.stat().st_mode & 0o077 == path.stat().st_mode & 0o077 == 0
    for arguments, muted in (
        (("mute", "toggle"), True),
        (("mute", "off"), False),
        (("mute", "on"), True),
        (("ptt", "on"), False),
        (("ptt", "off"), True),
    ):
        since = host.mark()
        done = vchat(*arguments, folder=host.folder)
        assert done.returncode == 0, done
        host.wait("muted", since=since, member=host.member, on=muted)
    assert host.leave() == 0
    assert list(folder.glob("*.sock")) == []
    done = vchat("mute", "on", folder=host.folder)
    assert done.returncode != 0 and "vchat: error: " in done.stderr


def test_a_face_that_attaches_late_is_told_what_it_missed(stage: Stage) -> None:
    host, guest = stage.pair()
    host.wait("room-code")
    face = Face(host)
    face.say("attach")
    assert face.wait("room")["code"] == host.code
    assert face.wait("member-joined")["member"] == guest.member
    face.say("chat", text="from the face")
    guest.wait("chat", text="from the face")
    host.wait("sent")
    face.line.sendall(b"nonsense\n")
    assert face.wait("error")["code"] == "bad-command"
    assert host.of("error") == []
    face.say("detach")
    assert face.hung_up()
    face.vanish()
    guest.say("chat", text="later")
    host.wait("chat", text="later")
    assert host.of("muted", on=True) == []


def test_a_face_that_vanishes_mutes_the_call_at_once(stage: Stage) -> None:
    host = stage.host(mic="tone:440")
    guest = stage.join(host.code)
    guest.wait("talking", member=host.member, on=True)
    face = Face(host)
    face.say("attach")
    face.wait("room")
    face.vanish()
    gone = time.monotonic()
    told = guest.wait("muted", member=host.member, on=True, where=lambda e: e["seen"] >= gone - 0.5)
    assert told["seen"] - gone < 1.0
    guest.wait("talking", member=host.member, on=False)
    again = Face(host)
    again.say("attach")
    assert again.wait("muted", member=host.member)["on"] is True


def test_a_call_without_its_face_is_left_after_the_patience(stage: Stage) -> None:
    host = stage.host()
    guest = stage.impatient(host.code, patience=0.5)
    guest.meets(host)
    face = Face(guest)
    face.say("attach")
    face.wait("room")
    face.vanish()
    assert guest.ended() == ("left", 0, 0)


@pytest.mark.parametrize("device", ["mic", "speaker"])
def test_a_sound_file_that_cannot_be_had_leaves_a_text_call(stage: Stage, device: str) -> None:
    host = stage.host()
    guest = stage.join(host.code, **{device: "file:/nonexistent/folder/x.wav"})
    guest.meets(host)
    assert guest.wait("error")["message"]
    assert guest.wait("audio")[device] == "none"
    guest.say("chat", text="without sound")
    host.wait("chat", text="without sound")


def test_what_cannot_be_opened_is_said_once_and_the_rest_is_opened(stage: Stage) -> None:
    heard = stage.folder / "heard.wav"
    host = stage.host(mic="file:/etc/passwd", speaker=f"file:{heard}")
    audio = host.wait("audio")
    assert (audio["mic"], audio["speaker"]) == ("none", f"file:{heard}")
    (error,) = host.of("error")
    assert error["code"] == "audio-file"
    assert error["message"] == "cannot read /etc/passwd: invalid data found when processing input"


def test_a_recording_that_cannot_be_written_is_said_once(stage: Stage) -> None:
    host = stage.host("--record", "/dev/null/folder")
    guest = stage.join(host.code, mic="tone:440")
    guest.meets(host)
    assert host.wait("error")["message"] == "cannot record in /dev/null/folder: not a directory"
    guest.say("chat", text="all the same")
    host.wait("chat", text="all the same")
    assert len(host.of("error")) == 1


def test_pictures_for_a_terminal_need_one(stage: Stage) -> None:
    host, guest = stage.pair()
    guest.say("share", source="test", width=320, height=180, fps=5)
    offered = host.wait("stream-offered")
    host.say("watch", member=guest.member, stream=offered["stream"], to="terminal")
    error = host.wait("error")
    assert (error["code"], error["stream"]) == ("no-terminal", offered["stream"])
    host.wait("stream-unwatched")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_events_that_find_no_room_end_the_call_with_a_sentence(stage: Stage) -> None:
    host = stage.host()
    command = [sys.executable, "-m", "client", "join", host.code, "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(stage.folder / "full"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert "events cannot be written: no space left on device" in done.stderr

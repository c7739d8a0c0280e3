"""Stories of pictures: one shares, others watch, over the JSON interface alone."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from audio.pcm import RATE
from tests.calls.engines import EngineProcess, Told
from tests.calls.sounds import loudness, read_wav, wait_until
from tests.calls.stage import Stage
from video.pattern import Mark, read_mark

SIZE = {"width": 1280, "height": 720}
SMALL = {"width": 320, "height": 180}
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children by /proc")


def share(host: EngineProcess, fps: int = 15, size: dict[str, int] | None = None) -> int:
    """The test pattern; the number of its stream."""
    since = host.mark()
    host.say("share", source="test", fps=fps, **(size or SMALL))
    return int(host.wait("stream-offered", since=since, member=host.member)["stream"])


def watch(guest: EngineProcess, host: EngineProcess, stream: int, to: str = "none") -> None:
    """See it."""
    guest.wait("stream-offered", member=host.member, stream=stream)
    since = guest.mark()
    guest.say("watch", member=host.member, stream=stream, to=to)
    guest.wait("stream-started", since=since, member=host.member, stream=stream)


def figures(engine: EngineProcess) -> Told:
    """Fresh stats."""
    since = engine.mark()
    engine.say("stats")
    return engine.wait("stats", since=since)


def settled(engine: EngineProcess, seconds: float = 2.5) -> Told:
    """The figures of some seconds."""
    figures(engine)
    time.sleep(seconds)
    return figures(engine)


def marks(film: Path, size: dict[str, int]) -> list[Mark | None]:
    """What is read of the pictures of a recording."""
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    return [read_mark(np.asarray(one, np.uint8)[: size["height"]]) for one in frames]


def clock_error(film: Path) -> float:
    """By how many seconds a recording is wrong about when its pictures were taken: the median."""
    unix = time.time() - time.monotonic()
    with av.open(str(film)) as container:
        begun = datetime.fromisoformat(container.metadata["creation_time"]).timestamp() - unix
        errors = []
        for frame in container.decode(video=0):
            mark = read_mark(np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)[:720])
            assert mark is not None
            errors.append(begun + frame.time - mark.clock / 1e6)
    return sorted(errors)[len(errors) // 2]


def child(engine: EngineProcess, module: str) -> int:
    """The process of an engine that runs a module."""
    for task in Path(f"/proc/{engine.process.pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return int(pid)
    raise AssertionError(f"no {module}")


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    return not Path(f"/proc/{pid}").exists()


def opened(pid: int) -> set[str]:
    """The sockets of a process, its three streams left aside."""
    files = [one for one in Path(f"/proc/{pid}/fd").iterdir() if int(one.name) > 2]
    return {link for link in map(os.readlink, files) if link.startswith("socket:")}


def test_what_one_shares_another_sees_and_records(stage: Stage, tmp_path: Path) -> None:
    host, guest = stage.pair()
    stream = share(host, 15, SIZE)
    offered = guest.wait("stream-offered", member=host.member, stream=stream)
    about = {"kind": "screen", **SIZE, "fps": 15}
    assert {key: offered[key] for key in about} == about
    film = tmp_path / "film.mkv"
    watch(guest, host, stream, f"file:{film}")
    started = guest.wait("stream-started", member=host.member, stream=stream)
    assert (started["codec"], started["width"], started["height"]) == ("h264", 1280, 720)
    seen = settled(guest)["streams"][f"{host.member}/{stream}"]
    sent = figures(host)["streams"][f"{host.member}/{stream}"]
    assert seen["fps_shown"] >= 10
    assert sent["fps_captured"] >= 10
    assert 0 < seen["latency_ms"] <= seen["latency_p95_ms"] < 500
    assert sent["bitrate"] > 50_000 < seen["bitrate"]
    host.say("unshare", stream=stream)
    for one in (host, guest):
        one.wait("stream-ended", member=host.member, stream=stream)
    assert figures(guest)["streams"] == figures(host)["streams"] == {}
    wait_until(lambda: len(marks(film, SIZE)) > 30, 10.0)
    found = marks(film, SIZE)
    assert None not in found
    numbers = [mark.number for mark in found if mark]
    assert all(later > earlier for earlier, later in pairwise(numbers))
    assert abs(clock_error(film)) < 0.02, "the viewer is wrong about when pictures were taken"
    assert len(numbers) >= 0.8 * (numbers[-1] - numbers[0] + 1)
    assert (guest.leave(), host.leave()) == (0, 0)


def test_who_does_not_watch_is_sent_no_pictures_and_who_stops_no_more(stage: Stage) -> None:
    host, guest = stage.pair()
    other = stage.join(host.code, name="Olga")
    other.meets(host, guest)
    stream = share(host)
    watch(guest, host, stream)
    offered = other.wait("stream-offered", member=host.member, stream=stream)
    assert offered["width"] == SMALL["width"]
    figures(host)
    watching, idle = settled(guest), settled(other)
    sent = figures(host)["streams"][f"{host.member}/{stream}"]
    assert sent["bitrate"] < sent["bitrate_out"] < 2 * sent["bitrate"], "one copy"
    assert watching["members"][host.member]["bitrate_in"] > 40_000
    assert idle["members"][host.member]["bitrate_in"] < 15_000
    assert idle["streams"] == {}
    guest.say("unwatch", member=host.member, stream=stream)
    guest.wait("stream-unwatched", member=host.member, stream=stream)
    assert settled(guest, 3.0)["members"][host.member]["bitrate_in"] < 15_000
    assert settled(host, 1.0)["streams"][f"{host.member}/{stream}"]["fps_sent"] == 0
    watch(guest, host, stream)
    assert settled(guest)["streams"][f"{host.member}/{stream}"]["fps_shown"] > 8
    host.say("unshare")
    guest.wait("stream-ended")
    time.sleep(3.0)
    assert guest.of("warning", code="picture-forged") == []


def test_both_share_at_once_and_see_their_own_pictures_too(stage: Stage) -> None:
    host, guest = stage.pair()
    streams = {one: share(one) for one in (host, guest)}
    for one, other in ((host, guest), (guest, host)):
        watch(one, other, streams[other])
        watch(one, one, streams[one])
    for one, other in ((host, guest), (guest, host)):
        told = settled(one, 1.5)["streams"]
        assert set(told) == {f"{m.member}/{streams[m]}" for m in (one, other)}
        assert all(stream["fps_shown"] > 8 for stream in told.values())
    host.say("unshare")
    host.wait("stream-ended", member=host.member)
    guest.wait("stream-ended", member=host.member)


def test_another_size_arrives_while_one_watches(stage: Stage) -> None:
    host, guest = stage.pair()
    stream = share(host, 15, {"width": 640, "height": 360})
    watch(guest, host, stream)
    host.say("quality", stream=stream, **SMALL, fps=10)
    for one in (host, guest):
        one.wait("stream-offered", member=host.member, width=320, height=180, fps=10)
    told = settled(guest)["streams"][f"{host.member}/{stream}"]
    assert 7 < told["fps_shown"] < 13


@linux
def test_a_killed_encoder_ends_the_stream_and_not_the_call(stage: Stage) -> None:
    host, guest = stage.pair()
    stream = share(host)
    watch(guest, host, stream)
    encoder, decoder = child(host, "video.share"), child(guest, "video.view")
    os.kill(encoder, signal.SIGKILL)
    host.wait("error", code="share-died")
    for one in (host, guest):
        one.wait("stream-ended", member=host.member, stream=stream)
    wait_until(lambda: gone(decoder), 5.0)
    host.say("chat", text="still here")
    guest.wait("chat", text="still here")
    watch(guest, host, share(host))


@linux
def test_a_killed_decoder_is_told_and_one_can_watch_again(stage: Stage) -> None:
    host, guest = stage.pair()
    stream = share(host)
    watch(guest, host, stream)
    os.kill(child(guest, "video.view"), signal.SIGKILL)
    told = guest.wait("error", code="viewer-died")
    assert (told["member"], told["stream"]) == (host.member, stream)
    guest.wait("stream-unwatched", member=host.member, stream=stream)
    watch(guest, host, stream)


@linux
@pytest.mark.live
def test_a_decoder_that_stands_still_harms_nobody_and_catches_up(stage: Stage) -> None:
    host, guest = stage.pair()
    other = stage.join(host.code, name="Olga")
    other.meets(host)
    stream = share(host, 15, SIZE)
    watch(guest, host, stream)
    watch(other, host, stream)
    decoder = child(guest, "video.view")
    os.kill(decoder, signal.SIGSTOP)
    memory = figures(guest)["process"]["rss_mb"]
    figures(host)
    told = settled(other, 6.0)["streams"][f"{host.member}/{stream}"]
    assert told["fps_shown"] > 8
    sent = figures(host)["streams"][f"{host.member}/{stream}"]
    assert sent["bitrate_out"] > 1.7 * sent["bitrate"], "a copy for each viewer"
    assert figures(guest)["process"]["rss_mb"] < memory + 20
    os.kill(decoder, signal.SIGCONT)
    name = f"{host.member}/{stream}"
    wait_until(lambda: settled(guest, 1.2)["streams"][name]["fps_shown"] > 8, 15.0)
    assert settled(guest, 1.5)["streams"][name]["latency_ms"] < 500


@linux
def test_children_get_neither_secrets_nor_sockets(stage: Stage) -> None:
    host, guest = stage.pair()
    secret = {"VCHAT_PASSPHRASE": "open sesame", "AWS_TOKEN": "xyz"}
    third = stage.engine("join", [host.code], name="Tom", variables={**secret, "VCHAT_NAME": "x"})
    third.meets(host, guest)
    stream = share(third)
    watch(third, host, share(host))
    host.wait("stream-offered", member=third.member, stream=stream)
    for module in ("video.share", "video.view"):
        pid = child(third, module)
        given = Path(f"/proc/{pid}/environ")
        if os.access(given, os.R_OK):
            text = given.read_bytes()
            assert b"sesame" not in text and b"AWS" not in text and b"VCHAT" not in text
        mine = {os.readlink(one) for one in Path(f"/proc/{third.process.pid}/fd").iterdir()}
        theirs = [
            os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if int(one.name) > 2
        ]
        assert not mine.intersection(one for one in theirs if one.startswith("socket:"))


@pytest.mark.live
def test_voice_goes_on_without_a_gap_beside_pictures(stage: Stage, tmp_path: Path) -> None:
    ear = tmp_path / "ear.wav"
    host = stage.host(mic="tone:440")
    guest = stage.join(host.code, speaker=f"file:{ear}")
    guest.wait("talking", member=host.member, on=True)
    stream = share(host, 30, SIZE)
    watch(guest, host, stream)
    told = settled(guest, 4.0)
    assert told["streams"][f"{host.member}/{stream}"]["fps_shown"] > 15
    assert told["members"][host.member]["concealed"] < 0.03
    heard = read_wav(ear)[-3 * RATE : -RATE // 2]
    frames = heard[: len(heard) // 960 * 960].reshape(-1, 960)
    quiet = [loudness(frame) < 0.02 for frame in frames]
    assert sum(quiet) <= 3, f"{sum(quiet)} of {len(quiet)} frames of 20 ms are silent"


def test_copies_come_by_the_hosts_forwarder_when_many_watch(stage: Stage) -> None:
    host = stage.host("--only", "hosted")
    sharer = stage.join(host.code, "--only", "hosted", name="Sarah")
    guests = [stage.join(host.code, "--only", "hosted", name=f"G{n}") for n in range(4)]
    for guest in guests:
        guest.meets(sharer, rung="hosted")
        sharer.meets(guest, rung="hosted")
    stream = share(sharer, 10)
    for guest in guests:
        watch(guest, sharer, stream)

    def few_copies() -> bool:
        """In the three seconds after this."""
        figures(sharer)
        time.sleep(3.0)
        out = figures(sharer)
        sent = sum(one["bitrate_out"] for one in out["members"].values())
        shared = out["streams"][f"{sharer.member}/{stream}"]
        coded, bytes_out = shared["bitrate"], out["process"]["bitrate_out"]
        print(f"{sent} bit/s beside the one copy of {coded}")
        return bool(sent < coded < shared["bitrate_out"] < 2 * coded < bytes_out + coded)

    # At first each is sent its own, until it has shown that its path carries what all get.
    wait_until(few_copies, 30.0)
    for guest in guests:
        told = settled(guest, 1.5)["streams"][f"{sharer.member}/{stream}"]
        assert told["fps_shown"] > 6, told


def test_when_the_sharer_leaves_its_stream_ends_and_no_child_stays(stage: Stage) -> None:
    host, guest = stage.pair()
    stream = share(guest)
    watch(host, guest, stream)
    guest.say("stats", every=0.1)  # asked for until the end, and no longer
    assert guest.leave() == 0
    host.wait("stream-ended", member=guest.member, stream=stream)
    host.wait("member-left", member=guest.member)
    assert host.leave() == 0


def test_what_cannot_be_is_refused_in_one_sentence(stage: Stage) -> None:
    host, guest = stage.pair()
    for do, fields in (
        ("share", {"source": "telescope"}),
        ("share", {"source": "test", "width": -5}),
        ("share", {"source": "test", "fps": "many"}),
        ("unshare", {"stream": 1}),
        ("unshare", {"stream": 0}),
        ("quality", {"stream": 3}),
        ("watch", {"member": host.member, "stream": 1, "to": "none"}),
        ("watch", {"member": "nobody", "stream": 1, "to": "none"}),
        ("watch", {"member": guest.member, "stream": 0, "to": "none"}),
        ("watch", {"member": host.member, "stream": 1, "to": "moon"}),
        ("unwatch", {"member": host.member, "stream": 1}),
    ):
        since = guest.mark()
        guest.say(do, **fields)
        guest.wait("error", since=since, code="bad-command")
    for _ in range(5):  # more than may be shared at once: what failed takes no place
        since = guest.mark()
        guest.say("share", source="file:/nowhere")
        guest.wait("error", since=since, code="picture-file")
    stream = share(guest)
    host.wait("stream-offered", member=guest.member, stream=stream)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_recording_of_pictures_ends_with_the_disk_and_says_so(stage: Stage) -> None:
    host, guest = stage.pair()
    stream = share(guest)
    host.wait("stream-offered")
    host.say("watch", member=guest.member, stream=stream, to="file:/dev/full")
    error = host.wait("error", code="cannot-record")
    assert error["message"] == "'/dev/full' cannot be written: no space left on device"
    host.wait("stream-unwatched")


def test_what_can_be_shared_is_listed(stage: Stage) -> None:
    host = stage.host()
    host.wait("room")
    for what in ("screens", "cameras"):
        host.say(what)
        assert isinstance(host.wait(what)[what], list)

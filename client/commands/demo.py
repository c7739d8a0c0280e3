"""``vchat demo``: a whole call on this machine, without devices, and what arrived of it.

A host with the signaling server inside and two guests, each an engine in its own
process with folders of its own, talk (synthetic speech) and write to each other;
the host shows a moving picture. It is compared what was said and what was heard;
the exit code is 0 only if all of it arrived.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

from client.commands.demo_cast import Command, Player, PlayerFailed, engine
from vc_core.record import record

NAMES = ("Ada", "Bob", "Cleo")
"""The host first."""

# Implementation
VOICE_SECONDS = 2.0  # of speech, over and over
LISTEN = 4.0  # s of call that are judged
TEXT = "{} says: hello, grüße, 你好 👋"
MOST_DELAY = 250.0  # ms from mouth to ear; a conversation bears no more
MOST_LOSS = 0.1  # of packets, and of frames made up
LEAST_QUALITY = 0.75  # well understood; clean speech reaches 0.95
PICTURE = {"source": "test", "width": 640, "height": 360, "fps": 15}
LEAST_PICTURES = 5.0  # a second, decoded
WIDTH = 160  # columns where there is no terminal
HEAD = ("from", "to", "rung", "delay", "loss", "made up", "quality", "picture", "texts")


@record
class Arrived:
    """What one player got of another."""

    rung: str = "none"
    delay: float | None = None
    """Milliseconds from mouth to ear."""
    loss: float = 0.0
    concealed: float = 0.0
    """Share of the frames that were made up."""
    quality: float = 0.0
    """Intelligibility, 0 to 1."""
    texts: int = 0
    pictures: float | None = None
    """Shown a second; None where none were to come."""
    picture_delay: float | None = None
    """Milliseconds from capture to decoded."""

    @property
    def missing(self) -> list[str]:
        """What should have arrived and did not."""
        late = self.delay is None or self.delay > MOST_DELAY
        wrong = {
            "no direct path": self.rung != "direct",
            "voice too late": late and self.quality >= LEAST_QUALITY,
            "packets lost": self.loss > MOST_LOSS or self.concealed > MOST_LOSS,
            "voice not understood": self.quality < LEAST_QUALITY,
            f"{self.texts} texts instead of 1": self.texts != 1,
            "no moving picture": self.pictures is not None and self.pictures < LEAST_PICTURES,
        }
        return [what for what, is_so in wrong.items() if is_so]

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        heard = self.delay is not None and self.quality > 0
        return (
            self.rung,
            f"{self.delay:.0f} ms" if heard else "-",
            f"{self.loss:.1%}" if heard else "-",
            f"{self.concealed:.1%}" if heard else "-",
            f"{self.quality:.2f}" if heard else "-",
            self._picture(),
            f"{self.texts}/1",
        )

    def _picture(self) -> str:
        if not self.pictures:
            return "-"
        late = "" if self.picture_delay is None else f", {self.picture_delay:.0f} ms"
        return f"{self.pictures:.0f}/s{late}"


def run(command: Command = engine) -> int:
    """Play it; 0 if everything arrived, 130 when interrupted."""
    try:
        with tempfile.TemporaryDirectory(prefix="vchat-demo-") as folder:
            return asyncio.run(_play(Path(folder), command))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("vchat: interrupted", file=sys.stderr)
        return 130


async def _play(folder: Path, command: Command) -> int:
    playing = asyncio.current_task()
    assert playing is not None
    with suppress(NotImplementedError):  # elsewhere asyncio itself turns Ctrl-C into this
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    print("a host and two guests talk, write and see a picture on this machine …", flush=True)
    players = [_player(name, folder) for name in NAMES]
    trouble: list[str] = []
    try:
        try:
            await _call(players, command)
        except PlayerFailed as failure:
            trouble.append(str(failure))
        arrived = {
            (one.name, other.name): _compare(one, other) for one, other in permutations(players, 2)
        }
    finally:
        codes = await asyncio.gather(*(player.end() for player in players))
    trouble += [
        f"{player.name} ended with exit code {code}"
        for player, code in zip(players, codes, strict=True)
        if code
    ]
    for (one, other), what in arrived.items():
        trouble += [f"{one} to {other}: {missing}" for missing in what.missing]
    _show(arrived)
    for line in trouble:
        print(f"vchat: error: {line}", file=sys.stderr)
    print("everything arrived" if not trouble else "something is missing")
    return 1 if trouble else 0


def _player(name: str, folder: Path) -> Player:
    from audio.record import GrowingWav
    from audio.synthetic import speech

    player = Player(name, folder / name)
    player.folder.mkdir()
    file = GrowingWav(player.microphone)
    file.write(speech(VOICE_SECONDS, seed=len(name) + ord(name[0])))
    file.close()
    return player


async def _call(players: list[Player], command: Command) -> None:
    """Everybody in, a text from each, some seconds of talk."""
    host, *guests = players
    await host.start(command(host.name), "host", "--listen", "127.0.0.1:0")
    code = (await host.wait("room"))["code"]
    for guest in guests:
        await guest.start(command(guest.name), "join", code)
    for player, other in permutations(players, 2):
        member = (await player.wait("member-joined", name=other.name))["member"]
        await player.wait("path", member=member, rung="direct")
    for player in players:
        player.say("chat", text=TEXT.format(player.name))
    host.say("share", **PICTURE)
    for guest in guests:
        offered = await guest.wait("stream-offered")
        where = {"member": offered["member"], "stream": offered["stream"]}
        guest.say("watch", **where, to="none")
        await guest.wait("stream-started")
    with suppress(PlayerFailed):  # who is not heard is found by listening
        for player in players:
            await player.wait("talking", len(players), seconds=3.0, on=True)
    await _stats(players, 1)
    await asyncio.sleep(LISTEN)
    await _stats(players, 2)
    for player in players:
        await player.wait("delivered", len(players) - 1)


async def _stats(players: list[Player], count: int) -> None:
    """Figures from everybody, about the time since the last ones."""
    for player in players:
        player.say("stats")
    for player in players:
        await player.wait("stats", count)


def _compare(said: Player, heard: Player) -> Arrived:
    """What ``heard`` got of ``said``."""
    met = heard.told("member-joined", name=said.name)
    if not met:
        return Arrived()
    member = met[-1]["member"]
    paths = heard.told("path", member=member)
    stats: dict[str, Any] = next(
        (one["members"].get(member, {}) for one in reversed(heard.told("stats"))), {}
    )
    shown = _shown(said, heard)
    return Arrived(
        rung=paths[-1]["rung"] if paths else "none",
        delay=_delay(said, heard),
        loss=stats.get("loss_in", 0.0),
        concealed=stats.get("concealed", 0.0),
        quality=_quality(said, heard),
        texts=len(heard.told("chat", member=member, text=TEXT.format(said.name))),
        pictures=shown.get("fps_shown", 0.0) if said.name == NAMES[0] else None,
        picture_delay=shown.get("latency_ms"),
    )


def _shown(said: Player, heard: Player) -> dict[str, Any]:
    """What ``heard`` saw of the pictures of ``said``."""
    members = [one["member"] for one in heard.told("stream-started")]
    stats = [one["streams"] for one in heard.told("stats")]
    if said.name != NAMES[0] or not members or not stats:
        return {}
    found = (told for name, told in stats[-1].items() if name.startswith(f"{members[0]}/"))
    return next(found, {})


def _delay(said: Player, heard: Player) -> float | None:
    """Milliseconds from one's microphone to the other's speaker, in the last seconds."""
    from audio.likeness import lateness
    from audio.record import read_wav

    mouth = [audio["mic_started"] for audio in said.told("audio")]
    ear = [audio["speaker_started"] for audio in heard.told("audio")]
    if not heard.speaker.exists() or None in [*mouth[:1], *ear[:1]] or not mouth or not ear:
        return None
    began = ear[0] - mouth[0]
    late = lateness(read_wav(heard.speaker), read_wav(said.microphone), began, LISTEN)
    return None if late is None else late * 1000


def _quality(said: Player, heard: Player) -> float:
    """Intelligibility of one's voice in the other's recording."""
    from audio.likeness import resemblance
    from audio.record import read_wav

    found = sorted(heard.recordings.glob(f"{said.name}-*.wav"))
    if not found:
        return 0.0
    return resemblance(read_wav(found[0]), read_wav(said.microphone), LISTEN)


def _show(arrived: dict[tuple[str, str], Arrived]) -> None:
    """The table; outside of a terminal nothing of it is folded."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(*HEAD, box=SIMPLE_HEAD, show_edge=False, header_style="")
    for (one, other), what in arrived.items():
        table.add_row(one, other, *what.cells())
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    console.print("", table, "", sep="\n")

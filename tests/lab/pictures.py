"""Pictures over networks that are narrow, far or lossy: how they come, and what voice notices.

    sharer  (home, its router is the bottleneck)         viewer  (in the open)
    a screen of 1080p that scrolls ── vchat ══ network ══ vchat ── a recording
    a voice without a pause        ──                        ── a speaker's file

Every picture of a recording is laid beside its original. A freeze is more than 500 ms
without a new picture while the screen moves: as the viewer's engine counts them, and as
the recording lacks them. ``python -m tests.lab pictures`` runs all scenes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.pcm import RATE, Samples
from tests.calls.engines import EngineProcess, Told
from tests.calls.sounds import cut, read_wav, wait_until, write_wav
from tests.lab.ear import Ear
from tests.lab.film import Film, Original
from tests.lab.findings import Findings
from tests.lab.meeting import Scene
from tests.lab.net import Nat, Node
from tests.video.desk import Desk, Scrolling, xvfb

SIZE = (1920, 1080)
FPS = 30
ROWS = 4  # pixels by which the page moves from picture to picture
FREEZE = 0.5  # s
FIRST = 1.0  # s from ``watch`` to the first picture
NARROW = 2e6  # bit/s
SETTLED = 5.0  # s until the picture has found its rate
RECOVERED = 15.0  # s until it has found the wider one
WELL = 5.0  # % that SSIM may lack to 1
LISTENED = 10.0  # s of voice that are compared
ENOUGH = 3e6  # bit/s at which a scrolling page is as good as its encoder makes it
FADES = 0.05  # s between two notes of the voice
LONGEST = 0.6  # s that a voice may be late
VOICE_LATER = 0.03  # s that voice may be later beside pictures, p95
VOICE_GAP = 0.04  # s


def voice(seconds: float, seed: int = 1) -> Samples:
    """As loud as itself all the time, and like itself at no other time."""
    notes = np.random.default_rng(seed).uniform(250.0, 900.0, round(seconds / FADES) + 1)
    hertz = np.repeat(notes, round(FADES * RATE))[: round(seconds * RATE)]
    wave: Samples = (0.4 * np.sin(2 * np.pi * np.cumsum(hertz) / RATE)).astype(np.float32)
    return wave


@dataclass
class Call:
    """One shares a screen and speaks, the other may watch and hears."""

    host: EngineProcess
    guest: EngineProcess
    ear: Ear
    said: Samples
    stream: int
    film: Path
    asked: float = 0.0
    """When ``watch`` was said."""

    # Pictures

    def watch(self) -> float:
        """Begin; seconds until the first picture."""
        since = self.guest.mark()
        self.asked = time.monotonic()
        where = f"file:{self.film}"
        self.guest.say("watch", member=self.host.member, stream=self.stream, to=where)
        started = self.guest.wait("stream-started", since=since)
        return float(started["seen"]) - self.asked

    def stop(self) -> Film:
        """No longer; the recording."""
        self.guest.say("unwatch", member=self.host.member, stream=self.stream)
        self.guest.wait("stream-unwatched")
        size = -1

        def whole() -> bool:
            nonlocal size
            before, size = size, self.film.stat().st_size
            time.sleep(0.3)
            return size == before

        wait_until(whole, 10.0)
        return Film.read(self.film, Original(*SIZE, ROWS))

    def looks(self, begin: float, end: float) -> list[Told]:
        """The viewer's figures of each second between two monotonic times."""
        name = f"{self.host.member}/{self.stream}"
        told = [one for one in self.guest.of("stats") if begin < one["seen"] <= end]
        return [
            {**one["streams"][name], "seen": one["seen"], "voice": one["members"][self.host.member]}
            for one in told
            if name in one["streams"]
        ]

    def sent(self, begin: float, end: float) -> list[Told]:
        """The sharer's figures in the same way."""
        name = f"{self.host.member}/{self.stream}"
        told = [one for one in self.host.of("stats") if begin < one["seen"] <= end]
        return [one["streams"][name] for one in told]

    # Voice

    def delays(self, begin: float, end: float, piece: float = 0.5) -> list[float]:
        """Seconds from the microphone to the speaker, of each half second."""
        unix = time.time() - time.monotonic()
        spoken = begin + unix - self.host.wait("audio")["mic_started"]
        heard = begin + unix - self.guest.wait("audio")["speaker_started"]
        wait_until(lambda: _seconds(self.ear.path) > heard + end - begin + LONGEST, 10.0)
        sound, found = read_wav(self.ear.path), []
        for at in np.arange(0.0, end - begin - piece, piece):
            ours = cut(self.said, spoken + at, piece)
            theirs = cut(sound, heard + at, piece + LONGEST)
            size = 1 << (len(ours) + len(theirs)).bit_length()
            product = np.fft.rfft(theirs, size) * np.conj(np.fft.rfft(ours, size))
            likeness = np.fft.irfft(product, size)[: round(LONGEST * RATE)]
            found.append(float(np.argmax(likeness)) / RATE)
        return found

    def over(self) -> None:
        """Both leave politely."""
        assert (self.guest.leave(), self.host.leave()) == (0, 0)


def _seconds(path: Path) -> float:
    return len(read_wav(path)) / RATE


@contextmanager
def call(scene: Scene, one: Node, two: Node, lasts: float = 70.0) -> Iterator[Call]:
    """A call on the direct road in which a screen is offered."""
    scene.serve(scene.world.host())
    with xvfb(*SIZE) as (display, _):
        desk = Desk(display, *SIZE)
        scrolling = Scrolling(desk, FPS, ROWS)
        try:
            made = _meet(scene, one, two, display, voice(lasts))
            made.host.say("share", source="screen", fps=FPS)
            made.stream = int(made.guest.wait("stream-offered")["stream"])
            time.sleep(0.5)
            for engine in (made.host, made.guest):
                engine.say("stats", every=1.0)
            yield made
            made.over()
        finally:
            scrolling.stop()
            desk.close()


def _meet(scene: Scene, one: Node, two: Node, display: str, said: Samples) -> Call:
    folder, stage = scene.folder, scene.stage
    spoken = write_wav(folder / "said.wav", said)
    heard = folder / "heard.wav"
    host = stage.engine(
        "host",
        ["--signal", scene.url],
        mic=f"file:{spoken}",
        prefix=one.prefix,
        variables={"DISPLAY": display, "WAYLAND_DISPLAY": ""},
    )
    guest = scene.join(two, host.code, speaker=f"file:{heard}")
    guest.meets(host)
    host.meets(guest)
    guest.wait("talking", member=host.member, on=True)
    return Call(host, guest, Ear(guest, heard), said, 0, folder / "film.mkv")


# ---- What is told ----------------------------------------------------------------------


def _tell(found: Findings, made: Call, film: Film, begin: float, end: float, what: str) -> None:
    """Rate, delay and likeness between two monotonic times, without bounds."""
    looks, part = made.looks(begin + 0.5, end + 0.5), film.between(begin, end)
    found.add(f"{what}: pictures a second", part.rate(begin, end), unit="fps")
    found.add(f"{what}: not seen of what was drawn", 100 * part.missing(), unit="%")
    for name, key in (("p50", "latency_ms"), ("p95", "latency_p95_ms")):
        late = [one[key] for one in looks if one[key] is not None]
        found.add(f"{what}: capture to decoded {name} of each second", *late, unit="ms", share=95)
    sent = made.sent(begin + 0.5, end + 0.5)
    found.add(f"{what}: encoded a second", *(one["fps_sent"] for one in sent), unit="fps", share=5)
    coded = (one["bitrate"] / 1e6 for one in sent)
    found.add(f"{what}: encoded", *coded, unit="Mb/s")
    found.add(f"{what}: arrived, all in all", *(one["bitrate"] / 1e6 for one in looks), unit="Mb/s")


def _frozen(film: Film, looks: list[Told]) -> int:
    """Freezes: the engine's count, or how often the recording lacks so much if that is more."""
    counted = int(looks[-1]["freezes"]) - int(looks[0]["freezes"])
    return max(counted, len(film.standstills(FREEZE)))


def _alike(found: Findings, film: Film, what: str, bound: float | None = None) -> None:
    """How unlike pictures are, so that a bound is an upper one."""
    unlike = [100 * (1 - one) for one in film.likenesses]
    found.add(f"{what}: SSIM lacks to 1", *unlike, unit="%", share=95)
    mean = float(np.mean(unlike))
    found.add(f"{what}: SSIM lacks to 1, on average", mean, unit="%", bound=bound)


# ---- Scenes ----------------------------------------------------------------------------


def a_screen_over_a_good_network(scene: Scene, lasts: float = 15.0) -> Findings:
    """No limits: 1080p30."""
    found = Findings()
    with call(scene, scene.world.host(), scene.world.host()) as made:
        calm = time.monotonic()
        time.sleep(LISTENED / 2)
        found.add("first picture after watch", made.watch(), bound=FIRST)
        begin = made.asked + min(SETTLED, lasts / 2)
        end = made.asked + lasts
        time.sleep(end - time.monotonic() + 1.0)
        looks, film = made.looks(begin, end), made.stop()
        _tell(found, made, film, begin, end, "1080p30")
        part = film.between(begin, end)
        lost = 100 * (1 - part.rate(begin, end) / FPS)
        found.add("1080p30: pictures lacking to 30 a second", lost, unit="%", bound=10)
        late = [one["latency_p95_ms"] for one in looks]
        found.add("1080p30: p95 of each second", *late, unit="ms", share=50, bound=55)
        found.add("freezes", _frozen(part, looks), unit="", bound=0)
        _alike(found, part, "1080p30", WELL)
        _voice(found, made, (calm, calm + LISTENED / 2), (begin, end), "1080p30")
    return found


def voice_beside_pictures_on_a_narrow_uplink(scene: Scene) -> Findings:
    """2 Mbit/s from the sharer's home; then the bottleneck is gone."""
    found = Findings()
    router = scene.world.router(Nat.PORT_RESTRICTED)
    scene.world.narrow(router, NARROW)
    with call(scene, scene.world.behind(router), scene.world.host()) as made:
        calm = time.monotonic()
        time.sleep(LISTENED)
        found.add("first picture after watch", made.watch(), bound=FIRST)
        settled = made.asked + SETTLED
        time.sleep(settled + LISTENED + 0.5 - time.monotonic())
        wide = time.monotonic()
        scene.world.widen(router)
        time.sleep(RECOVERED + 3.0)
        ended = time.monotonic()
        film = made.stop()
        _tell(found, made, film, settled, wide - 0.5, "2 Mb/s")
        looks = made.looks(settled, wide)
        found.add("freezes", _frozen(film.between(settled, wide - 0.5), looks), unit="", bound=0)
        found.add("settled after", _settled(made, wide), bound=SETTLED)
        _alike(found, film.between(settled, wide - 0.5), "2 Mb/s")
        _voice(found, made, (calm, calm + LISTENED - 0.5), (settled, wide - 0.5), "settled")
        _voice(found, made, (calm, calm + LISTENED - 0.5), (made.asked, settled), "settling")
        _tell(found, made, film, wide + RECOVERED - 3.0, ended - 1.0, "wide again")
        wider = [one["seen"] for one in made.looks(wide, ended) if one["bitrate"] >= ENOUGH]
        found.add("recovered after", wider[0] - wide if wider else 99.0, bound=RECOVERED)
        _alike(found, film.between(wide + RECOVERED - 3.0, ended - 1.0), "wide again", WELL)
    return found


def _settled(made: Call, until: float) -> float:
    """Seconds from ``watch`` to the first second from which on all are fluent and in time."""
    looks = made.looks(made.asked + 0.5, until)
    bad = [
        one["seen"]
        for one in looks
        if one["fps_shown"] < 0.8 * FPS or (one["latency_p95_ms"] or 999) > 250
    ]
    return float(bad[-1]) - made.asked if bad else 1.0


def _voice(
    found: Findings, made: Call, calm: tuple[float, float], busy: tuple[float, float], what: str
) -> None:
    """Gaps and delay of the voice beside pictures, and without them."""
    gap, usual = made.ear.gap(*busy), made.ear.gap(*calm)
    found.add(f"longest gap of the voice, {what}", gap, bound=VOICE_GAP, beside=[usual])
    before, now = made.delays(*calm), made.delays(*busy)
    found.add("voice without pictures", *(1000 * one for one in before), unit="ms", share=95)
    found.add(f"voice beside them, {what}", *(1000 * one for one in now), unit="ms", share=95)
    later = float(np.percentile(now, 95) - np.percentile(before, 95))
    found.add(f"voice is later by, {what} (p95)", later, bound=VOICE_LATER)


def lossy(
    scene: Scene, rtt: float, loss: float, freezes: int, settles: float = 3.0, lasts: float = 20.0
) -> Findings:
    """On a path that loses packets both ways; judged from ``settles`` seconds on."""
    found = Findings()
    with call(scene, scene.far(rtt / 2, loss), scene.world.host()) as made:
        found.add("first picture after watch", made.watch(), bound=FIRST)
        begin, end = made.asked + settles, made.asked + lasts
        time.sleep(end - time.monotonic() + 0.7)
        looks, film = made.looks(begin, end + 1.0), made.stop()
        what = f"{100 * loss:.0f} %, {1000 * rtt:.0f} ms"
        _tell(found, made, film, begin, end, what)
        part = film.between(begin, end)
        lost = 100 * (1 - part.rate(begin, end) / FPS)
        found.add(f"{what}: pictures lacking to 30 a second", lost, unit="%", bound=15)
        found.add(f"{what}: freezes", _frozen(part, looks), unit="", bound=freezes)
        found.add(f"{what}: frames given up", looks[-1]["lost"] - looks[0]["lost"], unit="")
        _alike(found, part, what, WELL)
        concealed = [one["voice"]["concealed"] * 100 for one in looks]
        found.add(f"{what}: voice made up", float(np.mean(concealed)), unit="%")
    return found


def two_percent_of_loss_and_50_ms(scene: Scene) -> Findings:
    """The goal: nothing freezes, and it is as good as without loss."""
    return lossy(scene, 0.050, 0.02, 0)


def two_percent_of_loss_and_150_ms(scene: Scene) -> Findings:
    """The same across an ocean."""
    return lossy(scene, 0.150, 0.02, 0)


def ten_percent_of_loss_and_50_ms(scene: Scene) -> Findings:
    """A bad radio link."""
    return lossy(scene, 0.050, 0.10, 0)


def ten_percent_of_loss_and_150_ms(scene: Scene) -> Findings:
    """Both."""
    return lossy(scene, 0.150, 0.10, 1)


SCENES: list[Callable[[Scene], Findings]] = [
    a_screen_over_a_good_network,
    voice_beside_pictures_on_a_narrow_uplink,
    two_percent_of_loss_and_50_ms,
    two_percent_of_loss_and_150_ms,
    ten_percent_of_loss_and_50_ms,
    ten_percent_of_loss_and_150_ms,
]

"""A member who joined properly shares what no sharer shares: that stream ends, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from audio.pcm import RATE
from tests.calls.engines import EngineProcess, Program
from tests.calls.sounds import loudness, read_wav
from tests.calls.stage import Stage
from tests.calls.test_pictures import figures, settled, share, watch

PATIENCE = 30.0  # s that a crime may take
MEMORY = 60  # MB that a victim may grow by, all crimes together


@dataclass
class Party:
    """The victim, somebody who shares and talks as one should, and whoever comes besides."""

    stage: Stage
    victim: EngineProcess
    good: EngineProcess
    stream: int
    ear: Path
    memory: float
    rude: Program | None = field(default=None)

    def commits(self, crime: str) -> tuple[str, int]:
        """Let somebody in who does it, and watch; its member, and a mark from before."""
        since = self.victim.mark()
        self.rude = self.stage.program(["-m", "tests.calls.rude_sharer", self.victim.code, crime])
        joined = self.victim.wait("member-joined", since=since)
        offered = self.victim.wait("stream-offered", since=since, member=joined["member"])
        member, stream = offered["member"], offered["stream"]
        self.victim.say("watch", member=member, stream=stream, to="none")
        self.rude.wait("begun")
        return member, since

    def goes_on(self, since: int) -> None:
        """Voice is heard, the other stream seen, a text arrives, memory is bounded."""
        told = settled(self.victim, 1.2)
        assert told["streams"][f"{self.good.member}/{self.stream}"]["fps_shown"] > 8
        assert told["process"]["rss_mb"] < self.memory + MEMORY
        assert self.victim.of("stream-unwatched", since=since, member=self.good.member) == []
        heard = read_wav(self.ear)[-RATE:]
        assert loudness(heard) > 0.02, "nobody is heard any more"
        text = f"still here at {time.monotonic()}"
        self.good.say("chat", text=text)
        self.victim.wait("chat", since=since, text=text)

    def complaints(self, since: int) -> list[str]:
        """What the victim was told of pictures that are wrong."""
        told = [*self.victim.of("warning", since=since), *self.victim.of("error", since=since)]
        return [one["code"] for one in told if "room-code" not in one["code"]]

    def through(self) -> int:
        """How many pieces were sent, once it has done what it wanted."""
        assert self.rude is not None
        sent: int = self.rude.wait("through", PATIENCE)["sent"]
        return sent


@pytest.fixture(scope="module")
def call() -> Iterator[Party]:
    """One call for all crimes: what one of them leaves behind meets the next."""
    with TemporaryDirectory(prefix="vc-") as folder, Stage(Path(folder)) as stage:
        ear = Path(folder) / "ear.wav"
        victim = stage.host("--guests", "20", speaker=f"file:{ear}")
        good = stage.join(victim.code, mic="tone:440")
        good.meets(victim)
        stream = share(good)
        watch(victim, good, stream)
        memory = settled(victim, 1.0)["process"]["rss_mb"]
        yield Party(stage, victim, good, stream, ear, memory)


@pytest.fixture
def party(call: Party) -> Iterator[Party]:
    """Whoever was rude is gone afterwards."""
    yield call
    if call.rude is not None:
        call.rude.kill()


@pytest.mark.parametrize(
    ("crime", "event", "code"),
    [
        ("garbage", "error", "stream-damaged"),
        ("sizes", "error", "stream-damaged"),
        ("nonsense", "warning", "pictures-broken"),
        ("million", "warning", "pictures-broken"),
    ],
)
def test_a_stream_that_is_none_ends_with_a_hint(
    party: Party, crime: str, event: str, code: str
) -> None:
    member, since = party.commits(crime)
    told = party.victim.wait(event, PATIENCE, since=since, member=member, code=code)
    assert told["message"] and told["hint"]
    party.victim.wait("stream-unwatched", since=since, member=member)
    party.goes_on(since)
    assert party.through() > 200
    party.goes_on(since)
    shown = figures(party.victim)["streams"]
    assert f"{party.good.member}/{party.stream}" in shown
    assert not any(name.startswith(f"{member}/") for name in shown)
    assert len(party.victim.of(event, since=since, code=code)) == 1, "told once"


def test_clocks_that_leap_harm_nobody_and_show_in_no_figure_that_cannot_be(party: Party) -> None:
    member, since = party.commits("clocks")
    party.victim.wait("stream-started", since=since, member=member)
    party.goes_on(since)
    party.through()
    party.goes_on(since)
    assert party.complaints(since) == []


def test_pieces_of_streams_that_were_never_offered_are_nothing(party: Party) -> None:
    member, since = party.commits("unoffered")
    assert party.through() > 200
    party.goes_on(since)
    assert party.victim.of("stream-offered", since=since, member=member) != []
    assert party.complaints(since) == []
    shown = figures(party.victim)["streams"]
    assert [name for name in shown if name.startswith(f"{member}/")] == [f"{member}/1"]


def test_an_offer_that_cannot_be_ends_the_talk_with_its_member(party: Party) -> None:
    member, since = party.commits("offers")
    told = party.victim.wait("warning", since=since, member=member, code="peer-misbehaved")
    assert told["message"]
    party.goes_on(since)

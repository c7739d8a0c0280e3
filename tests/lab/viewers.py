"""Five who watch one screen, one of them behind a narrow line: it slows nobody.

    sharer ── backbone ──┬── four viewers
                         └─ TBF ── the slow one        500 kbit/s, 300 ms of queue

Each scene is a story (``tests.lab.stories``): real engines, real encoders, and what they
say of themselves, beside bytes that the kernel counted at the sharer's interface.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.calls.engines import EngineProcess, Told
from tests.lab.ear import Ear
from tests.lab.findings import Findings
from tests.lab.meeting import SIGNAL_PORT, Scene
from tests.lab.net import Node, World, run
from tests.lab.services import Services
from tests.lab.stories import PLAYOUT, Story
from vc_core.record import record

WIDTH, HEIGHT, FPS = 1280, 720, 30
MOST = 1_200_000  # bit/s: what the encoder then makes of the pattern does not vary
NARROW = ("rate", "500kbit", "burst", "16kb", "latency", "300ms")
STEADY = 4.0  # s that everybody must have had the whole picture before it counts
WARM = 40.0  # s in which that must happen
LOOK = 10.0  # s of one measurement
SETTLE = 4.0  # s that the slow one has until its own is taken
RETURN = 40.0  # s in which it comes back when the line is wide again
LESS_FPS = 2.0  # by which the others' frame rate may differ
LESS_BITRATE = 12.0  # % by which their bitrate may
MORE_BYTES = 1.25  # times the encoders' bytes: headers, parity, what is sent again
SLOW_FPS = 15.0  # of the second encoding


@record
class Look:
    """What one viewer saw during a while."""

    fps: float
    bitrate: float
    freezes: int
    lines: int


def port_of(world: World, node: Node) -> str:
    """The interface of the backbone behind which a machine is."""
    (own,) = json.loads(run("ip", "-n", node.space, "-j", "link", "show", "eth0"))
    ports = json.loads(run(*world.backbone.prefix, "ip", "-j", "link"))
    return str(next(one["ifname"] for one in ports if one["ifindex"] == own["link_index"]))


def narrow(world: World, node: Node, how: Sequence[str] | None = NARROW) -> None:
    """Let only so much through to a machine; None: everything again."""
    at = (*world.backbone.prefix, "tc", "qdisc")
    if how is None:
        run(*at, "del", "dev", port_of(world, node), "root")
    else:
        run(*at, "add", "dev", port_of(world, node), "root", "tbf", *how)


def sent(node: Node) -> int:
    """Bytes that a machine has sent."""
    (link,) = json.loads(run("ip", "-n", node.space, "-s", "-j", "link", "show", "eth0"))
    return int(link["stats64"]["tx"]["bytes"])


def idle(node: Node) -> float:
    """bit/s that a machine sends while nobody watches: voice, probes, heartbeats."""
    began, before = time.monotonic(), sent(node)
    time.sleep(STEADY)
    return 8 * (sent(node) - before) / (time.monotonic() - began)


@dataclass
class Show:
    """One who shares, and those who watch."""

    sharer: EngineProcess
    node: Node
    stream: int

    @classmethod
    def begin(cls, sharer: EngineProcess, node: Node) -> Show:
        """The test pattern, moving."""
        size = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "bitrate": MOST}
        sharer.say("share", source="test", **size)
        offered = sharer.wait("stream-offered", member=sharer.member)
        return cls(sharer, node, int(offered["stream"]))

    @property
    def name(self) -> str:
        """As stats call it."""
        return f"{self.sharer.member}/{self.stream}"

    def watch(self, viewer: EngineProcess) -> float:
        """See it; s until the first picture."""
        viewer.wait("stream-offered", member=self.sharer.member, stream=self.stream)
        asked = time.monotonic()
        viewer.say("watch", member=self.sharer.member, stream=self.stream, to="none")
        started = viewer.wait("stream-started", member=self.sharer.member, stream=self.stream)
        return float(started["seen"]) - asked

    def told(self, engine: EngineProcess) -> Told:
        """What an engine says of the stream since it was last asked."""
        since = engine.mark()
        engine.say("stats")
        return dict(engine.wait("stats", since=since)["streams"].get(self.name, {}))

    def look(
        self, viewers: Sequence[EngineProcess], seconds: float = LOOK
    ) -> tuple[list[Look], Told, float]:
        """Each viewer, the sharer, and bit/s on the sharer's wire."""
        before = [self.told(one).get("freezes", 0) for one in viewers]
        self.told(self.sharer)
        began, bytes_before = time.monotonic(), sent(self.node)
        rates: list[list[float]] = [[] for _ in viewers]
        bits = [0.0 for _ in viewers]
        for _ in range(round(seconds)):
            time.sleep(1.0)
            for at, viewer in enumerate(viewers):
                told = self.told(viewer)
                rates[at].append(float(told["fps_shown"]))
                bits[at] += float(told["bitrate"])
        span = time.monotonic() - began
        wire = 8 * (sent(self.node) - bytes_before) / span
        looks = []
        for at, viewer in enumerate(viewers):
            told = self.told(viewer)
            mean = sum(rates[at]) / len(rates[at])
            freezes = int(told["freezes"]) - int(before[at])
            looks.append(Look(mean, bits[at] / len(rates[at]), freezes, int(told["height"])))
        return looks, self.told(self.sharer), wire

    def steady(self, viewers: Sequence[EngineProcess]) -> None:
        """Until all have had the whole picture for a while."""
        began = since = time.monotonic()
        while time.monotonic() - since < STEADY:
            time.sleep(0.25)
            if any(self.lines(one) != HEIGHT for one in viewers):
                since = time.monotonic()
            assert time.monotonic() - began < WARM, "not all get the whole picture"

    def lines(self, viewer: EngineProcess) -> int:
        """Of what a viewer sees now."""
        return int(self.told(viewer).get("height", 0))


@contextmanager
def narrowed(scene: Scene, node: Node) -> Iterator[None]:
    """A line that is narrow meanwhile."""
    narrow(scene.world, node)
    try:
        yield
    finally:
        narrow(scene.world, node, None)


def _compare(
    found: Findings, show: Show, quick: Sequence[EngineProcess], slow: EngineProcess, ear: Ear
) -> tuple[float, Told]:
    """The four without and with the slow one, which watches from now on; the wire's bit/s."""
    show.steady(quick)
    calm = time.monotonic()
    alone, _, wire_before = show.look(quick)
    still = ear.gap(calm, time.monotonic() - PLAYOUT)
    began = time.monotonic()
    first = show.watch(slow)
    time.sleep(SETTLE)
    settled = time.monotonic()
    looks, told, wire = show.look([*quick, slow])
    ended = time.monotonic() - PLAYOUT
    own = looks[-1]
    _others(found, alone, looks[:-1])
    found.add("the slow one: first picture after", first, bound=2.5)
    found.add("the slow one: lines of its picture", own.lines, bound=HEIGHT // 2, unit="")
    lacks = SLOW_FPS - own.fps
    found.add("the slow one: frames per second below 15", lacks, bound=LESS_FPS, unit="1/s")
    found.add("the slow one: freezes in 10 s", float(own.freezes), bound=1, unit="")
    gaps = ear.gap(began, settled), ear.gap(settled, ended)
    found.add("the slow one: gap of voice at first", gaps[0], bound=0.1, beside=[still])
    found.add("the slow one: gap of voice later", gaps[1], bound=0.04, beside=[still])
    found.notes += [
        f"the slow one: {_words(own)}, {own.lines} lines",
        f"encoders: {told['bitrate'] / 1e6:.2f} Mb/s at {told['fps_sent']:.1f} fps, "
        f"second {told.get('bitrate_second', 0) / 1e6:.2f} at {told.get('fps_second', 0):.1f}",
        f"on the sharer's wire {wire_before / 1e6:.2f} Mb/s before, {wire / 1e6:.2f} then",
    ]
    return wire, told


def _others(found: Findings, alone: Sequence[Look], beside: Sequence[Look]) -> None:
    """What the quick ones saw without and with a slow one."""
    pairs = list(zip(alone, beside, strict=True))
    less = [one.fps - two.fps for one, two in pairs]
    found.add("frames per second that the others lost", *less, bound=LESS_FPS, unit="1/s")
    less = [100 * (1 - two.bitrate / one.bitrate) for one, two in pairs]
    found.add("bitrate that the others lost", *less, bound=LESS_BITRATE, unit="%")
    freezes = (float(one.freezes) for one in beside)
    found.add("freezes of the others in 10 s", *freezes, bound=0, unit="")
    found.notes += [
        "the others alone: " + ", ".join(map(_words, alone)),
        "beside the slow one: " + ", ".join(map(_words, beside)),
    ]


def _words(look: Look) -> str:
    return f"{look.fps:.1f} fps {look.bitrate / 1e6:.2f} Mb/s"


@contextmanager
def five(scene: Scene) -> Iterator[tuple[Show, list[EngineProcess], EngineProcess, Ear, Node]]:
    """One who shares and five others on direct roads; none watches yet, and all leave politely."""
    services = Services.start(scene, relays=0)
    nodes = [scene.world.host() for _ in range(6)]
    sharer = services.host(nodes[0])
    path = scene.folder / "slow.wav"
    quick = [
        services.join(node, sharer.code, mic="none", name=f"V{number}")
        for number, node in enumerate(nodes[1:5], 1)
    ]
    slow = services.join(nodes[5], sharer.code, mic="none", speaker=f"file:{path}", name="Slow")
    for one in (*quick, slow):
        one.meets(sharer)
    slow.wait("talking", member=sharer.member, on=True)
    yield Show.begin(sharer, nodes[0]), quick, slow, Ear(slow, path), nodes[5]
    for one in (slow, *quick, sharer):
        assert one.leave() == 0


def one_of_five_viewers_has_a_narrow_line(scene: Scene) -> Findings:
    """All on direct roads; then the line is widened and the slow one gets what others get."""
    found = Findings()
    with five(scene) as (show, quick, slow, ear, node):
        voice = idle(show.node)
        for one in quick:
            show.watch(one)
        with narrowed(scene, node):
            wire, told = _compare(found, show, quick, slow, ear)
        coded = 4 * told["bitrate"] + told.get("bitrate_second", 0)
        copies = (wire - voice) / coded
        what = "bytes of pictures on the wire per byte of four copies and one small"
        found.add(what, copies, bound=MORE_BYTES, unit="")
        _wait_for_the_whole(found, show, slow)
    return found


def one_of_five_lines_becomes_narrow(scene: Scene) -> Findings:
    """While all watch, from one moment to the next; and wide again."""
    found = Findings()
    with five(scene) as (show, quick, slow, ear, node):
        for one in (*quick, slow):
            show.watch(one)
        show.steady([*quick, slow])
        calm = time.monotonic()
        alone, _, _ = show.look(quick, 6.0)
        still = ear.gap(calm, time.monotonic() - PLAYOUT)
        with narrowed(scene, node):
            began = time.monotonic()
            while show.lines(slow) == HEIGHT:
                assert time.monotonic() - began < RETURN, "still the whole picture"
                time.sleep(0.1)
            small = time.monotonic() - began
            looks, _, _ = show.look([*quick, slow])
            ended = time.monotonic() - PLAYOUT
        _others(found, alone, looks[:-1])
        found.add("the slow one: a smaller picture after", small, bound=2.0)
        own = looks[-1]
        found.add("the slow one: freezes in 10 s", float(own.freezes), bound=1, unit="")
        gap = ear.gap(began + SETTLE, ended)
        found.add("the slow one: gap of voice at first", ear.gap(began, began + SETTLE), bound=0.5)
        found.add("the slow one: gap of voice later", gap, bound=0.04, beside=[still])
        found.notes.append(f"the slow one: {_words(own)}, {own.lines} lines")
        _wait_for_the_whole(found, show, slow)
    return found


def _wait_for_the_whole(found: Findings, show: Show, slow: EngineProcess) -> None:
    widened = time.monotonic()
    while show.lines(slow) != HEIGHT:
        assert time.monotonic() - widened < RETURN, f"still {show.lines(slow)} lines"
        time.sleep(0.5)
    found.add("the whole picture after the line was widened", time.monotonic() - widened)


def copies_go_by_a_forwarder_and_one_viewer_has_a_narrow_line(scene: Scene) -> Findings:
    """Everybody by the host's forwarder: one copy for four, a small one for the slow one."""
    found = Findings()
    nodes = [scene.world.host() for _ in range(7)]
    only = ("--only", "hosted")
    stage = scene.stage
    host = stage.host(*only, listen=f"0.0.0.0:{SIGNAL_PORT}", prefix=nodes[0].prefix)
    path = scene.folder / "slow.wav"
    sharer = stage.join(host.code, *only, mic="tone:440", name="Sarah", prefix=nodes[1].prefix)
    quick = [
        stage.join(host.code, *only, name=f"V{number}", prefix=node.prefix)
        for number, node in enumerate(nodes[2:6], 1)
    ]
    ear = f"file:{path}"
    slow = stage.join(host.code, *only, name="Slow", speaker=ear, prefix=nodes[6].prefix)
    for one in (*quick, slow):
        one.meets(sharer, rung="hosted")
    slow.wait("talking", member=sharer.member, on=True)
    show = Show.begin(sharer, nodes[1])
    voice = idle(nodes[1])
    for one in quick:
        show.watch(one)
    with narrowed(scene, nodes[6]):
        wire, told = _compare(found, show, quick, slow, Ear(slow, path))
    coded = told["bitrate"] + told.get("bitrate_second", 0)
    copies = (wire - voice) / coded
    what = "bytes of pictures on the wire per byte of one copy and one small"
    found.add(what, copies, bound=MORE_BYTES, unit="")
    for one in (slow, *quick, sharer, host):
        assert one.leave() == 0
    return found


VIEWERS: list[Story] = [
    one_of_five_viewers_has_a_narrow_line,
    one_of_five_lines_becomes_narrow,
    copies_go_by_a_forwarder_and_one_viewer_has_a_narrow_line,
]

"""What happens to a call while networks, relays and servers fail under it.

Each story is a function of a scene; it returns its figures or raises
``AssertionError``. All of them write lines both ways meanwhile, and every line must
arrive once. ``python -m tests.lab stories`` runs them all.
"""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.calls.engines import EngineProcess, Program
from tests.calls.sounds import Speech
from tests.lab.ear import Ear, Lines
from tests.lab.findings import Findings
from tests.lab.meeting import SIGNAL_PORT, Scene
from tests.lab.net import Nat, Node
from tests.lab.services import RELAY_PORT, Services
from tests.lab.tap import frames

Story = Callable[[Scene], Findings]

DEAD_RUNG = 1.0  # s of silence when a rung dies and another is warm, p95
ON_PURPOSE = 0.04  # s when we climb back, or switch because somebody wants it
DEAD_RELAY = 2.0  # s when a relay dies and another is known
PLAYOUT = 0.5  # s that what was heard may be later than what happened
BEFORE, AFTER = 0.3, 0.7  # s around a change that are listened to
CUTS = 6
ATTACK = 60  # s
RATE = 1500  # datagrams of rubbish per second
STORM_RATE, STORM = 100, 1500  # datagrams, and new connections with half a greeting, per second
BOUNDED = 30.0  # MB that an attacked process may grow by
HOST_DEAD = 2.0  # s in the voice between guests for whom the dead host forwarded
ADMITTED = 15.0  # s after which a newcomer is in under a new host
FREEZING = 18.0  # s after which nothing holds media any more if a host has no successor
LOSSY = 40.0  # s on a road that loses packets
LOST_VOICE = 0.2  # s that a row of lost packets leaves silent where a tenth is lost
MADE_UP = 0.5  # of the lost frames of speech: Opus puts copies of most into later packets


@dataclass
class Call:
    """Two who hum at each other, and both ears."""

    host: EngineProcess
    guest: EngineProcess
    ears: tuple[Ear, Ear]

    def gap(self, begin: float, end: float) -> float:
        """Seconds of the longest silence at either end."""
        return max(ear.gap(begin, end) for ear in self.ears)

    def gaps(self, begin: float, end: float) -> list[float]:
        """Of each end."""
        return [ear.gap(begin, end) for ear in self.ears]

    def calm(self) -> list[float]:
        """Gaps of each end while nothing happens: what this machine does by itself."""
        begun = time.monotonic()
        time.sleep(BEFORE + AFTER)
        return self.gaps(begun, time.monotonic())

    def on(self, rung: str, since: tuple[int, int] = (0, 0), timeout: float = 30.0) -> float:
        """Wait until both send that way; the monotonic time at which the later one does."""
        told = (
            self.host.wait("path", timeout, since[0], member=self.guest.member, rung=rung),
            self.guest.wait("path", timeout, since[1], member=self.host.member, rung=rung),
        )
        return float(max(one["seen"] for one in told))

    def marks(self) -> tuple[int, int]:
        """For ``on``."""
        return self.host.mark(), self.guest.mark()

    def rungs(self) -> list[tuple[str, str]]:
        """(rung, transport) that each end uses now."""
        pairs = ((self.host, self.guest), (self.guest, self.host))
        newest = [one.of("path", member=other.member)[-1] for one, other in pairs]
        return [(told["rung"], told["transport"]) for told in newest]

    @contextmanager
    def writing(self) -> Iterator[Lines]:
        """Lines both ways."""
        with Lines((self.host, self.guest)) as lines:
            yield lines

    def over(self) -> None:
        """Both leave politely."""
        assert (self.guest.leave(), self.host.leave()) == (0, 0)


def call(
    services: Services,
    one: Node,
    two: Node,
    *options: str,
    rung: str = "direct",
    rests: float = 1.5,
    mic: str = "tone:300",
) -> Call:
    """A call that stands on a rung and has found its playout delay."""
    folder = services.scene.folder
    paths = folder / "host.wav", folder / "guest.wav"
    host = services.host(one, *options, speaker=f"file:{paths[0]}")
    guest = services.join(two, host.code, *options, mic=mic, speaker=f"file:{paths[1]}")
    made = Call(host, guest, (Ear(host, paths[0]), Ear(guest, paths[1])))
    for end, other in ((guest, host), (host, guest)):
        end.wait("talking", member=other.member, on=True)
    made.on(rung)
    time.sleep(rests)
    return made


# ---- Roads that die --------------------------------------------------------------------


def the_direct_road_is_cut_and_restored(scene: Scene, cuts: int = CUTS) -> Findings:
    """Silently and both ways, several times; the relay carries meanwhile."""
    services, found = Services.start(scene, relays=2), Findings()
    other = scene.world.router(Nat.PORT_RESTRICTED)
    home = scene.world.router(Nat.PORT_RESTRICTED)
    made = call(services, scene.world.behind(other), scene.world.behind(home))
    dead: list[float] = []
    back: list[float] = []
    climbed: list[float] = []
    calm: list[float] = []
    with made.writing() as lines:
        for _ in range(cuts):
            calm += made.calm()
            time.sleep(random.Random(len(dead)).uniform(0.0, 0.5))
            marks, begun = made.marks(), time.monotonic()
            scene.world.sever(home, other.address)
            made.on("relayed", marks, 10.0)
            time.sleep(1.5)
            dead += made.gaps(begun, time.monotonic() - PLAYOUT)
            marks, mended = made.marks(), time.monotonic()
            scene.world.mend(home)
            climb = made.on("direct", marks, 40.0)
            time.sleep(1.0)
            back.append(climb - mended)
            climbed += made.gaps(climb - BEFORE, climb + AFTER)
    found.add("gap when the direct road dies", *dead, bound=DEAD_RUNG, share=95)
    found.add("gap when climbing back", *climbed, bound=ON_PURPOSE, beside=calm)
    found.add("direct again after", *back)
    found.notes.append(f"{lines.all_arrived()} lines arrived once")
    made.over()
    return found


def somebody_switches_on_purpose(scene: Scene) -> Findings:
    """``only relayed`` in the middle of a call, and everything again."""
    services, found = Services.start(scene), Findings()
    home = scene.world.router(Nat.PORT_RESTRICTED)
    made = call(services, scene.world.host(), scene.world.behind(home))
    gaps: list[float] = []
    calm: list[float] = []
    with made.writing() as lines:
        for _ in range(3):
            calm += made.calm()
            for rungs, rung in ((["relayed"], "relayed"), (["direct", "relayed"], "direct")):
                marks, begun = made.marks(), time.monotonic()
                made.guest.say("only", rungs=rungs)
                made.on(rung, marks)
                time.sleep(1.5)
                gaps += made.gaps(begun, begun + BEFORE + AFTER)
    found.add("gap when switching on purpose", *gaps, bound=ON_PURPOSE, beside=calm)
    found.notes.append(f"{lines.all_arrived()} lines arrived once")
    made.over()
    return found


def the_relay_in_use_is_killed_with_another_known(scene: Scene, kills: int = 3) -> Findings:
    """``kill -9``; the second relay takes over at once."""
    services, found = Services.start(scene, relays=2), Findings()
    made = _relayed(services)
    gaps: list[float] = []
    with made.writing() as lines:
        for kill in range(kills):
            used = services.busiest()
            begun = time.monotonic()
            used.program.kill()
            time.sleep(4.0)
            gaps += made.gaps(begun, time.monotonic() - PLAYOUT)
            assert services.busiest() is not used, "nothing goes over the other relay"
            if kill + 1 < kills:
                used.again()
                time.sleep(8.0)  # both are attached again
    found.add("gap when a relay dies and another is known", *gaps, bound=DEAD_RELAY)
    found.notes.append(f"{lines.all_arrived()} lines arrived once")
    made.over()
    return found


def the_only_relay_is_killed_and_returns(scene: Scene) -> Findings:
    """Nothing is left for 5 s; then the same relay is there again and knows nothing."""
    services, found = Services.start(scene, relays=1), Findings()
    made = _relayed(services)
    (relay,) = services.relays
    with made.writing() as lines:
        marks, begun = made.marks(), time.monotonic()
        relay.program.kill()
        dark = made.on("none", marks, 10.0)
        time.sleep(max(0.0, begun + 5.0 - time.monotonic()))
        marks = made.marks()
        relay.again()
        there = time.monotonic()
        light = made.on("relayed", marks, 40.0)
        time.sleep(2.0)
        ended = time.monotonic() - PLAYOUT
    found.add("known to be dark after", dark - begun)
    found.add("gap with no relay", *made.gaps(begun, ended))
    found.add("relayed again after its return", light - there)
    dark_times = [max(ear.silences(begun, ended), key=lambda one: one[1]) for ear in made.ears]
    heard = [begin + length - there for begin, length in dark_times]
    found.add("heard again after its return", *heard)
    found.notes.append(f"{lines.all_arrived()} lines arrived once")
    made.over()
    return found


def the_signaling_server_is_killed(scene: Scene) -> Findings:
    """The call does not notice; somebody new can join when it is back."""
    services, found = Services.start(scene), Findings()
    home = scene.world.router(Nat.PORT_RESTRICTED)
    made = call(services, scene.world.host(), scene.world.behind(home))
    with made.writing() as lines:
        begun = time.monotonic()
        services.signal.kill()
        made.guest.wait("warning", code="signaling-lost")
        time.sleep(5.0)
        gaps = made.gaps(begun - 0.1, begun + AFTER)
        found.add("gap while signaling dies", *gaps, bound=ON_PURPOSE, beside=made.calm())
        begun = time.monotonic()
        services.again()
        made.host.wait("warning", 30.0, code="signaling-back")
        found.add("signaling back after", time.monotonic() - begun)
        third = services.join(scene.world.host(), made.host.code)
        third.wait("talking", member=made.host.member, on=True)
        assert third.leave() == 0
    found.notes.append(f"{lines.all_arrived()} lines arrived once")
    made.over()
    return found


# ---- A host that dies ------------------------------------------------------------------


def the_host_is_killed_while_guests_talk_directly(scene: Scene) -> Findings:
    """Nothing of theirs went by it."""
    homes = [scene.world.router(Nat.PORT_RESTRICTED) for _ in range(2)]
    machines = [scene.world.behind(home) for home in homes]
    return _host_killed(Services.start(scene), machines, "direct", ON_PURPOSE)


def the_host_is_killed_while_guests_talk_over_a_relay(scene: Scene) -> Findings:
    """Likewise."""
    machines = [scene.world.host() for _ in range(2)]
    return _host_killed(Services.start(scene), machines, "relayed", ON_PURPOSE)


def the_host_is_killed_while_guests_talk_through_it(scene: Scene) -> Findings:
    """Its own client forwarded; a relay is kept warm."""
    homes = [scene.world.router(Nat.SYMMETRIC) for _ in range(2)]
    machines = [scene.world.behind(home) for home in homes]
    return _host_killed(Services.start(scene), machines, "hosted", HOST_DEAD)


def _host_killed(services: Services, machines: list[Node], rung: str, bound: float) -> Findings:
    """``kill -9``; a deputy lets a newcomer in with a code of its own."""
    world, found, folder = services.scene.world, Findings(), services.scene.folder
    host = services.host(world.host(), mic="none")
    paths = folder / "ann.wav", folder / "bob.wav"
    only = ("--only", rung) if rung == "relayed" else ()
    people = []
    for node, mic, path in zip(machines, ("tone:300", "tone:440"), paths, strict=True):
        people.append(services.join(node, host.code, *only, mic=mic, speaker=f"file:{path}"))
        people[-1].wait("room")  # whoever is longest here is the deputy
    ann, bob = people
    made = Call(ann, bob, (Ear(ann, paths[0]), Ear(bob, paths[1])))
    made.on(rung)
    for one, other in ((ann, bob), (bob, ann)):
        one.wait("talking", member=other.member, on=True)
    time.sleep(8.0)  # every road that is better has been tried
    assert [used for used, _ in made.rungs()] == [rung] * 2, made.rungs()
    begun = time.monotonic()
    time.sleep(4.0)
    calm = made.gaps(begun, time.monotonic() - PLAYOUT)
    with made.writing() as lines:
        killed = time.monotonic()
        host.kill()
        told = ann.wait("host-changed", member=ann.member)
        assert told["code"] and told["link"], told
        late = services.join(world.host(), told["code"])
        here = [one.wait("member-joined", member=late.member)["seen"] for one in (ann, bob)]
        heard = [late.wait("talking", member=one.member, on=True)["seen"] for one in (ann, bob)]
        time.sleep(max(0.0, killed + FREEZING - time.monotonic()))
        gaps = made.gaps(killed, time.monotonic() - PLAYOUT)
    found.add("gap between the others", *gaps, bound=bound, beside=calm)
    found.add("a deputy is the host after", told["seen"] - killed)
    found.add("a newcomer is in after", max(here) - killed, bound=ADMITTED)
    found.add("and hears everybody after", max(heard) - killed)
    found.notes += [f"afterwards on {made.rungs()}", f"{lines.all_arrived()} lines arrived once"]
    assert late.leave() == 0
    assert (bob.leave(), ann.leave()) == (0, 0)
    return found


# ---- Roads that lose packets -----------------------------------------------------------


def ten_percent_are_lost_on_the_direct_road(scene: Scene) -> Findings:
    """At 100 ms, beside a relay that loses none."""
    return _lossy(scene, 10)


def thirty_percent_are_lost_on_the_direct_road(scene: Scene) -> Findings:
    """Likewise."""
    return _lossy(scene, 30)


def ten_percent_are_lost_on_all_roads(scene: Scene) -> Findings:
    """At 100 ms, next to one of the two."""
    return _lossy(scene, 0, everywhere=0.10)


def _lossy(scene: Scene, percent: int, everywhere: float = 0.0) -> Findings:
    """People talk for a while, then nobody says a word; the road must stay the same one.

    The host hums, for gaps; the guest speaks, since Opus repairs no tone.
    """
    services, found = Services.start(scene), Findings()
    home = scene.world.router(Nat.PORT_RESTRICTED)
    far = scene.far(0.050, everywhere)
    mic = f"loop:{Speech.make(scene.folder / 'speech.wav', 8.0, 1).path}"
    made = call(services, far, scene.world.behind(home), rests=3.0, mic=mic)
    calm = made.calm()[1:]
    if percent:
        scene.world.thin(home, far.address, percent=percent)
    ends = (made.host, made.guest), (made.guest, made.host)
    changes: list[list[str]] = []
    with made.writing() as lines:
        for mute in (False, True):
            for one, _ in ends:
                one.say("mute", on=mute)
                one.say("stats", every=0 if mute else 1.0)
            time.sleep(3.0)
            marks, begun = made.marks(), time.monotonic()
            time.sleep(LOSSY)
            if not mute:
                gap = made.ears[1].gap(begun, time.monotonic() - PLAYOUT)
            for (one, other), mark in zip(ends, marks, strict=True):
                told = one.of("path", member=other.member)
                fresh = len(one.of("path", since=mark, member=other.member))
                roads = [each["rung"] for each in told[-fresh - 1 :]]  # with what was before
                changes.append([new for old, new in pairwise(roads) if new != old])
    found.add("longest gap", gap, bound=LOST_VOICE if percent <= 10 else None, beside=calm)
    for what, those in (("people talk", changes[:2]), ("nobody talks", changes[2:])):
        found.add(f"changes of the road while {what}", *map(len, those), bound=0, unit="")
    looks = [told["members"][made.guest.member] for told in made.host.of("stats")]
    keys = ("loss_in", "concealed", "repaired")
    lost, concealed, repaired = (100 * sum(one[key] for one in looks) / len(looks) for key in keys)
    bound = MADE_UP * lost if percent <= 10 else None
    found.add("of speech made up", concealed, bound=bound, unit="%")
    found.notes.append(f"{lost:.1f} % of the packets lost, {repaired:.1f} % of the frames restored")
    found.notes += [
        f"changes {changes}; afterwards on {made.rungs()}",
        f"{lines.all_arrived(40.0)} lines arrived once",
    ]
    made.over()
    return found


# ---- Addresses that change -------------------------------------------------------------


def the_guests_public_address_changes(scene: Scene) -> Findings:
    """Its provider gives the router another one, three times."""
    services, found = Services.start(scene, relays=2), Findings()
    other = scene.world.router(Nat.PORT_RESTRICTED)
    home = scene.world.router(Nat.PORT_RESTRICTED)
    made = call(services, scene.world.behind(other), scene.world.behind(home))
    gaps: list[float] = []
    with made.writing() as lines:
        for _ in range(3):
            begun = time.monotonic()
            home = scene.world.move(home)
            time.sleep(8.0)
            gaps += made.gaps(begun, time.monotonic() - PLAYOUT)
        time.sleep(8.0)
    found.add("gap when the public address changes", *gaps)
    found.notes += [f"afterwards on {made.rungs()}", f"{lines.all_arrived()} lines arrived once"]
    made.over()
    return found


def nat_mappings_are_rebound_ten_times(scene: Scene) -> Findings:
    """Each 5 s every port of the guest's network is another one outside."""
    services, found = Services.start(scene, relays=2), Findings()
    other = scene.world.router(Nat.PORT_RESTRICTED)
    home = scene.world.router(Nat.PORT_RESTRICTED)
    made = call(services, scene.world.behind(other), scene.world.behind(home))
    gaps: list[float] = []
    with made.writing() as lines:
        for _ in range(10):
            begun = time.monotonic()
            assert scene.world.rebind(home) > 1
            time.sleep(begun + 5.0 - time.monotonic())
            gaps.append(made.gap(begun - PLAYOUT, time.monotonic() - PLAYOUT))
    found.add("gap when mappings are rebound", *gaps)
    found.notes += [f"afterwards on {made.rungs()}", f"{lines.all_arrived()} lines arrived once"]
    made.over()
    return found


def five_seconds_of_darkness_and_two_of_light(scene: Scene) -> Findings:
    """Six times, nothing at all goes through the guest's router."""
    services, found = Services.start(scene, relays=2), Findings()
    home = scene.world.router(Nat.PORT_RESTRICTED)
    made = call(services, scene.world.host(), scene.world.behind(home))
    heard: list[float] = []
    lights: list[tuple[float, float]] = []
    with made.writing() as lines:
        for _ in range(6):
            scene.world.cut(home)
            time.sleep(5.0)
            begun = time.monotonic()
            scene.world.mend(home)
            time.sleep(2.0)
            lights.append((begun, time.monotonic()))
        time.sleep(PLAYOUT)
        for ear in made.ears:
            for begun, ended in lights:
                dark = ear.gap(begun - 1.0, ended) - 1.0
                heard.append(max(0.0, dark))
        time.sleep(3.0)
    found.add("heard again after the light comes", *heard, bound=1.0)
    for one in (made.host, made.guest):
        assert one.of("member-left") == [], "somebody was given up"
    found.notes.append(f"{lines.all_arrived(40.0)} lines arrived once")
    made.over()
    return found


# ---- Attacks ---------------------------------------------------------------------------


def rubbish_at_the_relay(scene: Scene) -> Findings:
    """Garbage and half-open hellos for a minute, from very many addresses."""
    services = Services.start(scene, relays=1)
    made = _relayed(services)
    (relay,) = services.relays
    found = _under_attack(scene, made, relay.program, relay.node, RELAY_PORT, RATE, 0)
    made.over()
    return found


def rubbish_at_the_host(scene: Scene) -> Findings:
    """The same at the host's own forwarder, which also serves signaling."""
    return _at_the_host(scene, RATE, 0)


def a_storm_of_connections_at_the_host(scene: Scene) -> Findings:
    """Few datagrams, and very many connections that never finish their greeting."""
    return _at_the_host(scene, STORM_RATE, STORM)


def _at_the_host(scene: Scene, rate: int, storm: int) -> Findings:
    node = scene.world.host()
    home = scene.world.router(Nat.PORT_RESTRICTED)
    paths = scene.folder / "host.wav", scene.folder / "guest.wav"
    only = ("--only", "hosted")
    listen = f"0.0.0.0:{SIGNAL_PORT}"
    host = scene.stage.host(
        listen=listen, mic="tone:440", speaker=f"file:{paths[0]}", prefix=node.prefix
    )
    machine = scene.world.behind(home)
    guest = scene.stage.join(
        host.code, *only, mic="tone:300", speaker=f"file:{paths[1]}", prefix=machine.prefix
    )
    made = Call(host, guest, (Ear(host, paths[0]), Ear(guest, paths[1])))
    made.on("hosted")
    time.sleep(1.5)
    found = _under_attack(scene, made, host, node, SIGNAL_PORT, rate, storm)
    made.over()
    return found


def _under_attack(  # who, where, by what
    scene: Scene, made: Call, target: Program, node: Node, port: int, rate: int, storm: int
) -> Findings:
    found = Findings()
    attacker = scene.world.host()
    scene.world.give(attacker, "198.18.0.0/16")
    before = _memory(target)
    calm = time.monotonic()
    time.sleep(15.0)
    quiet = [1 - ear.share(calm, time.monotonic() - PLAYOUT) for ear in made.ears]
    still = made.gaps(calm, time.monotonic() - PLAYOUT)
    words = [node.address, *map(str, (port, port, ATTACK, rate, storm))]
    with made.writing() as lines:
        rubbish = scene.stage.program(["-m", "tests.lab.attack", *words], prefix=attacker.prefix)
        rubbish.wait("begun")
        begun = time.monotonic()
        time.sleep(ATTACK / 2)
        half = _memory(target)
        over = rubbish.wait("over", ATTACK + 30.0)
        ended = time.monotonic()
        after = _memory(target)
        shares = [ear.share(begun, ended - PLAYOUT) for ear in made.ears]
        gaps = made.gaps(begun, ended - PLAYOUT)
    sent = {name: over[name] for name in ("noise", "hello", "claim", "pass", "tcp")}
    found.add("longest gap under attack", *gaps, bound=0.1, beside=still)
    silent = (100 * (1 - share) for share in shares)
    found.add("silent time", *silent, bound=1.0, unit="%", beside=[100 * one for one in quiet])
    found.add("memory grown by", after - before, bound=BOUNDED, unit="MB")
    found.notes += [
        f"memory {before:.1f}, {half:.1f} halfway, {after:.1f} MB",
        f"sent {sent}, over {ended - begun:.0f} s",
        f"{lines.all_arrived()} lines arrived once",
    ]
    return found


def _memory(program: Program) -> float:
    """Megabytes resident."""
    text = Path(f"/proc/{program.process.pid}/statm").read_text()
    return int(text.split()[1]) * 4096 / 1e6


# ---- Rooms -----------------------------------------------------------------------------


def a_room_of_direct_hosted_and_relayed_pairs(scene: Scene) -> Findings:
    """A host in the open, two behind symmetric NATs, one whose network passes no UDP."""
    services, found = Services.start(scene), Findings()
    world = scene.world
    host = services.host(world.host())
    nodes = [world.behind(world.router(Nat.SYMMETRIC)) for _ in range(2)]
    nodes.append(world.behind(world.router(Nat.PORT_RESTRICTED, udp=False)))
    tones = ("tone:300", "tone:350", "tone:520")
    one, two, three = (
        services.join(node, host.code, mic=tone) for node, tone in zip(nodes, tones, strict=True)
    )
    everybody = (host, one, two, three)
    expected = (
        (host, one, "direct", "udp"),
        (host, two, "direct", "udp"),
        (one, two, "hosted", "udp"),
        (three, host, "relayed", "tcp"),
        (three, one, "relayed", "tcp"),
    )
    for a in everybody:
        for b in everybody:
            if a is not b:
                a.wait("talking", member=b.member, on=True)
    for a, b, rung, transport in expected:
        a.wait("path", member=b.member, rung=rung, transport=transport)
        b.wait("path", member=a.member, rung=rung)
    with Lines(everybody, 1.0) as lines:
        time.sleep(8.0)
    for a, b, rung, _ in expected:
        for end, other in ((a, b), (b, a)):
            told = end.of("path", member=other.member)[-1]
            assert told["rung"] == rung, f"{end.member}-{other.member}: {told}"
    reason = one.of("path", member=two.member)[-1]["reason"]
    found.notes += [
        "direct, hosted and relayed over tcp in one room",
        f"the hosted pair was told: {reason}",
        f"{lines.all_arrived()} lines arrived at everybody once",
    ]
    for engine in (one, two, three, host):
        assert engine.leave() == 0
    return found


def with_only_relayed_no_address_is_revealed(scene: Scene) -> Findings:
    """Neither on the wire nor sealed is a member's address told to another."""
    services, found = Services.start(scene), Findings()
    world = scene.world
    router = world.router(Nat.PORT_RESTRICTED)
    machines = world.host(ip6=True), world.behind(router)
    secret = [[machines[0].address, machines[0].address6], [machines[1].address, router.address]]
    tap_file = scene.folder / "tap"
    tap = scene.stage.program(["-m", "tests.lab.tap", str(tap_file)], prefix=world.backbone.prefix)
    tap.wait("listening")
    said = [scene.folder / "host.said", scene.folder / "guest.said"]
    only = ("--only", "relayed")
    server = ("--signal", services.url(machines[0]))
    stage = scene.stage
    candid = [("-m", "tests.lab.candid", str(file)) for file in said]
    host = stage.engine(
        "host", [*server, *only], mic="tone:440", prefix=machines[0].prefix, start=candid[0]
    )
    words = [host.code, *server, *only]
    guest = stage.engine("join", words, mic="tone:300", prefix=machines[1].prefix, start=candid[1])
    made = Call(host, guest, ())  # type: ignore[arg-type]
    made.on("relayed")
    with made.writing() as lines:
        time.sleep(5.0)
    lines.all_arrived()
    assert made.rungs() == [("relayed", "udp")] * 2
    made.over()
    tap.kill()
    packets = list(frames(tap_file))
    for own, other in (secret, secret[::-1]):
        met = sum(_between(packet, own, other) for packet in packets)
        assert met == 0, f"{met} packets went from one member to the other"
    for own, file in zip(secret, said, strict=True):
        plain = file.read_text().splitlines()
        assert len(plain) > 100, "nothing was overheard"
        for form in (form for address in own for form in _forms(address)):
            told = [line for line in plain if form.hex() in line]
            assert not told, f"{form!r} was told to somebody: {told[0][:200]}"
    sealed = sum(len(file.read_text().splitlines()) for file in said)
    found.notes.append(f"{len(packets)} frames and {sealed} sealed messages looked at")
    found.notes.append(_refusal(scene, machines[0]))
    return found


def _refusal(scene: Scene, node: Node) -> str:
    """Without another server the host would show where it is: it must not begin."""
    host = scene.stage.host("--only", "relayed", listen="0.0.0.0:0", prefix=node.prefix)
    error = host.wait("error")
    host.wait("ended")
    return f"with a server inside: {error['message']}"


def _between(packet: bytes, own: list[str], other: list[str]) -> bool:
    """Whether an IP packet goes from one of these addresses to one of those."""
    if packet[12:14] == b"\x08\x00":
        ends = packet[26:30], packet[30:34]
    elif packet[12:14] == b"\x86\xdd":
        ends = packet[22:38], packet[38:54]
    else:
        return False
    packed = [{ipaddress.ip_address(one).packed for one in side} for side in (own, other)]
    return ends[0] in packed[0] and ends[1] in packed[1]


def _forms(address: str) -> tuple[bytes, bytes]:
    return address.encode(), ipaddress.ip_address(address).packed


def _relayed(services: Services) -> Call:
    world = services.scene.world
    one, two = (world.behind(world.router(Nat.SYMMETRIC)) for _ in range(2))
    return call(services, one, two, "--only", "relayed", rung="relayed", rests=3.0)


STORIES: list[Story] = [
    the_direct_road_is_cut_and_restored,
    somebody_switches_on_purpose,
    the_relay_in_use_is_killed_with_another_known,
    the_only_relay_is_killed_and_returns,
    the_signaling_server_is_killed,
    the_host_is_killed_while_guests_talk_directly,
    the_host_is_killed_while_guests_talk_over_a_relay,
    the_host_is_killed_while_guests_talk_through_it,
    ten_percent_are_lost_on_the_direct_road,
    thirty_percent_are_lost_on_the_direct_road,
    ten_percent_are_lost_on_all_roads,
    the_guests_public_address_changes,
    nat_mappings_are_rebound_ten_times,
    five_seconds_of_darkness_and_two_of_light,
    rubbish_at_the_relay,
    rubbish_at_the_host,
    a_storm_of_connections_at_the_host,
    a_room_of_direct_hosted_and_relayed_pairs,
    with_only_relayed_no_address_is_revealed,
]

"""What the direct rung must do between networks: one function per case.

Each returns its times or raises ``AssertionError``. ``python -m tests.lab`` runs
all of them, the normal tests those that are ``SHORT``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from tests.client.net import turn_server
from tests.lab.meeting import SIGNAL_PORT, Scene, Times, until_heard
from tests.lab.net import Nat, Node
from tests.lab.talking import Talkers

Case = Callable[[Scene], Times]

PROMPT = 3.0  # seconds from ``room`` to the first voice; a stalled STUN alone takes 5
FOUND = 4.0  # seconds until a guest is in the room of a host that it had to look for
GUESSED = 20.0  # seconds from ``room`` to the first voice where ports must be guessed
NO_ROAD = 30.0  # seconds from ``room`` until somebody without a road is told so
REBINDS = 10
REBIND_PAUSE = 5.0  # seconds
HEALED = 1.5  # seconds of the longest pause in what is heard
GUESSES = 20
SILENT_STUN = ("--stun", "203.0.113.9:3478")


def same_lan_with_the_hosts_own_server(scene: Scene) -> Times:
    """No server but the one inside ``vchat host``, reached at its address in the LAN."""
    router = scene.world.router(Nat.PORT_RESTRICTED)
    one, two = scene.world.behind(router), scene.world.behind(router)
    host = scene.stage.host(listen="0.0.0.0:0", mic="tone:440", prefix=one.prefix)
    assert f"@{one.address}:" in host.code
    guest = scene.join(two, host.code)
    return _prompt(until_heard(host, guest))


def same_lan_with_the_code_alone(scene: Scene) -> Times:
    """Two rooms are announced in the LAN, and the code without its server finds the right one."""
    router = scene.world.router(Nat.PORT_RESTRICTED)
    one, two, three = (scene.world.behind(router) for _ in range(3))
    hosts = [
        scene.stage.host(listen="0.0.0.0:0", mic="tone:440", prefix=n.prefix) for n in (one, two)
    ]
    for host in hosts:
        host.wait("announced")
    times = []
    for host in hosts:
        code, _, server = host.code.partition("@")
        guest = scene.join(three, code)
        times.append(_prompt(until_heard(host, guest)))
        assert guest.room["signal"] == f"ws://{server}"
        assert times[-1].room < FOUND, f"found only after {times[-1].room:.1f} s"
    return times[-1]


def same_lan_with_a_public_server(scene: Scene) -> Times:
    """Both behind one router that does not send packets back into its own network."""
    scene.serve(scene.world.host())
    router = scene.world.router(Nat.PORT_RESTRICTED)
    return _met(scene, scene.world.behind(router), scene.world.behind(router))


def host_in_the_open_and_guest_behind_nat(scene: Scene) -> Times:
    """The guest's packets open its router for the answers."""
    scene.serve(scene.world.host())
    return _met(scene, scene.world.host(), _home(scene))


def host_behind_nat_and_guest_in_the_open(scene: Scene) -> Times:
    """The other way round."""
    scene.serve(scene.world.host())
    return _met(scene, _home(scene), scene.world.host())


def both_behind_nat(scene: Scene) -> Times:
    """The signaling server's own STUN tells each its public address."""
    scene.serve(scene.world.host())
    return _met(scene, _home(scene), _home(scene))


def host_behind_symmetric_nat_and_guest_in_the_open(scene: Scene) -> Times:
    """A changing port does not matter to somebody whom everybody may send to."""
    scene.serve(scene.world.host())
    return _met(scene, _home(scene, Nat.SYMMETRIC), scene.world.host())


def only_ipv6(scene: Scene) -> Times:
    """No IPv4 anywhere."""
    scene.serve(scene.world.host(ip4=False, ip6=True))
    one, two = (scene.world.host(ip4=False, ip6=True) for _ in range(2))
    return _met(scene, one, two)


def dead_interface_and_silent_stun(scene: Scene) -> Times:
    """Neither delays anybody."""
    scene.serve(scene.world.host())
    one, two = _home(scene), _home(scene)
    scene.world.dead_end(one)
    scene.world.dead_end(two)
    return _met(scene, one, two, *SILENT_STUN)


def both_behind_symmetric_nat(scene: Scene) -> Times:
    """There is no direct road, and both are told so in time."""
    scene.serve(scene.world.host())
    host = scene.host(_home(scene, Nat.SYMMETRIC))
    guest = scene.join(_home(scene, Nat.SYMMETRIC), host.code)
    room = guest.room
    assert guest.ended(NO_ROAD + 10) == ("no-road", 5, 5), guest.story()
    ended = guest.wait("ended")["seen"] - room["seen"]
    assert ended < NO_ROAD
    path = host.of("path", member=guest.member)
    reasons = {told["reason"] for told in path}
    return Times(
        room["seen"] - guest.started,
        float("nan"),
        [f"guest ended no-road after {ended:.1f} s", f"host was told: {sorted(reasons)}"],
    )


def symmetric_nat_and_port_restricted_nat(scene: Scene) -> Times:
    """Ports are guessed; see ``client.net.guess``."""
    scene.serve(scene.world.host())
    one, two = _home(scene, Nat.SYMMETRIC), _home(scene)
    host, guest, times = scene.meet(one, two)
    assert (guest.leave(), host.leave()) == (0, 0)
    assert times.heard < GUESSED, f"heard only {times.heard:.1f} s after joining"
    return times


def mapping_that_rebinds_every_five_seconds(scene: Scene) -> Times:
    """A whole call: the guest's NAT forgets its mapping, and nobody is told of silence."""
    _needs_conntrack()
    scene.serve(scene.world.host())
    router = scene.world.router(Nat.PORT_RESTRICTED)
    host, guest, times = scene.meet(scene.world.host(), scene.world.behind(router))
    marks = host.mark(), guest.mark()
    for _ in range(REBINDS):
        time.sleep(REBIND_PAUSE)
        scene.world.rebind(router)
    time.sleep(2.0)
    for one, other, mark in ((host, guest, marks[0]), (guest, host, marks[1])):
        assert one.of("path", since=mark, rung="none") == [], one.story()
        assert one.of("member-left") == []
        one.say("chat", text="still here")
        other.wait("chat", text="still here")
    assert (guest.leave(), host.leave()) == (0, 0)
    times.notes.append(f"{REBINDS} rebinds, never silent")
    return times


def mapping_that_rebinds_while_both_are_behind_nat(scene: Scene) -> Times:
    """A whole call: new addresses are told by letters, as the stream is what is to be mended."""
    _needs_conntrack()
    scene.serve(scene.world.host())
    router = scene.world.router(Nat.PORT_RESTRICTED)
    host, guest, times = scene.meet(_home(scene), scene.world.behind(router))
    healed = []
    for _ in range(REBINDS // 2):
        time.sleep(REBIND_PAUSE)
        mark, rebound = host.mark(), time.monotonic()
        scene.world.rebind(router)
        host.wait("path", since=mark, rung="none", member=guest.member)
        direct = host.wait("path", since=mark, rung="direct", member=guest.member)
        healed.append(direct["seen"] - rebound)
    assert host.of("member-left") == [], host.story()
    assert (guest.leave(), host.leave()) == (0, 0)
    times.notes.append("direct again after " + ", ".join(f"{one:.2f}" for one in healed) + " s")
    return times


def voice_while_one_mapping_rebinds(scene: Scene) -> Times:
    """One behind NAT, one in the open: the longest pause in what is heard."""
    return _rebinding(scene, scene.world.host(), behind_two=True)


def voice_while_a_mapping_rebinds_and_both_are_behind_nat(scene: Scene) -> Times:
    """The other's NAT lets nobody in: the new address must be found by STUN and told."""
    return _rebinding(scene, _home(scene), behind_two=True)


def voice_while_a_mapping_of_the_lead_rebinds(scene: Scene) -> Times:
    """The same, when the side that nominates has moved."""
    return _rebinding(scene, _home(scene), behind_two=False)


def _rebinding(scene: Scene, other: Node, *, behind_two: bool) -> Times:
    _needs_conntrack()
    server = scene.world.host()
    scene.serve(server)
    router = scene.world.router(Nat.PORT_RESTRICTED)
    moving = scene.world.behind(router)
    one, two = (other, moving) if behind_two else (moving, other)
    talkers = Talkers(scene, one, two, f"{server.address}:{SIGNAL_PORT}")
    began = time.monotonic()
    assert len(talkers.connected(within=5.0)) == 2
    met = time.monotonic() - began
    talkers.carry(1.0)
    talkers.gaps()
    longest: list[list[float]] = [[], []]
    for _ in range(REBINDS):
        scene.world.rebind(router)
        talkers.carry(REBIND_PAUSE)
        for end, told in enumerate(talkers.gaps()):
            assert told["heard"] > 0.5 * REBIND_PAUSE / 0.02, told
            longest[end].append(told["longest"])
    assert talkers.alive()
    talkers.close()
    notes = []
    for name, gaps in zip(("lead", "follower"), map(sorted, longest), strict=True):
        usual, worst = gaps[len(gaps) // 2], gaps[-1]
        notes.append(f"longest pause of {name}: median {usual:.2f} s, worst {worst:.2f} s")
        assert worst < HEALED, notes
    return Times(met, 0.0, [f"{REBINDS} rebinds", *notes])


def _needs_conntrack() -> None:
    assert shutil.which("conntrack"), "conntrack missing"


def guessed_ports_twenty_times(scene: Scene) -> Times:
    """How often and how fast symmetric and port-restricted NAT find each other."""
    server = scene.world.host()
    scene.serve(server)
    times = []
    for number in range(GUESSES):
        nats = (Nat.SYMMETRIC, Nat.PORT_RESTRICTED)
        one, two = (_home(scene, nat) for nat in (nats if number % 2 else reversed(nats)))
        began = time.monotonic()
        talkers = Talkers(scene, one, two, f"{server.address}:{SIGNAL_PORT}")
        if len(talkers.connected(within=GUESSED)) == 2:
            times.append(time.monotonic() - began)
        talkers.close()
    share = f"{len(times)} of {GUESSES} within {GUESSED:.0f} s"
    assert len(times) >= 0.8 * GUESSES, share
    middle, worst = sorted(times)[len(times) // 2], max(times)
    return Times(middle, 0.0, [share, f"median {middle:.1f} s, worst {worst:.1f} s"])


def both_behind_symmetric_nat_with_a_turn_server(scene: Scene) -> Times:
    """Somebody else's TURN server carries what nobody can carry directly."""
    why = turn_server.why_impossible()
    assert why is None, why
    scene.serve(scene.world.host())
    with scene.turn(scene.world.host()) as (uri, log):
        one, two = (_home(scene, Nat.SYMMETRIC) for _ in range(2))
        host, guest, times = scene.meet(one, two, "--turn", uri)
        assert (guest.leave(), host.leave()) == (0, 0)
        told = log.read_text(errors="replace")
        assert "CHANNEL_BIND processed, success" in told, told[-2000:]
        given, back = told.count("ALLOCATE processed, success"), told.count("lifetime=0")
        assert given == back == 2, told[-2000:]
        times.notes.append(f"over TURN, {back} allocations given back")
    return _prompt(times)


def short_cut_of_the_path(scene: Scene) -> Times:
    """Known within 1.5 s; what was written meanwhile arrives once when it is over."""
    scene.serve(scene.world.host())
    router = scene.world.router(Nat.PORT_RESTRICTED)
    host, guest, times = scene.meet(scene.world.host(), scene.world.behind(router))
    marks = host.mark(), guest.mark()
    scene.world.cut(router)
    cut = time.monotonic()
    dark = []
    for one, other, mark in ((host, guest, marks[0]), (guest, host, marks[1])):
        told = one.wait("path", member=other.member, rung="none", since=mark)
        dark.append(told["seen"] - cut)
        for line in range(20):
            one.say("chat", text=f"in the dark {line}")
    assert max(dark) < 1.8, f"a dead path was seen after {dark}"
    marks = host.mark(), guest.mark()
    scene.world.mend(router)
    mended = time.monotonic()
    light, late = [], []
    for one, other, mark in ((host, guest, marks[0]), (guest, host, marks[1])):
        told = one.wait("path", member=other.member, rung="direct", since=mark)
        light.append(told["seen"] - mended)
        late.append(one.wait("chat", text="in the dark 19")["seen"] - mended)
        texts = [t["text"] for t in one.of("chat") if t["text"].startswith("in the dark")]
        assert texts == [f"in the dark {line}" for line in range(20)]
        assert one.of("member-left") == []
    times.notes += [
        f"dark seen after {dark[0]:.2f} / {dark[1]:.2f} s",
        f"direct again {light[0]:.2f} / {light[1]:.2f} s, texts {max(late):.2f} s after mending",
    ]
    return times


def long_cut_and_return(scene: Scene) -> Times:
    """Who was cut off for over ten seconds is gone for the others, and comes back by itself."""
    scene.serve(scene.world.host())
    router = scene.world.router(Nat.PORT_RESTRICTED)
    host, guest, times = scene.meet(scene.world.host(), scene.world.behind(router))
    marks = host.mark(), guest.mark()
    scene.world.cut(router)
    cut = time.monotonic()
    left = host.wait(
        "member-left", member=guest.member, reason="vanished", timeout=20.0, since=marks[0]
    )
    assert 9.5 < left["seen"] - cut < 13.0
    scene.world.mend(router)
    mended = time.monotonic()
    back = host.wait("member-joined", timeout=40.0, since=marks[0])
    assert back["member"] == guest.member and back["identity"] == guest.wait("ready")["identity"]
    host.wait("path", member=guest.member, rung="direct", since=host.events.index(back))
    for one, other in ((host, guest), (guest, host)):
        one.say("chat", text=f"back, says {one.member}")
        other.wait("chat", text=f"back, says {one.member}")
    guest.wait("talking", member=host.member, on=True, since=marks[1])
    times.notes += [
        f"left after {left['seen'] - cut:.1f} s",
        f"back {back['seen'] - mended:.1f} s after mending",
    ]
    return times


def _home(scene: Scene, nat: Nat = Nat.PORT_RESTRICTED) -> Node:
    return scene.world.behind(scene.world.router(nat))


def _met(scene: Scene, one: Node, two: Node, *options: str) -> Times:
    host, guest, times = scene.meet(one, two, *options)
    assert (guest.leave(), host.leave()) == (0, 0)
    return _prompt(times)


def _prompt(times: Times) -> Times:
    assert times.heard < PROMPT, f"heard only {times.heard:.1f} s after joining"
    return times


SHORT: list[Case] = [
    same_lan_with_the_hosts_own_server,
    same_lan_with_the_code_alone,
    host_in_the_open_and_guest_behind_nat,
    both_behind_nat,
    only_ipv6,
    dead_interface_and_silent_stun,
    short_cut_of_the_path,
]
LONG: list[Case] = [
    same_lan_with_a_public_server,
    host_behind_nat_and_guest_in_the_open,
    host_behind_symmetric_nat_and_guest_in_the_open,
    both_behind_symmetric_nat,
    both_behind_symmetric_nat_with_a_turn_server,
    symmetric_nat_and_port_restricted_nat,
    guessed_ports_twenty_times,
    voice_while_one_mapping_rebinds,
    voice_while_a_mapping_rebinds_and_both_are_behind_nat,
    voice_while_a_mapping_of_the_lead_rebinds,
    mapping_that_rebinds_every_five_seconds,
    mapping_that_rebinds_while_both_are_behind_nat,
    long_cut_and_return,
]

"""What the direct rung must do between networks: one function per case.

Each returns its times or raises ``AssertionError``. ``python -m tests.lab`` runs
all of them, the normal tests those that are ``SHORT``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.client.net import turn_server
from tests.lab.meeting import Scene, Times, until_heard
from tests.lab.net import Nat, Node

Case = Callable[[Scene], Times]

PROMPT = 3.0  # seconds from ``room`` to the first voice; a stalled STUN alone takes 5
FOUND = 4.0  # seconds until a guest is in the room of a host that it had to look for
NO_ROAD = 30.0  # seconds from ``room`` until somebody without a road is told so
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
    long_cut_and_return,
]

"""All pairs of places: which rung carries them, and how soon the guest hears the host.

Each row is one room whose host stays while a guest comes from one place after
another. Every guest must hear the host and be heard, write and be read, on the
best rung that the networks allow, with the reason why it is no better one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.calls.engines import EngineProcess
from tests.lab.meeting import Scene, scene
from tests.lab.net import Nat, Node
from tests.lab.places import HOME, NO_UDP, ONLY_6, PLACES, SYMMETRIC, Place
from tests.lab.services import Services

SETTLED = 8.0  # s after which the rung must be the one that is expected
EXPLAINED = 20.0  # s until an attempt at a direct pair has failed with a reason
MEDIAN, WORST = 1.0, 5.0  # s from joined to heard, p50 and p99
SILENT_STUN = ("--stun", "203.0.113.9:3478")
LAN = "one lan"
FAILED = "direct failed"
GUESSED = "direct after guessing ports"

REASONS = {
    "both": "direct failed: both networks change ports per destination",
    "udp": "direct failed: this network passes no udp",
    "pairs": "direct failed: no pair of addresses answered",
    "none": "direct failed: no address of one side can be tried from the other",
}


@dataclass
class Cell:
    """One meeting."""

    host: str
    guest: str
    heard: float = float("nan")
    """Seconds from ``room`` at the guest to the host's voice."""
    settled: float = float("nan")
    """Seconds from ``room`` to the rung that stayed."""
    rung: str = "none"
    transport: str = ""
    reason: str = ""
    problem: str = ""
    story: str = ""
    """What both told, if there is a problem."""

    @property
    def word(self) -> str:
        """For the matrix."""
        if self.problem:
            return "FAILED"
        tcp = "/tcp" if self.transport == "tcp" else ""
        return f"{self.rung}{tcp} {self.heard:.2f}"


@dataclass
class Grid:
    """What came of it."""

    cells: list[Cell] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Everything that is not as promised."""
        failed = [f"{c.host} - {c.guest}: {c.problem}" for c in self.cells if c.problem]
        times = self.times
        if len(times) and float(np.median(times)) > MEDIAN:
            failed.append(f"the median of joined to heard is above {MEDIAN} s")
        if len(times) and float(np.percentile(times, 99)) > WORST:
            failed.append(f"p99 of joined to heard is above {WORST} s")
        return failed

    @property
    def times(self) -> list[float]:
        """Joined to heard."""
        return [one.heard for one in self.cells if not np.isnan(one.heard)]

    def lines(self) -> Iterator[str]:
        """The matrix, rows are hosts, and what it comes to."""
        rows = list(dict.fromkeys(one.host for one in self.cells))
        columns = list(dict.fromkeys(one.guest for one in self.cells))
        found = {(one.host, one.guest): one.word for one in self.cells}
        yield "".join(f"{word:>19}" for word in ("host \\ guest", *columns))
        for row in rows:
            words = (found.get((row, column), "-") for column in columns)
            yield "".join(f"{word:>19}" for word in (row, *words))
        times = self.times
        talked = sum(not one.problem for one in self.cells)
        rungs = [one.rung for one in self.cells]
        yield f"{talked} of {len(self.cells)} as promised; " + ", ".join(
            f"{rungs.count(rung)} {rung}" for rung in sorted(set(rungs))
        )
        if times:
            p50, p99 = np.percentile(times, [50, 99])
            yield f"joined to heard: p50 {p50:.2f} s, p99 {p99:.2f} s, worst {max(times):.2f} s"
        for reason in sorted({one.reason for one in self.cells if one.reason}):
            pairs = [f"{c.host}-{c.guest}" for c in self.cells if c.reason == reason]
            yield f"{reason}: {', '.join(pairs)}"
        yield from self.failures


def expected_reasons(own: Place, other: Place) -> set[str]:
    """What may be said at ``own`` of why there is no direct pair."""
    if not ((own.ip4 and other.ip4) or (own.ip6 and other.ip6)):
        return {REASONS["none"], *([] if own.udp else [REASONS["udp"]])}
    if not own.udp:
        return {REASONS["udp"]}
    if not other.udp:
        return {REASONS["pairs"], REASONS["none"]}
    if own.nat is other.nat is Nat.SYMMETRIC:
        return {REASONS["both"]}
    return {REASONS["pairs"]}


def run(
    hosts: Sequence[Place] = PLACES,
    guests: Sequence[Place] = PLACES,
    *options: str,
    lan: bool = True,
    explained: bool = True,
) -> Iterator[Cell]:
    """Every host with every guest, and two in one LAN."""
    with scene() as made:
        services = Services.start(made)
        machines = [place.make(made.world) for place in guests]
        for place in hosts:
            meetings = list(zip(guests, machines, strict=True))
            node = place.make(made.world)
            yield from _row(services, place, node, meetings, options, explained=explained)
        if lan:
            yield _lan(made, services, options)


def _row(  # what a row is
    services: Services,
    place: Place,
    node: Node,
    meetings: Iterable[tuple[Place, Node]],
    options: Sequence[str],
    *,
    explained: bool,
) -> Iterator[Cell]:
    host: EngineProcess | None = None
    for other, machine in meetings:
        if host is None:
            host = services.host(node, "--guests", "63", *options)
        cell = Cell(place.name, other.name)
        direct = place.may_meet(other)
        guest = services.join(machine, host.code, *options, mic="tone:300")
        try:
            _meet(cell, host, guest, direct=direct)
            if explained and not direct and cell.rung != "direct":
                _explain(cell, host, guest, place, other)
            assert guest.leave() == 0, guest.story()
        except AssertionError as error:
            cell.problem = str(error).splitlines()[0][:200]
            cell.story = f"guest\n{guest.story()}\nhost\n{host.story()}"
            guest.kill()
            host.kill()
            host = None
        yield cell
    if host is not None:
        host.leave()


def _lan(made: Scene, services: Services, options: Sequence[str]) -> Cell:
    router = made.world.router(Nat.PORT_RESTRICTED)
    one, two = made.world.behind(router), made.world.behind(router)
    meetings = [(Place(LAN, HOME.make, HOME.nat), two)]
    place = Place(LAN, HOME.make, HOME.nat)
    (cell,) = _row(services, place, one, meetings, options, explained=False)
    return cell


def _meet(cell: Cell, host: EngineProcess, guest: EngineProcess, *, direct: bool) -> None:
    """Until both talk on the rung that is expected."""
    room = guest.room["seen"]
    cell.heard = guest.wait("talking", member=host.member, on=True)["seen"] - room
    host.wait("talking", member=guest.member, on=True)
    for one, other in ((host, guest), (guest, host)):
        one.say("chat", text=f"from {one.member} to {other.member}")
        other.wait("chat", text=f"from {one.member} to {other.member}")
    wanted = "direct" if direct else "relayed"
    if direct:
        guest.wait("path", SETTLED, member=host.member, rung=wanted)
        host.wait("path", SETTLED, member=guest.member, rung=wanted)
    path = guest.of("path", member=host.member)[-1]
    cell.rung, cell.transport = path["rung"], path["transport"]
    cell.settled = path["seen"] - room
    better = cell.rung == "direct"
    assert better or cell.rung == wanted, f"{cell.rung} instead of {wanted}: {path['rungs']}"


def _explain(
    cell: Cell, host: EngineProcess, guest: EngineProcess, host_at: Place, guest_at: Place
) -> None:
    """Both sides must say why it is not direct, or have found a direct pair by guessing ports."""
    for one, other, here, there in (
        (guest, host, guest_at, host_at),
        (host, guest, host_at, guest_at),
    ):
        told = one.wait(
            "path",
            EXPLAINED,
            member=other.member,
            where=lambda path: path["rung"] == "direct" or path["reason"].startswith(FAILED),
        )
        if told["rung"] == "direct":
            cell.rung, cell.transport = "direct", told["transport"]
            cell.settled, cell.reason = told["seen"] - guest.room["seen"], GUESSED
            continue
        allowed = expected_reasons(here, there)
        assert told["reason"] in allowed, f"{one.member} was told: {told['reason']}"
        assert told["rungs"]["direct"] == told["reason"]
        assert told["rungs"]["relayed"].endswith("the other side answers"), told["rungs"]
        if one is guest:
            cell.reason = told["reason"]
            wanted = "udp" if guest_at.udp else "tcp"
            assert told["transport"] == wanted, f"over {told['transport']}"


def short() -> Grid:
    """A few pairs, within half a minute."""
    guests = (SYMMETRIC, NO_UDP, ONLY_6)
    return Grid(list(run((SYMMETRIC,), guests, lan=False, explained=False)))


def show(*options: str) -> bool:
    """The whole grid, printed; whether it is as promised."""
    begun = time.monotonic()
    grid = Grid()
    for cell in run(PLACES, PLACES, *options):
        grid.cells.append(cell)
        print(f"  {cell.host} - {cell.guest}: {cell.word} {cell.problem}", flush=True)
        if cell.problem:
            print(cell.story, flush=True)
    for line in grid.lines():
        print(line, flush=True)
    print(f"took {time.monotonic() - begun:.0f} s", flush=True)
    return not grid.failures

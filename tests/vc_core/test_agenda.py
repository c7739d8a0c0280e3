"""The agenda: nothing is worked out twice, and nothing that changed is forgotten."""

from __future__ import annotations

from tests.vectors.seeded import seeded
from vc_core.agenda import Agenda
from vc_core.entry import Seat
from vc_core.ids import Member
from vc_core.keys import Identity
from vc_core.peer import Peer

RNG = seeded("agenda")
NEVER = float("inf")


def someone(number: int) -> Peer:
    who = Identity.generate(RNG).public
    seat = Seat(Member(number), who.sign, who.dh, who.cross, f"n{number}", True)
    return Peer(seat, bytes(32), 0.0)


def test_each_member_is_worked_out_once_until_it_changes() -> None:
    peers = {Member(number): someone(number) for number in range(3)}
    times = {Member(0): 5.0, Member(1): 3.0, Member(2): NEVER}
    asked: list[Member] = []

    def work_out(peer: Peer) -> float:
        asked.append(peer.number)
        return times[peer.number]

    agenda = Agenda(peers, work_out)
    assert (agenda.first(), agenda.first(), sorted(asked)) == (3.0, 3.0, [0, 1, 2])
    times[Member(1)] = 9.0
    agenda.changed(peers[Member(1)])
    assert (agenda.first(), asked[3:]) == (5.0, [1])
    times[Member(0)] = times[Member(1)] = NEVER
    agenda.all_changed()
    assert agenda.first() == NEVER


def test_who_is_gone_or_new_counts_at_once() -> None:
    peers = {Member(0): someone(0)}
    agenda = Agenda(peers, lambda peer: 10.0 - peer.number)
    assert agenda.first() == 10.0
    peers[Member(4)] = someone(4)
    assert agenda.first() == 6.0
    del peers[Member(4)]
    assert agenda.first() == 10.0
    peers.clear()
    assert agenda.first() == NEVER

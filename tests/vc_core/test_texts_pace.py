"""Texts leave no faster than the other side is willing to read."""

from __future__ import annotations

from tests.sim.bottle import Bottle
from vc_core.events import Chatted, Delivered, Warned

COUNT = 900
SIZE = 8000  # together more than a member is read at once (peer.TRAFFIC)
AHEAD = 200  # texts that may wait


def test_a_flood_of_honest_texts_arrives_whole_and_costs_no_link() -> None:
    bottle = Bottle(7)
    ann, bob = bottle.party("ann", "bob")
    bottle.run(3)
    for number in range(COUNT):
        bob.session.say(f"{number:04}" + "x" * SIZE)
        bottle.pump(bob)
        assert bottle.run(60, lambda number=number: number - len(bob.of(Delivered)) < AHEAD)  # type: ignore[misc]
    bottle.pump(bob)
    assert bottle.run(60, lambda: len(bob.of(Delivered)) == COUNT)
    assert [int(event.text[:4]) for event in ann.of(Chatted)] == list(range(COUNT))
    assert not ann.of(Warned)
    peer = next(iter(ann.session.room.peers.values()))
    assert peer.links == 1

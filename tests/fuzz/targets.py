"""One target per parser of bytes that are not ours: the network's, a file's, a script's.

A target takes any bytes and may raise only what its ``blames`` lists; anything
else is a finding. Where a parser has an inverse, the target also asserts that
what was read is written again as it came.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import core, forwarders, people, pictures, router, sound, world
from vc_core.errors import RemoteProtocolError
from vc_core.record import record


@record
class Target:
    """A parser, and what it may say about bytes that it does not like."""

    name: str
    take: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    blames: tuple[type[Exception], ...] = (RemoteProtocolError,)

    def try_one(self, data: bytes) -> None:
        """Raises for findings only."""
        try:
            self.take(data)
        except self.blames:
            return


TARGETS = {
    target.name: target
    for target in (
        Target("signals-to-server", core.signals_to_server, core.seeds_to_server),
        Target("signals-to-client", core.signals_to_client, core.seeds_to_client),
        Target("join", core.join, core.seeds_join),
        Target("meet", core.meet, core.seeds_meet),
        Target("peer", core.peer, core.seeds_peer),
        Target("inner-records", core.inner_records, core.seeds_inner),
        Target("roster", core.roster, core.seeds_roster),
        Target("roster-chain", core.roster_chain, core.seeds_roster),
        Target("media", core.media, core.seeds_media),
        Target("streams", core.streams, core.seeds_streams),
        Target("invitation", core.invitation, core.seeds_invitation),
        Target("probe", core.probe, core.seeds_probe),
        Target("feedback", pictures.feedback, pictures.seeds_feedback),
        Target("pieces", pictures.pieces, pictures.seeds_pieces, ()),
        Target("sharer", pictures.sharer, pictures.seeds_sharer, ()),
        Target("track", sound.track, sound.seeds_track, ()),
        Target("pactl", sound.listing, sound.seeds_listing, ()),
        Target("stun", core.stun, core.seeds_stun),
        Target("envelopes", forwarders.envelopes, forwarders.seeds_envelopes),
        Target("forwarder", forwarders.forwarder, forwarders.seeds_envelopes, ()),
        Target("reception", people.reception, people.seeds_reception, ()),
        Target("arrival", people.arrival, people.seeds_arrival, ()),
        Target("member", people.member, people.seeds_member, ()),
        Target("candidates", world.candidates, world.seeds_candidates, ()),
        Target("pcp", router.pcp_answers, router.seeds_pcp),
        Target("ssdp", router.ssdp_answers, router.seeds_ssdp),
        Target("upnp-description", router.description, router.seeds_description),
        Target("soap", router.soap_answers, router.seeds_soap),
        Target("routes", router.route_tables, router.seeds_routes, ()),
        Target("ice", world.ice, world.seeds_ice, ()),
        Target("quic", world.quic, world.seeds_quic, ()),
        Target("voice", world.voice, world.seeds_voice, ()),
        Target("orders", world.orders, world.seeds_orders, world.BAD_ORDERS),
        Target("config", world.config, world.seeds_config, world.REFUSED),
        Target("identity", world.identity, world.seeds_identity, world.REFUSED),
        Target("contacts", world.contacts, world.seeds_contacts, world.REFUSED),
    )
}

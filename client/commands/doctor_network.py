"""What ``vchat doctor`` says of the network: servers, NAT, IPv6, router, and calls.

``fail`` is kept for a server that was named and cannot be used; everything else
leaves some calls possible.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client import config as configuration
from client import words
from client.commands.finding import Finding
from client.net import nat
from client.net.nat import Echo, Ports, Prospect
from client.refused import Refused
from vc_core.record import record

if TYPE_CHECKING:
    from client.net.survey import Server, Survey
    from vc_core.relay_address import Target

# Implementation
SIGNALING_LIMIT = 2.5  # seconds; with the survey after it the whole look takes under five
STUN_PORT = 3478


@record
class Greeting:
    """How the signaling server answered."""

    reason: str = ""
    """Why it cannot be used (a name of ``Unreachable``); empty if it can."""
    seconds: float = 0.0
    stun: tuple[str, int] | None = None
    """Where it answers STUN; None if it does not, or is on this machine."""


@record
class Seen:
    """All that was looked at."""

    url: str | None
    greeting: Greeting
    survey: Survey
    mapping_asked: bool
    relays: tuple[str, ...] = ()
    """Names of the relays that can be asked over UDP."""
    over_tcp: tuple[tuple[str, float | None], ...] = ()
    """Relays asked over TCP, and after how many seconds they answer; None if they do not."""


def look(folder: Path, flags: Mapping[str, Any]) -> Iterator[Finding]:
    """Look, and say what was found."""
    try:
        config = configuration.load(folder, flags)
    except Refused as error:
        if any(flags.values()):  # else it has been said of the settings
            yield Finding("fail", "servers", error.message, error.hint)
        return
    yield from told(asyncio.run(see(config)))


async def see(config: configuration.Config) -> Seen:
    """Ask everybody at once."""
    from client.net.portmap.mapper import Mapper
    from client.net.survey import Server, survey

    url: str | None = config["signal"]
    greeting = asyncio.create_task(_greet(url))
    relays = tuple(Server(f"relay {one}", *_split(one)) for one in _over_udp(config["relay"]))
    others = tuple(Server(one, *_split(one)) for one in config["stun"])

    async def signaling() -> Server | None:
        place = (await greeting).stun
        return Server("signaling", *place) if place is not None else None

    asked: list[Awaitable[Server | None]] = []
    if not config["no_stun"]:
        asked = [signaling(), *(_known(one) for one in relays + others)]
    knocking = asyncio.gather(*(_knock(one) for one in _over_tcp(config["relay"])))
    async with Mapper() as mapper:
        alone = config["no_port_mapping"]
        seen = await survey(asked, None if alone else mapper)
    names = tuple(one.name for one in relays)
    return Seen(url, await greeting, seen, not alone, names, tuple(await knocking))


def told(seen: Seen) -> Iterator[Finding]:
    """Everything that was seen, in lines."""
    yield _signaling(seen)
    yield from _servers(seen)
    yield from _relays(seen)
    yield from _nat(seen.survey)
    yield _ipv6(seen.survey)
    yield _mapping(seen)
    yield _calls(seen)


def _signaling(seen: Seen) -> Finding:
    if seen.url is None:
        return Finding("ok", "signaling", "no server set: vchat host runs one inside")
    if seen.greeting.reason:
        message, hint = words.of_unreachable(seen.greeting.reason, seen.url)
        return Finding("fail", "signaling", message, hint)
    return Finding("ok", "signaling", f"{seen.url} answers after {_ms(seen.greeting.seconds)}")


def _servers(seen: Seen) -> Iterator[Finding]:
    """One line for each that was asked over UDP."""
    answered = {one.name for one in _sightings(seen.survey) if one.seen is not None}
    for name in dict.fromkeys(one.name for one in _sightings(seen.survey)):
        sightings = [one for one in _sightings(seen.survey) if one.name == name]
        heard = [one.seconds for one in sightings if one.seen is not None]
        what = "udp out" if name not in seen.relays else "relay"
        server = name.removeprefix("relay ")
        if heard:
            yield Finding("ok", what, f"{server} answers over udp after {_ms(min(heard))}")
        elif all(one.asked is None for one in sightings):
            yield Finding("warn", what, f"{server} has no address", "is its name right?")
        elif answered:
            advice = "udp works here, so look at that server and its firewall"
            yield Finding("warn", what, f"{server} does not answer over udp", advice)
        else:
            advice = "udp is blocked on the way, or that server does not answer stun"
            yield Finding("warn", what, f"{server} does not answer over udp", advice)


def _relays(seen: Seen) -> Iterator[Finding]:
    """Over TCP where UDP does not reach them; one line if there is no relay at all."""
    over_udp = {one.name for one in _sightings(seen.survey) if one.seen is not None}
    for name, seconds in seen.over_tcp:
        if f"relay {name.partition('://')[2].partition('#')[0]}" in over_udp:
            continue
        if seconds is None:
            advice = "is it running, and does its firewall let you in?"
            yield Finding("warn", "relay", f"{name} does not answer over tcp", advice)
        else:
            yield Finding("ok", "relay", f"{name} answers over tcp after {_ms(seconds)}")
    if not seen.relays and not seen.over_tcp:
        yield Finding("ok", "relay", "none named: the host forwards for who cannot meet")


def _nat(survey: Survey) -> Iterator[Finding]:
    if survey.own is None and survey.own_6 is not None:
        yield Finding("ok", "nat", "no ipv4 here, and ipv6 has none")
        return
    seen = {_place(one.seen) for one in nat.outside(survey.sightings) if one.seen}
    outer = ", ".join(sorted(seen))
    match survey.ports:
        case Ports.UNASKED:
            advice = "name one or two with --signal, --relay or --stun to learn more"
            yield Finding("ok", "nat", "not looked at: there was no server to ask", advice)
        case Ports.SILENT:
            advice = "try another network, or let udp out to any port"
            yield Finding("warn", "nat", "cannot be told: no server answered over udp", advice)
        case Ports.INSIDE:
            advice = "a server outside (--signal, --relay or --stun) would show the way out"
            yield Finding("ok", "nat", "cannot be told by servers of this network", advice)
        case Ports.OPEN:
            yield Finding("ok", "nat", f"none: others see {outer}, which is this machine")
        case Ports.STEADY:
            yield Finding("ok", "nat", f"one outer port for all destinations ({outer})")
        case Ports.CHANGING:
            advice = "a router with port mapping (upnp, pcp) or ipv6 would help"
            said = f"another outer port for each destination ({outer})"
            yield Finding("warn", "nat", said, advice)
        case Ports.UNKNOWN:
            advice = "a second server (--relay or --stun) shows whether ports change"
            yield Finding("ok", "nat", f"there is one: others see {outer}", advice)
    yield from _echo(survey)


def _echo(survey: Survey) -> Iterator[Finding]:
    match survey.echo:
        case Echo.STRANGER:
            said = "lets in whoever knows the port, as far as an echo of ourselves shows"
            yield Finding("ok", "filter", said)
        case Echo.CALLED:
            yield Finding("ok", "filter", "lets in only whom we called, as most routers do")
        case Echo.NOTHING:
            said = "cannot be told: the router sends nothing back into its own network"
            yield Finding("ok", "filter", said)
    if survey.echo is Echo.NOTHING:
        said = "no: two people here meet by their inner addresses only"
        yield Finding("ok", "hairpin", said)
    elif survey.echo is not Echo.UNTRIED:
        yield Finding("ok", "hairpin", "yes: our outer address works from inside too")


def _ipv6(survey: Survey) -> Finding:
    if survey.own_6 is None:
        advice = "calls work; ipv6 would make direct paths likelier"
        return Finding("warn", "ipv6", "no global address with a way out", advice)
    asked = [one for one in survey.sightings_6 if one.asked is not None]
    answered = [one for one in asked if one.seen is not None]
    if asked and not answered:
        advice = "calls work over ipv4; look at the firewall, or at the provider"
        return Finding("warn", "ipv6", f"{survey.own_6}, but no server answers over it", advice)
    if answered:
        return Finding("ok", "ipv6", f"works, from {survey.own_6}")
    return Finding("ok", "ipv6", f"{survey.own_6} has a way out")


def _mapping(seen: Seen) -> Finding:
    mapping = seen.survey.mapping
    if not seen.mapping_asked:
        return Finding("ok", "port mapping", "not asked for (no_port_mapping)")
    if mapping is None:
        if seen.survey.ports is Ports.OPEN:
            return Finding("ok", "port mapping", "none, and none is needed")
        advice = "switch on upnp or pcp in the router, if you trust everything in your network"
        return Finding("warn", "port mapping", "no router here opens ports", advice)
    said = f"by {mapping.tongue}, at {mapping.external_host}"
    if _is_way_in(seen.survey):
        return Finding("ok", "port mapping", said)
    advice = "one more nat stands before this router, probably the provider's: it is of little use"
    return Finding("warn", "port mapping", said, advice)


def _calls(seen: Seen) -> Finding:
    """What it means."""
    survey, carried = seen.survey, any(seconds is not None for _, seconds in seen.over_tcp)
    if survey.own is None and survey.own_6 is not None:
        advice = "for the others a relay is needed that has both"
        return Finding("warn", "calls", "direct only with people who have ipv6 too", advice)
    six = ", or by ipv6" if survey.own_6 is not None else ""
    match nat.prospect(survey.ports, mapped=_is_way_in(survey)):
        case Prospect.ALL:
            return Finding("ok", "calls", "direct with everybody who can send udp")
        case Prospect.MOST:
            said = "direct with everybody but people whose network changes ports"
            return Finding("ok", "calls", f"{said}{six}")
        case Prospect.SOME:
            said = f"direct only with people who can be reached from anywhere{six}"
            return Finding("warn", "calls", said, "for the others a relay is needed")
        case Prospect.NOBODY:
            said = "direct only within this network"
            if carried:
                return Finding("warn", "calls", f"{said}, with all others over tcp by a relay")
            if seen.greeting.reason:
                return Finding(
                    "warn", "calls", "nothing outside answers", "is this machine online?"
                )
            return Finding("warn", "calls", said, "for all others a relay over tcp is needed")
        case Prospect.UNKNOWN:
            return Finding("ok", "calls", "cannot be foretold without two servers to ask")


def _is_way_in(survey: Survey) -> bool:
    """Whether the router's mapping opens a port that the whole world can reach.

    Where servers see another address than the router calls its own, one more NAT
    stands between.
    """
    mapping = survey.mapping
    if mapping is None or not mapping.public:
        return False
    seen = {one.seen[0] for one in nat.outside(survey.sightings) if one.seen is not None}
    return not seen or mapping.external_host in seen


def _sightings(survey: Survey) -> tuple[nat.Sighting, ...]:
    return survey.sightings + survey.sightings_6


def _place(address: nat.Address) -> str:
    return f"{address[0]}:{address[1]}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


async def _known(server: Server) -> Server | None:
    return server


def _over_udp(relays: tuple[str, ...]) -> list[str]:
    """HOST:PORT of the first address of each relay that is UDP's."""
    found = []
    for relay in relays:
        for address in relay.split(","):
            scheme, colons, place = address.rpartition("://")
            if not colons or scheme == "udp":
                found.append(place.partition("#")[0])
                break
    return found


def _over_tcp(relays: tuple[str, ...]) -> list[Target]:
    """The first address of each relay that is TCP's."""
    from vc_core.relay_address import parse_address

    known = [[one for part in relay.split(",") for one in parse_address(part)] for relay in relays]
    over_tcp = [[one for one in found if one.transport == "tcp"] for found in known]
    return [found[0] for found in over_tcp if found]


async def _knock(relay: Target) -> tuple[str, float | None]:
    """Whether its port takes a connection, and how fast."""
    from client.net.dial import dial

    began = time.monotonic()
    try:
        async with asyncio.timeout(SIGNALING_LIMIT):
            (await dial(relay.host, relay.port)).close()
    except (OSError, UnicodeError, TimeoutError):
        return str(relay), None
    return str(relay), time.monotonic() - began


def _split(place: str) -> tuple[str, int]:
    from client.hosting.signaling import split_address

    return split_address(place, STUN_PORT)


async def _greet(url: str | None) -> Greeting:
    """Open a mailbox and close it."""
    from client.net.mailbox import Mailbox, SignalingUnreachable

    if url is None:
        return Greeting()
    mailbox = Mailbox(
        url, on_signal=lambda _signal: None, on_state=lambda _state: None, reconnect=False
    )
    begun = time.monotonic()
    try:
        await mailbox.connect(SIGNALING_LIMIT)
        return Greeting("", time.monotonic() - begun, mailbox.stun_server)
    except SignalingUnreachable as error:
        return Greeting(error.reason.name)
    finally:
        await mailbox.close()

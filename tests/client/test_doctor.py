"""What the doctor says of each kind of network."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from audio import microphone
from audio.pcm import FRAME, Samples
from client.commands import doctor
from client.commands.doctor_network import Greeting, Seen, _knock, _over_tcp, told
from client.commands.finding import Finding
from client.net.nat import Address, Echo, Ports, Sighting
from client.net.portmap.mapping import Mapping
from client.net.survey import Survey

FIRST, SECOND = ("192.0.2.1", 8765), ("192.0.2.2", 3478)
OUTER, OTHER = ("198.51.100.7", 5000), ("198.51.100.7", 5001)
MAPPED = Mapping("198.51.100.7", 40000, "udp", "PCP")


def seen(
    first: Address | None = OUTER,
    second: Address | None = OUTER,
    *,
    ports: Ports = Ports.STEADY,
    echo: Echo = Echo.NOTHING,
    own_6: str | None = None,
    sightings_6: tuple[Sighting, ...] = (),
    mapping: Mapping | None = None,
    mapping_asked: bool = True,
    greeting: Greeting | None = None,
) -> Seen:
    """A look at a network, in which two servers were asked."""
    sightings = (
        Sighting("signaling", FIRST, first, 0.012),
        Sighting("relay 192.0.2.2:3478", SECOND, second, 0.034),
    )
    survey = Survey("192.168.1.7", sightings, sightings_6, ports, echo, own_6, mapping)
    hello = greeting or Greeting("", 0.05, FIRST)
    return Seen("ws://192.0.2.1:8765", hello, survey, mapping_asked, (sightings[1].name,))


def said(look: Seen, what: str) -> list[Finding]:
    """The lines on one thing."""
    return [finding for finding in told(look) if finding.what == what]


def one(look: Seen, what: str) -> tuple[str, str]:
    """Verdict and sentence of the only one."""
    (finding,) = said(look, what)
    return finding.verdict, finding.said


def test_every_line_has_a_verdict_and_who_warns_advises() -> None:
    looks = [seen(ports=ports, echo=echo) for ports in Ports for echo in Echo]
    looks += [
        seen(None, None, ports=ports, mapping=MAPPED, own_6="2001:db8::7")
        for ports in (Ports.SILENT, Ports.UNASKED)
    ]
    for finding in (finding for look in looks for finding in told(look)):
        assert finding.verdict in {"ok", "warn", "fail"}
        assert finding.advice or finding.verdict == "ok", finding
        for sentence in (finding.said, finding.advice):
            assert sentence == sentence.strip() and not sentence.endswith(".")
            assert sentence[:1] == sentence[:1].lower()


def test_a_microphone_that_begins_late_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(_spec: str, on_frame: Callable[[Samples, float], None]) -> SimpleNamespace:
        loop = asyncio.get_running_loop()
        loop.call_later(2 * doctor.LISTEN_SECONDS, on_frame, np.full(FRAME, 0.5, np.float32), 0.0)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(microphone, "open_microphone", late)
    loudness = asyncio.run(doctor._listen())
    assert loudness is not None and loudness > -10.0


def test_a_server_that_answers_says_how_fast() -> None:
    look = seen()
    url = "ws://192.0.2.1:8765"
    assert one(look, "signaling") == ("ok", f"{url} answers after 50 ms")
    assert one(look, "udp out") == ("ok", "signaling answers over udp after 12 ms")
    assert one(look, "relay") == ("ok", "192.0.2.2:3478 answers over udp after 34 ms")


def test_one_silent_server_is_that_server_and_all_of_them_are_the_network() -> None:
    (alone,) = said(seen(second=None, ports=Ports.UNKNOWN), "relay")
    assert alone.verdict == "warn" and alone.advice.startswith("udp works here")
    (both,) = said(seen(None, None, ports=Ports.SILENT), "relay")
    assert both.verdict == "warn" and both.advice.startswith("udp is blocked on the way")


def test_a_signaling_server_that_cannot_be_used_fails() -> None:
    verdict, sentence = one(seen(greeting=Greeting("SILENT")), "signaling")
    assert verdict == "fail" and "ws://192.0.2.1:8765" in sentence


@pytest.mark.parametrize(
    ("look", "verdict", "sentence"),
    [
        (seen(ports=Ports.OPEN), "ok", "direct with everybody who can send udp"),
        (seen(), "ok", "direct with everybody but people whose network changes ports"),
        (
            seen(second=OTHER, ports=Ports.CHANGING),
            "warn",
            "direct only with people who can be reached from anywhere",
        ),
        (
            seen(second=OTHER, ports=Ports.CHANGING, own_6="2001:db8::7"),
            "warn",
            "direct only with people who can be reached from anywhere, or by ipv6",
        ),
        (
            seen(second=OTHER, ports=Ports.CHANGING, mapping=MAPPED),
            "ok",
            "direct with everybody who can send udp",
        ),
        (seen(None, None, ports=Ports.SILENT), "warn", "direct only within this network"),
        (seen(ports=Ports.UNKNOWN), "ok", "cannot be foretold without two servers to ask"),
    ],
)
def test_it_says_what_that_means_for_calls(look: Seen, verdict: str, sentence: str) -> None:
    assert one(look, "calls") == (verdict, sentence)


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("198.51.100.7", "ok"),
        ("100.64.1.1", "warn"),
        ("192.168.100.2", "warn"),
        ("203.0.113.9", "warn"),
    ],
)
def test_a_mapping_behind_one_more_nat_is_of_little_use(address: str, verdict: str) -> None:
    look = seen(mapping=Mapping(address, 40000, "udp", "UPnP"))
    assert one(look, "port mapping") == (verdict, f"by UPnP, at {address}")
    assert (one(look, "calls")[1] == "direct with everybody who can send udp") is (verdict == "ok")


def test_a_router_that_was_not_asked_is_not_blamed() -> None:
    look = seen(mapping_asked=False)
    assert one(look, "port mapping") == ("ok", "not asked for (no_port_mapping)")


def test_ipv6_is_there_works_or_leads_nowhere() -> None:
    def asked(address: Address | None) -> tuple[Sighting, ...]:
        return (Sighting("signaling", ("2001:db8::1", 8765), address, 0.02),)

    assert one(seen(), "ipv6")[0] == "warn"
    assert one(seen(own_6="2001:db8::7"), "ipv6") == ("ok", "2001:db8::7 has a way out")
    answered = seen(own_6="2001:db8::7", sightings_6=asked(("2001:db8::7", 4000)))
    assert one(answered, "ipv6") == ("ok", "works, from 2001:db8::7")
    silent = seen(own_6="2001:db8::7", sightings_6=asked(None))
    assert one(silent, "ipv6") == ("warn", "2001:db8::7, but no server answers over it")


@pytest.mark.parametrize(
    ("echo", "filter_", "hairpin"),
    [
        (Echo.STRANGER, "lets in whoever knows the port", "yes"),
        (Echo.CALLED, "lets in only whom we called", "yes"),
        (Echo.NOTHING, "cannot be told", "no"),
    ],
)
def test_an_echo_tells_of_filter_and_hairpin(echo: Echo, filter_: str, hairpin: str) -> None:
    look = seen(echo=echo)
    assert one(look, "filter")[1].startswith(filter_)
    assert one(look, "hairpin")[1].startswith(hairpin)


def test_what_was_not_tried_is_not_said() -> None:
    look = seen(ports=Ports.OPEN, echo=Echo.UNTRIED)
    assert not said(look, "filter") and not said(look, "hairpin")


def test_relays_are_looked_at_over_tcp_where_that_is_their_only_way() -> None:
    look = replace(seen(), relays=(), over_tcp=(("ws://h:1", 0.02), ("wss://h:2", None)))
    assert [(f.verdict, f.said) for f in said(look, "relay")] == [
        ("ok", "ws://h:1 answers over tcp after 20 ms"),
        ("warn", "wss://h:2 does not answer over tcp"),
    ]
    assert one(replace(look, over_tcp=()), "relay")[0] == "ok"


def test_where_udp_is_blocked_a_relay_that_answers_over_tcp_carries() -> None:
    dark = seen(None, None, ports=Ports.SILENT)
    carried = replace(dark, over_tcp=(("wss://h:3478#sha256=00", 0.02),))
    assert one(carried, "calls")[1].endswith("with all others over tcp by a relay")
    unheard = replace(dark, greeting=Greeting("SILENT"), over_tcp=(("wss://h:3478", None),))
    assert one(unheard, "calls") == ("warn", "nothing outside answers")


def test_a_relay_that_answers_over_udp_is_one_line() -> None:
    relay = (Sighting("relay h:3478", OTHER, OTHER, 0.01),)
    look = replace(seen(sightings_6=relay), relays=("relay h:3478",))
    look = replace(look, over_tcp=(("wss://h:3478#sha256=00", 0.02),))
    assert one(look, "relay") == ("ok", "h:3478 answers over udp after 10 ms")


def test_where_there_is_no_ipv4_nobody_asks_for_more_servers() -> None:
    survey = replace(seen().survey, own=None, own_6="2001:db8::7", ports=Ports.UNASKED)
    look = replace(seen(), survey=survey)
    assert one(look, "nat") == ("ok", "no ipv4 here, and ipv6 has none")
    assert one(look, "calls") == ("warn", "direct only with people who have ipv6 too")


async def test_a_relay_whose_name_nobody_can_have_does_not_answer() -> None:
    (relay,) = _over_tcp(("wss://relay..example:443",))
    assert (await _knock(relay))[1] is None


async def test_a_relay_over_tcp_is_dialled(unused_tcp_port: int) -> None:
    relay, other = _over_tcp((f"ws://127.0.0.1:{unused_tcp_port}", "127.0.0.1:3478"))
    assert str(other) == "wss://127.0.0.1:3478"
    assert (await _knock(relay))[1] is None
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", unused_tcp_port)
    async with server:
        assert (await _knock(relay))[1] is not None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there")
def test_system_sound_has_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = doctor._system_sound()
    assert finding.verdict == "warn" and finding.advice
    for tool in ("pactl", "parec"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    (finding,) = doctor._system_sound()
    assert (finding.verdict, finding.advice) == ("ok", "")

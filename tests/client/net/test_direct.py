"""The direct rung: two carriers in one process, over loopback and real interfaces."""

from __future__ import annotations

import asyncio
import random
import runpy
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import aioice
import ifaddr
import pytest
from aioice import stun
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.net import direct, gather, ice, ice_socket
from client.net.candidates import MAX_CANDIDATES, Description
from client.net.direct import DirectCarrier, State
from client.net.interfaces import interfaces
from tests.client.net import stun_double
from tests.client.net.waiting import until
from vc_core.errors import LocalProtocolError

pytestmark = [
    pytest.mark.usefixtures("clean_loop"),
    pytest.mark.filterwarnings("error"),
]

MEDIA = b"\x80 a sealed packet"
HELLO = b"\x90 hello"
STUN_LIKE = b"\x00\x01\x00\x08!\x12\xa4B" + bytes(12)


class End:
    """One carrier with everything that it reported."""

    def __init__(
        self,
        *,
        controlling: bool,
        loopback: bool = True,
        stun: Sequence[tuple[str, int]] = (),
        on_description: Callable[[Description], None] | None = None,
        **more: Any,
    ) -> None:
        self.described: list[Description] = []
        self.got: list[bytes] = []
        self.states: list[str] = []
        self.tell = on_description
        self.carrier = DirectCarrier(
            controlling=controlling,
            stun=stun,
            loopback=loopback,
            on_description=self.describe,
            on_datagram=self.got.append,
            on_state=self.states.append,
            **more,
        )

    def describe(self, description: Description) -> None:
        self.described.append(description)
        if self.tell is not None:
            self.tell(description)

    @property
    def candidates(self) -> list[str]:
        return [line for one in self.described for line in one.candidates]

    @property
    def ports(self) -> list[int]:
        """Ports of the candidates on 127.0.0.1."""
        return [int(line.split()[5]) for line in self.candidates if " 127.0.0.1 " in line]


def pair(*, loopback: bool = True) -> tuple[End, End]:
    """Two ends that hear each other's descriptions at once."""
    one, two = End(controlling=True, loopback=loopback), End(controlling=False, loopback=loopback)
    one.tell, two.tell = two.carrier.add_remote, one.carrier.add_remote
    return one, two


async def talk(one: End, two: End) -> None:
    """Datagrams go both ways."""
    await until(lambda: one.states == two.states == ["connected"])
    one.carrier.send(MEDIA)
    two.carrier.send(HELLO)
    await until(lambda: MEDIA in two.got and HELLO in one.got)


async def close(*ends: End) -> None:
    await asyncio.gather(*(end.carrier.close() for end in ends))
    assert all(end.states[-1] == "closed" and end.carrier.state is State.CLOSED for end in ends)


async def test_connects_over_loopback_and_carries_datagrams_both_ways() -> None:
    one, two = pair()
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    assert one.carrier.selected() == ("host", "host")
    await close(one, two)
    assert one.states == ["connected", "closed"]
    assert one.carrier.selected() is None


async def test_connects_over_a_real_interface_when_loopback_is_not_asked_for() -> None:
    if not interfaces(loopback=False).addresses:
        pytest.skip("this machine has loopback only")
    one, two = pair(loopback=False)
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    assert not one.ports
    await close(one, two)


async def test_is_connected_within_milliseconds_of_both_descriptions() -> None:
    one, two = pair()
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    began = asyncio.get_running_loop().time()
    await until(lambda: one.states and two.states)
    assert asyncio.get_running_loop().time() - began < 0.1
    await close(one, two)


async def test_the_first_description_holds_all_host_candidates_and_is_done_without_stun() -> None:
    end = End(controlling=True)
    await end.carrier.start()
    (only,) = end.described
    assert only.done and only.usable()
    assert all(" typ host" in line for line in only.candidates)
    assert len(end.ports) == 1
    await close(end)


@pytest.mark.parametrize("seed", range(8))
async def test_connects_in_whatever_order_the_descriptions_trickle(seed: int) -> None:
    chance = random.Random(seed)
    one, two = End(controlling=True), End(controlling=False)
    starts = [asyncio.create_task(end.carrier.start()) for end in (one, two)]
    await asyncio.wait(starts)
    letters: list[tuple[DirectCarrier, Description]] = []
    for sender, receiver in ((one, two), (two, one)):
        for description in sender.described:
            for line in description.candidates:
                piece = replace(description, candidates=(line,), done=chance.random() < 0.3)
                letters += [(receiver.carrier, piece)] * chance.randint(1, 2)
    chance.shuffle(letters)
    for receiver_carrier, letter in letters:
        receiver_carrier.add_remote(letter)
        for _ in range(chance.randint(0, 5)):
            await asyncio.sleep(0)
    await talk(one, two)
    await close(one, two)


async def test_takes_the_peers_description_before_it_has_started() -> None:
    one, two = End(controlling=True), End(controlling=False)
    one.tell = two.carrier.add_remote
    await one.carrier.start()
    two.tell = one.carrier.add_remote
    await two.carrier.start()
    await talk(one, two)
    await close(one, two)


async def test_hears_the_peer_before_it_knows_the_peers_description() -> None:
    one, two = End(controlling=True), End(controlling=False)
    two.tell = one.carrier.add_remote
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await until(lambda: one.states == ["connected"])
    one.carrier.send(MEDIA)
    await until(lambda: two.got == [MEDIA])
    assert two.carrier.state is State.WAITING
    two.carrier.send(HELLO)
    for description in one.described:
        two.carrier.add_remote(description)
    await until(lambda: two.states == ["connected"])
    two.carrier.send(MEDIA)
    await until(lambda: one.got)
    assert one.got == [MEDIA], "what was sent while not connected is dropped"
    await close(one, two)


async def test_a_check_that_a_nat_swallowed_is_repeated_when_the_peers_check_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swallowed: list[object] = []
    send = ice_socket.IceSocket.send_stun

    def through_nat(
        self: ice_socket.IceSocket, message: stun.Message, addr: tuple[str, int]
    ) -> None:
        request = message.message_class == stun.Class.REQUEST
        if request and self.receiver.ice_controlling and len(swallowed) < len(one.candidates):
            swallowed.append(message)
        else:
            send(self, message, addr)

    monkeypatch.setattr(ice_socket.IceSocket, "send_stun", through_nat)
    one, two = pair()
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await until(lambda: one.states == two.states == ["connected"], bound=0.4)
    assert swallowed
    await close(one, two)


async def test_a_description_without_candidates_still_connects_from_where_checks_come() -> None:
    one, two = End(controlling=True), End(controlling=False)
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    one.carrier.add_remote(two.described[0])
    two.carrier.add_remote(replace(one.described[0], candidates=("8f.local", "junk"), done=True))
    await talk(one, two)
    assert two.carrier.selected() == ("host", "prflx")
    await close(one, two)


async def test_a_datagram_counts_only_from_an_address_that_was_checked() -> None:
    one, two = pair()
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(3):
            stranger.sendto(b"\x80forged", ("127.0.0.1", two.ports[0]))
    one.carrier.send(b"\x81later")
    await until(lambda: b"\x81later" in two.got)
    assert b"\x80forged" not in two.got
    await close(one, two)


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\0",
        STUN_LIKE,
        b"\0\1\0\6!\x12\xa4B" + bytes(12) + b"\0\x24\0\2ab",
        b"\0\1\0\x0c!\x12\xa4B" + bytes(12) + b"\0\x20\0\x08\0\x09\0\0\0\0\0\0",
        b"\1\1\0\0!\x12\xa4B" + bytes(12),
        b"\3" * 1500,
    ],
)
async def test_malformed_stun_from_strangers_disturbs_nothing(junk: bytes) -> None:
    one, two = pair()
    await two.carrier.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(junk, ("127.0.0.1", two.ports[0]))
    await one.carrier.start()
    one.carrier.add_remote(two.described[0])
    await talk(one, two)
    assert two.got == [MEDIA]
    await close(one, two)


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{} 1 udp {} {} {} typ {}".format,
        st.sampled_from(["a", "?", "a" * 40]),
        st.integers(-5, 1 << 40),
        st.one_of(
            st.sampled_from(["localhost", "x.local", "255.255.255.255", "0.0.0.0", "ff02::1"]),
            st.just("127.0.0.1"),
        ),
        st.integers(-1, 70_000),
        st.sampled_from(["host", "srflx", "prflx", "nonsense"]),
    ),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(HOSTILE, max_size=50), done=st.booleans())
def test_connects_in_spite_of_hostile_candidates(lines: list[str], done: bool) -> None:
    async def story() -> None:
        one, two = End(controlling=True), End(controlling=False)
        await asyncio.gather(one.carrier.start(), two.carrier.start())
        for receiver, sender in ((one, two), (two, one)):
            honest = sender.described[0]
            receiver.carrier.add_remote(replace(honest, candidates=tuple(lines[:20]), done=done))
            receiver.carrier.add_remote(honest)
        await talk(one, two)
        await close(one, two)

    asyncio.run(story())


async def test_keeps_a_bounded_number_of_the_peers_candidates() -> None:
    end = End(controlling=True)
    await end.carrier.start()
    for start in range(1000, 1600, 20):
        lines = tuple(f"a 1 udp 1 127.0.0.1 {start + i} typ host" for i in range(20))
        end.carrier.add_remote(Description("abcd", "x" * 22, lines, done=False))
    assert len(end.carrier._ice.remote_candidates if end.carrier._ice else ()) == MAX_CANDIDATES
    await close(end)


async def test_the_first_description_fixes_user_name_and_password() -> None:
    one, two = pair()
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    line = "a 1 udp 1 127.0.0.1 9 typ host"
    two.carrier.add_remote(Description("evil", "y" * 22, (line,), done=True))
    two.carrier.add_remote(Description("e", "", (line,), done=True))
    await talk(one, two)
    assert two.carrier._ice is not None
    assert all(candidate.port != 9 for candidate in two.carrier._ice.remote_candidates)
    await close(one, two)


async def test_two_ends_that_both_claim_control_do_not_connect_and_do_not_break() -> None:
    one, two = End(controlling=True), End(controlling=True)
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    one.carrier.add_remote(two.described[0])
    two.carrier.add_remote(one.described[0])
    for _ in range(100):
        await asyncio.sleep(0.001)
    await close(one, two)
    assert "connected" not in one.states or "connected" not in two.states


@pytest.mark.parametrize("steps", [*range(30), 40, 60, 90, 150])
async def test_closes_at_any_moment_and_leaves_nothing(steps: int) -> None:
    async with stun_double.stun_server(stun_double.mapped("203.0.113.9", 9)) as (server, _):
        one = End(controlling=True, stun=[server, ("192.0.2.1", 9), ("name.invalid", 9)])
        two = End(controlling=False)
        one.tell, two.tell = two.carrier.add_remote, one.carrier.add_remote
        starting = asyncio.gather(one.carrier.start(), two.carrier.start())
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.gather(one.carrier.close(), two.carrier.close(), one.carrier.close())
        await starting
        for end in (one, two):
            assert end.states.count("closed") == 1 and end.states[-1] == "closed"
            end.carrier.send(MEDIA)
            end.carrier.add_remote(Description("abcd", "x" * 22, (), done=True))


async def test_may_be_closed_before_and_instead_of_started() -> None:
    end = End(controlling=True)
    await close(end)
    await end.carrier.start()
    assert end.described == []


async def test_is_started_once() -> None:
    end = End(controlling=True)
    await end.carrier.start()
    with pytest.raises(LocalProtocolError):
        await end.carrier.start()
    await close(end)


async def test_stun_gives_a_server_reflexive_candidate_with_its_base_and_then_done() -> None:
    async with stun_double.stun_server(stun_double.mapped("203.0.113.7", 4242)) as (server, _):
        end = End(controlling=True, stun=[server])
        await end.carrier.start()
        assert len(end.described) == 1 and not end.described[0].done
        await until(lambda: end.described[-1].done)
        (found,) = [line for line in end.candidates if "srflx" in line]
        assert f" 203.0.113.7 4242 typ srflx raddr 127.0.0.1 rport {end.ports[0]}" in found
        await close(end)


@pytest.mark.parametrize(
    "answer",
    [
        stun_double.mapped("224.0.0.1", 4242),
        stun_double.mapped("0.0.0.0", 4242),
        stun_double.empty,
    ],
)
async def test_what_a_hostile_stun_server_says_is_not_passed_on(
    answer: Callable[[bytes], bytes],
) -> None:
    async with stun_double.stun_server(answer) as (server, _):
        end = End(controlling=True, stun=[server])
        await end.carrier.start()
        await until(lambda: end.described[-1].done)
        assert not any("srflx" in line for line in end.candidates)
        await close(end)


@pytest.mark.parametrize("answer", [None, stun_double.garbage])
async def test_a_stun_server_that_does_not_answer_delays_nothing(
    answer: Callable[[bytes], bytes] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "LIMIT", 0.3)
    async with stun_double.stun_server(answer) as (server, responder):
        one, two = End(controlling=True, stun=[server]), End(controlling=False, stun=[server])
        one.tell, two.tell = two.carrier.add_remote, one.carrier.add_remote
        await asyncio.gather(one.carrier.start(), two.carrier.start())
        await until(lambda: one.states == two.states == ["connected"], bound=0.25)
        assert not one.described[-1].done
        await until(lambda: one.described[-1].done and two.described[-1].done)
        assert responder.asked
        await talk(one, two)
        await close(one, two)


async def test_fails_when_the_peer_is_done_and_nothing_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(direct, "PATIENCE", 0.05)
    end = End(controlling=True)
    await end.carrier.start()
    end.carrier.add_remote(Description("abcd", "x" * 22, (), done=True))
    await until(lambda: end.states == ["failed"])
    end.carrier.send(MEDIA)
    await close(end)
    assert end.states == ["failed", "closed"]


async def test_fails_when_the_peer_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "CONNECT_LIMIT", 0.2)
    async with stun_double.stun_server(None) as ((host, port), _):
        end = End(controlling=True)
        await end.carrier.start()
        line = f"a 1 udp 1 {host} {port} typ host"
        end.carrier.add_remote(Description("abcd", "x" * 22, (line,), done=False))
        await until(lambda: end.states == ["failed"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heir:
            heir.bind(("127.0.0.1", end.ports[0]))
        await close(end)


async def test_fails_when_this_machine_does_not_tell_its_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full() -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ifaddr, "get_adapters", full)
    end = End(controlling=True)
    await end.carrier.start()
    assert end.states == ["failed"] and end.carrier.failure == "no-candidates"
    await close(end)


async def test_fails_when_consent_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.02)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 1)
    one, two = pair()
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    await talk(one, two)
    await two.carrier.close()
    await until(lambda: one.states == ["connected", "failed"])
    await close(one)


@pytest.mark.parametrize(
    ("candidates", "mine", "peers", "word"),
    [
        ((), 4242, False, "no-candidates"),
        (("junk", "8f.local"), 4242, True, "no-candidates"),
        (("a 1 udp 1 127.0.0.1 9 typ host",), 4242, True, "both-change-ports"),
        (("a 1 udp 1 127.0.0.1 9 typ host",), 4242, False, "nothing-answered"),
        (("a 1 udp 1 127.0.0.1 9 typ host",), 0, True, "udp-blocked"),
    ],
)
async def test_says_why_it_failed(
    candidates: tuple[str, ...],
    mine: int,
    peers: bool,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(direct, "CONNECT_LIMIT", 0.3)
    monkeypatch.setattr(ice, "QUERY_REPEATS", 0)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.05)
    answer = stun_double.mapped("203.0.113.7", mine) if mine else None
    async with stun_double.stun_server(answer) as (server, _):
        end = End(controlling=True, stun=[server])
        await end.carrier.start()
        end.carrier.add_remote(Description("abcd", "x" * 22, candidates, done=True, hard=peers))
        assert end.carrier.failure == ""
        await until(lambda: end.states == ["failed"])
        assert end.carrier.failure == word
        await close(end)
        assert end.carrier.failure == word


async def test_addresses_of_another_ip_version_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "CONNECT_LIMIT", 0.3)
    end = End(controlling=True)
    await end.carrier.start()
    await until(lambda: bool(end.carrier._described))
    end.carrier._described = [one for one in end.carrier._described if ":" not in one]
    away = ("a 1 udp 1 2001:db8::7 9 typ host",)
    end.carrier.add_remote(Description("abcd", "x" * 22, away, done=True))
    await until(lambda: end.states == ["failed"])
    assert end.carrier.failure == "no-candidates"
    await close(end)


async def test_two_nats_that_change_ports_are_given_up_after_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not after all repetitions of all checks, which take half a minute."""
    monkeypatch.setattr(direct, "PATIENCE", 0.2)
    async with stun_double.stun_server(stun_double.mapped("203.0.113.7", 4242)) as (server, _):
        end = End(controlling=True, stun=[server])
        await end.carrier.start()
        away = "a 1 udp 1 127.0.0.1 9 typ host"
        end.carrier.add_remote(Description("abcd", "x" * 22, (away,), done=True, hard=True))
        await until(lambda: end.states == ["failed"], 5.0)
        assert end.carrier.failure == "both-change-ports"
        await close(end)


async def test_a_peer_that_never_describes_itself_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its description was lost; only another attempt brings a new one."""
    monkeypatch.setattr(direct, "UNHEARD_LIMIT", 0.1)
    end = End(controlling=True)
    await end.carrier.start()
    await until(lambda: end.states == ["failed"])
    assert end.carrier.failure == "no-candidates"
    await close(end)


async def test_a_nat_is_hard_when_two_servers_see_different_ports() -> None:
    async with (
        stun_double.stun_server(stun_double.mapped("203.0.113.7", 4242)) as (first, _),
        stun_double.stun_server(stun_double.mapped("203.0.113.7", 4243)) as (second, _),
    ):
        end = End(controlling=True, stun=[first, second])
        await end.carrier.start()
        await until(lambda: end.described[-1].done)
        assert end.carrier.hard and end.described[-1].hard and not end.described[0].hard
        await close(end)


async def test_a_nat_is_not_hard_when_two_servers_see_the_same_port() -> None:
    async with (
        stun_double.stun_server(stun_double.mapped("203.0.113.7", 4242)) as (first, _),
        stun_double.stun_server(stun_double.mapped("203.0.113.7", 4242)) as (second, _),
    ):
        end = End(controlling=True, stun=[first, second])
        await end.carrier.start()
        await until(lambda: end.described[-1].done)
        assert not end.carrier.hard and not end.described[-1].hard
        await close(end)


async def test_one_server_alone_makes_a_port_that_is_not_ours_suspicious() -> None:
    end = End(controlling=True)

    def keeps(request: bytes) -> bytes:
        return stun_double.mapped("203.0.113.7", end.ports[0])(request)

    async with stun_double.stun_server(keeps) as (server, _):
        end = End(controlling=True, stun=[server])
        await end.carrier.start()
        await until(lambda: end.described[-1].done)
        assert not end.carrier.hard
        await close(end)
    async with stun_double.stun_server(stun_double.mapped("203.0.113.7", 1)) as (server, _):
        end = End(controlling=True, stun=[server])
        await end.carrier.start()
        await until(lambda: end.described[-1].done)
        assert end.carrier.hard
        await close(end)


async def test_mapped_ports_are_trickled_as_they_are_found_and_delay_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "LIMIT", 0.2)
    asked: list[tuple[str, int]] = []
    renewed = asyncio.Event()

    async def mapper(host: str, port: int) -> AsyncIterator[tuple[str, int]]:
        if host != "127.0.0.1":
            return
        asked.append((host, port))
        yield "203.0.113.7", 4242
        await renewed.wait()
        yield "203.0.113.7", 4243
        raise OSError("the router went away")

    one, two = End(controlling=True, mapper=mapper), End(controlling=False)
    one.tell, two.tell = two.carrier.add_remote, one.carrier.add_remote
    await asyncio.gather(one.carrier.start(), two.carrier.start())
    assert not one.described[0].done
    await talk(one, two)
    assert asked == [("127.0.0.1", one.ports[0])]
    await until(lambda: one.described[-1].done)
    (found,) = [line for line in one.candidates if "srflx" in line]
    assert f" 203.0.113.7 4242 typ srflx raddr 127.0.0.1 rport {one.ports[0]}" in found
    renewed.set()
    await until(lambda: " 4243 " in one.candidates[-1])
    await close(one, two)


async def test_a_wrong_version_of_aioice_is_refused_at_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aioice, "__version__", "0.14.0")
    with pytest.raises(ImportError, match=r"aioice 0\.13 is needed"):
        runpy.run_path(ice_socket.__file__)

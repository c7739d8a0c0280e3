"""Finding a host in one network: who is found, who is not, and what is told of whom."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.calls.engines import Program
from tests.lab.meeting import Scene, scene, until_heard
from tests.lab.net import Nat, Node
from tests.lab.tap import frames, udp_payload

CODE = "4821-apple-robot-candle"
NAME = "Hildegunst-von-Mythenmetz"
GOODBYE = b"\0\0\0\0\0"  # a time to live of nothing, and the high byte of a length


@pytest.fixture
def made(lab: None) -> Iterator[Scene]:
    """A small internet."""
    with scene() as one:
        yield one


def home(made: Scene, people: int) -> tuple[Node, list[Node]]:
    """A router and machines behind it."""
    router = made.world.router(Nat.PORT_RESTRICTED)
    return router, [made.world.behind(router) for _ in range(people)]


def rogue(made: Scene, node: Node) -> Program:
    """Somebody who announces a code that is not its own."""
    program = made.stage.program(["-m", "tests.lab.rogue", CODE[:4]], prefix=node.prefix)
    program.wait("announced")
    return program


def knocks(program: Program) -> int:
    """How often somebody asked its server for a code."""
    counts = program.wait("counts", since=program.mark())
    return sum(number for word, number in counts.items() if word.startswith("refused_"))


def refusal(made: Scene, node: Node, code: str) -> tuple[tuple[str, int, int], str, str]:
    """How a guest without a server ends: its ending, message and hint."""
    guest = made.join(node, code)
    error = guest.wait("error")
    return guest.ended(), error["message"], error["hint"]


def test_a_server_that_pretends_gets_one_guess_and_the_guest_is_told(made: Scene) -> None:
    _, (one, two, three) = home(made, 3)
    rogues = [rogue(made, one), rogue(made, two)]
    ending, message, hint = refusal(made, three, CODE)
    assert ending == ("code-wrong", 3, 3)
    assert message == "the code is wrong" and "somebody else in this network answered" in hint
    assert sum(map(knocks, rogues)) == 1


def test_a_guest_that_finds_nobody_or_others_only_is_told_which(made: Scene) -> None:
    _, (one, two) = home(made, 2)
    ending, message, hint = refusal(made, two, CODE)
    assert ending == ("no-signaling", 4, 4)
    assert "no host was found in this network" in message
    assert "--signal" in hint
    other = rogue(made, one)
    ending, message, _ = refusal(made, two, "9999-apple-robot-candle")
    assert ending == ("no-signaling", 4, 4)
    assert "none of the hosts in this network has this code" in message
    assert knocks(other) == 0


def test_a_machine_without_a_network_says_so_at_once(made: Scene) -> None:
    alone = made.world.host(ip4=False)
    ending, message, _ = refusal(made, alone, CODE)
    assert ending == ("no-signaling", 4, 4)
    assert "cannot look for its host" in message


def test_a_host_and_a_guest_on_one_machine_find_each_other(made: Scene) -> None:
    _, (one,) = home(made, 1)
    host = made.stage.host(listen="0.0.0.0:0", mic="tone:440", prefix=one.prefix)
    host.wait("announced")
    until_heard(host, made.join(one, host.code.partition("@")[0]))


def test_a_host_that_moves_says_its_code_anew_and_is_found_by_both_forms(made: Scene) -> None:
    router, (one, *two) = home(made, 3)
    host = made.stage.host(listen="0.0.0.0:0", mic="tone:440", prefix=one.prefix)
    host.wait("announced")
    words, _, server = host.code.partition("@")
    mark = host.mark()
    moved = made.world.readdress(one, router)
    code = host.wait("code", since=mark)["code"]
    assert server.startswith(f"{one.address}:")
    assert code == f"{words}@{server.replace(one.address, moved.address)}"
    assert host.wait("announced", since=mark)["code"] == words
    for node, form in zip(two, (code, words), strict=True):
        until_heard(host, made.join(node, form))


def test_a_network_of_ipv6_alone_will_do(made: Scene) -> None:
    one, two = (made.world.host(ip4=False, ip6=True) for _ in range(2))
    host = made.stage.host(listen="0.0.0.0:0", mic="tone:440", prefix=one.prefix)
    host.wait("announced")
    guest = made.join(two, host.code.partition("@")[0])
    until_heard(host, guest)
    assert guest.room["signal"].startswith(f"ws://[{one.address}]:")


def multicast(made: Scene, router: Node, host_node: Node, *options: str) -> tuple[str, list[bytes]]:
    """A host's code, and what it said by multicast DNS from its start to its end."""
    path = made.folder / "tap"
    tap = made.stage.program(["-m", "tests.lab.tap", str(path)], prefix=router.prefix)
    tap.wait("listening")
    host = made.stage.host(
        *options, listen="0.0.0.0:0", name=NAME, mic="tone:440", prefix=host_node.prefix
    )
    if "--no-lan" not in options:
        host.wait("announced")
    guest = made.join(host_node, host.code)
    until_heard(host, guest)
    assert (guest.leave(), host.leave()) == (0, 0)
    tap.kill()
    heard = [frame for frame in frames(path) if b"_vchat" in frame]
    assert all(udp_payload(frame) for frame in heard)
    return host.code, [udp_payload(frame) or b"" for frame in heard]


def test_what_is_announced_names_nobody_and_is_taken_back(made: Scene) -> None:
    router, (one, _) = home(made, 2)
    code, said = multicast(made, router, one)
    assert said
    everything = b"\n".join(said).lower()
    for private in (NAME, socket.gethostname(), *code.partition("@")[0].split("-")):
        assert private.lower().encode() not in everything
    goodbyes = [packet for packet in said if packet.count(GOODBYE) >= 4]
    assert goodbyes and said[-1] in goodbyes


def test_a_host_that_shall_not_be_announced_says_nothing(made: Scene) -> None:
    router, (one,) = home(made, 1)
    assert multicast(made, router, one, "--no-lan")[1] == []

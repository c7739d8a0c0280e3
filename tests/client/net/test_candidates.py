"""Candidates of peers: cleaned, or dropped without a sound."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.net.candidates import MAX_LINE, Description, clean

GOOD = "6815297761 1 udp 659136 203.0.113.4 31102 typ host"
BRIDGES = (ipaddress.ip_network("172.17.0.0/16"), ipaddress.ip_network("fd12::/64"))


def line(address: str, port: int | str = 4000, priority: int | str = 1, kind: str = "host") -> str:
    return f"abc 1 udp {priority} {address} {port} typ {kind}"


def test_a_good_line_comes_out_canonical() -> None:
    assert clean(GOOD, loopback=False) == GOOD
    assert clean(GOOD + " generation 0", loopback=False) == GOOD
    assert clean(line("2001:DB8:0::1"), loopback=False) == line("2001:db8::1")


def test_the_related_address_is_not_taken_over() -> None:
    assert clean(
        line("198.51.100.1", kind="srflx") + " raddr 10.0.0.1 rport 9", loopback=False
    ) == (line("198.51.100.1", kind="srflx"))


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.0.7", "172.18.0.4", "100.64.0.9", "fd00::2"]
)
def test_private_and_carrier_grade_addresses_are_fine(address: str) -> None:
    assert clean(line(address), loopback=False, bridges=BRIDGES)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_for_two_ends_on_one_machine(address: str) -> None:
    assert clean(line(address), loopback=False) is None
    assert clean(line(address), loopback=True) == line(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "255.255.255.255", "240.0.0.1", "224.0.0.251", "239.1.1.1",
        "::", "ff02::1", "fe80::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "172.17.0.2", "fd12::7",
        "printer.local", "8f3c.local", "localhost", "1.2.3", "1.2.3.4.5",
        "10.0.0.1%eth0", "fe80::1%1",
        "010.0.0.1", "0x7f.1", "2130706433", "1::2::3", "٣.1.1.1",
    ],
)  # fmt: skip
def test_what_cannot_be_one_peer_is_dropped(address: str) -> None:
    assert clean(line(address), loopback=True, bridges=BRIDGES) is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " " + GOOD,
        GOOD + "\n",
        GOOD.replace(" 1 udp", " 2 udp"),
        GOOD.replace("udp", "tcp"),
        GOOD.replace("typ host", "typ prflx"),
        GOOD + " " + "x" * MAX_LINE,
        line("10.0.0.1", port=0),
        line("10.0.0.1", port=65536),
        line("10.0.0.1", port="-1"),
        line("10.0.0.1", port="٣٣٣"),
        line("10.0.0.1", priority=0),
        line("10.0.0.1", priority=1 << 31),
        line("10.0.0.1", priority="9" * 100),
    ],
)
def test_malformed_lines_are_dropped(bad: str) -> None:
    assert clean(bad, loopback=True) is None


WORDS = st.one_of(
    st.sampled_from(GOOD.split()),
    st.text(max_size=20),
    st.integers().map(str),
    st.ip_addresses().map(str),
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=12).map(" ".join)), st.booleans())
def test_any_text_gives_a_clean_line_or_none(text: str, loopback: bool) -> None:
    cleaned = clean(text, loopback=loopback, bridges=BRIDGES)
    if cleaned is not None:
        assert clean(cleaned, loopback=loopback, bridges=BRIDGES) == cleaned
        assert cleaned.isascii() and len(cleaned) <= MAX_LINE


@given(st.ip_addresses(), st.integers(1, 65535))
def test_an_accepted_address_is_a_unicast_one(address: ipaddress.IPv4Address, port: int) -> None:
    cleaned = clean(line(str(address), port), loopback=False, bridges=BRIDGES)
    if cleaned is not None:
        there = ipaddress.ip_address(cleaned.split()[4])
        assert not (there.is_multicast or there.is_loopback or there.is_unspecified)
        assert not any(there in bridge for bridge in BRIDGES)


@pytest.mark.parametrize(
    ("ufrag", "pwd", "usable"),
    [
        ("abcd", "x" * 22, True),
        ("abc", "x" * 22, False),
        ("abcd", "x" * 21, False),
        ("ab:d", "x" * 22, False),
        ("abcd\n", "x" * 22, False),
        ("a" * 257, "x" * 22, False),
        ("abcd", "x" * 21 + "é", False),
    ],
)
def test_user_names_and_passwords_have_a_form(ufrag: str, pwd: str, usable: bool) -> None:
    assert Description(ufrag, pwd, (), True).usable() is usable

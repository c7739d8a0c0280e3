"""Cookies: the MAC is the one of the specification."""

from __future__ import annotations

import hashlib

import pytest

from relay.cookies import SLOT, Carrier, Cookies, Where
from vc_core.wire import fields

KEY = bytes(range(32))


@pytest.mark.parametrize("host", [bytes(4), bytes(range(16)), b"a link's name"])
def test_a_cookie_is_the_mac_over_address_port_and_time(host: bytes) -> None:
    where, now = Where(Carrier.TCP, host, 3478), 12345.6
    said = fields(
        "vchat-1 cookie",
        b"\2",
        host,
        (3478).to_bytes(2, "big"),
        int(now // SLOT).to_bytes(8, "big"),
    )
    mac = hashlib.blake2s(said, key=KEY, digest_size=16).digest()
    assert Cookies(KEY).bake(where, now) == mac


def test_cookies_of_two_forwarders_differ() -> None:
    where = Where(Carrier.UDP, bytes(4), 1)
    assert not Cookies(bytes(32)).holds(Cookies(KEY).bake(where, 1.0), where, 1.0)


def test_time_before_the_start_is_time_too() -> None:
    where, cookies = Where(Carrier.UDP, bytes(4), 1), Cookies(KEY)
    assert cookies.holds(cookies.bake(where, -100.0), where, -80.0)

"""The signaling server inside a host: the address that codes name."""

from __future__ import annotations

import pytest

from client.hosting import signaling as embedded
from client.hosting.signaling import embed


@pytest.mark.parametrize(
    ("listen", "advertise", "here", "named"),
    [
        ("0.0.0.0:0", None, "192.168.2.5", "192.168.2.5"),
        ("0.0.0.0:0", None, "2001:db8::5", "[2001:db8::5]"),
        ("0.0.0.0:0", None, "127.0.0.1", "192.168.1.5"),
        ("0.0.0.0:0", "example.org", "192.168.2.5", "example.org"),
        ("127.0.0.1:0", None, "192.168.2.5", "127.0.0.1"),
    ],
)
async def test_the_address_follows_the_machine_unless_it_was_given(
    listen: str, advertise: str | None, here: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "own_address", lambda: "192.168.1.5")
    running = await embed(listen, advertise, ())
    monkeypatch.setattr(embedded, "own_address", lambda: here)
    assert running.moved().address == f"{named}:{running.server.port}"
    await running.server.close()


@pytest.mark.parametrize(
    ("advertise", "named"), [("example.org", ""), ("example.org:0", ""), ("[::2]:7", "[::2]:7")]
)
async def test_a_port_that_is_not_advertised_is_the_servers(advertise: str, named: str) -> None:
    running = await embed("127.0.0.1:0", advertise, ())
    assert running.address == (named or f"example.org:{running.server.port}")
    await running.server.close()


async def test_an_address_that_is_none_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(_: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr(embedded, "serve", serve)
    with pytest.raises(ValueError, match="no port number"):
        await embed("127.0.0.1:0", "example.org:nonsense", ())

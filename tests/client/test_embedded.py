"""The signaling server inside a host: the address that codes name."""

from __future__ import annotations

import pytest

from client import embedded
from client.embedded import embed


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

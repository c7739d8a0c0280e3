"""What is heavy to import, imported while the network is awaited."""

from __future__ import annotations

from importlib.util import find_spec

ROADS = ("aioice", "aioquic")


def look() -> None:
    """``ModuleNotFoundError`` if one of them is missing, before anybody waits for a road."""
    for name in ROADS:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def preload() -> None:
    """The libraries of roads."""
    from client.net import direct, late, quic

    late.stand_in()
    direct.preload()
    quic.preload()

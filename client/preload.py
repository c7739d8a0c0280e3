"""What is heavy to import, imported while the network is awaited."""

from __future__ import annotations


def preload() -> None:
    """The libraries of roads."""
    from client.net import direct, late, quic

    late.stand_in()
    direct.preload()
    quic.preload()

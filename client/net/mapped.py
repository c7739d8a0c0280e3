"""Mapped ports as ICE asks for them: local address in, external addresses out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from client.net.gather import Address, Mapper
from client.net.portmap.mapper import Mapper as PortMapper


def mapped_ports(mapper: PortMapper) -> Mapper:
    """What ``client.net.gather`` calls a mapper, from one that talks to routers."""

    async def external(host: str, port: int) -> AsyncIterator[Address]:
        mapping = await mapper.map("udp", host, port)
        if mapping is None:
            return
        found = mapping.external_host, mapping.external_port
        if found != (host, port):  # of IPv6 it is often a mere opening in a firewall
            yield found

    return external

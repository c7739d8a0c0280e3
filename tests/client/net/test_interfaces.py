"""Which of this machine's addresses are offered, and who hears of changes."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys

import ifaddr
import pytest

from client.net import interfaces as look
from client.net.interfaces import MAX_ADDRESSES, interfaces, watch
from tests.client.net.waiting import until


def adapter(name: str, *addresses: str) -> ifaddr.Adapter:
    ips = [
        ifaddr.IP(one, 24, name) if ":" not in one else ifaddr.IP((one, 0, 0), 64, name)
        for one in addresses
    ]
    return ifaddr.Adapter(name, name, ips)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[ifaddr.Adapter]:
    adapters = [
        adapter("lo", "127.0.0.1", "::1"),
        adapter("eth0", "192.168.1.5", "2001:db8::5", "fe80::5"),
        adapter("docker0", "172.17.0.1"),
        adapter("br-0123456789ab", "172.18.0.1"),
        adapter("br-lan", "192.168.7.1"),
        adapter("virbr0", "192.168.122.1"),
        adapter("tun0", "100.64.3.4"),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
    return adapters


@pytest.mark.usefixtures("machine")
def test_offers_all_but_loopback_link_local_and_bridges_of_containers() -> None:
    offered = interfaces(loopback=False).addresses
    assert offered == ("192.168.1.5", "2001:db8::5", "192.168.7.1", "100.64.3.4")


@pytest.mark.usefixtures("machine")
def test_offers_loopback_first_when_both_ends_share_a_machine() -> None:
    assert interfaces(loopback=True).addresses[:2] == ("127.0.0.1", "::1")


@pytest.mark.usefixtures("machine")
def test_says_the_networks_of_the_bridges() -> None:
    bridges = interfaces(loopback=False).bridges
    assert ipaddress.ip_network("172.17.0.0/24") in bridges
    assert ipaddress.ip_network("192.168.7.0/24") not in bridges


@pytest.mark.usefixtures("machine")
def test_says_the_networks_that_the_machine_is_in() -> None:
    networks = interfaces(loopback=True).networks
    assert ipaddress.ip_network("192.168.1.0/24") in networks
    assert ipaddress.ip_network("2001:db8::/64") in networks
    assert not any(network.is_loopback or network.is_link_local for network in networks)
    assert ipaddress.ip_network("172.17.0.0/24") not in networks


def test_offers_a_bounded_number(machine: list[ifaddr.Adapter]) -> None:
    machine.append(adapter("eth1", *(f"10.0.0.{i}" for i in range(1, 99))))
    assert len(interfaces(loopback=True).addresses) == MAX_ADDRESSES


def test_reads_the_real_machine() -> None:
    for address in interfaces(loopback=False).addresses:
        assert not ipaddress.ip_address(address).is_loopback


async def test_tells_when_the_addresses_have_changed_and_not_when_they_have_not(
    machine: list[ifaddr.Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "_netlink", lambda: None)
    monkeypatch.setattr(look, "POLL", 0.01)
    told: list[str] = []
    watched = watch(lambda: told.append("changed"))
    await asyncio.sleep(0.05)
    assert told == []
    machine.append(adapter("wlan0", "10.1.2.3"))
    await until(lambda: told)
    machine.append(adapter("docker1", "10.9.9.9"))
    await asyncio.sleep(0.05)
    watched.close()
    watched.close()
    machine.append(adapter("wlan1", "10.1.2.4"))
    await asyncio.sleep(0.05)
    assert told == ["changed"]


async def test_looks_once_for_many_messages_of_the_kernel(
    machine: list[ifaddr.Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    monkeypatch.setattr(look, "_netlink", lambda: ours)
    monkeypatch.setattr(look, "SETTLING", 0.02)
    told: list[str] = []
    watched = watch(lambda: told.append("changed"))
    machine.append(adapter("wlan0", "10.1.2.3"))
    for _ in range(40):
        kernel.send(b"an address came")
    await until(lambda: told)
    kernel.send(b"a link went up and down")
    await asyncio.sleep(0.05)
    watched.close()
    kernel.close()
    assert told == ["changed"]


@pytest.mark.skipif(sys.platform != "linux", reason="rtnetlink is of Linux")
async def test_listens_to_the_real_kernel() -> None:
    watched = watch(lambda: None)
    assert watched._netlink is not None
    watched.close()

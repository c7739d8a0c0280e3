"""Which of this machine's addresses are offered."""

from __future__ import annotations

import ipaddress

import ifaddr
import pytest

from client.net.interfaces import MAX_ADDRESSES, interfaces


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

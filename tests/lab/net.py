"""A small internet of network namespaces: hosts, home routers with NAT, and a backbone.

    host ── backbone ── router ── host          eth0, wan0, lan0 are named as such,
            (bridge)    (nft NAT)  host         since names of container bridges
                │                               are filtered by our own client
             carrier ── router ── host
             (nft NAT)  (nft NAT)

Everything is made without touching the namespace of the caller, names are unique
per process, and ``close`` removes all of it. Needs root, ``ip`` and ``nft``.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import subprocess
from enum import Enum

from vc_core.record import record

PUBLIC_4 = "192.0.2."  # TEST-NET-1, the public addresses here
PUBLIC_6 = "2001:db8::"
NOWHERE = "203.0.113.0/24"  # TEST-NET-3: whoever sends there hears nothing
TAG = "vchatlab"
BURST = 4000  # bytes that a narrow uplink lets through at once
_worlds = itertools.count()


class Nat(Enum):
    """What a router does with ports (RFC 4787 has longer names for it)."""

    FULL_CONE = "one port for all, and everybody comes in by it"
    PORT_RESTRICTED = "one port for all, and whoever was called comes in by it"
    SYMMETRIC = "a port for each destination, and only that comes in by it"

    @property
    def statement(self) -> str:
        """What nft says to what leaves."""
        return "masquerade fully-random" if self is Nat.SYMMETRIC else "masquerade"


@record
class Node:
    """One namespace."""

    space: str
    address: str
    """Its main address: public, or behind a router."""
    address6: str = ""
    """Its public IPv6 address, if it has any."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """To run a command in it."""
        return ("ip", "netns", "exec", self.space)


def run(*command: str, text: str | None = None) -> str:
    """A command that must succeed; its output."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def why_impossible() -> str | None:
    """Why no such world can be made here; None if it can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    if missing:
        return f"{' and '.join(missing)} missing"
    try:
        with World() as world:
            world.behind(world.router(Nat.PORT_RESTRICTED))
    except OSError as error:
        return f"not permitted here: {error}"
    return None


def _remove_orphans() -> None:
    """What processes left behind that were killed."""
    for line in run("ip", "netns", "list").splitlines():
        space = line.split(" ")[0]
        tag, _, rest = space.partition("-")
        pid = rest.partition("-")[0]
        if tag == TAG and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


class World:
    """A backbone and all that hangs on it; use it as a context."""

    def __init__(self) -> None:
        self._tag = f"{TAG}-{os.getpid()}-{next(_worlds)}"
        self._spaces: list[str] = []
        self._ports = itertools.count()
        self._hosts = itertools.count(10)
        self._rng = random.Random(1)
        self._lans: dict[str, tuple[str, itertools.count[int]]] = {}
        self._backbone = ""

    def __enter__(self) -> World:
        _remove_orphans()
        try:
            self._backbone = self._space("backbone")
            self._bridge(self._backbone, f"{PUBLIC_4}1/24", f"{PUBLIC_6}1/64")
            self._forward(self._backbone)
            self._ip(self._backbone, f"route add blackhole {NOWHERE}")
        except OSError:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything; whatever still runs inside loses its network."""
        for space in self._spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
        self._spaces.clear()

    # ---- Making --------------------------------------------------------------------

    def host(
        self, *, ip4: bool = True, ip6: bool = False, wire: tuple[str, str] | None = None
    ) -> Node:
        """A machine with public addresses; ``address`` is the IPv4 one if it has any.

        ``wire``: two devices of the backbone's namespace that somebody keeps joined, instead
        of a cable without delay.
        """
        number = next(self._hosts)
        space = self._space(f"host{number}")
        if wire is None:
            self._wire(self._backbone, space, "eth0")
        else:
            self._lay(wire, space, "eth0")
        address6 = f"{PUBLIC_6}{number:x}" if ip6 else ""
        if ip4:
            self._address(space, "eth0", f"{PUBLIC_4}{number}/24")
            self._ip(space, f"route add default via {PUBLIC_4}1")
        if ip6:
            self._address(space, "eth0", f"{address6}/64")
            self._ip(space, f"-6 route add default via {PUBLIC_6}1")
        return Node(space, f"{PUBLIC_4}{number}" if ip4 else address6, address6)

    def router(self, nat: Nat, *, under: Node | None = None, udp: bool = True) -> Node:
        """A home router: NAT to the backbone, and nobody comes in who was not called.

        ``under``: a carrier's router, whose NAT all goes through as well. A full cone
        lets everybody in to the first machine behind it. Without ``udp`` it passes none.
        """
        number = next(self._hosts)
        space = self._space(f"router{number}")
        lan = f"192.168.{number}."
        outside = self._connect(space, under, f"{PUBLIC_4}{number}")
        return self._route(space, nat, lan, outside, udp=udp)

    def carrier(self, nat: Nat) -> Node:
        """A carrier's router, for ``router(under=…)``."""
        number = next(self._hosts)
        space = self._space(f"carrier{number}")
        outside = self._connect(space, None, f"{PUBLIC_4}{number}")
        return self._route(space, nat, f"100.64.{number}.", outside, udp=True)

    def _connect(self, space: str, under: Node | None, address: str) -> str:
        """Wire a router to the backbone or a carrier; its outer address."""
        hub, gateway = self._backbone, f"{PUBLIC_4}1"
        if under is not None:
            lan, numbers = self._lans[under.space]
            hub, gateway, address = under.space, f"{lan}1", f"{lan}{next(numbers)}"
        self._wire(hub, space, "wan0")
        self._address(space, "wan0", f"{address}/24")
        self._ip(space, f"route add default via {gateway}")
        return address

    def _route(self, space: str, nat: Nat, lan: str, outside: str, *, udp: bool) -> Node:
        self._bridge(space, f"{lan}1/24")
        self._forward(space)
        inside = f'iifname "wan0" meta l4proto udp dnat to {lan}10'
        rules = f"""
            table ip home {{
                chain inside {{
                    type nat hook prerouting priority -100
                    {inside if nat is Nat.FULL_CONE else ""}
                }}
                chain moved {{ }}
                chain away {{
                    type nat hook postrouting priority 100
                    oifname "wan0" jump moved
                    oifname "wan0" {nat.statement}
                }}
                chain through {{
                    type filter hook forward priority 0
                    {"" if udp else "meta l4proto udp drop"}
                    ct state established,related accept
                    {"ct status dnat accept" if nat is Nat.FULL_CONE else ""}
                    iifname "wan0" drop
                }}
                chain knock {{
                    type filter hook input priority 0
                    ct state established,related accept
                    iifname "wan0" drop
                }}
            }}
        """
        run("ip", "netns", "exec", space, "nft", "-f", "-", text=rules)
        self._lans[space] = (lan, itertools.count(10))
        return Node(space, outside)

    def behind(self, router: Node) -> Node:
        """A machine in the network of a router."""
        lan, numbers = self._lans[router.space]
        number = next(numbers)
        space = self._space(f"lan{lan.split('.')[2]}-{number}")
        self._wire(router.space, space, "eth0")
        self._address(space, "eth0", f"{lan}{number}/24")
        self._ip(space, f"route add default via {lan}1")
        return Node(space, f"{lan}{number}")

    def give(self, node: Node, network: str) -> None:
        """All addresses of a network belong to a machine of the backbone."""
        self._ip(self._backbone, f"route add {network} via {node.address}")
        self._ip(node.space, f"route add local {network} dev lo")

    def dead_end(self, node: Node) -> None:
        """One more interface that looks alive and leads nowhere, as that of a sleeping VPN."""
        nowhere = self._space(f"nowhere{next(self._ports)}")
        self._pair(node.space, "tun7", nowhere, "tun7")
        self._address(node.space, "tun7", "10.99.0.2/24")

    def ends(self) -> tuple[str, str]:
        """Names of the two devices of one more wire, for ``host``."""
        number = next(self._ports)
        return f"p{number}", f"q{number}"

    # ---- Breaking ------------------------------------------------------------------

    def narrow(self, router: Node, rate: float, *, queue: float = 0.2) -> None:
        """What leaves a router goes at ``rate`` bit/s at most; ``queue`` seconds of it may wait."""
        run(
            *("tc", "-n", router.space, "qdisc", "replace", "dev", "wan0", "root", "tbf"),
            *("rate", f"{rate:.0f}bit", "burst", str(BURST), "latency", f"{1000 * queue:.0f}ms"),
        )

    def widen(self, router: Node) -> None:
        """As fast as it can, again."""
        run("tc", "-n", router.space, "qdisc", "delete", "dev", "wan0", "root")

    def cut(self, router: Node) -> None:
        """Nothing goes through a router any more, and nobody is told."""
        self._refuse(router, "drop")

    @staticmethod
    def _refuse(router: Node, rules: str) -> None:
        head = "table inet cut {\nchain c {\ntype filter hook forward priority -5\n"
        run(*router.prefix, "nft", "-f", "-", text=f"{head}{rules}\n}}\n}}\n")

    def mend(self, router: Node) -> None:
        """Everything goes through again."""
        run(*router.prefix, "nft", "delete", "table", "inet", "cut")

    def sever(self, router: Node, *addresses: str) -> None:
        """Nothing goes through a router to or from these addresses, and nobody is told."""
        self._refuse_some(router, addresses, "")

    def thin(self, router: Node, *addresses: str, percent: int) -> None:
        """So many of a hundred packets to or from these addresses are lost, at random."""
        self._refuse_some(router, addresses, f"numgen random mod 100 < {percent}")

    def _refuse_some(self, router: Node, addresses: tuple[str, ...], which: str) -> None:
        rules = "\n".join(
            f"{family} {end} {address} {which} drop"
            for address in addresses
            for family in ["ip6" if ":" in address else "ip"]
            for end in ("saddr", "daddr")
        )
        self._refuse(router, rules)

    def move(self, router: Node) -> Node:
        """A router of the backbone gets another public address; what goes on is forgotten."""
        fresh = f"{PUBLIC_4}{next(self._hosts)}"
        self._ip(router.space, f"addr del {router.address}/24 dev wan0")
        self._address(router.space, "wan0", f"{fresh}/24")
        self._ip(router.space, f"route replace default via {PUBLIC_4}1")
        run(*router.prefix, "conntrack", "-F")
        return Node(router.space, fresh)

    def readdress(self, node: Node, router: Node) -> Node:
        """A machine in the network of a router gets another address there."""
        lan, numbers = self._lans[router.space]
        fresh = f"{lan}{next(numbers)}"
        self._ip(node.space, f"addr del {node.address}/24 dev eth0")
        self._address(node.space, "eth0", f"{fresh}/24")
        self._ip(node.space, f"route replace default via {lan}1")
        return Node(node.space, fresh)

    def rebind(self, router: Node) -> int:
        """Every UDP port behind a router gets another one outside; how many there are.

        Each keeps one port for all destinations, as before.
        """
        known = run(*router.prefix, "conntrack", "-L", "-p", "udp")
        lan = self._lans[router.space][0]
        ports = sorted(set(re.findall(rf"src={re.escape(lan)}\d+ dst=\S+ sport=(\d+)", known)))
        moved = zip(ports, self._rng.sample(range(20_000, 60_000), len(ports)), strict=True)
        rules = [f"add rule ip home moved udp sport {a} masquerade to :{b}" for a, b in moved]
        text = "\n".join(["flush chain ip home moved", *rules, ""])
        run(*router.prefix, "nft", "-f", "-", text=text)
        run(*router.prefix, "conntrack", "-F")
        return len(ports)

    def received(self, node: Node) -> int:
        """Packets that came to a machine since it was made."""
        (link,) = json.loads(run("ip", "-n", node.space, "-s", "-j", "link", "show", "eth0"))
        return int(link["stats64"]["rx"]["packets"])

    @property
    def backbone(self) -> Node:
        """Where everything between the networks can be overheard."""
        return Node(self._backbone, f"{PUBLIC_4}1")

    # ---- Pieces --------------------------------------------------------------------

    def _space(self, name: str) -> str:
        space = f"{self._tag}-{name}"
        run("ip", "netns", "add", space)
        self._spaces.append(space)
        self._ip(space, "link set lo up")
        return space

    def _ip(self, space: str, what: str) -> None:
        run("ip", "-n", space, *what.split())

    def _address(self, space: str, interface: str, address: str) -> None:
        more = " nodad" if ":" in address else ""
        self._ip(space, f"addr add {address} dev {interface}{more}")

    def _pair(self, one: str, first: str, two: str, second: str) -> None:
        run(
            *("ip", "link", "add", first, "netns", one, "type", "veth"),
            *("peer", "name", second, "netns", two),
        )
        self._ip(one, f"link set {first} up")
        self._ip(two, f"link set {second} up")

    def _wire(self, hub: str, space: str, interface: str) -> None:
        port = f"p{next(self._ports)}"
        self._pair(hub, port, space, interface)
        self._ip(hub, f"link set {port} master lan0")

    def _lay(self, wire: tuple[str, str], space: str, interface: str) -> None:
        near, far = wire
        self._ip(self._backbone, f"link set {far} netns {space}")
        self._ip(space, f"link set {far} name {interface} up")
        self._ip(self._backbone, f"link set {near} up master lan0")

    def _bridge(self, space: str, *addresses: str) -> None:
        self._ip(space, "link add lan0 type bridge forward_delay 0")
        self._ip(space, "link set lan0 up")
        for address in addresses:
            self._address(space, "lan0", address)

    def _forward(self, space: str) -> None:
        run("ip", "netns", "exec", space, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

"""A home router that maps ports: the real miniupnpd in the namespace of a router.

It serves PCP and NAT-PMP, UPnP, or all of them; what it must not hear of them is dropped
before it. miniupnpd takes no outer address
that is reserved for documentation, so the router gets one more, 11.0.0.N, which
is somebody's in the real internet and leads nowhere out of this world. It is the
address of all that leaves, from another port for each destination.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab.net import Node, World, run
from vc_core.record import record

PATIENCE = 5.0  # seconds until it listens
CHAINS = """
    table inet filter {{
        chain forward {{ type filter hook forward priority -10; jump miniupnpd; }}
        chain prerouting {{ type nat hook prerouting priority -100; jump prerouting_miniupnpd; }}
        chain postrouting {{ type nat hook postrouting priority 90; jump postrouting_miniupnpd; }}
        chain miniupnpd {{ }}
        chain prerouting_miniupnpd {{ }}
        chain postrouting_miniupnpd {{ }}
    }}
    insert rule ip home through ct status dnat accept
    insert rule ip home away oifname "wan0" snat to {outside} fully-random
"""
DEAF = """
    table ip deaf {{
        chain asked {{
            type filter hook input priority -20
            iifname "lan0" udp dport 5351 @th,64,8 {version} counter drop
            iifname "lan0" udp dport 1900 counter drop
        }}
    }}
"""
"""To one version of questions at the port that PCP (2) and NAT-PMP (0) share, and to UPnP."""
RULES = """ext_ifname=wan0
ext_ip={outside}
listening_ip=lan0
enable_natpmp={pcp}
enable_upnp={upnp}
secure_mode=yes
min_lifetime=120
uuid=00000000-0000-0000-0000-000000000001
allow 1024-65535 192.168.0.0/16 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


@record
class Opener:
    """A router with its daemon running."""

    router: Node
    outside: str
    """The address at which mapped ports are reached."""

    def unheard(self) -> list[int]:
        """How many questions were dropped: of the version, and of UPnP."""
        told = run(*self.router.prefix, "nft", "list", "table", "ip", "deaf")
        return [int(count) for count in re.findall(r"packets (\d+)", told)]

    def doors(self) -> int:
        """How many ports are mapped now."""
        chain = ("nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd")
        return run(*self.router.prefix, *chain).count("dnat")


def why_no_opener() -> str | None:
    """Why no such router can be made here; None if it can."""
    return None if shutil.which("miniupnpd") else "miniupnpd is missing"


@contextmanager
def opener(
    world: World, router: Node, *, pcp: bool = True, upnp: bool = True, deaf: int | None = None
) -> Iterator[Opener]:
    """Let a router of ``World.router`` map ports; ``deaf``: to a version and to UPnP (``DEAF``)."""
    outside = f"11.0.0.{router.address.rpartition('.')[2]}"
    run("ip", "-n", router.space, "addr", "add", f"{outside}/32", "dev", "wan0")
    way = ("route", "add", f"{outside}/32", "via", router.address)
    run("ip", "-n", world.backbone.space, *way)
    run(*router.prefix, "nft", "-f", "-", text=CHAINS.format(outside=outside))
    if deaf is not None:
        run(*router.prefix, "nft", "-f", "-", text=DEAF.format(version=deaf))
    words = {True: "yes", False: "no"}
    with TemporaryDirectory() as folder:
        rules, log = Path(folder, "conf"), Path(folder, "log")
        rules.write_text(RULES.format(outside=outside, pcp=words[pcp], upnp=words[upnp]))
        command = ("miniupnpd", "-d", "-f", str(rules), "-P", str(Path(folder, "pid")))
        with log.open("wb") as file:
            daemon = subprocess.Popen([*router.prefix, *command], stdout=file, stderr=file)
        try:
            _await_listening(router, 5351 if pcp else 1900, daemon, log)
            yield Opener(router, outside)
        finally:
            daemon.terminate()
            daemon.wait(PATIENCE)


def _await_listening(router: Node, port: int, daemon: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while f":{port:04X} " not in run(*router.prefix, "cat", "/proc/net/udp", "/proc/net/udp6"):
        if daemon.poll() is not None or time.monotonic() > end:
            raise OSError(f"miniupnpd does not run: {log.read_text('utf-8', 'replace')[-500:]}")
        time.sleep(0.02)

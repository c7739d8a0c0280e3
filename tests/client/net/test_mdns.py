"""zeroconf over loopback: what is announced is heard, and heard to end."""

from __future__ import annotations

import asyncio
import builtins
import sys
from typing import Any

import pytest
import uvloop
import zeroconf.asyncio
from zeroconf import ServiceStateChange

from client.net import mdns
from client.net.mdns import MAX_SERVICES, SERVICE, MulticastError, Service, announce, browsing

LOOPBACK = ("127.0.0.1",)
TEXT: dict[bytes, bytes | None] = {b"v": b"1", b"tag": b"00ff"}


def service(name: str, *addresses: str) -> Service:
    return Service(name, addresses or LOOPBACK, 4821, TEXT)


async def hear(name: str, heard: asyncio.Queue[Service]) -> Service:
    """The service of that name; others may be announced on this machine."""
    async with asyncio.timeout(5):
        while (one := await heard.get()).name != name:
            pass
    return one


async def meet(name: str) -> Service:
    """Announce and hear it."""
    announcement = await announce(service(name), LOOPBACK)
    try:
        async with browsing(LOOPBACK) as heard:
            return await hear(name, heard)
    finally:
        await announcement.end()


async def test_what_is_announced_is_heard() -> None:
    assert await meet("00aa") == service("00aa")


def test_the_same_in_uvloop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(meet("00bb")) == service("00bb")


async def test_the_end_is_announced_and_nothing_stays_open() -> None:
    tasks = asyncio.all_tasks()
    announcement = await announce(service("00cc"), LOOPBACK)
    changes: asyncio.Queue[tuple[str, ServiceStateChange]] = asyncio.Queue()

    def changed(*, name: str, state_change: ServiceStateChange, **_: Any) -> None:
        if name.startswith("00cc."):
            changes.put_nowait((name, state_change))

    ears = zeroconf.asyncio.AsyncZeroconf(interfaces=list(LOOPBACK))
    browser = zeroconf.asyncio.AsyncServiceBrowser(ears.zeroconf, SERVICE, handlers=[changed])
    async with asyncio.timeout(5):
        assert (await changes.get())[1] is ServiceStateChange.Added
        begun = asyncio.get_running_loop().time()
        await announcement.end()
        assert asyncio.get_running_loop().time() - begun < 0.5
        while (await changes.get())[1] is not ServiceStateChange.Removed:
            pass
    await browser.async_cancel()
    await ears.async_close()
    assert asyncio.all_tasks() == tasks


async def test_a_library_that_does_not_begin_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[object] = []
    close = zeroconf.asyncio.AsyncZeroconf.async_close

    async def never(_: object, **_more: object) -> None:
        raise zeroconf.NotRunningException

    async def noted(one: zeroconf.asyncio.AsyncZeroconf) -> None:
        closed.append(one)
        await close(one)

    monkeypatch.setattr(zeroconf.Zeroconf, "async_wait_for_start", never)
    monkeypatch.setattr(zeroconf.asyncio.AsyncZeroconf, "async_close", noted)
    with pytest.raises(MulticastError):
        await announce(service("00ee"), LOOPBACK)
    assert len(closed) == 1


async def test_a_network_that_we_are_not_in_cannot_be_spoken_to() -> None:
    with pytest.raises(MulticastError, match="impossible here"):
        await announce(service("00dd"), ["192.0.2.77"])
    with pytest.raises(MulticastError, match="impossible here"):
        async with browsing(["192.0.2.77"]):
            pass


async def test_without_zeroconf_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "zeroconf"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *more: Any, **others: Any) -> Any:
        if name.partition(".")[0] == "zeroconf":
            raise ImportError(name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MulticastError, match="not installed"):
        await announce(service("00ee"), LOOPBACK)


async def test_a_flood_of_names_is_looked_at_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class Silent:
        def __init__(self, _service: str, name: str) -> None:
            asked.append(name)

        async def async_request(self, *_: Any) -> bool:
            return False

    monkeypatch.setattr(zeroconf.asyncio, "AsyncServiceInfo", Silent)
    heard = mdns._Heard(zeroconf=Dummy())  # type: ignore[arg-type]
    for number in range(100):
        heard.changed(name=f"{number}.{SERVICE}")
        heard.changed(name=f"{number}.{SERVICE}")
    await asyncio.sleep(0.01)
    assert asked == [f"{number}.{SERVICE}" for number in range(MAX_SERVICES)]


class Dummy:
    """A zeroconf that is not asked anything."""

    zeroconf = None


@pytest.mark.parametrize("name", ["", "no dot", "x." * 200 + SERVICE, f"\0\x1b.{SERVICE}", SERVICE])
async def test_a_name_that_is_none_is_ignored(name: str) -> None:
    ears = zeroconf.asyncio.AsyncZeroconf(interfaces=list(LOOPBACK))
    one = mdns._Heard(ears)
    one.changed(name=name)
    await asyncio.sleep(0.05)
    one.close()
    await ears.async_close()
    assert one.services.empty()

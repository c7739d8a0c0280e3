"""PCP as a tongue, and NAT-PMP where the router knows only that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

from client.net.portmap import natpmp, pcp
from client.net.portmap.mapping import LIFETIME, Granted, NotMappedError, Wanted, granted
from client.net.portmap.routes import Neighbourhood
from client.net.portmap.talk import UdpTalk

# Implementation
GRACE: Final = 0.1  # seconds that PCP gets after NAT-PMP has answered

T = TypeVar("T")


class Pcp:
    """PCP and NAT-PMP. ``on_forgot`` is called when the router has lost its mappings."""

    def __init__(self, near: Neighbourhood, on_forgot: Callable[[], None]) -> None:
        self._near = near
        self._on_forgot = on_forgot
        self._epoch = pcp.Epoch()
        self._talk: UdpTalk | None = None
        self._version = pcp.VERSION

    @property
    def name(self) -> str:
        """The newer of the two that the router speaks."""
        return "PCP" if self._version == pcp.VERSION else "NAT-PMP"

    async def find(self) -> bool:
        """Ask in both versions at once."""
        if self._talk is None:
            near = self._near
            self._talk = await UdpTalk.open(near.host, near.gateway, near.pcp_port)
        questions = [asyncio.create_task(self._announced())]
        if ":" not in self._near.host:
            questions.append(asyncio.create_task(self._old(self._talk)))
        try:
            for question in asyncio.as_completed(questions):
                version = await question
                if version is not None:
                    self._version = version
                    return True
        finally:
            for task in questions:
                task.cancel()
            await asyncio.wait(questions)
        return False

    async def map(self, wanted: Wanted) -> Granted:
        """In the version that was found."""
        if self._version == natpmp.VERSION:
            return await self._map_old(wanted)
        answer, grant = await self._say(
            pcp.write_map(wanted, LIFETIME), lambda data: pcp.read_map(data, wanted)
        )
        self._heard(answer.epoch)
        if grant is None:
            raise NotMappedError(f"the router refuses with PCP result {answer.result}")
        return grant

    async def unmap(self, wanted: Wanted) -> None:
        """In the version that was found."""
        if self._version == natpmp.VERSION:
            await self._say(natpmp.write_map(wanted, 0), lambda data: natpmp.read_map(data, wanted))
        else:
            await self._say(pcp.write_map(wanted, 0), lambda data: pcp.read_map(data, wanted))

    def close(self) -> None:
        """Give back the socket."""
        if self._talk is not None:
            self._talk.close()

    async def _announced(self) -> int | None:
        """The version that the router speaks, if it answers a question of PCP."""

        def accept(data: bytes) -> tuple[int, int] | None:
            if data[:1] == bytes([natpmp.VERSION]):  # it knows no PCP, and says so
                old = natpmp.read_answer(data)
                return (1, 0) if old.result == natpmp.UNSUPPORTED_VERSION else None
            answer = pcp.read_answer(data)
            return (answer.result, answer.epoch) if answer.opcode == pcp.Opcode.ANNOUNCE else None

        try:
            result, epoch = await self._say(pcp.write_announce(self._near.host), accept)
        except NotMappedError:
            return None
        if result != pcp.Result.SUCCESS:
            return None
        self._heard(epoch)
        return pcp.VERSION

    async def _old(self, talk: UdpTalk) -> int | None:
        try:
            answer, host = await talk.ask(natpmp.write_address(), natpmp.read_address)
        except NotMappedError:
            return None
        if host is None:
            return None
        await asyncio.sleep(GRACE)
        self._heard(answer.epoch)
        return natpmp.VERSION

    async def _map_old(self, wanted: Wanted) -> Granted:
        answer, host = await self._say(natpmp.write_address(), natpmp.read_address)
        if host is None:
            raise NotMappedError(f"the router refuses with NAT-PMP result {answer.result}")
        answer, given = await self._say(
            natpmp.write_map(wanted, LIFETIME), lambda data: natpmp.read_map(data, wanted)
        )
        self._heard(answer.epoch)
        if given is None:
            raise NotMappedError(f"the router refuses with NAT-PMP result {answer.result}")
        return granted(host, *given)

    async def _say(self, question: bytes, accept: Callable[[bytes], T | None]) -> T:
        if self._talk is None:
            raise NotMappedError("the router was not found")
        return await self._talk.ask(question, accept)

    def _heard(self, epoch: int) -> None:
        if self._epoch.forgot(epoch, time.monotonic()):
            self._on_forgot()

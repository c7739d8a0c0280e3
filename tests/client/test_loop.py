"""The event loop's timers."""

from __future__ import annotations

import asyncio
import math
import random
import socket
import subprocess
import sys
import time

import pytest

from client.loop import run, run_from_thread, whole_ms


def test_a_timer_comes_with_the_first_millisecond_that_is_not_too_early() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        now, delay = rng.uniform(0, 1e6), rng.choice([0.0, rng.uniform(0, 0.003), 0.02])
        comes = math.floor(now * 1000) + whole_ms(delay, now)
        assert -0.01 < comes - (now + delay) * 1000 < 1.0


def test_beats_on_whole_milliseconds_need_no_second_try() -> None:
    for beat in range(1, 5000):
        due = beat * 0.02
        now = due - 0.0193
        assert math.floor(now * 1000) + whole_ms(due - now, now) == beat * 20


def test_whoever_waits_for_the_rest_is_called_once() -> None:
    async def calls_until(due: float) -> int:
        loop, count, done = asyncio.get_running_loop(), 0, asyncio.Event()

        def ring() -> None:
            nonlocal count
            count += 1
            left = due - time.monotonic()
            if left > 0:
                loop.call_later(left, ring)
            else:
                done.set()

        loop.call_later(due - time.monotonic(), ring)
        await done.wait()
        return count

    async def main() -> list[int]:
        return [await calls_until(time.monotonic() + 0.0024) for _ in range(20)]

    assert run(main()) == [1] * 20


async def test_a_thread_gets_what_runs_in_the_loop_and_its_errors() -> None:
    loop = asyncio.get_running_loop()

    async def fail() -> None:
        raise ValueError("so it is")

    assert (
        await asyncio.to_thread(run_from_thread, lambda: asyncio.sleep(0, "done"), loop) == "done"
    )
    with pytest.raises(ValueError, match="so it is"):
        await asyncio.to_thread(run_from_thread, fail, loop)


def test_for_a_loop_that_has_ended_nothing_is_made() -> None:
    loop, made = asyncio.new_event_loop(), False

    async def make() -> None:
        nonlocal made
        made = True

    loop.close()
    with pytest.raises(RuntimeError):
        run_from_thread(make, loop)
    assert not made


class Peer(asyncio.DatagramProtocol):
    """Remembers whether its socket is open."""

    opened = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.opened = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.opened = False


@pytest.mark.parametrize("turns", range(5))
def test_who_stops_opening_a_socket_leaves_none(turns: int) -> None:
    async def main() -> bool:
        peer = Peer()
        loop = asyncio.get_running_loop()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        opening = asyncio.ensure_future(loop.create_datagram_endpoint(lambda: peer, sock=udp))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait([opening])
        if not opening.cancelled():  # it was open already
            opening.result()[0].close()
        await asyncio.sleep(0.01)
        return peer.opened

    assert not run(main())


@pytest.mark.parametrize(("busy", "hang"), [(0.05, False), (30.0, True)])
def test_a_thread_that_hangs_is_waited_for_a_moment_and_not_for_ever(
    busy: float, hang: bool
) -> None:
    program = (
        "import asyncio, os, sys, time\n"
        "from client.loop import Hands, run\n"
        "async def main():\n"
        f"    asyncio.get_running_loop().run_in_executor(None, time.sleep, {busy})\n"
        "hands = Hands()\n"
        "run(main(), hands)\n"
        "print(hands.hang, flush=True)\n"
        "os._exit(7) if hands.hang else sys.exit(7)\n"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (7, f"{hang}\n".encode())
    assert time.monotonic() - begun < 10.0

"""Figures of a running call, as the ``stats`` event has them."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

from client.room import Room
from vc_core.ids import member_word


def resident_mb() -> float:
    """Memory of this process in MB (the highest so far where nothing better is told)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


class Stats:
    """Everything since the last report."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._at = time.monotonic()
        self._cpu = time.process_time()
        self._bytes: dict[int, tuple[int, int]] = {}
        self._spread = 0

    def take(self) -> dict[str, Any]:
        """``members``, ``streams`` and ``process``."""
        now, cpu = time.monotonic(), time.process_time()
        span = max(now - self._at, 1e-3)
        members = self._members(span)
        _, spread = self._room.traffic(None)
        alone = sum(one["bitrate_out"] for one in members.values())
        process = {
            "cpu": round((cpu - self._cpu) / span, 4),
            "rss_mb": round(resident_mb(), 1),
            "bitrate_in": sum(one["bitrate_in"] for one in members.values()),
            "bitrate_out": alone + round((spread - self._spread) * 8 / span),
        }
        self._at, self._cpu, self._spread = now, cpu, spread
        return {"members": members, "streams": self._room.pictures.stats(), "process": process}

    def _members(self, span: float) -> dict[str, Any]:
        voices = self._room.sound.stats()
        found = {}
        for number, peer in self._room.session.room.peers.items():
            link = peer.link
            path = link.paths.get(link.used) if link is not None and link.used else None
            voice = voices.get(number)
            road = self._room.traffic(number)
            before = self._bytes.get(number, (0, 0))
            received, sent = (max(0, n - b) for n, b in zip(road, before, strict=True))
            self._bytes[number] = road
            found[member_word(number)] = {
                "rung": peer.ladder.rung,
                "rtt_ms": round(path.rtt * 1000, 2) if path and path.rtt is not None else None,
                "loss_in": round(voice.loss, 4) if voice else 0.0,
                "jitter_ms": round(voice.jitter_ms, 2) if voice else 0.0,
                "playout_ms": round(voice.playout_ms, 2) if voice else 0.0,
                "concealed": round(voice.concealed, 4) if voice else 0.0,
                "repaired": round(voice.repaired, 4) if voice else 0.0,
                "bitrate_in": round(received * 8 / span),
                "bitrate_out": round(sent * 8 / span),
            }
        return found

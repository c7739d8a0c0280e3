"""Events as the engine tells them, for the tests of faces."""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]

READY: Event = {
    "event": "ready",
    "t": 0.1,
    "schema": 1,
    "version": "0",
    "name": "ann",
    "identity": "aa" * 8,
}
ROOM: Event = {
    "event": "room",
    "t": 0.2,
    "room": "ff",
    "member": "m0",
    "name": "ann",
    "role": "host",
    "signal": "ws://127.0.0.1:1",
    "code": "4821-apple-robot-candle@127.0.0.1:1",
    "link": "vchat:AQAENjgxMb",
    "guests_left": 8,
    "expires_in": 600,
}
GUEST_ROOM: Event = {**ROOM, "member": "m1", "name": "bob", "role": "guest", "code": None}


def joined(member: str = "m1", name: str = "bob", **more: Any) -> Event:
    """Somebody comes."""
    identity = f"key of {name}"
    told = {"event": "member-joined", "member": member, "name": name, "identity": identity}
    return {**told, "known": "new", "host": False, **more}


def left(member: str = "m1", name: str = "bob", reason: str = "left") -> Event:
    """Somebody goes."""
    return {"event": "member-left", "member": member, "name": name, "reason": reason}


def path(member: str = "m1", rung: str = "direct", rtt_ms: float | None = 12.4) -> Event:
    """A road is found or lost."""
    told = {"event": "path", "member": member, "rung": rung, "transport": "udp"}
    rungs = {one: f"{one}: because" for one in ("direct", "hosted", "relayed")}
    return {**told, "rtt_ms": rtt_ms, "reason": rungs["direct"], "rungs": rungs}


def chat(text: str, member: str = "m1", name: str = "bob", *, private: bool = False) -> Event:
    """A text of somebody."""
    told = {"event": "chat", "member": member, "name": name, "id": "00"}
    return {**told, "text": text, "private": private}


def on(event: str, on: bool, member: str = "m1") -> Event:
    """``talking``, ``muted``, ``locked``, ``deafened``."""
    return {"event": event, "member": member, "on": on}


def problem(kind: str, message: str, hint: str = "", code: str = "some-code") -> Event:
    """``warning`` or ``error``."""
    return {"event": kind, "code": code, "message": message, "hint": hint}


def ended(reason: str = "left", exit: int = 0) -> Event:
    """The end."""
    return {"event": "ended", "reason": reason, "exit": exit}

"""Vectors of media packets, stream records and the replay window."""

from __future__ import annotations

from typing import Any

from tests.vectors.seeded import flipped, seeded
from vc_core.packet import Kid, MediaKey, media_key, seal_media
from vc_core.replay import MAX_AHEAD, WINDOW_SIZE, Window
from vc_core.streams import MAX_RECORD, StreamSealer

KIDS = (Kid(1, 0, 0), Kid(7, 3, 1), Kid(2**32 - 1, 2**16 - 1, 2**16 - 1))
COUNTERS = (0, 7, 8, 255, 256, 2**48 - 1)


def packets() -> dict[str, Any]:
    """Keys of three KIDs, packets under them, and packets that must not open."""
    rng = seeded("packet")
    sender_key, room, roster = rng(32), rng(32), rng(32)
    inputs = {"sender_key": sender_key.hex(), "room": room.hex(), "roster": roster.hex()}
    good = []
    for kid in KIDS:
        key = media_key(sender_key, room, kid, roster)
        for ctr in COUNTERS:
            payload = rng(85 if ctr else 0)
            good.append(
                {"name": f"kid {kid.number:016x} ctr {ctr}", **_kid(kid), **_derived(key, ctr)}
                | {"kind": ctr % 251, "timestamp": 960 * (ctr % 99), "payload": payload.hex()}
                | {"datagram": seal_media(key, ctr, ctr % 251, 960 * (ctr % 99), payload).hex()}
            )
    key = media_key(sender_key, room, KIDS[1], roster)
    return {"inputs": inputs, "good": good, "bad": _bad_packets(key, rng(32).hex())}


def _kid(kid: Kid) -> dict[str, int]:
    return {"generation": kid.generation, "member": kid.member, "stream": kid.stream}


def _derived(key: MediaKey, ctr: int) -> dict[str, Any]:
    aad, nonce = key.bound(ctr)
    return {
        "key": key.key.hex(),
        "salt": key.salt.to_bytes(24, "big").hex(),
        "route": key.route.hex(),
        "ctr": ctr,
        "nonce": nonce.hex(),
        "aad": aad.hex(),
    }


def _bad_packets(key: MediaKey, other: str) -> list[dict[str, Any]]:
    def one(ctr: int) -> bytes:
        return seal_media(key, ctr, 1, 960 * ctr, b"voice" * 17)

    first, second = one(5), one(6)
    header = first[:9]
    cases: list[tuple[str, bytes, dict[str, Any], str]] = [
        ("tag flipped", flipped(first, -1), {}, "wrong tag"),
        ("ciphertext flipped", flipped(first, 20), {}, "wrong tag"),
        ("counter of another packet", header + second[9:15] + first[15:], {}, "wrong tag"),
        ("one byte short", first[:-1], {}, "wrong tag"),
        ("one byte more", first + b"\0", {}, "wrong tag"),
        ("shorter than an empty packet", first[:35], {}, "35 bytes"),
        ("longer than a datagram", first.ljust(1201, b"\0"), {}, "1201 bytes"),
        ("first byte of a later layout", b"\x81" + first[1:], {}, "begins with 129"),
        ("first byte of quic", b"\x40" + first[1:], {}, "begins with 64"),
        ("other room", first, {"room": other}, "wrong tag"),
        ("other roster", first, {"roster": other}, "wrong tag"),
        ("other sender key", first, {"sender_key": other}, "wrong tag"),
        ("other generation", first, {"generation": key.kid.generation + 1}, "wrong tag"),
        ("other member", first, {"member": key.kid.member + 1}, "wrong tag"),
        ("other stream", first, {"stream": key.kid.stream + 1}, "wrong tag"),
        ("replayed", first, {"before": [first.hex()]}, "seen"),
        ("replayed after others", first, {"before": [first.hex(), second.hex()]}, "seen"),
        ("too old", first, {"before": [one(5 + WINDOW_SIZE).hex()]}, "too old"),
        ("too far ahead", one(6 + MAX_AHEAD), {"before": [first.hex()]}, "far ahead"),
    ]
    return [
        {"name": name, "before": [], **_kid(key.kid), **changed}
        | {"datagram": datagram.hex(), "error": error}
        for name, datagram, changed, error in cases
    ]


def streams() -> dict[str, Any]:
    """Records of one direction of one stream, and streams that must end the conversation."""
    rng = seeded("streams")
    split_key, stream = rng(32), 4
    sealer = StreamSealer(split_key, stream)
    bodies = [b"", b"hello", rng(300)]
    records = [sealer.seal(body, last=body == bodies[-1]) for body in bodies]
    good = [
        {"name": f"record {n}", "body": body.hex(), "last": body == bodies[-1]}
        | {"record": record.hex()}
        for n, (body, record) in enumerate(zip(bodies, records, strict=True))
    ]
    first, second, third = records
    other = StreamSealer(split_key, stream + 4).seal(b"")
    other_way = StreamSealer(rng(32), stream).seal(b"")
    shorter = bytes([second[0], second[1] - 1]) + second[2:-1]
    cases = [
        ("tag flipped", flipped(first, -1), "wrong tag"),
        ("length one less", first + shorter, "wrong tag"),
        ("records swapped", second + first, "wrong tag"),
        ("record repeated", first + first, "wrong tag"),
        ("record left out", first + third, "wrong tag"),
        ("record of another stream", other, "wrong tag"),
        ("record of the other direction", other_way, "wrong tag"),
        ("shorter than a tag", b"\0\x10", "16 bytes"),
        ("empty record", b"\0\0", "0 bytes"),
        ("longer than a record", (MAX_RECORD + 1).to_bytes(2, "big"), "65018 bytes"),
        ("bytes after the last record", first + second + third + b"\0", "after the last"),
        ("cut off before the last record", first + second, "cut off"),
        ("cut off inside a record", first + second + third[:-1], "cut off"),
    ]
    bad = [{"name": n, "data": data.hex(), "error": error} for n, data, error in cases]
    return {"split_key": split_key.hex(), "stream": stream, "good": good, "bad": bad}


def windows() -> list[dict[str, Any]]:
    """Sequences of counters with the answer to each."""
    cases = {
        "in order": [0, 1, 2, 3],
        "begins anywhere": [900_000, 899_999, 900_000],
        "each once": [5, 5, 4, 4, 6, 6, 5],
        "edge of the window": [2000, 2000 - WINDOW_SIZE + 1, 2000 - WINDOW_SIZE],
        "edge of what may be ahead": [10, 11 + MAX_AHEAD, 10 + MAX_AHEAD, 10],
        "a step as long as the window": [0, WINDOW_SIZE, 1, 0, WINDOW_SIZE],
        "late ones fill gaps": [10, 20, 15, 15, 11, 19, 20],
    }
    return [{"name": name, "steps": _walk(counters)} for name, counters in cases.items()]


def _walk(counters: list[int]) -> list[list[Any]]:
    window, steps = Window(), []
    for ctr in counters:
        new = window.check(ctr)
        if new:
            window.advance(ctr)
        steps.append([ctr, new])
    return steps

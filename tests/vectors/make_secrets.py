"""Vectors of sealed boxes, CPace with its tags, and our two Noise handshakes."""

from __future__ import annotations

from typing import Any

from tests.vectors.seeded import flipped, seeded
from vc_core.ids import Rng
from vc_core.keys import KeyPair
from vc_core.noise import Handshake
from vc_core.pake import Exchange, lv_cat
from vc_core.seal import seal_box

Side = dict[str, Any]


def boxes() -> dict[str, Any]:
    """One sealed box, and what must not open."""
    rng = seeded("seal")
    key, ad, plain = rng(32), b"vchat-1 test", rng(50)
    box = seal_box(key, plain, ad, rng)
    cases = [
        ("tag flipped", key, ad, flipped(box, -1)),
        ("nonce flipped", key, ad, flipped(box, 0)),
        ("ciphertext flipped", key, ad, flipped(box, 30)),
        ("another key", flipped(key, 0), ad, box),
        ("another context", key, ad + b"!", box),
        ("truncated", key, ad, box[:-1]),
        ("shorter than nonce and tag", key, ad, box[:39]),
    ]
    return {
        "good": {"key": key.hex(), "ad": ad.hex(), "plain": plain.hex(), "box": box.hex()},
        "bad": [
            {"name": name, "key": k.hex(), "ad": a.hex(), "box": b.hex()} for name, k, a, b in cases
        ],
    }


def exchanges() -> dict[str, Any]:
    """One exchange with both tags, and messages that must stop it."""
    rng = seeded("pake")
    prs, sid = b"apple-raven-candle", rng(32)
    ci = lv_cat(b"vchat-1", b"spoken", b"4821")
    scalars = {"a": rng(32), "b": rng(32)}
    ads = {"a": b"joiner and more", "b": b"host and more"}

    def side(who: str, password: bytes = prs) -> Exchange:
        return Exchange(
            password, ci, sid, ads[who], initiator=who == "a", rng=lambda size: scalars[who]
        )

    a, b, wrong = side("a"), side("b"), side("b", b"apple-raven-camel")
    isk = a.finish(b.share, ads["b"])
    b.finish(a.share, ads["a"])
    wrong.finish(a.share, ads["a"])
    good = {"prs": prs.hex(), "ci": ci.hex(), "sid": sid.hex()}
    good |= {f"scalar_{who}": scalars[who].hex() for who in "ab"}
    good |= {f"ad_{who}": ads[who].hex() for who in "ab"}
    good |= {"share_a": a.share.hex(), "share_b": b.share.hex(), "isk": isk.hex()}
    good |= {"tag_a": a.own_tag.hex(), "tag_b": b.own_tag.hex()}
    cases = [
        ("neutral element", bytes(32), ads["b"], b.own_tag, "public key"),
        ("point of order two", b"\1" + bytes(31), ads["b"], b.own_tag, "public key"),
        ("share one byte short", b.share[:-1], ads["b"], b.own_tag, "wrong length"),
        ("own message reflected", a.share, ads["a"], b.own_tag, "came back"),
        ("other associated data", b.share, ads["b"] + b"!", b.own_tag, "does not fit"),
        ("share flipped", flipped(b.share, 3), ads["b"], b.own_tag, "does not fit"),
        ("tag flipped", b.share, ads["b"], flipped(b.own_tag, 0), "does not fit"),
        ("tag truncated", b.share, ads["b"], b.own_tag[:-1], "does not fit"),
        ("own tag reflected", b.share, ads["b"], a.own_tag, "does not fit"),
        ("other password", wrong.share, ads["b"], wrong.own_tag, "does not fit"),
    ]
    return {
        "good": good,
        "bad": [
            {"name": name, "share": share.hex(), "ad": ad.hex(), "tag": tag.hex(), "error": error}
            for name, share, ad, tag, error in cases
        ],
    }


def handshakes() -> dict[str, Any]:
    """XXpsk3 and KKpsk2 with BLAKE2s, and messages that must not be taken."""
    rng = seeded("noise")
    good = [_handshake(pattern, _sides(pattern, rng), rng) for pattern in ("XXpsk3", "KKpsk2")]
    return {"good": good, "bad": [case for one in good for case in _bad(one, rng(32).hex())]}


def _sides(pattern: str, rng: Rng) -> dict[str, Side]:
    prologue, psk = rng(20).hex(), rng(32).hex()
    pairs = {who: KeyPair.generate(rng) for who in ("initiator", "responder")}
    known = pattern.startswith("KK")
    other = {"initiator": "responder", "responder": "initiator"}
    return {
        who: {
            "prologue": prologue,
            "psk": psk,
            "ephemeral": rng(32).hex(),
            "static": pairs[who].secret.hex(),
            "remote_static": pairs[other[who]].public.hex() if known else None,
        }
        for who in pairs
    }


def build(pattern: str, who: str, side: Side) -> Handshake:
    """The side of a vector as a handshake."""
    remote = side["remote_static"]
    return Handshake(
        pattern,
        initiator=who == "initiator",
        prologue=bytes.fromhex(side["prologue"]),
        ephemeral=KeyPair.from_secret(bytes.fromhex(side["ephemeral"])),
        static=KeyPair.from_secret(bytes.fromhex(side["static"])),
        remote_static=bytes.fromhex(remote) if remote else None,
        psk=bytes.fromhex(side["psk"]),
    )


def _handshake(pattern: str, sides: dict[str, Side], rng: Rng) -> dict[str, Any]:
    here, there = (build(pattern, who, sides[who]) for who in ("initiator", "responder"))
    first, messages = here, []
    while not first.finished:
        payload = rng(10)
        message = here.write_message(payload)
        there.read_message(message)
        hashed = here.payload_hash.hex()
        messages.append(
            {"payload": payload.hex(), "payload_hash": hashed, "message": message.hex()}
        )
        here, there = there, here
    send, receive = first.split()
    return {"name": f"Noise_{pattern}_25519_ChaChaPoly_BLAKE2s", "pattern": pattern, **sides} | {
        "messages": messages,
        "handshake_hash": first.handshake_hash.hex(),
        "initiator_sends": send.hex(),
        "responder_sends": receive.hex(),
    }


def _bad(good: dict[str, Any], other: str) -> list[dict[str, Any]]:
    """The last message spoilt in one way each; ``reader`` is who must refuse it."""
    last = len(good["messages"]) - 1
    reader = "responder" if last % 2 == 0 else "initiator"
    message = bytes.fromhex(good["messages"][last]["message"])
    opening = bytes.fromhex(good["messages"][0]["message"])
    cases: list[tuple[str, str, int, bytes, Side, str]] = [
        ("other psk", reader, last, message, {"psk": other}, "wrong tag"),
        ("tag flipped", reader, last, flipped(message, -1), {}, "wrong tag"),
        ("first byte flipped", reader, last, flipped(message, 0), {}, "wrong tag"),
        ("cut inside the keys", reader, last, message[:20], {}, "too early"),
        ("cut inside the tag", reader, last, message[:-1], {}, "wrong tag"),
        ("another handshake's message", reader, last, message, {"ephemeral": other}, "wrong tag"),
        ("other prologue", "responder", 0, opening, {"prologue": other}, "wrong tag"),
        ("opening cut", "responder", 0, opening[:31], {}, "too early"),
    ]
    if good["pattern"] == "KKpsk2":
        low = bytes(32) + opening[32:]
        cases += [
            ("neutral element", "responder", 0, low, {}, "public key"),
            ("other static key", "responder", 0, opening, {"static": other}, "wrong tag"),
        ]
    return [
        {"name": f"{good['pattern']} {name}", "pattern": good["pattern"], "reader": who, "at": at}
        | {who: {**good[who], **change}, "message": bad.hex(), "error": error}
        for name, who, at, bad, change, error in cases
    ]

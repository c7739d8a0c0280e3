"""Vectors of what people read and say: invitations, room codes, safety numbers."""

from __future__ import annotations

import base64
from typing import Any

from tests.vectors.seeded import flipped, seeded
from vc_core.invite import Invitation, make_link, make_spoken, write_invitation
from vc_core.keys import Identity, digest, hkdf, mac16, safety_number
from vc_core.wordlist import room_code_words

SAMPLE = "4821-apple-raven-candle"


def invitations() -> dict[str, Any]:
    """Codes and links with their meaning, forgiven spellings, and what is refused."""
    rng = seeded("invite")
    fingerprint = Identity.generate(rng).public.fingerprint
    server, relay = "wss://signal.example:443", "relay.example:3478"
    made = [
        ("spoken", make_spoken(rng, "4821")),
        ("spoken with four words", make_spoken(rng, "4821", words=4)),
        ("spoken with a longer nameplate", make_spoken(rng, "482155")),
        ("spoken with a server", make_spoken(rng, "4821", "192.168.1.5:8765")),
        ("spoken with an IPv6 server", make_spoken(rng, "4821", "[::1]:9000")),
        ("spoken with a TLS server", make_spoken(rng, "4821", server)),
        ("link", make_link(rng, "4821", fingerprint)),
        ("link with server and relay", make_link(rng, "4821", fingerprint, (server,), (relay,))),
    ]
    link = write_invitation(made[-1][1])
    return {
        "good": [_meaning(name, write_invitation(one), one) for name, one in made],
        "forgiven": _forgiven(),
        "bad": _refused(link),
    }


def _meaning(name: str, text: str, one: Invitation) -> dict[str, Any]:
    return {
        "name": name,
        "text": text,
        "kind": one.kind.value,
        "nameplate": one.nameplate,
        "password": one.password.hex(),
        "servers": list(one.servers),
        "relays": list(one.relays),
        "fingerprint": one.fingerprint,
    }


def _forgiven() -> list[dict[str, str]]:
    cases = {
        "capitals": "4821-Apple-RAVEN-candle",
        "spaces": "  4821 apple raven  candle\n",
        "a dash of a word processor": "4821–apple—raven−candle",
        "underscores and dots": "4821_apple.raven_candle",
        "wide spaces": "4821\u00a0apple\u2003raven\u3000candle",
    }
    return [{"name": name, "text": text, "means": SAMPLE} for name, text in cases.items()]


def _refused(link: str) -> list[dict[str, str]]:
    scheme, letters = link[:6], link[6:]
    raw = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))

    def again(data: bytes) -> str:
        return scheme + base64.urlsafe_b64encode(data).decode().rstrip("=")

    def checked(body: bytes) -> str:
        return again(body + digest("vchat-1 link", body)[:4])

    cases = [
        ("nothing", "  ", "EMPTY"),
        ("far too long", "4821" + "-apple" * 2000, "TOO_LONG"),
        ("no nameplate", "apple-raven-candle", "NO_NAMEPLATE"),
        ("a nameplate of three digits", "482-apple-raven-candle", "NO_NAMEPLATE"),
        ("a nameplate of seventeen digits", "1" * 17 + "-apple-raven-candle", "NO_NAMEPLATE"),
        ("digits of another script", "٤٨٢١-apple-raven-candle", "NO_NAMEPLATE"),
        ("no words", "4821", "TOO_FEW_WORDS"),
        ("two words", "4821-apple-raven", "TOO_FEW_WORDS"),
        ("nine words", "4821" + "-apple" * 9, "TOO_MANY_WORDS"),
        ("a misspelt word", "4821-aple-raven-candle", "UNKNOWN_WORD"),
        ("a letter from another alphabet", "4821-аpple-raven-candle", "UNKNOWN_WORD"),
        ("an empty server", SAMPLE + "@", "BAD_SERVER"),
        ("a port beyond all ports", SAMPLE + "@host:65536", "BAD_SERVER"),
        ("port zero", SAMPLE + "@host:0", "BAD_SERVER"),
        ("a bracket that stays open", SAMPLE + "@[::1:8765", "BAD_SERVER"),
        ("a server of another scheme", SAMPLE + "@http://host:80", "BAD_SERVER"),
        ("two servers", SAMPLE + "@one:1@two:2", "BAD_SERVER"),
        ("an empty link", scheme, "DAMAGED_LINK"),
        ("a link one letter short", link[:-1], "DAMAGED_LINK"),
        ("a link with a changed bit", again(flipped(raw, 9)), "DAMAGED_LINK"),
        ("a link with a strange letter", link[:20] + "*" + link[21:], "DAMAGED_LINK"),
        ("a link with bytes after its end", checked(raw[:-4] + b"\0"), "DAMAGED_LINK"),
        ("a link of a newer version", checked(b"\2" + raw[1:-4]), "NEWER_LINK"),
    ]
    return [{"name": name, "text": text, "flaw": flaw} for name, text, flaw in cases]


def room_codes() -> list[dict[str, Any]]:
    """Digests and the four words that people compare."""
    rng = seeded("room code")
    digests = [b"\0" * 32, b"\xff" * 32, *(rng(32) for _ in range(3))]
    return [{"digest": one.hex(), "words": list(room_code_words(one))} for one in digests]


def keys() -> dict[str, Any]:
    """Our hash, key and signature constructions, and identities with their numbers."""
    rng = seeded("keys")
    secret, data, mac_key = rng(32), rng(40), rng(32)
    people = [Identity.generate(rng) for _ in range(2)]
    return {
        "digest": {"label": "vchat-1 test", "part": data.hex()}
        | {"out": digest("vchat-1 test", data).hex()},
        "hkdf": {"secret": secret.hex(), "label": "vchat-1 test", "context": data.hex()}
        | {"out": hkdf(secret, "vchat-1 test", data, length=100).hex()},
        "mac16": {"key": mac_key.hex(), "data": data.hex(), "out": mac16(mac_key, data).hex()},
        "identities": [
            {"seed": who.seed.hex(), "dh_secret": who.dh_secret.hex()}
            | {"sign": who.public.sign.hex(), "dh": who.public.dh.hex()}
            | {"cross": who.public.cross.hex(), "fingerprint": who.public.fingerprint}
            for who in people
        ],
        "safety_number": safety_number(people[0].public, people[1].public),
    }

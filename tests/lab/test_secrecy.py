"""What a listener on the wire and a look into the signaling server's memory show of a call."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.engines import EngineProcess, Program
from tests.lab.meeting import Scene, scene, until_heard
from tests.lab.net import Nat
from tests.lab.tap import frames, udp_payload
from vc_core.invite import SECRET_SIZE, parse_invitation
from vc_core.keys import KEY_SIZE, Identity
from vc_core.record import record
from vc_core.wordlist import WORDS

HOST, GUEST = "Hildegunst-von-Mythenmetz", "Gofid-Letterkerl"
TEXT = "the orm runs through the labyrinth of dreaming books"
SECRET = "only the shadow king may read this one"
VOICE = range(128, 192)  # first bytes of sealed media
TALK = 3.0  # seconds of voice that are looked at
BLOCK = 1 << 22  # bytes of memory read at once


@record
class Overheard:
    """One call, afterwards."""

    wire: bytes
    voice: list[bytes]
    before: bytes
    """Memory of the signaling server before anybody came."""
    during: bytes
    after: bytes
    code: str
    link: str
    keys: list[bytes]


@pytest.fixture(scope="module")
def overheard(lab: None) -> Iterator[Overheard]:
    """A call with words, private words and voice, between two networks."""
    with scene() as made:
        yield _call(made)


def _call(made: Scene) -> Overheard:
    made.serve(made.world.host())
    assert made.server is not None
    path = made.folder / "tap"
    tap = made.stage.program(["-m", "tests.lab.tap", str(path)], prefix=made.world.backbone.prefix)
    tap.wait("listening")
    before = memory(made.server)
    home = made.world.router(Nat.PORT_RESTRICTED)
    host = made.host(made.world.host(), name=HOST)
    code, link = host.code, host.room["link"]
    guest = made.join(made.world.behind(home), code, name=GUEST, mic="tone:300")
    until_heard(host, guest)
    for one, other, text in ((host, guest, TEXT), (guest, host, SECRET)):
        one.say("chat", text=text, to=other.member)
        other.wait("chat", text=text)
    began = time.monotonic()
    host.wait("talking", member=guest.member, on=True)
    during = memory(made.server)
    while time.monotonic() - began < TALK:
        mark = host.mark()
        host.say("stats")
        host.wait("stats", since=mark)
        time.sleep(0.2)
    keys = [key for engine in (host, guest) for key in keys_of(engine)]
    assert (guest.leave(), host.leave()) == (0, 0)
    after = memory(made.server)
    tap.kill()
    packets = list(frames(path))
    payloads = [payload for packet in packets if (payload := udp_payload(packet))]
    voice = [payload for payload in payloads if payload[0] in VOICE]
    return Overheard(b"\n".join(packets), voice, before, during, after, code, link, keys)


def keys_of(engine: EngineProcess) -> list[bytes]:
    """Every key of its identity, public ones too, in all forms in which it might travel."""
    kept = json.loads((engine.folder / "config" / "identity.json").read_text())
    secret = bytes.fromhex(kept["secret"])
    identity = Identity(secret[:KEY_SIZE], secret[KEY_SIZE:])
    public = identity.public
    keys = [identity.seed, identity.dh_secret, public.sign, public.dh]
    keys.append(bytes.fromhex(public.fingerprint))
    return [form for key in keys for form in (key, key.hex().encode())]


def memory(program: Program) -> bytes:
    """Everything that a process has written or may write: heap, stack, arenas."""
    pid = program.process.pid
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    pieces = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in maps:
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(one, 16) for one in span.split("-"))
                pieces.append(_read(file.fileno(), start, end))
    return b"\n".join(pieces)


def _read(descriptor: int, start: int, end: int) -> bytes:
    pieces = []
    while start < end:
        try:
            piece = os.pread(descriptor, min(BLOCK, end - start), start)
        except OSError:  # a page that cannot be read
            break
        if not piece:
            break
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def _words(code: str) -> list[bytes]:
    return [word.encode() for word in code.partition("@")[0].split("-")[1:]]


def _said() -> list[bytes]:
    return [text.encode() for text in (HOST, GUEST, TEXT, SECRET)]


def _link_secret(link: str) -> list[bytes]:
    secret = parse_invitation(link).password
    assert len(secret) == SECRET_SIZE
    return [secret, secret.hex().encode(), link.removeprefix("vchat:").encode()]


def test_no_name_text_or_word_of_the_code_is_on_the_wire(overheard: Overheard) -> None:
    assert len(overheard.wire) > 100_000
    digits = overheard.code.partition("-")[0].encode()
    assert digits in overheard.wire, "the nameplate travels openly; if not, the tap is deaf"
    for secret in (*_said(), *_words(overheard.code)):
        assert secret not in overheard.wire
    for piece in (b"mythenmetz", b"labyrinth", b"shadow king"):
        assert piece not in overheard.wire.lower()


def test_no_key_is_on_the_wire(overheard: Overheard) -> None:
    for key in (*overheard.keys, *_link_secret(overheard.link)):
        assert key not in overheard.wire


def test_all_voice_packets_have_one_size(overheard: Overheard) -> None:
    sizes = {len(payload) for payload in overheard.voice}
    assert len(overheard.voice) > 2 * TALK / 0.02
    assert len(sizes) == 1, f"sizes of voice packets: {sizes}"


@pytest.mark.parametrize("when", ["during", "after"])
def test_the_signaling_servers_memory_holds_no_name_text_or_word(
    overheard: Overheard, when: str
) -> None:
    held = getattr(overheard, when)
    digits = overheard.code.partition("-")[0].encode()
    assert digits in held, "the nameplate must be there; if not, this looks at the wrong memory"
    for secret in (*_said(), *overheard.keys, *_link_secret(overheard.link)):
        assert secret not in held
    words = _words(overheard.code)
    assert b"-".join(words) not in held
    for word in words:  # a word of English may well be in the program itself
        assert word in overheard.before or word not in held, word


def test_words_that_the_server_knows_anyway_are_few(overheard: Overheard) -> None:
    """So that the test above looks at something, but for one code in some hundreds."""
    some = WORDS[::50]
    known = [word for word in some if word.encode() in overheard.before]
    assert len(known) < len(some) / 2, known

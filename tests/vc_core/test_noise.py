"""Noise against the vectors of others, our own, and hostile messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.make_secrets import build
from tests.vectors.read import names, own, public
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.keys import KeyPair
from vc_core.noise import PATTERNS, Cipher, Handshake

OWN = own("noise")
PSK = bytes(range(32))


def pair(pattern: str = "XXpsk3", psk: bytes | None = PSK) -> tuple[Handshake, Handshake]:
    """Both ends of a handshake with fixed keys."""
    statics = [KeyPair.from_secret(bytes([n]) * 32) for n in (1, 2)]
    known = pattern.startswith("KK")
    ends = [
        Handshake(
            pattern,
            initiator=n == 0,
            prologue=b"test",
            ephemeral=KeyPair.from_secret(bytes([n + 3]) * 32),
            static=statics[n],
            remote_static=statics[1 - n].public if known else None,
            psk=psk,
        )
        for n in (0, 1)
    ]
    return ends[0], ends[1]


def run(first: Handshake, second: Handshake) -> None:
    """Take the handshake to its end."""
    writer, reader = first, second
    while not first.finished:
        reader.read_message(writer.write_message(b"x"))
        writer, reader = reader, writer


def public_side(vector: dict[str, Any], side: str) -> Handshake:
    """One end of a vector in cacophony's or snow's format."""
    _, pattern, _, _, hash_name = vector["protocol_name"].split("_")
    kind = type("Kind", (Handshake,), {"hash_name": hash_name})
    static, remote = vector.get(f"{side}_static"), vector.get(f"{side}_remote_static")
    psks = vector.get(f"{side}_psks") or [None]
    made: Handshake = kind(
        pattern,
        initiator=side == "init",
        prologue=bytes.fromhex(vector[f"{side}_prologue"]),
        ephemeral=KeyPair.from_secret(bytes.fromhex(vector[f"{side}_ephemeral"])),
        static=KeyPair.from_secret(bytes.fromhex(static)) if static else None,
        remote_static=bytes.fromhex(remote) if remote else None,
        psk=bytes.fromhex(psks[0]) if psks[0] else None,
    )
    return made


def check_public(vector: dict[str, Any]) -> None:
    """Every message of one vector, handshake and transport, both ways."""
    ends = [public_side(vector, "init"), public_side(vector, "resp")]
    sent = [0, 0]
    for number, message in enumerate(vector["messages"]):
        payload, wire = (bytes.fromhex(message[key]) for key in ("payload", "ciphertext"))
        who = number % 2
        writer, reader = ends[who], ends[1 - who]
        if not writer.finished:
            assert writer.write_message(payload) == wire
            assert reader.read_message(wire) == payload
            continue
        assert Cipher(writer.split()[0]).seal(sent[who], payload) == wire
        assert Cipher(reader.split()[1]).open(sent[who], wire) == payload
        sent[who] += 1
    if "handshake_hash" in vector:
        assert ends[0].handshake_hash == ends[1].handshake_hash
        assert ends[0].handshake_hash.hex() == vector["handshake_hash"]
    assert ends[0].finished
    assert sum(sent) > 0


@pytest.mark.parametrize("file", ["noise-cacophony.json", "noise-snow.json"])
def test_speaks_like_two_other_implementations(file: str) -> None:
    vectors = public(file)["vectors"]
    assert len(vectors) >= 10
    for vector in vectors:
        check_public(vector)


@pytest.mark.parametrize("vector", OWN["good"], ids=names(OWN["good"]))
def test_makes_the_messages_of_our_own_vectors(vector: dict[str, Any]) -> None:
    here, there = (build(vector["pattern"], who, vector[who]) for who in ("initiator", "responder"))
    initiator = here
    for message in vector["messages"]:
        wire = here.write_message(bytes.fromhex(message["payload"]))
        assert wire.hex() == message["message"]
        assert there.read_message(wire).hex() == message["payload"]
        assert here.payload_hash.hex() == there.payload_hash.hex() == message["payload_hash"]
        here, there = there, here
    assert initiator.handshake_hash.hex() == vector["handshake_hash"]
    keys = (vector["initiator_sends"], vector["responder_sends"])
    assert tuple(key.hex() for key in initiator.split()) == keys


@pytest.mark.parametrize("case", OWN["bad"], ids=names(OWN["bad"]))
def test_refuses_what_our_own_vectors_say_is_wrong(case: dict[str, Any]) -> None:
    good = next(one for one in OWN["good"] if one["pattern"] == case["pattern"])
    reader = build(case["pattern"], case["reader"], case[case["reader"]])
    own_turn = 0 if case["reader"] == "initiator" else 1
    for number in range(case["at"]):
        message = good["messages"][number]
        if number % 2 == own_turn:
            reader.write_message(bytes.fromhex(message["payload"]))
        else:
            reader.read_message(bytes.fromhex(message["message"]))
    with pytest.raises(RemoteProtocolError, match=case["error"]):
        reader.read_message(bytes.fromhex(case["message"]))


def test_a_refused_message_leaves_the_handshake_able_to_go_on() -> None:
    first, second = pair()
    opening = first.write_message()
    with pytest.raises(RemoteProtocolError):
        second.read_message(opening[:-1] + b"\0")
    assert second.remote_ephemeral is None
    second.read_message(opening)
    answer = second.write_message()
    with pytest.raises(RemoteProtocolError):
        first.read_message(bytes(len(answer)))
    assert first.read_message(answer) == b""


def test_a_psk_may_become_known_after_the_first_message() -> None:
    first, second = pair("KKpsk2", psk=None)
    second.read_message(first.write_message(b"key of an encapsulation"))
    second.set_psk(PSK)
    answer = second.write_message(b"answer")
    with pytest.raises(LocalProtocolError, match="not known yet"):
        first.read_message(answer)
    first.set_psk(PSK)
    assert first.read_message(answer) == b"answer"
    assert first.split() == second.split()[::-1]


def test_a_payload_can_sign_the_hash_that_the_reader_sees() -> None:
    first, second = pair()
    second.read_message(first.write_message())
    assert first.read_message(second.write_message(lambda h: b"signed " + h)) == (
        b"signed " + first.payload_hash
    )
    assert first.payload_hash == second.payload_hash != first.handshake_hash


def test_both_ends_learn_each_others_keys() -> None:
    first, second = pair()
    assert second.remote_static is None
    run(first, second)
    assert second.remote_static == KeyPair.from_secret(b"\1" * 32).public
    assert first.remote_static == KeyPair.from_secret(b"\2" * 32).public
    assert first.handshake_hash == second.handshake_hash


def test_calls_out_of_turn_are_our_own_fault() -> None:
    first, second = pair()
    with pytest.raises(LocalProtocolError, match="turn"):
        first.read_message(b"")
    with pytest.raises(LocalProtocolError, match="turn"):
        second.write_message()
    with pytest.raises(LocalProtocolError, match="no keys before"):
        first.split()
    run(first, second)
    with pytest.raises(LocalProtocolError, match="over"):
        first.write_message()
    with pytest.raises(LocalProtocolError, match="over"):
        second.read_message(b"")


def test_missing_keys_and_odd_psks_are_our_own_fault() -> None:
    ephemeral = KeyPair.from_secret(bytes(32))
    with pytest.raises(LocalProtocolError, match="static key of our own"):
        Handshake("KK", initiator=True, prologue=b"", ephemeral=ephemeral)
    with pytest.raises(LocalProtocolError, match="of the other side"):
        Handshake("NK", initiator=True, prologue=b"", ephemeral=ephemeral)
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        pair(psk=b"short")


def test_a_message_is_bounded_both_ways() -> None:
    first, second = pair()
    with pytest.raises(LocalProtocolError, match="65535"):
        first.write_message(bytes(65_535))
    with pytest.raises(RemoteProtocolError, match="65535"):
        second.read_message(bytes(65_536))
    assert second.read_message(first.write_message(bytes(65_535 - 48))) == bytes(65_535 - 48)


@pytest.mark.parametrize("pattern", list(PATTERNS))
@given(data=st.binary(max_size=300))
def test_arbitrary_openings_raise_a_remote_error_or_are_read(pattern: str, data: bytes) -> None:
    statics = [KeyPair.from_secret(bytes([n]) * 32) for n in (1, 2)]
    responder = Handshake(
        pattern,
        initiator=False,
        prologue=b"",
        ephemeral=statics[0],
        static=statics[0],
        remote_static=statics[1].public,
        psk=PSK,
    )
    try:
        responder.read_message(data)
    except RemoteProtocolError:
        assert responder.remote_ephemeral is None
    else:
        assert len(data) >= 32

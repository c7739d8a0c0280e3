"""Media packets: SFrame's vectors, our own, and hostile datagrams."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.read import names, own, public
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.packet import (
    CTR_LIMIT,
    MAX_DATAGRAM,
    MAX_PAYLOAD,
    OVERHEAD,
    Kid,
    Media,
    MediaHeader,
    MediaKey,
    MediaOpener,
    MediaSealer,
    media_key,
    open_media,
    parse_header,
    read_sframe_header,
    seal_media,
    write_sframe_header,
)

OWN = own("packet")
INPUTS = OWN["inputs"]
SUITES = {  # RFC 9605, 4.5: (hash, bytes of key, of tag; 0 for AES-GCM)
    1: ("sha256", 16, 10),
    2: ("sha256", 16, 8),
    3: ("sha256", 16, 4),
    4: ("sha256", 16, 0),
    5: ("sha512", 32, 0),
    6: ("sha512", 32, 10),
    7: ("sha512", 32, 8),
    8: ("sha512", 32, 4),
}


def key_of(case: dict[str, Any]) -> MediaKey:
    """The media key of a vector, with what it overrides."""
    secret, room, roster = (
        bytes.fromhex(case.get(name, INPUTS[name])) for name in ("sender_key", "room", "roster")
    )
    return media_key(secret, room, Kid(case["generation"], case["member"], case["stream"]), roster)


def some_key() -> MediaKey:
    return media_key(b"k" * 32, b"r" * 32, Kid(1, 2, 3), b"h" * 32)


# ---- SFrame


def test_writes_and_reads_all_headers_of_the_rfc() -> None:
    vectors = public("sframe-rfc9605.json")["header"]
    assert len(vectors) == 289
    for vector in vectors:
        encoded = bytes.fromhex(vector["encoded"])
        assert write_sframe_header(vector["kid"], vector["ctr"]) == encoded
        assert read_sframe_header(encoded + b"rest") == (vector["kid"], vector["ctr"], b"rest")


def hkdf_sframe(name: str, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF with empty salt (RFC 5869), for the RFC's suites."""
    out, block = b"", b""
    key = hmac.digest(b"", secret, name)
    for count in range(1, 1 + -(-length // hashlib.new(name).digest_size)):
        block = hmac.digest(key, block + info + bytes([count]), name)
        out += block
    return out[:length]


def seal_sframe(suite: int, key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
    """The RFC's AEADs: AES-GCM, or AES-CTR with a truncated HMAC (4.5.1)."""
    name, size, tag_size = SUITES[suite]
    if not tag_size:
        return AESGCM(key).encrypt(nonce, plain, aad)
    encryptor = Cipher(algorithms.AES(key[:size]), modes.CTR(nonce + bytes(4))).encryptor()
    sealed = encryptor.update(plain) + encryptor.finalize()
    sizes = b"".join(len(part).to_bytes(8, "big") for part in (aad, sealed))
    sizes += tag_size.to_bytes(8, "big")
    return sealed + hmac.digest(key[size:], sizes + nonce + aad + sealed, name)[:tag_size]


@pytest.mark.parametrize("section", ["aes_ctr_hmac", "aes_256_ctr_hmac"])
def test_the_rfcs_counter_mode_suites_come_out(section: str) -> None:
    for vector in public("sframe-rfc9605.json")[section]:
        parts = (bytes.fromhex(vector[name]) for name in ("key", "nonce", "aad", "pt"))
        assert seal_sframe(vector["cipher_suite"], *parts).hex() == vector["ct"]


def test_the_rfcs_whole_frames_come_out_with_our_header() -> None:
    for vector in public("sframe-rfc9605.json")["sframe"]:
        suite = vector["cipher_suite"]
        name, size, tag_size = SUITES[suite]
        base, metadata = bytes.fromhex(vector["base_key"]), bytes.fromhex(vector["metadata"])
        identity = vector["kid"].to_bytes(8, "big") + suite.to_bytes(2, "big")
        key_size = size + hashlib.new(name).digest_size if tag_size else size
        key = hkdf_sframe(name, base, b"SFrame 1.0 Secret key " + identity, key_size)
        salt = hkdf_sframe(name, base, b"SFrame 1.0 Secret salt " + identity, 12)
        assert (key.hex(), salt.hex()) == (vector["sframe_key"], vector["sframe_salt"])
        nonce = (int.from_bytes(salt, "big") ^ vector["ctr"]).to_bytes(12, "big")
        header = write_sframe_header(vector["kid"], vector["ctr"])
        plain = bytes.fromhex(vector["pt"])
        sealed = seal_sframe(suite, key, nonce, header + metadata, plain)
        assert (header + sealed).hex() == vector["ct"]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_headers_round_trip(kid: int, ctr: int) -> None:
    assert read_sframe_header(write_sframe_header(kid, ctr)) == (kid, ctr, b"")


@given(st.binary(max_size=20))
def test_arbitrary_headers_raise_a_remote_error_or_are_the_shortest(data: bytes) -> None:
    try:
        kid, ctr, rest = read_sframe_header(data)
    except RemoteProtocolError:
        return
    assert write_sframe_header(kid, ctr) + rest == data


# ---- packets


@pytest.mark.parametrize("case", OWN["good"], ids=names(OWN["good"]))
def test_makes_the_packets_of_our_own_vectors(case: dict[str, Any]) -> None:
    key, ctr = key_of(case), case["ctr"]
    assert key.key.hex() == case["key"]
    assert key.salt.to_bytes(24, "big").hex() == case["salt"]
    assert key.route.hex() == case["route"]
    assert [part.hex() for part in key.bound(ctr)] == [case["aad"], case["nonce"]]
    header = write_sframe_header(key.kid.number, ctr)
    assert case["aad"] == header.hex() + INPUTS["room"] + INPUTS["roster"]
    payload = bytes.fromhex(case["payload"])
    datagram = seal_media(key, ctr, case["kind"], case["timestamp"], payload)
    assert datagram.hex() == case["datagram"]
    seen = parse_header(datagram)
    assert seen == MediaHeader(key.route, ctr)
    assert MediaOpener(key).open(seen, datagram) == Media(case["kind"], case["timestamp"], payload)


@pytest.mark.parametrize("case", OWN["bad"], ids=names(OWN["bad"]))
def test_refuses_what_our_own_vectors_say_is_wrong(case: dict[str, Any]) -> None:
    opener = MediaOpener(key_of(case))
    for earlier in map(bytes.fromhex, case["before"]):
        opener.open(parse_header(earlier), earlier)
    highest = opener.window.highest
    datagram = bytes.fromhex(case["datagram"])
    with pytest.raises(RemoteProtocolError, match=case["error"]):
        opener.open(parse_header(datagram), datagram)
    assert opener.window.highest == highest


def test_a_forged_packet_does_not_move_the_window() -> None:
    sealer, opener = MediaSealer(some_key()), MediaOpener(some_key())
    datagrams = [sealer.seal(1, n, b"voice") for n in range(3)]
    forged = datagrams[2][:-1] + bytes([datagrams[2][-1] ^ 1])
    with pytest.raises(RemoteProtocolError, match="wrong tag"):
        opener.open(parse_header(forged), forged)
    opened = [opener.open(parse_header(one), one).timestamp for one in reversed(datagrams)]
    assert opened == [2, 1, 0]


def test_the_window_is_asked_before_the_tag() -> None:
    sealer, opener = MediaSealer(some_key()), MediaOpener(some_key())
    datagram = sealer.seal(1, 0, b"voice")
    opener.open(parse_header(datagram), datagram)
    forged = datagram[:-1] + bytes([datagram[-1] ^ 1])
    with pytest.raises(RemoteProtocolError, match="seen"):
        opener.open(parse_header(forged), forged)


def test_a_sealer_counts_and_the_counter_hides_equal_frames() -> None:
    sealer = MediaSealer(some_key())
    first, second = sealer.seal(1, 0, b"same"), sealer.seal(1, 0, b"same")
    assert sealer.next_ctr == 2
    assert [parse_header(one).ctr for one in (first, second)] == [0, 1]
    assert first[15:] != second[15:]


def test_the_largest_payload_fills_a_datagram_and_one_more_is_our_own_fault() -> None:
    full = seal_media(some_key(), 0, 1, 0, bytes(MAX_PAYLOAD))
    assert len(full) == MAX_DATAGRAM == MAX_PAYLOAD + OVERHEAD
    assert open_media(some_key(), parse_header(full), full).payload == bytes(MAX_PAYLOAD)
    with pytest.raises(LocalProtocolError, match="bytes of media"):
        seal_media(some_key(), 0, 1, 0, bytes(MAX_PAYLOAD + 1))


def test_a_counter_that_ran_out_and_odd_sizes_are_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError, match="run out"):
        seal_media(some_key(), CTR_LIMIT, 1, 0, b"")
    with pytest.raises(LocalProtocolError, match="u32, u16, u16"):
        Kid(1, 1 << 16, 0)
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        media_key(b"short", bytes(32), Kid(1, 0, 0), bytes(32))
    with pytest.raises(LocalProtocolError, match="64-bit"):
        write_sframe_header(1 << 64, 0)


def test_secrets_stay_out_of_representations() -> None:
    key = some_key()
    assert key.key.hex() not in repr(key)
    assert repr(key.key) not in repr(key)
    assert str(key.salt) not in repr(key)


@given(st.binary(max_size=1300))
def test_arbitrary_datagrams_raise_a_remote_error_only(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        MediaOpener(some_key()).open(parse_header(data), data)


@given(st.data())
def test_any_changed_byte_is_noticed_or_changes_the_route(data: st.DataObject) -> None:
    datagram = seal_media(some_key(), 9, 1, 0, b"voice")
    at = data.draw(st.integers(0, len(datagram) - 1))
    bit = data.draw(st.integers(1, 255))
    changed = datagram[:at] + bytes([datagram[at] ^ bit]) + datagram[at + 1 :]
    if 1 <= at < 9:
        assert parse_header(changed).route != some_key().route
    else:
        with pytest.raises(RemoteProtocolError):
            MediaOpener(some_key()).open(parse_header(changed), changed)

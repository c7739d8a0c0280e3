"""The formulas of ``docs/protocol``, written again from its words alone.

Nothing here uses the code's own functions for what a page defines: a second
implementer would write these lines. Elligator 2 and Noise, which pages take from
elsewhere and public vectors check, are the only parts borrowed.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import random
import struct
from collections.abc import Callable

from nacl import bindings

from client.net.kem import MlKem
from vc_core import envelope, grant
from vc_core.attest import Signer, picture_digest
from vc_core.entry import Action, Seat
from vc_core.feedback import Feedback, Wanted
from vc_core.ids import Rung, Way
from vc_core.invite import make_link, make_spoken, write_invitation
from vc_core.join import HostExchange, JoinerExchange, Met, Password
from vc_core.keys import Identity, KeyPair, safety_number
from vc_core.link import Link
from vc_core.meet import Greeting, Pair, reply_to
from vc_core.messages import Bundle, Form, Mute, Parcel, Position, Profile, SenderKey
from vc_core.noise import Handshake
from vc_core.packet import Kid, MediaSealer, media_key
from vc_core.pake import elligator2
from vc_core.roomcode import RoomCode
from vc_core.roster import Roster
from vc_core.seal import seal_box
from vc_core.wordlist import WORDS
from video.fragment import Fragments, Picture


def fields(label: str, *parts: bytes) -> bytes:
    """01: each part behind its u16 length."""
    return b"".join(len(p).to_bytes(2, "big") + p for p in (label.encode(), *parts))


def h(label: str, *parts: bytes) -> bytes:
    """01: H."""
    return hashlib.blake2s(fields(label, *parts)).digest()


def hkdf(secret: bytes, label: str, *context: bytes, length: int = 32) -> bytes:
    """01: HKDF."""
    key, block, out = hmac.digest(b"", secret, "sha256"), b"", b""
    for number in range(1, 4):
        block = hmac.digest(key, block + fields(label, *context) + bytes([number]), "sha256")
        out += block
    return out[:length]


def cc20_open(key: bytes, nonce: int, sealed: bytes, ad: bytes = b"") -> bytes:
    """01: CC20, the other way."""
    wide = bytes(4) + nonce.to_bytes(8, "little")
    return bindings.crypto_aead_chacha20poly1305_ietf_decrypt(sealed, ad, wide, key)


def xcc20_open(key: bytes, nonce: bytes, sealed: bytes, ad: bytes) -> bytes:
    """01: XCC20, the other way."""
    return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, ad, nonce, key)


def holds(public: bytes, signature: bytes, label: str, *parts: bytes) -> bool:
    """01: SIGN, checked; raises when it does not hold."""
    return bool(bindings.crypto_sign_open(signature + fields(label, *parts), public))


def lv_cat(*parts: bytes) -> bytes:
    """04: LEB128 lengths; two bytes are enough here."""
    sizes = (bytes([n]) if (n := len(p)) < 128 else bytes([n & 127 | 128, n >> 7]) for p in parts)
    return b"".join(size + part for size, part in zip(sizes, parts, strict=True))


class Chance:
    """A seeded source that remembers what it gave."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.given: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        self.given.append(self._random.randbytes(count))
        return self.given[-1]

    def find(self, fits: Callable[[bytes], bool]) -> bytes:
        """The one 32-byte secret that fits."""
        (found,) = {secret for secret in self.given if len(secret) == 32 and fits(secret)}
        return found


class Remembering(MlKem):
    """ML-KEM that tells the last shared secret."""

    shared = b""

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        self.shared, ciphertext = super().encapsulate(public)
        return self.shared, ciphertext


def test_a_join_is_what_page_04_says() -> None:
    chance, kem = Chance(4), Remembering()
    guest, host = Identity.generate(chance), Identity.generate(chance)
    mailbox, words = chance(32), b"apple-robot-candle"
    password = Password(Form.SPOKEN, words, "4821")
    joining = JoinerExchange(password, mailbox, guest, kem, chance)
    hosting = HostExchange(mailbox, host, kem, Chance(5))
    ask = joining.ask
    answer = hosting.receive_ask(ask, password)
    confirm = joining.receive_answer(answer)
    accept = hosting.receive_confirm(confirm)
    finish, met = joining.receive_accept(accept)

    sid = h("vchat-1 sid", mailbox, ask.nonce)
    numbers = struct.pack(">H", 1), struct.pack(">I", 0)
    ad_a = fields("joiner", *numbers, ask.ephemeral, ask.kem_hash)
    ad_b = fields("host", answer.nonce, *numbers, answer.ephemeral)
    pad = bytes(127 - len(lv_cat(words)) - len(lv_cat(b"CPace255")))
    ci = lv_cat(b"vchat-1", b"spoken", b"4821")
    text = lv_cat(b"CPace255", words, pad, ci, sid)
    generator = elligator2(hashlib.sha512(text).digest()[:32])
    scalar = chance.find(lambda s: bindings.crypto_scalarmult(s, generator) == ask.share)
    shared = bindings.crypto_scalarmult(scalar, answer.share)
    half_a, half_b = lv_cat(ask.share, ad_a), lv_cat(answer.share, ad_b)
    isk = hashlib.sha512(lv_cat(b"CPace255_ISK", sid, shared) + half_a + half_b).digest()
    mac_key = hashlib.sha512(b"CPaceMac" + sid + isk).digest()
    assert confirm.tag == hmac.digest(mac_key, half_a, "sha512")
    assert accept.tag == hmac.digest(mac_key, half_b, "sha512")

    assert ask.kem_hash == h("vchat-1 kem key", confirm.kem_public)
    root = isk + kem.shared + h("vchat-1 kem", confirm.kem_public, accept.ciphertext)
    prologue = h(
        "vchat-1 join", ask.write_fields(), answer.write_fields(), confirm.tag, confirm.kem_public
    )
    own = chance.find(lambda s: bindings.crypto_scalarmult_base(s) == ask.ephemeral)
    noise = Handshake(
        "XXpsk3",
        initiator=True,
        prologue=prologue,
        ephemeral=KeyPair.from_secret(own),
        static=guest.dh,
    )
    assert noise.write_message() == confirm.noise
    said = noise.read_message(cc20_open(hkdf(root, "vchat-1 join host"), 0, accept.sealed))
    sign, cross, signature = said[:32], said[32:96], said[96:]
    assert (sign, noise.remote_static) == (host.public.sign, host.public.dh)
    assert holds(sign, cross, "vchat-1 cross", host.public.dh)
    assert holds(sign, signature, "vchat-1 xx", b"host", noise.payload_hash)
    noise.set_psk(hkdf(root, "vchat-1 join psk"))
    third = noise.write_message(
        lambda hash: (
            guest.public.sign + guest.public.cross + guest.sign("vchat-1 xx", b"joiner", hash)
        )
    )
    assert third == cc20_open(hkdf(root, "vchat-1 join joiner"), 0, finish.sealed)
    assert met.keys == noise.split()
    assert met.tag == h("vchat-1 link tag", noise.handshake_hash)[:8]
    assert hosting.receive_finish(finish) == Met(guest.public, met.keys[::-1], met.tag)


def test_a_meeting_is_what_page_05_says() -> None:
    chance, kem = Chance(6), Remembering()
    two = (Identity.generate(chance), Identity.generate(chance))
    small, large = sorted(two, key=lambda who: who.public.sign)
    room, secret = chance(32), chance(32)
    greeting = Greeting(Pair(small, large.public, room), kem, chance, 0.0)
    greet = greeting.greet
    bundle = Bundle((b"\x06\0\0\0\0",))
    reply, keys = reply_to(greet, Pair(large, small.public, room), secret, bundle, kem, Chance(7))

    people = small.public.sign, large.public.sign
    static = bindings.crypto_scalarmult(large.dh.secret, small.public.dh)
    key = hkdf(static, "vchat-1 greeting", room, *people)
    promise = greet.noise[:32] + greet.kem_public
    assert greet.tag == hashlib.blake2s(promise, key=key, digest_size=16).digest()[:8]
    own = chance.find(lambda s: bindings.crypto_scalarmult_base(s) == greet.noise[:32])
    noise = Handshake(
        "KKpsk2",
        initiator=True,
        prologue=fields("vchat-1 meet", struct.pack(">H", 1), room, *people, greet.tag),
        ephemeral=KeyPair.from_secret(own),
        static=small.dh,
        remote_static=large.public.dh,
    )
    assert noise.write_message() == greet.noise
    root = secret + kem.shared + h("vchat-1 kem", greet.kem_public, reply.ciphertext)
    noise.set_psk(hkdf(root, "vchat-1 meet psk"))
    assert noise.read_message(reply.noise) == b"\x01\0\x05\x06\0\0\0\0"
    assert noise.split() == keys[::-1]


def test_a_parcel_is_what_page_05_says() -> None:
    secret = bytes(range(32))
    key, name = hkdf(secret, "vchat-1 mailbox key"), hkdf(secret, "vchat-1 mailbox")
    box = seal_box(key, Parcel(2, 3, b"body").write_fields(), name, Chance(1))
    assert xcc20_open(key, box[:24], box[24:], name) == b"\0\x02\0\x03\0\x04body"


def test_letters_records_and_probes_are_what_pages_06_and_10_say() -> None:
    ours, theirs, tag = bytes([1]) * 32, bytes([2]) * 32, bytes(8)
    link = Link(0, 1, tag, (ours, theirs), leading=True, now=0.0)  # type: ignore[arg-type]
    link.seal_letter(Profile("first"))
    letter = link.seal_letter(Profile("x"))
    key = hkdf(ours, "vchat-1 letter")
    assert letter.counter == 1
    assert cc20_open(key, 1, letter.sealed, tag) == b"\x01\0\x01x"

    link.seal_record(Mute(False))
    record = link.seal_record(Mute(True))
    key, nonce = hkdf(ours, "vchat-1 stream", bytes(8)), (1).to_bytes(24, "big")
    assert xcc20_open(key, nonce, record[2:], record[:2]) == b"\0\x12\x01"
    assert int.from_bytes(record[:2], "big") == len(record) - 2

    way = Way(Rung.RELAYED, 0x01020304)
    (probe,) = link.open_path(way, 1.0).handle_timer(1.0)
    numbers = (16, 2, 250, 1, 1_000_000, 0, 0, 0)
    assert struct.unpack(">BBHIIIII", probe[:24]) == numbers
    key = hkdf(ours, "vchat-1 probe", b"\x03\x01\x02\x03\x04")
    assert probe[24:] == hashlib.blake2s(probe[:24], key=key, digest_size=16).digest()


def test_a_roster_is_what_page_08_says() -> None:
    chance = Chance(8)
    host = Identity.generate(chance)
    nonce = chance(32)
    roster = Roster.found(host, "ada", nonce)
    room = h("vchat-1 room", host.public.sign, nonce)
    keys = host.public.sign + host.public.dh + host.public.cross
    seat = b"\0\0" + keys + b"\0\x03ada" + b"\x01"
    first = room + struct.pack(">II", 1, 1) + bytes(32) + struct.pack(">BHHH", 1, 0, 0, 1)
    first += b"\x01" + seat + b"\0" + b"\0" + b"\0"
    assert roster.signed.entry == first
    assert holds(host.public.sign, roster.signed.signature, "vchat-1 roster", first)
    assert roster.hash == h("vchat-1 roster hash", first)
    second = roster.extend(host, Action.LOCK, roster.host).entry
    assert second[32:40] == struct.pack(">II", 1, 2)
    assert second[40:72] == h("vchat-1 roster hash", first)
    assert second[72:79] == struct.pack(">BHHH", 7, 0, 0, 1)
    assert second[79:] == first[79:-1] + b"\x01"

    guest = Identity.generate(chance)
    newcomer = Seat.of(roster.entry.next_number, guest.public, "ben")  # type: ignore[arg-type]
    roster.extend(host, Action.UNLOCK, roster.host)
    third = roster.extend(host, Action.ADD, newcomer.number, newcomer)
    takeover = roster.extend(guest, Action.TAKEOVER, newcomer.number)
    term = (1 // 65536 + 1) * 65536 + 65535 - newcomer.number
    assert takeover.entry[32:40] == struct.pack(">II", term, 5)
    assert takeover.entry[40:72] == h("vchat-1 roster hash", third.entry)
    assert takeover.entry[72:79] == struct.pack(">BHHH", 11, 1, 1, 2)
    gone = seat[:-1] + b"\0"
    others = guest.public.sign + guest.public.dh + guest.public.cross
    here = b"\0\x01" + others + b"\0\x03ben" + b"\x01"
    assert takeover.entry[79:] == b"\x02" + gone + here + b"\0" + b"\0" + b"\0"
    assert holds(guest.public.sign, takeover.signature, "vchat-1 roster", takeover.entry)


def test_a_packet_and_its_attestation_are_what_page_09_says() -> None:
    key, room, roster = bytes([3]) * 32, bytes([4]) * 32, bytes([5]) * 32
    sealer = MediaSealer(media_key(key, room, Kid(1, 2, 0), roster))
    sealer.next_ctr = 300
    packet = sealer.seal(1, 960, b"opus")
    kid = struct.pack(">IHH", 1, 2, 0)
    both = hkdf(key, "vchat-1 media", room, kid, length=56)
    assert packet[:9] == b"\x80" + hkdf(key, "vchat-1 route", kid, length=8)
    assert packet[9:15] == (300).to_bytes(6, "big")
    nonce = (int.from_bytes(both[32:], "big") ^ 300).to_bytes(24, "big")
    shortest = kid.lstrip(b"\0")  # 5 bytes; 300 takes 2
    header = bytes([1 << 7 | (len(shortest) - 1) << 4 | 1 << 3 | 1]) + shortest + b"\x01\x2c"
    inside = xcc20_open(both[:32], nonce, packet[15:], header + room + roster)
    assert inside == b"\x01" + (960).to_bytes(4, "big") + b"opus"
    assert len(packet) == 36 + len(b"opus")

    who = Identity.generate(Chance(9))
    signer = Signer(room, 2, who)  # type: ignore[arg-type]
    signer.sealed(SenderKey(1, key, Position(1, 1, roster)), 300, packet, 0.0)
    (attest,) = signer.handle_timer(0.5)
    frame = (300).to_bytes(6, "big") + hashlib.blake2s(packet, digest_size=12).digest()
    stand_in = h("vchat-1 sender key", key)
    parts = room, roster, stand_in, kid, frame
    assert holds(who.public.sign, attest.signature, "vchat-1 attest", *parts)


def test_a_room_code_is_what_page_12_says() -> None:
    roster, keys = bytes([6]) * 32, {0: bytes([9]) * 32, 1: bytes([8]) * 32}
    one, two = (
        RoomCode(roster, number, keys, Chance(number), 0.0)  # type: ignore[arg-type]
        for number in keys
    )
    nonces = [Chance(number)(32) for number in keys]
    assert one.commit.commitment == h("vchat-1 commit", roster, keys[0], nonces[0])
    assert one.reveal is None, "nobody reveals before all have committed"
    one.committed(1, two.commit)  # type: ignore[arg-type]
    two.committed(0, one.commit)  # type: ignore[arg-type]
    assert two.reveal is not None
    code = one.revealed(1, two.reveal)  # type: ignore[arg-type]
    bits = int.from_bytes(h("vchat-1 room code", roster, nonces[1], nonces[0]), "big") >> 212
    assert code == tuple(WORDS[bits >> shift & 2047] for shift in (33, 22, 11, 0))


def test_grants_claims_and_envelopes_are_what_page_15_says() -> None:
    secret, room_key = bytes([1]) * 32, bytes([2]) * 32
    room = h("vchat-1 relay room", room_key)[:16]
    claims = room + struct.pack(">HIQ", 7, 4_000_000, 1_800_000_000)
    made = grant.make_grant(secret, grant.Claims(room, 7, 4_000_000, 1_800_000_000))
    slot_key = hmac.digest(secret, fields("vchat-1 slot", claims), "sha256")
    tag = hmac.digest(secret, fields("vchat-1 tag", claims), "sha256")
    assert grant.relay_room(room_key) == room
    assert (made.claims, made.tag, made.key) == (claims, tag, slot_key)
    assert grant.open_secret() == h("vchat-1 open relay")
    cookie = bytes(range(16))
    proof = hmac.digest(slot_key, fields("vchat-1 hello", cookie, claims), "sha256")
    assert grant.prove(slot_key, cookie, claims) == proof

    claim = envelope.Claim(cookie, claims, tag, proof)
    assert envelope.write_hello() == b"\x04\x01" + bytes(1198)
    assert envelope.read_cookie(b"\x05\x01\x03" + cookie) == envelope.Cookie(1, 3, cookie)
    assert envelope.write_claim(claim) == b"\x06" + cookie + claims + tag + proof
    attached = envelope.read_attached(b"\x07\0\x07\0\x1e\x04\x1f\x90" + bytes([192, 0, 2, 1]))
    assert attached == envelope.Attached(7, 30, bytes([192, 0, 2, 1]), 8080)
    assert envelope.read_refused(b"\x08\x02") == 2
    assert envelope.write_pass(7, b"inner") == b"\x09\0\x07inner"
    assert envelope.write_spread(1, b"inner") == b"\x0a\x01inner"
    wants = envelope.write_want(9, ((65535, 0), (7, 1)))
    assert wants == b"\x0b\0\0\0\x09\x02\xff\xff\0\0\x07\x01"
    assert envelope.write_ping(5) == b"\x0c\0\0\0\x05"
    assert envelope.read_pong(b"\x0d\0\0\0\x05\0\0\0\x09\x02") == envelope.Pong(5, 9, 2)
    assert envelope.write_bye(cookie) == b"\x0e" + cookie


def test_pieces_parity_and_digests_are_what_page_16_says() -> None:
    access_unit = random.Random(16).randbytes(40 * 1151)
    body = struct.pack(">HH", 640, 360) + access_unit
    fragments = Fragments(Picture(300, 2, 1, 77, 640, 360, access_unit))
    count = -(-len(body) // 1151)
    assert fragments.count == count == 41
    for index in (0, 40):
        head = struct.pack(">IHHBBB", 300, index, count, 0, 1, 2)
        assert fragments.data(index) == head + body[index * 1151 :][:1151]
    block = [body[index * 1151 :][:1151] for index in range(1, count, 2)]
    row = bytearray(2 + 1151)
    for column, piece in enumerate(block):
        factor = next(one for one in range(256) if product(one, (128 + 3) ^ column) == 1)
        for at, byte in enumerate(len(piece).to_bytes(2, "big") + piece):
            row[at] ^= product(byte, factor)
    head = struct.pack(">IHHBBB", 300, 3 * 2 + 1, count, 2, 1, 2)
    assert fragments.parity(3 * 2 + 1) == head + row
    digest = hashlib.blake2s(struct.pack(">IIBB", 300, 77, 0, 1) + body, digest_size=12).digest()
    assert picture_digest(300, 77, False, 1, body) == digest


@functools.cache
def product(one: int, other: int) -> int:
    """16: in GF(2^8), polynomial 0x11D."""
    found = 0
    for bit in range(8):
        found ^= (one << bit) * (other >> bit & 1)
    for bit in range(14, 7, -1):
        found ^= (0x11D << bit - 8) * (found >> bit & 1)
    return found


def test_feedback_is_what_page_16_says() -> None:
    ours, theirs = bytes([1]) * 32, bytes([2]) * 32
    link = Link(0, 1, bytes(8), (ours, theirs), leading=True, now=0.0)  # type: ignore[arg-type]
    arrivals = (70, 1000 * 0.000016), (69, 1250 * 0.000016)
    told = link.feedback.write(Feedback(2, 5, arrivals, (Wanted(300, 65535),)))
    head = bytes([17, 2, 1]) + struct.pack(">HII", 2, 1, 5) + (69).to_bytes(6, "big")
    rows = struct.pack(">IHHHHIH", 1000, 1, 0, 0, 250, 300, 65535)
    key = hkdf(ours, "vchat-1 feedback")
    mac = hashlib.blake2s(head + rows, key=key, digest_size=16).digest()
    assert told == head + rows + mac


def test_a_code_a_link_and_a_safety_number_are_what_pages_01_and_02_say() -> None:
    one, two = (Identity.generate(Chance(seed)).public for seed in (1, 2))
    fingerprint = h("vchat-1 fingerprint", one.sign, one.dh)[:16]
    assert one.fingerprint == fingerprint.hex()
    spoken = make_spoken(Chance(3), "4821", "example.org:8800")
    words = [int.from_bytes(drawn, "big") % 2048 for drawn in _twos(Chance(3), 3)]
    assert write_invitation(spoken) == (
        f"4821-{'-'.join(WORDS[word] for word in words)}@example.org:8800"
    )
    link = write_invitation(make_link(Chance(3), "4821", fingerprint.hex(), ("ws://a:1",)))
    body = b"\x01\0\x044821" + Chance(3)(16) + fingerprint + b"\x01\0\x08ws://a:1\0"
    letters = link.removeprefix("vchat:")
    assert _base64url(letters) == body + h("vchat-1 link", body)[:4]

    first, second = sorted((one, two), key=lambda who: who.sign)
    keys = first.sign, first.dh, second.sign, second.dh
    long = b"".join(h("vchat-1 safety number", bytes([part]), *keys) for part in (0, 1))
    groups = [int.from_bytes(long[at : at + 5], "big") % 100_000 for at in range(0, 60, 5)]
    assert safety_number(two, one) == " ".join(f"{group:05}" for group in groups)


def _twos(chance: Chance, count: int) -> list[bytes]:
    return [chance(2) for _ in range(count)]


def _base64url(letters: str) -> bytes:
    """RFC 4648, 5, without padding."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bits = "".join(f"{alphabet.index(letter):06b}" for letter in letters)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))

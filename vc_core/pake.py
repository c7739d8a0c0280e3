"""CPace-X25519-SHA512: a short password becomes a strong key (draft-irtf-cfrg-cpace-20).

    generator  g   = Elligator 2 of the first 32 bytes of
                     SHA-512(lv_cat(DSI, PRS, zpad, CI, sid))
    share      Y   = X25519(y, g), y fresh
    secret     K   = X25519(y, the other's Y); the neutral element aborts
    key        ISK = SHA-512(lv_cat(DSI || "_ISK", sid, K)
                             || lv_cat(Ya, ADa) || lv_cat(Yb, ADb))
    confirmation   mac_key = SHA-512("CPaceMac" || sid || ISK)
                   Ta = HMAC-SHA-512(mac_key, lv_cat(Ya, ADa))
                   Tb = HMAC-SHA-512(mac_key, lv_cat(Yb, ADb))

DSI is "CPace255"; A is the initiator. A length inside ``lv_cat`` is LEB128.
Each side sends the tag over its own message and checks the other's. The draft
publishes no vectors for the tags; ours stand in ``tests/vectors``.

The map runs on Python integers and is not constant in time; what it works on
is a hash of password and session, fresh in each exchange.
"""

from __future__ import annotations

import hashlib
import hmac

from nacl import bindings

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.ids import Rng
from vc_core.keys import KEY_SIZE, same, x25519

# Specification
DSI = b"CPace255"
TAG_SIZE = 64  # bytes of a confirmation tag
_BLOCK = 128  # bytes that SHA-512 takes at once (s_in_bytes)
_PRIME = 2**255 - 19
_A = 486_662  # of Curve25519 (RFC 7748): v² = u³ + A·u² + u


def lv_cat(*parts: bytes) -> bytes:
    """``parts`` behind their LEB128 lengths (the draft's ``lv_cat``)."""
    return b"".join(_prepend_length(part) for part in parts)


def _prepend_length(part: bytes) -> bytes:
    size, prefix = len(part), b""
    while size >> 7:
        prefix += bytes([size & 127 | 128])
        size >>= 7
    return prefix + bytes([size]) + part


def elligator2(field_element: bytes) -> bytes:
    """The u-coordinate on Curve25519 or its twist for 32 bytes (RFC 9380, 6.7.1, Z = 2)."""
    r = int.from_bytes(field_element, "little") & (1 << 255) - 1
    u = -_A * pow(1 + 2 * r * r, -1, _PRIME) % _PRIME  # -1/2 is no square: never divides by zero
    square = pow(u * (u * u + _A * u + 1), (_PRIME - 1) // 2, _PRIME) in (0, 1)
    return (u if square else (-u - _A) % _PRIME).to_bytes(32, "little")


def generator(prs: bytes, ci: bytes, sid: bytes) -> bytes:
    """g: the base point that only those who know ``prs`` can compute, 32 bytes."""
    pad = max(0, _BLOCK - 1 - len(_prepend_length(prs)) - len(_prepend_length(DSI)))
    text = lv_cat(DSI, prs, b"\0" * pad, ci, sid)
    return elligator2(hashlib.sha512(text).digest()[:32])


def session_key(sid: bytes, secret: bytes, transcript: bytes) -> bytes:
    """ISK: 64 bytes from K and the transcript."""
    return hashlib.sha512(lv_cat(DSI + b"_ISK", sid, secret) + transcript).digest()


def confirmation_tag(sid: bytes, isk: bytes, share: bytes, ad: bytes) -> bytes:
    """The 64-byte tag of the side that sent ``share`` and ``ad`` (section "key confirmation")."""
    mac_key = hashlib.sha512(b"CPaceMac" + sid + isk).digest()
    return hmac.digest(mac_key, lv_cat(share, ad), "sha512")


class Exchange:
    """One side of one exchange.

    ``prs`` is the password, ``ci`` names both ends, ``sid`` this session;
    ``own_ad`` travels openly beside our share and is bound by the key. The two
    sides' ``ad`` must differ (ours begin with the role).
    """

    def __init__(
        self, prs: bytes, ci: bytes, sid: bytes, own_ad: bytes, *, initiator: bool, rng: Rng
    ) -> None:
        self._sid, self._ad, self._initiator = sid, own_ad, initiator
        self._scalar = rng(KEY_SIZE)
        self._peer: tuple[bytes, bytes] | None = None
        self._isk = b""
        self.share = bindings.crypto_scalarmult(self._scalar, generator(prs, ci, sid))
        """Y: 32 bytes for the other side."""

    def finish(self, peer_share: bytes, peer_ad: bytes) -> bytes:
        """ISK, 64 bytes; equal on both sides only if the passwords are.

        ``RemoteProtocolError`` for a share of wrong length or low order, and
        for our own message sent back to us.
        """
        if self._peer is not None:
            raise LocalProtocolError("a CPace exchange is finished once")
        if len(peer_share) != KEY_SIZE:
            raise RemoteProtocolError("a CPace share of wrong length")
        if (peer_share, peer_ad) == (self.share, self._ad):
            raise RemoteProtocolError("our own CPace message came back")
        secret = x25519(self._scalar, peer_share)
        own, peer = lv_cat(self.share, self._ad), lv_cat(peer_share, peer_ad)
        transcript = own + peer if self._initiator else peer + own
        self._isk = session_key(self._sid, secret, transcript)
        self._peer = (peer_share, peer_ad)
        return self._isk

    @property
    def own_tag(self) -> bytes:
        """Our confirmation tag: Ta of the initiator, Tb of the responder."""
        self._finished_peer()
        return confirmation_tag(self._sid, self._isk, self.share, self._ad)

    def check_tag(self, tag: bytes) -> None:
        """``RemoteProtocolError`` unless the other side has the same password."""
        peer_share, peer_ad = self._finished_peer()
        if not same(tag, confirmation_tag(self._sid, self._isk, peer_share, peer_ad)):
            raise RemoteProtocolError("a CPace tag that does not fit: another password")

    def _finished_peer(self) -> tuple[bytes, bytes]:
        if self._peer is None:
            raise LocalProtocolError("a CPace exchange has no tags before it is finished")
        return self._peer

"""Our side of a slot: what a forwarder, or whoever poses as one, can make us do."""

from __future__ import annotations

from vc_core import envelope
from vc_core.attachment import CLAIMS, RENEW_PAUSE, Attachment, State
from vc_core.envelope import Attached, Cookie, Flags, Reason
from vc_core.grant import Claims, make_grant, open_secret

GRANTS = tuple(
    make_grant(secret, Claims(bytes(16), 1, 1000, 600)) for secret in (bytes(32), open_secret())
)
CHANNELS = range(8)
COOKIE = envelope.write_cookie(Cookie(1, 0, bytes(16)))
OPEN = envelope.write_cookie(Cookie(1, Flags.OPEN, bytes(16)))
ATTACHED = envelope.write_attached(Attached(1, 30, b"", 0))
WRONG = envelope.write_refused(Reason.WRONG)


class Client:
    """An attachment with channels that carry, and what it has sent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.attachment = Attachment(GRANTS, self.now)
        for channel in CHANNELS:
            self.attachment.ready(channel, self.now)
        self.sent()

    def sent(self) -> list[tuple[int, bytes]]:
        out = list(self.attachment.out)
        self.attachment.out.clear()
        return out

    def hears(self, *datagrams: bytes, channel: int = 0) -> list[tuple[int, bytes]]:
        for datagram in datagrams:
            self.attachment.receive(channel, datagram, self.now)
        return self.sent()

    def waits(self, seconds: float) -> list[tuple[int, bytes]]:
        until = self.now + seconds
        while (due := self.attachment.next_timer()) <= until:
            self.now = max(self.now, due)
            self.attachment.handle_timer(self.now)
        self.now = until
        return self.sent()


def grants_in(sent: list[tuple[int, bytes]]) -> list[bytes]:
    """The tags of all claims."""
    claims = [data for _, data in sent if data[0] == envelope.CLAIM]
    return [envelope.read_claim(data).tag for data in claims]


def hellos_in(sent: list[tuple[int, bytes]]) -> int:
    return sum(data[0] == envelope.HELLO for _, data in sent)


def test_a_slot_is_claimed_with_the_grant_that_fits_the_forwarder() -> None:
    assert grants_in(Client().hears(COOKIE)) == [GRANTS[0].tag]
    client = Client()
    assert grants_in(client.hears(OPEN)) == [GRANTS[1].tag]
    client.hears(ATTACHED)
    assert client.attachment.attached


def test_when_one_grant_is_refused_the_next_is_shown_with_the_same_cookie() -> None:
    client = Client()
    client.hears(COOKIE)
    assert grants_in(client.hears(WRONG)) == [GRANTS[1].tag]
    client.hears(ATTACHED)
    assert client.attachment.attached


def test_no_refusal_makes_us_ask_all_named_addresses_again_at_once() -> None:
    client = Client()
    sent = [out for _ in range(1000) for out in client.hears(COOKIE, WRONG)]
    assert hellos_in(sent) == 0 and len(sent) <= len(GRANTS)
    assert client.attachment.state is State.REFUSED


def test_fresh_grants_after_a_refusal_make_us_ask_again_and_not_more_often_than_that() -> None:
    client, sent = Client(), 0
    for _ in range(500):
        client.hears(COOKIE, WRONG, WRONG)
        client.attachment.renew(GRANTS, client.now)
        sent += hellos_in(client.waits(0.01))
    assert len(CHANNELS) <= sent <= len(CHANNELS) * (1 + 5 / RENEW_PAUSE)


def test_fresh_grants_that_come_while_an_older_one_is_refused_are_tried_soon() -> None:
    client = Client()
    client.hears(COOKIE)
    client.attachment.renew(GRANTS[1:], client.now)
    client.hears(WRONG, WRONG)
    assert hellos_in(client.waits(RENEW_PAUSE + 0.1)) > 0


def test_fewer_grants_than_before_or_none_break_no_claim_that_is_under_way() -> None:
    client = Client()
    client.hears(COOKIE)
    client.hears(WRONG)
    client.attachment.renew(GRANTS[:1], client.now)
    assert set(grants_in(client.waits(3.0))) == {GRANTS[0].tag}
    client.attachment.renew((), client.now)
    assert len(grants_in(client.waits(2.0))) <= CLAIMS


def test_a_forwarder_that_gives_the_slot_again_and_again_costs_no_memory() -> None:
    client = Client()
    for _ in range(1000):
        client.hears(COOKIE, ATTACHED)
    assert len(client.attachment._pinged) <= 1

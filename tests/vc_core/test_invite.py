"""Invitations: what people type is understood or refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.read import names, own
from tests.vectors.seeded import seeded
from vc_core.errors import LocalProtocolError
from vc_core.invite import (
    Flaw,
    Invitation,
    InvitationError,
    Kind,
    make_link,
    make_spoken,
    parse_invitation,
    server_url,
    write_invitation,
)
from vc_core.wordlist import NUMBERS

OWN = own("invite")


@pytest.mark.parametrize("case", OWN["good"], ids=names(OWN["good"]))
def test_understands_our_own_vectors_and_writes_them_again(case: dict[str, Any]) -> None:
    invitation = parse_invitation(case["text"])
    assert invitation == Invitation(
        Kind(case["kind"]),
        case["nameplate"],
        bytes.fromhex(case["password"]),
        tuple(case["servers"]),
        tuple(case["relays"]),
        case["fingerprint"],
    )
    assert write_invitation(invitation) == case["text"]


@pytest.mark.parametrize("case", OWN["forgiven"], ids=names(OWN["forgiven"]))
def test_forgives(case: dict[str, str]) -> None:
    assert parse_invitation(case["text"]) == parse_invitation(case["means"])


@pytest.mark.parametrize("case", OWN["bad"], ids=names(OWN["bad"]))
def test_refuses_what_our_own_vectors_say_is_wrong(case: dict[str, str]) -> None:
    with pytest.raises(InvitationError) as caught:
        parse_invitation(case["text"])
    assert caught.value.flaw is Flaw[case["flaw"]]
    assert str(caught.value).startswith(caught.value.flaw.value)


def test_a_misspelt_word_is_named_with_what_was_meant() -> None:
    with pytest.raises(InvitationError, match=r"'bananna'; did you mean 'banana'"):
        parse_invitation("4821-apple-bananna-candle")


def test_a_word_like_nothing_gets_no_suggestion() -> None:
    with pytest.raises(InvitationError) as caught:
        parse_invitation("4821-apple-qqqqqqqqqqq-candle")
    assert caught.value.suggestion == ""


@pytest.mark.parametrize(
    ("server", "written"),
    [
        ("ws://host:8765", "@host:8765"),
        ("ws://host", "@ws://host"),
        ("ws://[::1]:9", "@[::1]:9"),
        ("ws://host:1/path", "@ws://host:1/path"),
        ("wss://host/", "@wss://host/"),
    ],
)
def test_a_code_leads_to_the_server_that_it_was_made_for(server: str, written: str) -> None:
    code = write_invitation(make_spoken(seeded("servers"), "4821", server))
    assert code.endswith(written) and parse_invitation(code).servers == (server,)


def test_the_password_is_the_words_only() -> None:
    assert parse_invitation("4821 Apple raven CANDLE@host").password == b"apple-raven-candle"


def test_a_fresh_code_has_33_bits_of_its_chance() -> None:
    seen: list[int] = []

    def rng(size: int) -> bytes:
        seen.append(size)
        return (2047 - len(seen)).to_bytes(size, "big")

    words = make_spoken(rng, "4821").password.decode().split("-")
    assert [NUMBERS[word] for word in words] == [2046, 2045, 2044]
    assert seen == [2, 2, 2]


def test_secrets_stay_out_of_representations() -> None:
    invitation = make_spoken(seeded("repr"), "4821")
    assert invitation.password.decode() not in repr(invitation)


def test_too_few_words_are_never_made() -> None:
    with pytest.raises(LocalProtocolError, match="2 words"):
        make_spoken(seeded("few"), "4821", words=2)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("example.com", "ws://example.com:8765"),
        ("EXAMPLE.com:80", "ws://example.com:80"),
        ("[FE80::1]:9", "ws://[fe80::1]:9"),
        ("[::1]", "ws://[::1]:8765"),
        ("wss://h/Path", "wss://h/Path"),
        ("ws://h:1", "ws://h:1"),
    ],
)
def test_servers_become_urls(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize("text", ["ws://h:0", "ws://h:65536", "wss://h:99999/path", "h:65536"])
def test_no_server_has_such_a_port(text: str) -> None:
    with pytest.raises(InvitationError):
        server_url(text)


def test_a_link_may_be_broken_over_lines() -> None:
    link = make_link(seeded("lines"), "4821", "ab" * 16, ("h:1",))
    text = write_invitation(link)
    assert parse_invitation(f" {text[:30]}\n  {text[30:]}\n") == link
    assert parse_invitation(text.replace("vchat:", "VChat://")) == link


@given(st.text(max_size=120) | st.text(max_size=120).map(lambda text: "vchat:" + text))
def test_arbitrary_text_is_understood_or_refused_with_a_reason(text: str) -> None:
    try:
        parse_invitation(text)
    except InvitationError as error:
        assert error.flaw in Flaw


@given(st.text(max_size=40))
def test_arbitrary_servers_are_urls_or_refused(text: str) -> None:
    try:
        url = server_url(text)
    except InvitationError as error:
        assert error.flaw is Flaw.BAD_SERVER
    else:
        assert url.startswith(("ws://", "wss://"))
        assert not any(letter.isspace() or not letter.isprintable() for letter in url)


@given(
    st.lists(st.sampled_from(sorted(NUMBERS)), min_size=3, max_size=8),
    st.integers(1000, 10**16 - 1),
)
def test_spoken_codes_round_trip(words: list[str], nameplate: int) -> None:
    text = "-".join((str(nameplate), *words))
    assert write_invitation(parse_invitation(text)) == text

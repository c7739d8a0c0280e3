"""STUN Binding against the published vectors, against aioice, and against garbage."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from vc_core.bucket import Rate
from vc_core.errors import LocalProtocolError, RemoteProtocolError
from vc_core.stun_binding import (
    Address,
    StunResponder,
    read_answer,
    read_request,
    write_answer,
    write_request,
)

TRANSACTION = bytes(range(12))

# RFC 5769 sections 2.2 and 2.3: sample IPv4 and IPv6 responses
RFC_IPV4_ANSWER = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
RFC_IPV6_ANSWER = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf1"
    "1784c97c8292c275bfe3ed4180280004c8fb0b4c"
)

addresses = st.tuples(
    st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.integers(1, 65535)
)


def packed(host: str) -> bytes:
    return ipaddress.ip_address(host).packed


@pytest.mark.parametrize(
    ("answer", "host"),
    [
        (RFC_IPV4_ANSWER, "192.0.2.1"),
        (RFC_IPV6_ANSWER, "2001:db8:1234:5678:11:2233:4455:6677"),
    ],
)
def test_reads_the_sample_answers_of_rfc_5769(answer: bytes, host: str) -> None:
    transaction, address = read_answer(answer)
    assert transaction == bytes.fromhex("b7e7a701bc34d686fa87dfae")
    assert address == (packed(host), 32853)


@pytest.mark.parametrize("host", ["192.0.2.33", "2001:db8::77"])
def test_aioice_understands_our_answer(host: str) -> None:
    message = stun.parse_message(write_answer(TRANSACTION, (packed(host), 40000)))
    assert message.message_class == stun.Class.RESPONSE
    assert message.attributes["XOR-MAPPED-ADDRESS"] == (host, 40000)


def test_understands_the_question_of_aioice() -> None:
    question = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.REQUEST,
        transaction_id=TRANSACTION,
    )
    assert read_request(bytes(question)) == TRANSACTION
    question.add_fingerprint()
    assert read_request(bytes(question)) == TRANSACTION


def test_an_answer_is_small() -> None:
    assert len(write_request(TRANSACTION)) == 20
    assert len(write_answer(TRANSACTION, (bytes(4), 1))) == 32
    assert len(write_answer(TRANSACTION, (b"\x20" * 16, 1))) == 44


@given(st.binary(min_size=12, max_size=12), addresses)
def test_question_and_answer_round_trip(transaction: bytes, address: Address) -> None:
    assert read_request(write_request(transaction)) == transaction
    told = read_answer(write_answer(transaction, address))
    if not address[0].startswith(bytes(10) + b"\xff\xff"):
        assert told == (transaction, address)


def test_an_ipv4_address_inside_ipv6_is_told_as_ipv4() -> None:
    answer = write_answer(TRANSACTION, (packed("::ffff:192.0.2.9"), 7))
    assert read_answer(answer) == (TRANSACTION, (packed("192.0.2.9"), 7))


def test_our_own_wrong_transaction_id_is_loud() -> None:
    with pytest.raises(LocalProtocolError):
        write_request(b"short")


@given(st.binary(max_size=80))
def test_garbage_causes_only_a_remote_error(data: bytes) -> None:
    for body in (data, write_request(TRANSACTION)[:2] + data, RFC_IPV4_ANSWER[:20] + data):
        for read in (read_request, read_answer):
            with contextlib.suppress(RemoteProtocolError):
                read(body)


@given(st.integers(0, len(RFC_IPV6_ANSWER) - 1), st.integers(0, 255))
def test_a_bent_answer_causes_only_a_remote_error(at: int, byte: int) -> None:
    bent = RFC_IPV6_ANSWER[:at] + bytes([byte]) + RFC_IPV6_ANSWER[at + 1 :]
    with contextlib.suppress(RemoteProtocolError):
        read_answer(bent)


def test_a_question_with_an_attribute_that_must_be_understood_gets_silence() -> None:
    check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, TRANSACTION)
    check.attributes["USERNAME"] = "a:b"
    assert StunResponder(0.0).receive_datagram(bytes(check), (bytes(4), 9), 0.0) is None


@given(st.binary(max_size=1500), addresses)
def test_the_responder_raises_nothing_and_answers_only_questions(
    data: bytes, address: Address
) -> None:
    assert StunResponder(0.0).receive_datagram(data, address, 0.0) is None


def test_the_responder_answers_a_customer_only_so_often() -> None:
    responder = StunResponder(0.0, per_customer=Rate(1, 2))
    question, home = write_request(TRANSACTION), packed("2001:db8::1")
    neighbour, stranger = packed("2001:db8::2"), packed("2001:db8:1::1")
    assert responder.receive_datagram(question, (home, 1), 0.0)
    assert responder.receive_datagram(question, (neighbour, 2), 0.0)
    assert responder.receive_datagram(question, (home, 3), 0.0) is None
    assert responder.receive_datagram(question, (stranger, 3), 0.0)
    assert responder.receive_datagram(question, (home, 1), 1.0)


def test_the_responder_answers_all_together_only_so_often() -> None:
    responder = StunResponder(0.0, in_all=Rate(1, 3))
    question = write_request(TRANSACTION)
    answers = [
        responder.receive_datagram(question, (bytes([10, 0, 0, n]), 1), 0.0) for n in range(9)
    ]
    assert sum(answer is not None for answer in answers) == 3

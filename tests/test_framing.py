"""The borders between requests do not depend on how the bytes are split, and all input is limited."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.server.protocol import MAX_HEADERS, MAX_LINE
from tests.connection import MAX_BODY, Connection

HOST = b"Host: x\r\n"
OFFER = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
LOOKS_LIKE_AN_OFFER = b"a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET / HTTP/1.1\r\n\r\n"


def sized(body: bytes, fields: bytes = b"", line: bytes = b"POST /sized HTTP/1.1") -> bytes:
    return b"%b\r\n%b%bContent-Length: %d\r\n\r\n%b" % (line, HOST, fields, len(body), body)


def chunked(*chunks: bytes, fields: bytes = b"", trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = b"PUT /chunked HTTP/1.1\r\n%b%bTransfer-Encoding: chunked\r\n\r\n" % (HOST, fields)
    return head + body + b"0\r\n%b\r\n" % trailer


def get(fields: bytes = b"") -> bytes:
    return b"GET /got HTTP/1.1\r\n%b%b\r\n" % (HOST, fields)


def in_parts(*parts: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """The requests in these bytes, and the answers."""
    connection = Connection()
    came = [request for part in parts for request in connection.receive(part)]
    return came, connection.answered


MESSAGES = {
    "get": get(),
    "post": sized(b"hello"),
    "empty": sized(b""),
    "chunked": chunked(b"hel", b"lo"),
    "blank lines": sized(b"\r\n\r\n\r\n\n\n\r\n\r\n\r"),
    "blank lines in chunks": chunked(b"\r\n\r\n", b"\r\n", b"\n\r\n\r\n\r", b"\n"),
    "trailer": chunked(b"hello", trailer=b"T: x\r\nU: y\r\n"),
    "leading lines": b"\r\n\r\n" + get(),
    "a request in a body": sized(get() + sized(b"x")),
    "a request in chunks": chunked(get(), sized(b"x")),
    "offer": get(OFFER),
    "offer in any case": sized(b"hello", b"CONNECTION: upgrade\r\nuPgRaDe: WebSocket\r\n"),
    "offer with a body": sized(b"hello", OFFER),
    "offer with chunks": chunked(b"hel", b"lo", fields=OFFER, trailer=b"T: x\r\n"),
    "offer and nothing": sized(b"", OFFER),
    "a body like an offer": sized(LOOKS_LIKE_AN_OFFER),
    "an offer of a body like an offer": sized(LOOKS_LIKE_AN_OFFER, OFFER),
    "chunks like an offer": chunked(LOOKS_LIKE_AN_OFFER, b"\r\nUpgrade: h2c\r\n"),
    "old": sized(b"hello", b"Connection: keep-alive\r\n", b"POST /old HTTP/1.0"),
}
WHAT_THEY_SAY = {
    "get": ("GET", b""),
    "post": ("POST", b"hello"),
    "empty": ("POST", b""),
    "chunked": ("PUT", b"hello"),
    "blank lines": ("POST", b"\r\n\r\n\r\n\n\n\r\n\r\n\r"),
    "blank lines in chunks": ("PUT", b"\r\n\r\n\r\n\n\r\n\r\n\r\n"),
    "trailer": ("PUT", b"hello"),
    "leading lines": ("GET", b""),
    "a request in a body": ("POST", get() + sized(b"x")),
    "a request in chunks": ("PUT", get() + sized(b"x")),
    "offer": ("GET", b""),
    "offer in any case": ("POST", b"hello"),
    "offer with a body": ("POST", b"hello"),
    "offer with chunks": ("PUT", b"hello"),
    "offer and nothing": ("POST", b""),
    "a body like an offer": ("POST", LOOKS_LIKE_AN_OFFER),
    "an offer of a body like an offer": ("POST", LOOKS_LIKE_AN_OFFER),
    "chunks like an offer": ("PUT", LOOKS_LIKE_AN_OFFER + b"\r\nUpgrade: h2c\r\n"),
    "old": ("POST", b"hello"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_request_between_two_others_may_be_split_at_every_offset(name: str) -> None:
    stream = get() + MESSAGES[name] + sized(b"last")
    whole = in_parts(stream)

    assert [(it["method"], it["body"]) for it in whole[0]] == [("GET", b""), WHAT_THEY_SAY[name], ("POST", b"last")]
    for at in range(1, len(stream)):
        assert in_parts(stream[:at], stream[at:]) == whole, at
    assert in_parts(*(stream[at : at + 1] for at in range(len(stream)))) == whole


def test_an_ignored_upgrade_is_in_the_recorded_request() -> None:
    came, _ = in_parts(sized(b"hello", b"X-A: b\r\n" + OFFER))

    assert came[0]["headers"] == [
        (b"host", b"x"), (b"x-a", b"b"), (b"connection", b"Upgrade"), (b"upgrade", b"h2c"), (b"content-length", b"5"),
    ]  # fmt: skip


def test_a_connection_that_offers_and_closes_is_closed() -> None:
    came, answered = in_parts(sized(b"hello", b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n") + get())

    assert [it["body"] for it in came] == [b"hello"]
    assert answered.count(b"connection: close") == 1


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted(MESSAGES)), min_size=1, max_size=6), st.lists(st.integers(0, 1000), max_size=8))
def test_any_requests_may_be_split_anywhere(names: list[str], cuts: list[int]) -> None:
    stream = b"".join(MESSAGES[name] for name in names)
    at = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})

    came, answered = in_parts(*(stream[start:end] for start, end in itertools.pairwise(at)))

    assert [(it["method"], it["body"]) for it in came] == [WHAT_THEY_SAY[name] for name in names]
    assert answered.count(b"HTTP/1.1 204") == len(names)


def test_only_a_few_of_many_requests_are_answered_in_one_turn() -> None:
    connection = Connection()
    count, most = 1000, 0

    connection.protocol.data_received(get() * count)
    answered = len(connection.requests)
    while connection.loop.turn():
        most = max(most, len(connection.requests) - answered)
        answered = len(connection.requests)

    assert answered == count
    assert 0 < most <= 4


def test_nothing_is_answered_while_the_client_reads_nothing() -> None:
    connection = Connection()

    connection.protocol.pause_writing()
    connection.protocol.data_received(get() * 10)
    while connection.loop.turn():
        pass
    before = len(connection.requests)
    connection.protocol.resume_writing()
    while connection.loop.turn():
        pass

    assert (before, len(connection.requests)) == (1, 10)


def test_a_body_of_chunks_of_a_byte_takes_hardly_more_memory_than_it_is_long() -> None:
    connection = Connection()
    body = b"2\r\nab\r\n" * (MAX_BODY // 2)
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.receive(get())

    tracemalloc.start()
    try:
        connection.protocol.data_received(head + body)
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert grown < 4 * MAX_BODY + 8000  # a list of the pieces takes five times as much; other threads allocate, too
    assert [request["body"] for request in connection.receive(b"0\r\n\r\n")] == [b"ab" * (MAX_BODY // 2)]


def test_a_body_without_memory_for_it_is_answered_and_its_rest_dropped() -> None:
    connection = Connection(room=10)
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    with patch("promo_sandbox.server.protocol._CHECK_INTERVAL", 5):
        came = connection.receive(head + b"a\r\n0123456789\r\n")
        came += connection.receive(b"6\r\nabcdef\r\n" * 3 + get())

    assert [(request["body_problem"].status, request["body"]) for request in came] == [(507, b"")]
    assert b"connection: close" in connection.answered


def test_an_idle_connection_keeps_no_body() -> None:
    connection = Connection()

    for message in (sized(b"hello"), chunked(b"hel", b"lo")):
        connection.receive(message)
        assert not connection.protocol._body  # noqa: SLF001 - it has no public name


@pytest.mark.parametrize(
    "endless",
    [
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: ",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;extension=",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;extension=",
        b"GET / HTTP/1.1\r\nHost: x\r\nField: ",
    ],
)
def test_an_endless_head_is_rejected(endless: bytes) -> None:
    connection = Connection()

    connection.receive(endless)
    for _ in range((MAX_LINE + MAX_HEADERS) // 1000 + 2):
        connection.receive(b"x" * 1000)

    assert connection.answered.startswith(b"HTTP/1.1 431 ")
    assert connection.requests == []


def test_fields_behind_a_body_may_be_as_long_as_those_before_it() -> None:
    came, answered = in_parts(chunked(b"hello", trailer=b"T: " + b"x" * (MAX_HEADERS - 100) + b"\r\n"))

    assert [it["body"] for it in came] == [b"hello"]
    assert answered.startswith(b"HTTP/1.1 204")

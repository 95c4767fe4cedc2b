"""The header cache reads requests exactly as httptools does, and leaves all special requests to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promo_sandbox.server.header_cache import Fields, HeaderCache
from tests.connection import MAX_BODY, Connection

POST = b"POST /things?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


class Forgetful(HeaderCache):
    """Caches nothing, so that httptools reads everything."""

    def add(self, data: bytes, fields: Fields) -> None:
        pass


NAMES = st.sampled_from(["host", "X-A", "Accept", "Content-Type", "Authorization", "Connection", "Expect", "Upgrade"])
VALUES = st.sampled_from(
    ["", "x", " padded\t", "keep-alive", "close", "Upgrade", "application/json", "Ärger", "a\r\n folded"]
)
LINES = st.sampled_from(
    [
        "GET / HTTP/1.1", "POST /a/b%20c?d=e&f HTTP/1.1", "PUT //x HTTP/1.1", "DELETE /~org/a;b HTTP/1.1",
        "HEAD / HTTP/1.1", "GET / HTTP/1.0", "GET http://host/a HTTP/1.1", "BREW /pot HTTP/1.1", "GET /ä HTTP/1.1",
        "GET  / HTTP/1.1", "get / HTTP/1.1", "PATCH / HTTP/1.1 ",
    ]
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Bytes that may be a request. Content-Length may be wrong or missing."""
    body = draw(st.binary(max_size=20))
    declared = draw(st.sampled_from([len(body), len(body), len(body) + 1, max(len(body) - 1, 0), None]))
    fields = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    hosts = draw(st.sampled_from([["Host: x"], ["Host: x"], ["Host: x"], ["Host: a_b:1"], ["Host: a b"], []]))
    lines = [draw(LINES), *hosts, *(f"{name}: {value}" for name, value in fields)]
    if declared is not None:
        lines.append(f"Content-Length: {declared}")
    return draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n"])).join([*lines, "", ""]).encode("latin-1") + body


@settings(max_examples=500, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=5, max_size=12))
def test_cached_fields_are_read_as_httptools_reads_them(pieces: list[bytes], order: list[int]) -> None:
    remembering, forgetful = Connection(), Connection(Forgetful(MAX_BODY))

    for data in [*pieces, *(pieces[at % len(pieces)] for at in order)]:
        assert remembering.receive(data) == forgetful.receive(data)
    assert remembering.answered == forgetful.answered


def test_repeated_fields_are_not_parsed_again() -> None:
    connection = Connection()
    first, second = connection.receive(POST), connection.receive(POST)

    assert first == second
    assert connection.header_cache.request(POST) is not None
    assert connection.receive(POST) == first
    assert first[0]["target"] == "/things?a=1"
    assert first[0]["body"] == b"hello"


def test_cached_fields_apply_to_any_path_method_and_body() -> None:
    connection = Connection()
    connection.receive(POST)
    connection.receive(POST)
    other = POST.replace(b"POST /things?a=1", b"PUT /others").replace(b"hello", b"\r\n\r\n!")

    known = connection.header_cache.request(other)

    assert known is not None
    assert (known.method, known.path, known.query, known.body) == ("PUT", "/others", "", b"\r\n\r\n!")
    assert connection.receive(other) == Connection().receive(other)


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n" + bytes(1001),
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2048 + b"\r\n\r\n",
        b"GET /" + b"x" * 2048 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 65 + b"\r\n",
        b"GET / HTTP/1.1\r\nAccept: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ],
)
def test_special_requests_are_never_cached(data: bytes) -> None:
    known = HeaderCache(MAX_BODY)

    for _ in range(3):
        Connection(known).receive(data)

    assert known.request(data) is None


def test_a_request_inside_a_body_is_not_handled() -> None:
    connection = Connection()
    connection.receive(POST)
    connection.receive(POST)
    head = b"POST /outer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(POST)

    assert connection.receive(head) == []
    assert [request["body"] for request in connection.receive(POST)] == [POST]


def test_a_client_that_announced_to_close_gets_no_more_replies() -> None:
    connection = Connection()
    connection.receive(POST)
    connection.receive(POST)
    connection.receive(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert connection.receive(POST) == []


def numbered(number: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n\r\n" % number


def test_fields_that_are_received_once_are_not_cached() -> None:
    connection = Connection()

    for number in range(1000):
        connection.receive(numbered(number))

    assert not any(connection.header_cache.request(numbered(number)) for number in range(1000))


def test_only_so_many_fields_are_remembered() -> None:
    connection = Connection()

    for number in range(1000):
        connection.receive(numbered(number))
        connection.receive(numbered(number))

    kept = [number for number in range(1000) if connection.header_cache.request(numbered(number))]
    assert 0 < len(kept) <= 256
    assert kept[-1] == 999


def test_nothing_is_known_at_first() -> None:
    assert HeaderCache(MAX_BODY).request(b"") is None
    assert HeaderCache(MAX_BODY).request(POST) is None

"""However much a connection asks at once: others are answered, and it takes hardly more memory than another."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import httpx2
import pytest

from tests.command import Served, serving
from tests.limits.pipelined import MEBIBYTE, cpu, flood, memory, seed_cards, until, worst_wait

WAIT = 0.25  # seconds of the server's work that a bystander may wait for; the rule is 0.05
CHUNKED = b"POST /emporix/none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def page(served: Served) -> bytes:
    """A request for a page of 5,000 gift cards."""
    target = seed_cards(served, 5000)
    answer = httpx2.get(served.url + target, headers={"Authorization": "Bearer any"}, timeout=30)
    assert (answer.status_code, len(answer.json()["items"])) == (200, 5000)
    return f"GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer any\r\n\r\n".encode()


def test_a_thousand_long_pages_that_are_not_read(served: Served, page: bytes) -> None:
    before, used = memory(served), cpu(served)

    with flood(served, page * 1000):
        waited = worst_wait(served)
        grown, spent = memory(served) - before, cpu(served) - used

    assert waited < WAIT
    assert grown < 40 * MEBIBYTE
    assert spent < 2


def test_fifty_thousand_short_requests(served: Served) -> None:
    before = memory(served)

    with flood(served, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 50_000):
        waited = worst_wait(served)
        grown = memory(served) - before

    assert waited < WAIT
    assert grown < 40 * MEBIBYTE


@pytest.mark.parametrize(
    "body",
    [
        b"1\r\nx\r\n" * 1_000_000,
        b"fffff\r\n" + b"\r\n\r\n" * 262_143,
        b"2;" + b"e" * 5_000_000,
        b"0\r\n" + b"T: x\r\n" * 1_000_000,
        b"0\r\nT: " + b"x" * 5_000_000,
    ],
    ids=["a byte a chunk", "blank lines", "an extension", "trailers", "a trailer"],
)
def test_a_body_in_strange_chunks(served: Served, body: bytes) -> None:
    before = memory(served)

    with flood(served, CHUNKED + body):
        waited = worst_wait(served)
        grown = memory(served) - before

    assert waited < WAIT
    assert grown < 40 * MEBIBYTE


def test_a_request_a_byte_a_write(served: Served) -> None:
    used = cpu(served)

    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n":
            connection.send(bytes([byte]))
        assert connection.recv(12) == b"HTTP/1.1 404"

    assert cpu(served) - used < 2


def test_what_a_connection_held_is_freed_when_it_is_reset(served: Served, page: bytes) -> None:
    before = memory(served)

    for _ in range(20):
        with flood(served, page * 1000) as connection:
            worst_wait(served, 3)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert until(lambda: memory(served) - before < 40 * MEBIBYTE)

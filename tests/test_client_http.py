"""Connections to a server that runs: kept for the next request, and never one that is closed or in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from promo_sandbox.client.http import HttpTransport, Rejected, Unreachable
from tests.patience import LONG
from tests.serving import in_a_thread


class Counting(ThreadingHTTPServer):
    """A server that says which of its connections a request came on, and answers `/__admin/missing` with 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Numbered)
        self.connections = 0
        self.leaves = False  # without a word, after each reply
        self.together = threading.Barrier(1)
        self.ended = threading.Semaphore(0)  # released for each connection that has ended

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.ended.release()

    @property
    def transport(self) -> HttpTransport:
        return HttpTransport(f"http://127.0.0.1:{self.server_address[1]}")


class _Numbered(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.number = self.server.connections

    def answer(self) -> None:
        self.server.together.wait(LONG)
        said = b'{"detail": "no"}' if self.path.endswith("missing") else str(self.number).encode()
        self.send_response(404 if self.path.endswith("missing") else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        self.close_connection = self.server.leaves

    do_GET = do_PUT = do_POST = answer  # noqa: N815 - as the standard library calls them

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    monkeypatch.setattr(
        "promo_sandbox.client.http._IDLE_SECONDS", LONG
    )  # so that a connection does not get old on a busy machine
    with in_a_thread(Counting()) as server:
        yield server


def asked(client: HttpTransport) -> str:
    return client.request("GET", "/number").decode()


def test_one_request_after_another_has_the_same_connection(server: Counting) -> None:
    client = server.transport

    assert [asked(client) for _ in range(3)] == ["1", "1", "1"]


def test_requests_at_once_have_connections_of_their_own(server: Counting) -> None:
    client = server.transport
    server.together = threading.Barrier(2)
    other = threading.Thread(target=asked, args=(client,))
    other.start()
    first = asked(client)
    other.join()
    server.together = threading.Barrier(1)

    assert {first, asked(client)} <= {"1", "2"}
    assert server.connections == 2


def test_a_rejection_keeps_its_connection(server: Counting) -> None:
    client = server.transport
    with pytest.raises(Rejected):
        client.request("GET", "/missing")

    assert asked(client) == "1"


def test_a_reply_that_is_not_read_to_its_end_closes_its_connection(server: Counting) -> None:
    client = server.transport
    with client.stream("GET", "/number"):
        pass

    assert asked(client) == "2"


def test_a_connection_that_the_server_has_left_is_not_asked_again(server: Counting) -> None:
    client = server.transport
    server.leaves = True
    answers = []
    for _ in range(3):
        answers.append(asked(client))
        assert server.ended.acquire(timeout=LONG)

    assert answers == ["1", "2", "3"]


@pytest.mark.parametrize(("name", "now"), [("time.monotonic", 10.0**9), ("os.getpid", -1)])
def test_a_connection_that_is_old_or_of_another_process_is_not_asked_again(
    server: Counting, monkeypatch: pytest.MonkeyPatch, name: str, now: float
) -> None:
    client = server.transport
    asked(client)
    monkeypatch.setattr(f"promo_sandbox.client.http.{name}", lambda: now)

    assert asked(client) == "2"


def test_a_kept_connection_is_not_taken_for_a_secure_one(server: Counting) -> None:
    asked(server.transport)
    secure = HttpTransport(server.transport.url.replace("http:", "https:"), "secret", timeout=LONG)

    with pytest.raises(Unreachable):  # the server does not speak TLS
        asked(secure)


def test_few_connections_are_kept(server: Counting) -> None:
    client, many = server.transport, 20
    server.together = threading.Barrier(many)
    with ThreadPoolExecutor(many) as threads:
        list(threads.map(asked, [client] * many))

    for _ in range(many - 8):
        assert server.ended.acquire(timeout=LONG)


def test_what_is_old_closes_when_something_newer_is_kept(server: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    client = server.transport
    server.together = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(asked, [client] * 2))
    server.together = threading.Barrier(1)
    later = time.monotonic() + LONG
    monkeypatch.setattr("promo_sandbox.client.http.time.monotonic", lambda: later)

    asked(client)

    assert server.ended.acquire(timeout=LONG)
    assert server.ended.acquire(timeout=LONG)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_request_on_a_connection_that_closes_under_our_feet_is_sent_again_if_it_may_be(
    server: Counting, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    client = server.transport
    server.leaves = True
    asked(client)
    assert server.ended.acquire(timeout=LONG)
    monkeypatch.setattr("promo_sandbox.client.http._is_quiet", lambda _: True)  # it closed a moment later

    if method == "POST":
        with pytest.raises(Unreachable):
            client.request(method, "/number")
    else:
        assert client.request(method, "/number") == b"2"

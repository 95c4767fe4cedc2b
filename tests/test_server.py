"""The socket server, byte by byte: its limits, and unusual clients, which must not affect other clients."""

from __future__ import annotations

import asyncio
import errno
import http.client
import itertools
import json
import select
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
import httpx2
import pytest

from promo_sandbox.base import clock, sockets
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.base.slices import Work
from promo_sandbox.base.sockets import listen, listen_all
from promo_sandbox.model.journal import Occurrence
from promo_sandbox.server.app import App
from promo_sandbox.server.protocol import MAX_HEADERS, MAX_LINE, Protocol
from tests.acme import new_app, write_specs
from tests.command import serving
from tests.patience import LONG, TICK, patiently, shortest
from tests.serving import free_port, running

TIMEOUT = 0.5  # seconds for a request
MAX_BODY = 100_000


class Answer(NamedTuple):
    """A reply as received."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A connection that sends bytes and receives replies."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LONG)
        self._read = b""

    def send(self, data: bytes | str) -> Wire:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def send_all_it_takes(self, piece: bytes, most: int) -> None:
        """Send pieces until the server answers or closes."""
        for _ in range(most):
            if self.readable(0):
                return
            try:
                self.socket.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                return

    def close(self) -> None:
        self.socket.close()

    def readable(self, seconds: float) -> bool:
        """Whether there is something to read within a time."""
        return bool(self._read) or bool(select.select([self.socket], [], [], seconds)[0])

    def answer(self, method: str = "GET") -> Answer:
        """The next reply."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        while len(self._read) < size:
            self._more()
        body, self._read = self._read[:size], self._read[size:]
        return Answer(int(line.split(" ")[1]), headers, body)

    def until(self, end: bytes) -> bytes:
        """The received bytes up to and including these."""
        while end not in self._read:
            self._more()
        found, _, self._read = self._read.partition(end)
        return found + end

    def rest(self) -> bytes:
        """All bytes until the server closes."""
        while data := self.socket.recv(65_536):
            self._read += data
        found, self._read = self._read, b""
        return found

    @property
    def closed(self) -> bool:
        """Whether the server closes without sending more."""
        if self._read:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        assert data, f"closed after {self._read!r}"
        self._read += data


Connect = Callable[[], Wire]


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_specs(tmp_path_factory.mktemp("server") / "specs")


@pytest.fixture(scope="module")
def app(specs: Path) -> App:
    return new_app(specs, request_timeout=LONG, max_body=MAX_BODY)


@pytest.fixture(scope="module")
def port(app: App) -> Iterator[int]:
    with running(app=app) as (_, url):
        yield int(url.rsplit(":", 1)[1])


@pytest.fixture
def connect(port: int) -> Iterator[Connect]:
    """Opens connections, and closes them at the end of the test."""
    wires: list[Wire] = []

    def connected() -> Wire:
        wires.append(Wire(port))
        return wires[-1]

    yield connected
    for wire in wires:
        wire.close()


@pytest.fixture
def wire(connect: Connect) -> Wire:
    return connect()


Impatient = Callable[[Callable[[Wire, float], None]], None]


@pytest.fixture
def impatient(specs: Path) -> Impatient:
    """A server with a short request timeout, and a connection to it."""

    def tested(test: Callable[[Wire, float], None]) -> None:
        def turn(limit: float) -> None:
            with (
                running(app=new_app(specs, request_timeout=limit)) as (_, url),
                closing(Wire(int(url.rsplit(":", 1)[1]))) as wire,
            ):
                test(wire, limit)

        patiently(TIMEOUT, turn)

    return tested


def request(
    target: str = "/acme/greeting", *headers: str, method: str = "GET", body: str = "", version: str = "1.1"
) -> bytes:
    fields = ["Host: localhost", "Authorization: Bearer any", *headers]
    if body and not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        fields.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"{method} {target} HTTP/{version}", *fields, "", body]).encode("latin-1")


def add(org: str, *headers: str, body: str = '{"name":"Lamp"}') -> bytes:
    return request(f"/acme/{org}/things", *headers, method="POST", body=body)


def padded(size: int) -> str:
    """A thing as JSON of this many bytes."""
    return '{"name":"' + "x" * (size - 11) + '"}'


# Ordinary requests


def test_a_request_is_answered_and_the_connection_stays(wire: Wire) -> None:
    for _ in range(3):
        answer = wire.send(request()).answer()

        assert (answer.status, answer.json["org"]) == (200, "default")
        assert answer.headers["content-type"] == "application/json"
        assert "connection" not in answer.headers
        assert "date" in answer.headers


def test_no_content_has_neither_length_nor_body(wire: Wire) -> None:
    thing = wire.send(add("none")).answer().json

    answer = wire.send(request(f"/acme/none/things/{thing['id']}", method="DELETE")).answer()

    assert answer.status == 204
    assert "content-length" not in answer.headers
    assert "content-type" not in answer.headers
    assert wire.send(request()).answer().status == 200


def test_a_request_may_come_byte_by_byte(wire: Wire) -> None:
    for byte in add("bytewise"):
        wire.send(bytes([byte]))

    assert wire.answer().status == 201


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    wire.send(b"".join(add("pipelined", body=json.dumps({"name": f"{number}"})) for number in range(50)))

    answers = [wire.answer() for _ in range(50)]

    assert [answer.json["name"] for answer in answers] == [str(number) for number in range(50)]
    assert [answer.headers["sandbox-exchange"] for answer in answers] == [str(number) for number in range(1, 51)]


def test_pipelined_requests_may_be_cut_anywhere(wire: Wire) -> None:
    stream = b"".join(add("cut", body=json.dumps({"name": f"{number}"})) for number in range(10))
    for at in range(0, len(stream), 97):
        wire.send(stream[at : at + 97])

    assert [wire.answer().json["name"] for _ in range(10)] == [str(number) for number in range(10)]


def test_the_last_request_of_a_pipeline_may_close(wire: Wire) -> None:
    wire.send(request() + request("/acme/greeting", "Connection: close") + request())

    assert [wire.answer().status for _ in range(2)] == [200, 200]
    assert wire.closed


@pytest.mark.parametrize(
    "body",
    [
        'f\r\n{"name":"Lamp"}\r\n0\r\n\r\n',
        '2\r\n{"\r\n0D\r\nname":"Lamp"}\r\n0\r\n\r\n',
        'f;ext=1\r\n{"name":"Lamp"}\r\n0\r\nTrailer: x\r\n\r\n',
    ],
)
def test_a_chunked_body_is_put_together(wire: Wire, body: str) -> None:
    answer = wire.send(add("chunked", "Transfer-Encoding: chunked", body=body)).answer()

    assert (answer.status, answer.json["name"]) == (201, "Lamp")
    assert wire.send(request()).answer().status == 200


def test_a_client_that_expects_100_gets_it(wire: Wire) -> None:
    head, _, body = add("expects", "Expect: 100-Continue").partition(b"\r\n\r\n")

    wire.send(head + b"\r\n\r\n")
    interim = wire.answer()
    wire.send(body)

    assert interim.status == 100
    assert wire.answer().status == 201


@pytest.mark.parametrize(
    "target",
    [
        "http://sandbox.test/acme/greeting",
        "http://sandbox.test:8080/acme/greeting?x=1#y",
        "HTTPS://user@sandbox.test/acme/greeting",
    ],
)
def test_a_target_may_be_a_whole_url(wire: Wire, target: str) -> None:
    assert wire.send(request(target)).answer().json["org"] == "sandbox"  # the host's first label


def test_a_url_without_a_path_is_the_root(wire: Wire) -> None:
    assert wire.send(request("http://sandbox.test")).answer().json["detail"] == "There is no /."


@pytest.mark.parametrize("headers", [("Connection: close",), ("connection: Close, x",)])
def test_a_client_may_close(wire: Wire, headers: tuple[str, ...]) -> None:
    answer = wire.send(request("/acme/greeting", *headers)).answer()

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert wire.closed


def test_http_1_0_closes(wire: Wire) -> None:
    answer = wire.send("GET /acme/greeting HTTP/1.0\r\n\r\n").answer()

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert wire.closed


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "TRACE"])
def test_another_method_is_answered_with_those_the_path_has(wire: Wire, method: str) -> None:
    answer = wire.send(request("/acme/s/things", method=method)).answer()

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert wire.send(request()).answer().status == 200


@pytest.mark.parametrize(
    ("target", "status"), [("/acme/s/things", 200), ("/acme/s/things/none", 404), ("/__admin/orgs", 200)]
)
def test_a_reply_to_head_is_that_to_get_without_its_body(wire: Wire, target: str, status: int) -> None:
    got, headed = wire.send(request(target)).answer(), wire.send(request(target, method="HEAD")).answer("HEAD")

    for answer in (got, headed):
        answer.headers.pop("date")
        answer.headers.pop("sandbox-exchange", None)
    assert (headed.status, headed.headers) == (status, got.headers)
    assert int(headed.headers["content-length"]) == len(got.body) > 0
    assert wire.send(request()).answer().status == 200


def test_head_of_a_live_stream_ends_at_once(wire: Wire) -> None:
    answer = wire.send(request("/__admin/requests/stream", method="HEAD")).answer("HEAD")

    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert wire.send(request("/__admin/health")).answer().status == 200


def test_head_of_a_path_without_get_is_rejected(wire: Wire) -> None:
    answer = wire.send(request("/acme/session", method="HEAD")).answer("HEAD")

    assert (answer.status, answer.headers["allow"]) == (405, "POST")


# The host


@pytest.mark.parametrize(
    ("hosts", "detail"),
    [
        ((), "The request has no Host."),
        (("localhost", "localhost"), "The request has more than one Host."),
        (("a", "b"), "The request has more than one Host."),
        *(
            ((host,), "The Host of the request is not a host.")
            for host in (
                "a b",
                "a/b",
                "user@a",
                "a:b",
                "a:1:2",
                "[::1",
                "[:::::1]",
                "[127.0.0.1]",
                "::1",
                "a,b?",
                "münchen.test",
                "%zz",
                "a" * 400,
            )
        ),
    ],
)
def test_a_request_without_exactly_one_host_is_rejected(wire: Wire, hosts: tuple[str, ...], detail: str) -> None:
    fields = "".join(f"Host: {host}\r\n" for host in hosts)

    wire.send(f"GET /__admin/health HTTP/1.1\r\n{fields}\r\n")

    assert rejected(wire, 400) == detail


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "my_service:8080",
        "127.0.0.1",
        "[::1]:80",
        "[fe80::1%25lo]",
        "a:",
        "a%20b",
        "a.b-c~d!$&'()*+,;=",
        "a" * 255,
    ],
)
def test_each_valid_host_is_accepted(wire: Wire, host: str) -> None:
    assert wire.send(f"GET /acme/greeting HTTP/1.1\r\nHost: {host}\r\n\r\n").answer().status == 200


def test_http_1_0_needs_no_host_but_has_at_most_one(connect: Connect) -> None:
    line = "GET /__admin/health HTTP/1.0\r\n"

    assert connect().send(f"{line}\r\n").answer().status == 200
    assert connect().send(f"{line}Host: a\r\nHost: b\r\n\r\n").answer().status == 400


@pytest.mark.parametrize("target", ["http:///acme/greeting", "http://a b/", "http://a/b@c:d/x", "**", "acme/greeting"])
def test_a_target_that_is_neither_path_nor_url_is_rejected(wire: Wire, target: str) -> None:
    wire.send(request(target, method="OPTIONS"))

    assert wire.answer().status in (400, 404)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_options_of_the_whole_server_are_answered(wire: Wire, version: str) -> None:
    assert wire.send(request("*", method="OPTIONS", version=version)).answer().status == 204


def test_other_methods_for_the_whole_server_are_rejected(wire: Wire) -> None:
    assert wire.send(request("*")).answer().status == 400


def test_the_host_of_the_target_replaces_that_of_the_field_for_this_request_only(wire: Wire, app: App) -> None:
    wire.send(request("http://my_shop.test:81/acme/seen/things") + request("/acme/seen/things"))

    assert [wire.answer().status for _ in range(2)] == [200, 200]
    exchanges = app.orgs.get("seen").journal.exchanges()
    assert [exchange.request.header(b"host") for exchange in exchanges] == ["my_shop.test:81", "localhost"]


# HTTP/1.0


@pytest.mark.parametrize("connection", ["keep-alive", "Keep-Alive"])
def test_http_1_0_gets_keep_alive(wire: Wire, connection: str) -> None:
    old = request("/acme/greeting", f"Connection: {connection}", version="1.0")

    answers = [wire.send(old).answer() for _ in range(3)]

    assert [(answer.status, answer.headers["connection"]) for answer in answers] == [(200, "keep-alive")] * 3
    for _ in range(3):  # the third time from the cache
        answer = wire.send(request("/acme/greeting", "Connection: keep-alive")).answer()
        assert (answer.status, "connection" in answer.headers) == (200, False)


def test_http_1_0_that_asks_for_both_is_closed(wire: Wire) -> None:
    answer = wire.send(request("/acme/greeting", "Connection: keep-alive, close", version="1.0")).answer()

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert wire.closed


def test_http_1_0_never_gets_100(wire: Wire) -> None:
    head, _, body = add("old", "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0").partition(b"\r\n\r\n")

    wire.send(head + b"\r\n\r\n")
    assert not wire.readable(0.05)
    wire.send(body)

    assert wire.answer().status == 201


def test_a_request_without_a_body_gets_no_100(wire: Wire) -> None:
    assert wire.send(request("/acme/greeting", "Expect: 100-continue")).answer().status == 200


# Offers of another protocol

UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")


@pytest.mark.parametrize("upgrade", [UPGRADE, ("connection: uPgRaDe", "uPgRaDe: websocket")])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_offer_of_another_protocol_is_declined_by_answering(
    wire: Wire, app: App, upgrade: tuple[str, ...], at_once: bool
) -> None:
    whole = request("/acme/offers/things", *upgrade) + add("offers", *upgrade) + request("/acme/offers/things")

    for part in [whole] if at_once else [whole[:100], whole[100:300], whole[300:]]:
        wire.send(part)

    assert [wire.answer().status for _ in range(3)] == [200, 201, 200]
    offered = [exchange.request.header(b"upgrade") for exchange in app.orgs.get("offers").journal.exchanges()]
    assert offered[-3:] == [upgrade[1].partition(": ")[2]] * 2 + [None]


@pytest.mark.parametrize("head", ["CONNECT a:80", "CONNECT /acme/greeting", "CONNECT http://a/acme/greeting"])
@pytest.mark.parametrize("upgrade", [(), UPGRADE])
def test_a_tunnel_is_rejected_once(wire: Wire, head: str, upgrade: tuple[str, ...]) -> None:
    method, _, target = head.partition(" ")

    wire.send(request(target, *upgrade, method=method))

    assert rejected(wire, 400) == "The request is not HTTP."


# Limits


def rejected(wire: Wire, status: int) -> str:
    """The detail of an error response, after which the server closes."""
    answer = wire.answer()
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (answer.json["status"], answer.headers["connection"]) == (status, "close")
    assert wire.closed
    detail: str = answer.json["detail"]
    return detail


def test_a_target_may_be_as_long_as_the_limit(wire: Wire) -> None:
    path = "/acme/greeting?"

    assert wire.send(request(path + "x" * (MAX_LINE - len(path)))).answer().status == 200


def test_a_longer_target_is_rejected_and_the_connection_closed(wire: Wire) -> None:
    wire.send(request("/acme/greeting?" + "x" * MAX_LINE))

    assert rejected(wire, 414) == "The request line is longer than 16384 bytes."


def test_an_endless_target_is_rejected(wire: Wire) -> None:
    wire.send(b"GET /")

    wire.send_all_it_takes(b"x" * 1000, 1000)

    assert rejected(wire, 414)


def test_headers_may_be_as_long_as_the_limit(wire: Wire) -> None:
    assert (
        wire.send(request("/acme/greeting", *(f"X-{number}: {'v' * 990}" for number in range(64)))).answer().status
        == 200
    )


def test_headers_that_come_in_pieces_may_be_as_long(wire: Wire) -> None:
    whole = request("/acme/greeting", *(f"X-{number}: {'v' * 990}" for number in range(60)))

    for at in range(0, len(whole), 4000):
        wire.send(whole[at : at + 4000])
        assert not wire.readable(0.002) or at + 4000 >= len(whole)

    assert wire.answer().status == 200


@pytest.mark.parametrize(
    "headers",
    [
        (f"X-Huge: {'v' * MAX_HEADERS}",),
        tuple(f"X-{number}: {'v' * 1000}" for number in range(70)),
        tuple(f"X-{number}:" for number in range(9000)),
    ],
)
def test_longer_headers_are_rejected_and_the_connection_closed(wire: Wire, headers: tuple[str, ...]) -> None:
    wire.send_all_it_takes(request("/acme/greeting", *headers), 1)

    assert rejected(wire, 431) == "The header fields are longer than 65536 bytes together."


@pytest.mark.parametrize("piece", [b"v" * 1000, b"v\r\n X-1: v\r\nX-2: v", b"v\r\nX-3: v"])
def test_endless_headers_are_rejected(wire: Wire, piece: bytes) -> None:
    wire.send(b"GET /acme/greeting HTTP/1.1\r\nX-Endless: v")

    wire.send_all_it_takes(piece, 20_000)

    assert wire.answer().status in (400, 431)
    assert wire.closed


def test_a_body_may_be_as_long_as_the_limit(wire: Wire) -> None:
    answer = wire.send(add("large", body=padded(MAX_BODY))).answer()

    assert answer.status == 201
    assert len(answer.json["name"]) == MAX_BODY - 11


def test_servers_of_one_process_share_no_header_cache(tmp_path: Path) -> None:
    specs = write_specs(tmp_path / "specs")
    with (
        running(app=new_app(specs, max_body=1000)) as (_, wide),
        running(app=new_app(specs, max_body=100)) as (_, narrow),
    ):
        for url, status in ((wide, 201), (narrow, 413), (wide, 201)):
            with closing(Wire(int(url.rsplit(":", 1)[1]))) as wire:
                assert wire.send(add("two", body=padded(500))).answer().status == status


def test_a_body_with_a_longer_content_length_is_rejected_without_being_read(wire: Wire) -> None:
    wire.send(add("toolarge", f"Content-Length: {MAX_BODY + 1}", body=""))

    answer = wire.answer()

    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert "sandbox-exchange" in answer.headers
    assert wire.closed


def test_a_chunked_body_that_becomes_longer_is_rejected(wire: Wire) -> None:
    wire.send(request("/acme/toolarge/things", "Transfer-Encoding: chunked", method="POST"))

    wire.send_all_it_takes(b"2710\r\n" + b"x" * 10_000 + b"\r\n", 100)

    assert wire.answer().status == 413
    assert wire.closed


def test_a_client_that_expects_100_with_a_longer_body_is_rejected_at_once(wire: Wire) -> None:
    wire.send(add("toolarge", "Expect: 100-continue", f"Content-Length: {MAX_BODY + 1}", body=""))

    assert wire.answer().status == 413


def test_the_admin_api_takes_longer_bodies(wire: Wire) -> None:
    things = json.dumps({"acme": {"things": [{"name": "x" * 2 * MAX_BODY}]}})

    seed = request("/__admin/orgs/long/seed", "Content-Type: application/json", method="POST", body=things)
    assert wire.send(seed).answer().status == 200


def test_a_client_that_stops_reading_loses_the_connection(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hear_nothing(limit: float) -> None:
        pieces, app = Pieces(endless=True), new_app(specs, request_timeout=limit)
        reply = text("", stream=pieces())
        monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=lambda _: reply))

        with running(app=app, keep_alive=1) as (_, url), closing(Wire(int(url.rsplit(":", 1)[1]))) as deaf:
            deaf.send(request())

            assert pieces.closed.wait(LONG)

    patiently(TIMEOUT, hear_nothing)


def test_a_client_that_reads_no_replies_loses_the_connection(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose = Protocol.connection_lost

    def read_nothing(limit: float) -> None:
        lost = threading.Event()

        def losing(self: Protocol, exc: Exception | None) -> None:
            lose(self, exc)
            if self.client == deaf.socket.getsockname():
                lost.set()

        app = new_app(specs, request_timeout=limit)
        app.orgs.seed(app.orgs.get("deaf"), {"acme": {"things": [{"id": "t", "name": "x" * 100_000}]}})
        monkeypatch.setattr(Protocol, "connection_lost", losing)
        with running(app=app) as (_, url), closing(Wire(int(url.rsplit(":", 1)[1]))) as deaf:
            deaf.send(request("/acme/deaf/things/t") * 500)

            assert lost.wait(LONG)

    patiently(TIMEOUT, read_nothing)


# Time


def test_a_failure_on_the_way_does_not_stop_the_time_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, ticks, again = new_app(write_specs(tmp_path / "specs")), itertools.count(), threading.Event()

    def tick() -> None:
        if next(ticks) == 0:
            raise RuntimeError("broken")
        again.set()

    monkeypatch.setattr(app.orgs, "tick", tick)

    with running(app=app):
        assert again.wait(LONG)


@pytest.mark.parametrize(
    "half",
    [
        add("half")[:-1],
        request("/acme/half/things", "Transfer-Encoding: chunked", method="POST") + b"5\r\nab",
    ],
)
def test_a_request_without_its_body_is_rejected(impatient: Impatient, half: bytes) -> None:
    def send(wire: Wire, limit: float) -> None:
        wire.send(half)

        assert rejected(wire, 408) == f"The request was not complete after {limit:g} seconds."

    impatient(send)


@pytest.mark.parametrize(
    "half", [b"GET", b"GET /acme/greeting HTTP/1.1\r\n", b"GET /acme/greeting HTTP/1.1\r\nHost: lo"]
)
def test_half_a_head_is_rejected(impatient: Impatient, half: bytes) -> None:
    def send(wire: Wire, limit: float) -> None:
        wire.send(half)

        assert rejected(wire, 408) == f"The request was not complete after {limit:g} seconds."

    impatient(send)


def test_a_connection_without_a_request_is_closed(impatient: Impatient) -> None:
    def say_nothing(wire: Wire, _: float) -> None:
        assert wire.closed

    impatient(say_nothing)


def test_a_slow_trickle_does_not_help(impatient: Impatient) -> None:
    def trickle(wire: Wire, limit: float) -> None:
        wire.send(b"GET /acme/greeting HTTP/1.1\r\nX: ")
        trickled = 0

        while not wire.readable(limit / 20) and trickled < 500:
            wire.send(b"x")
            trickled += 1

        assert trickled < 500
        assert rejected(wire, 408)

    impatient(trickle)


def test_an_idle_connection_is_not_an_incomplete_request(impatient: Impatient) -> None:
    def rest(wire: Wire, limit: float) -> None:
        wire.send(request()).answer()

        assert not wire.readable(limit * 2)
        assert wire.send(request()).answer().status == 200

    impatient(rest)


def test_a_second_request_has_its_own_time(impatient: Impatient) -> None:
    def ask_twice(wire: Wire, limit: float) -> None:
        wire.send(request()).answer()
        assert not wire.readable(limit * 0.8)

        wire.send(b"GET /acme/gree")
        assert not wire.readable(limit * 0.5)
        wire.send(request()[len("GET /acme/gree") :])

        assert wire.answer().status == 200

    impatient(ask_twice)


def test_an_incomplete_request_behind_a_complete_one_is_rejected(impatient: Impatient) -> None:
    def ask_once_and_a_half(wire: Wire, _: float) -> None:
        wire.send(request() + b"GET /acme/gree")

        assert wire.answer().status == 200
        assert wire.readable(LONG)
        assert rejected(wire, 408)

    impatient(ask_once_and_a_half)


# Invalid requests


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT sandbox.test:80 HTTP/1.1\r\n\r\n",
        request("/", "Content-Length: -1", method="POST"),
        request("/", "Content-Length: 1", "Content-Length: 2", method="POST", body="xy"),
        request("/", "Content-Length: 99999999999999999999999", method="POST"),
        request("/", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST", body="0\r\n\r\n"),
        request("/", "Transfer-Encoding: chunked", method="POST", body="xyz\r\n"),
    ],
)
def test_invalid_http_is_rejected_and_the_connection_closed(wire: Wire, garbage: bytes) -> None:
    wire.send(garbage)

    assert rejected(wire, 400) == "The request is not HTTP."


def test_an_error_response_follows_the_replies_before_it(wire: Wire) -> None:
    wire.send(request() + b"nonsense\r\n\r\n")

    assert wire.answer().status == 200
    assert rejected(wire, 400)


def test_other_connections_notice_nothing(connect: Connect) -> None:
    good, waiting = connect(), connect()
    good.send(request()).answer()
    waiting.send(add("waiting")[:-5])

    for nonsense in (b"\x00\x01", b"GET /" + b"x" * 20_000, b"GET / HTTP/1.1\r\nX: " + b"v" * 90_000 + b"\r\n\r\n"):
        bad = connect()
        bad.send_all_it_takes(nonsense, 1)
        assert bad.answer().status in (400, 414, 431)
    gone = connect()
    gone.send(b"GET / HT")
    gone.close()

    assert good.send(request()).answer().status == 200
    assert waiting.send(add("waiting")[-5:]).answer().status == 201


def test_a_client_that_leaves_while_it_is_answered_does_no_harm(connect: Connect) -> None:
    for _ in range(20):
        leaving = connect()
        leaving.send(add("leaving") * 20)
        leaving.close()

    assert connect().send(request()).answer().status == 200


def test_a_client_that_does_not_read_its_answers_gets_them_all_in_the_end(connect: Connect, app: App) -> None:
    slow, other = connect(), connect()
    app.orgs.seed(app.orgs.get("slow"), {"acme": {"things": [{"id": "t", "name": "x" * 100_000}]}})
    count = 100

    slow.send(request("/acme/slow/things/t") * count)

    assert other.send(request()).answer().status == 200
    assert {slow.answer().status for _ in range(count)} == {200}


def test_a_failure_of_the_app_itself_is_a_500(wire: Wire, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Request) -> Reply:
        raise RuntimeError("broken")

    monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=fail))

    assert wire.send(request()).answer().status == 500


# Late, in pieces, dropped


class Pieces:
    """A stream that records whether it was closed, and may wait or fail."""

    def __init__(self, *pieces: bytes, fails: bool = False, endless: bool = False) -> None:
        self.closed = threading.Event()
        self._pieces, self._fails, self._endless = pieces, fails, endless

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self._pieces:
                yield piece
            if self._fails:
                raise RuntimeError("broken")
            while self._endless:
                yield b"x" * 10_000
                await asyncio.sleep(0)
        finally:
            self.closed.set()


Replies = Callable[..., None]


@pytest.fixture
def replies(app: App, monkeypatch: pytest.MonkeyPatch) -> Replies:
    """Answers the vendors' requests with these replies, one after the other."""

    def given(*made: Reply) -> None:
        waiting = list(made)
        monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=lambda _: waiting.pop(0)))

    return given


def text(content: str, **delivery: Any) -> Reply:
    reply = Reply(200, content, "text/plain")
    for name, value in delivery.items():
        setattr(reply, name, value)
    return reply


def test_a_reply_may_come_late_and_those_behind_it_wait(wire: Wire, replies: Replies) -> None:
    replies(text("late", delay=0.1), text("next"), text("also late", delay=0.1), text("last"))

    started = time.monotonic()
    wire.send(request() * 4)

    assert [wire.answer().body for _ in range(4)] == [b"late", b"next", b"also late", b"last"]
    assert time.monotonic() - started >= 0.1 - TICK
    assert wire.send(request("/__admin/health")).answer().status == 200


def test_no_100_is_sent_before_the_previous_reply(wire: Wire, replies: Replies) -> None:
    replies(text("late", delay=0.1), text("next"))
    expecting = request("/acme/greeting", "Expect: 100-continue", "Content-Length: 2", method="POST")

    wire.send(request() + expecting)

    assert wire.answer().body == b"late"
    assert wire.answer().status == 100
    assert wire.send("hi").answer().body == b"next"


def test_a_reply_that_takes_long_to_work_out_comes_when_it_is_done(connect: Connect, replies: Replies) -> None:
    patient, other = connect(), connect()
    done = threading.Event()
    later, pieces = text(""), text("")

    def work() -> Work[Reply]:
        while not done.is_set():
            yield
        return text("worked out")

    def work_for_pieces() -> Work[Reply]:
        yield
        reply = text("")
        reply.stream = iter([b"in ", b"", b"pieces"])
        return reply

    later.work, pieces.work = work(), work_for_pieces()
    replies(later, pieces, text("next"))

    patient.send(request() * 3)

    for _ in range(20):
        assert other.send(request("/__admin/health")).answer().status == 200
    assert not patient.readable(0)
    done.set()
    assert patient.answer().body == b"worked out"
    assert patient.until(b"0\r\n\r\n").endswith(b"\r\n\r\n3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n")
    assert patient.answer().body == b"next"


def test_a_reply_may_come_later_than_a_request_may_take(specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(limit: float) -> None:
        app, reply = new_app(specs, request_timeout=limit), text("late", delay=2 * limit)
        monkeypatch.setattr(app, "_pipeline", SimpleNamespace(handle=lambda _: reply))
        with running(app=app) as (_, url), closing(Wire(int(url.rsplit(":", 1)[1]))) as wire:
            assert wire.send(request()).answer().body == b"late"

    patiently(TIMEOUT, ask)


def test_a_late_reply_does_not_delay_other_clients(connect: Connect, replies: Replies) -> None:
    patient, other = connect(), connect()
    replies(text("late", delay=2 * LONG))

    patient.send(request())

    assert other.send(request("/__admin/health")).answer().status == 200
    assert not patient.readable(0)


def test_a_client_may_disconnect_before_a_late_reply(connect: Connect, replies: Replies) -> None:
    leaving = connect()
    replies(text("late", delay=2 * LONG))

    leaving.send(request())
    leaving.close()

    assert connect().send(request("/__admin/health")).answer().status == 200


def test_a_reply_may_be_lost_with_its_connection(wire: Wire, replies: Replies) -> None:
    replies(text("first"), text("lost", cut="unsent"), text("never asked"))

    wire.send(request() * 2)

    assert wire.answer().body == b"first"
    assert wire.closed


def test_a_reply_may_be_cut_in_the_middle_of_its_body(wire: Wire, replies: Replies) -> None:
    replies(text("0123456789", cut="midway"))

    received = wire.send(request()).rest()

    assert b"content-length: 10\r\n" in received
    assert received.endswith(b"\r\n\r\n01234")


def test_a_reply_of_one_byte_is_cut_before_it(wire: Wire, replies: Replies) -> None:
    replies(text("x", cut="midway"))

    received = wire.send(request()).rest()

    assert b"content-length: 1\r\n" in received
    assert received.endswith(b"\r\n\r\n")


BODILESS = [("GET", 200), ("HEAD", 200), ("GET", 204), ("GET", 304)]


@pytest.mark.parametrize(("method", "status"), BODILESS)
def test_a_reply_without_a_body_is_cut_in_its_status_line(
    wire: Wire, replies: Replies, method: str, status: int
) -> None:
    cut = text("0123456789" if method == "HEAD" else "", cut="midway")
    cut.status = status
    replies(cut)

    assert wire.send(request(method=method)).rest() == b"HTTP/1.1 2"


def test_a_reply_in_pieces_is_cut_in_the_first(wire: Wire, replies: Replies) -> None:
    pieces = Pieces(b"0123456789", b"more")
    replies(text("", stream=pieces(), cut="midway"))

    received = wire.send(request()).rest()

    assert received.endswith(b"transfer-encoding: chunked\r\n\r\na\r\n01234")
    assert pieces.closed.wait(5)


def test_a_reply_in_pieces_is_cut_in_its_status_line_for_http_1_0(wire: Wire, replies: Replies) -> None:
    replies(text("", stream=Pieces(b"0123456789")(), cut="midway"))

    assert wire.send(request(version="1.0")).rest() == b"HTTP/1.1 2"


def with_the_standard_library(url: str, method: str) -> None:
    with closing(http.client.HTTPConnection(url.split("/")[2], timeout=10)) as connection:
        connection.request(method, "/acme/greeting")
        connection.getresponse().read()


def with_httpx(url: str, method: str) -> None:
    httpx2.request(method, url, timeout=10)


def with_aiohttp(url: str, method: str) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.request(method, url) as response:
            await response.read()

    asyncio.run(ask())


@pytest.mark.parametrize("ask", [with_the_standard_library, with_httpx, with_aiohttp])
@pytest.mark.parametrize(("method", "status", "content"), [*((*it, "") for it in BODILESS), ("GET", 200, "x")])
def test_every_client_notices_that_a_reply_was_cut(
    port: int, replies: Replies, ask: Callable[[str, str], None], method: str, status: int, content: str
) -> None:
    cut = text(content, cut="midway")
    cut.status = status
    replies(cut, cut)  # aiohttp tries once more

    with pytest.raises((http.client.HTTPException, OSError, httpx2.HTTPError, aiohttp.ClientError)):
        ask(f"http://127.0.0.1:{port}/acme/greeting", method)


def test_a_reply_may_come_in_pieces(wire: Wire, replies: Replies) -> None:
    pieces = Pieces(b"one", b"", b"two, longer than nine")
    replies(text("", stream=pieces()), text("next"))

    wire.send(request() * 2)

    received = wire.until(b"0\r\n\r\n")
    assert b"transfer-encoding: chunked\r\n" in received
    assert b"content-length" not in received
    assert received.endswith(b"\r\n\r\n3\r\none\r\n15\r\ntwo, longer than nine\r\n0\r\n\r\n")
    assert pieces.closed.wait(LONG)
    assert wire.answer().body == b"next"


def test_an_old_client_gets_the_pieces_up_to_the_end_of_the_connection(wire: Wire, replies: Replies) -> None:
    replies(text("", stream=Pieces(b"one", b"two")()))

    received = wire.send(request(version="1.0")).rest()

    assert received.endswith(b"connection: close\r\n\r\nonetwo")


def test_a_client_that_was_old_a_moment_ago_gets_them_as_its_last_request_wants(wire: Wire, replies: Replies) -> None:
    streams = [Pieces(b"one")() for _ in range(3)]
    replies(*(text("", stream=stream) for stream in streams[:2]), text("old"), text("", stream=streams[2]))
    for _ in range(2):  # from now on its fields are cached
        wire.send(request()).until(b"0\r\n\r\n")

    wire.send(request("/acme/greeting", "Connection: keep-alive", version="1.0")).answer()

    assert b"transfer-encoding: chunked" in wire.send(request()).until(b"0\r\n\r\n")


def test_a_header_that_cannot_be_sent_is_an_internal_error(connect: Connect, replies: Replies) -> None:
    broken = [Reply(200, "", "text/plain", (("x", "€"),)) for _ in range(4)]
    replies(*broken)

    for _ in broken:  # for a parsed and for a cached request
        wire = connect().send(request())
        answer = wire.answer()

        assert (answer.status, answer.headers["connection"]) == (500, "close")
        assert wire.closed


@pytest.mark.parametrize("delivery", [{"cut": "midway"}, {"stream": iter([b"one"])}])
def test_a_header_that_cannot_be_sent_with_a_special_reply_ends_the_connection(
    wire: Wire, replies: Replies, delivery: dict[str, Any]
) -> None:
    broken = text("0123456789", **delivery)
    broken.headers = (("x", "€"),)
    replies(broken)

    assert wire.send(request()).closed


def test_a_client_detects_that_a_reply_in_pieces_has_failed(wire: Wire, replies: Replies) -> None:
    pieces = Pieces(b"one", fails=True)
    replies(text("", stream=pieces()))

    received = wire.send(request()).rest()

    assert received.endswith(b"3\r\none\r\n")
    assert pieces.closed.wait(LONG)


def test_pieces_are_made_as_fast_as_the_client_reads_and_end_with_its_connection(
    connect: Connect, replies: Replies
) -> None:
    pieces, slow, other = Pieces(endless=True), connect(), connect()
    replies(text("", stream=pieces()))

    slow.send(request())

    assert slow.readable(LONG)
    assert other.send(request("/__admin/health")).answer().status == 200
    assert not pieces.closed.is_set()
    slow.close()
    assert pieces.closed.wait(LONG)


# Time


def test_due_timers_run_without_requests(tmp_path: Path) -> None:
    app = new_app(write_specs(tmp_path / "specs"))
    org = app.orgs.get("on-its-own")
    org.clock.freeze()
    org.clock.set(clock.parse("2030-01-01T00:00:00Z"))
    thing = {"id": "t", "name": "Lamp", "expires": "2030-01-01T00:00:00.050Z"}
    app.orgs.seed(org, {"acme": {"things": [thing]}})
    happened = threading.Event()
    app.orgs.listen(lambda journal, _: happened.set() if journal.org == "on-its-own" else None)

    org.clock.run()
    with running(app=app):
        assert happened.wait(LONG)

    assert [entry.name for entry in org.journal.entries() if isinstance(entry, Occurrence)] == ["seed", "expire-thing"]


# Start and stop


def test_a_port_that_is_taken_is_reported() -> None:
    taken = listen("127.0.0.1", 0)
    try:
        number = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=f"^cannot listen on 127.0.0.1:{number}: Address already in use$"):
            listen("127.0.0.1", number)
    finally:
        taken.close()


@pytest.mark.parametrize(("host", "number"), [("256.0.0.1", 0), ("127.0.0.1", 70_000), ("192.0.2.1", 0)])
def test_an_address_that_cannot_be_used_is_reported(host: str, number: int) -> None:
    with pytest.raises(SandboxError, match=f"^cannot listen on {host}:{number}: "):
        listen(host, number)


def addresses(listeners: list[socket.socket]) -> set[tuple[str, int]]:
    return {listener.getsockname()[:2] for listener in listeners}


@pytest.mark.parametrize("host", ["localhost", "LocalHost"])
def test_localhost_is_both_loopback_addresses_on_the_same_port(host: str) -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(listener) for listener in listen_all(host, 0)]
        port = listeners[0].getsockname()[1]

        assert addresses(listeners) == {("127.0.0.1", port), ("::1", port)}


def test_another_host_is_one_address() -> None:
    (listener,) = listen_all("127.0.0.1", 0)
    with listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_on_one_address_is_reported(address: str) -> None:
    with listen(address, 0) as taken:
        port = taken.getsockname()[1]
        shown = f"[{address}]" if ":" in address else address

        with pytest.raises(SandboxError) as raised:
            listen_all("localhost", port)

        assert str(raised.value) == f"cannot listen on {shown}:{port}: Address already in use"
        other = "127.0.0.1" if address == "::1" else "::1"
        listen(other, port).close()  # the port is free again


def test_a_free_port_is_free_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen("::1", 0) as taken:
        port = taken.getsockname()[1]
        made = sockets.open_socket
        first = iter([port])

        def once_the_taken_one(host: str, number: int) -> socket.socket:
            return made(host, next(first, number) if host == "127.0.0.1" else number)

        monkeypatch.setattr(sockets, "open_socket", once_the_taken_one)
        with ExitStack() as stack:
            listeners = [stack.enter_context(listener) for listener in listen_all("localhost", 0)]

            assert len({number for _, number in addresses(listeners)} - {port}) == 1
            assert len(listeners) == 2


@pytest.mark.parametrize(("missing", "left"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
def test_a_machine_may_have_one_of_them_only(monkeypatch: pytest.MonkeyPatch, missing: str, left: str) -> None:
    made = sockets.open_socket

    def rejecting(host: str, number: int) -> socket.socket:
        if host == missing:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return made(host, number)

    monkeypatch.setattr(sockets, "open_socket", rejecting)
    (listener,) = listen_all("localhost", 0)
    with listener:
        assert listener.getsockname()[0] == left


def test_a_server_on_localhost_answers_on_both_addresses() -> None:
    with serving("--host", "localhost") as served:
        assert served.url == f"http://localhost:{served.port}"
        for host in ("127.0.0.1", "[::1]", "localhost"):
            assert httpx2.get(f"http://{host}:{served.port}/__admin/health").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_within_a_second_despite_connections(number: int) -> None:
    def stopped() -> float:
        with serving() as served, ExitStack() as stack:
            idle, half, silent, done = (stack.enter_context(closing(Wire(served.port))) for _ in range(4))
            idle.send(request("/__admin/health")).answer()
            half.send(
                request("/__admin/health") + b"POST /promotions HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhal"
            )
            half.answer()
            done.send(request("/__admin/health", "Connection: close")).answer()

            started = time.perf_counter()
            code, said = served.stop(number)
            took = time.perf_counter() - started

            assert code in (-signal.SIGTERM, 130)  # as shells have it: ended by the signal, or interrupted
            assert not said.strip()
            assert idle.closed
            assert half.closed
            assert silent.closed
            return took

    assert shortest(1, stopped) < 1


def test_a_killed_server_leaves_nothing_behind_that_hinders_the_next(tmp_path: Path) -> None:
    with serving("--port", str(free_port()), cwd=tmp_path) as served, closing(Wire(served.port)) as wire:
        port = served.port
        wire.send(request("/__admin/health")).answer()
        wire.send(b"GET /")
        code, _ = served.stop(signal.SIGKILL)

        with serving("--port", str(port), cwd=tmp_path) as again, closing(Wire(again.port)) as other:
            answer = other.send(request("/__admin/orgs")).answer()

    assert code == -signal.SIGKILL
    assert (again.port, answer.status, answer.json["orgs"]) == (port, 200, [])
    assert list(tmp_path.iterdir()) == []

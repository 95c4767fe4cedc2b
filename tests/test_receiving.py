"""The receiver of the tests: it takes what comes, and each of its ways to behave badly is what it says."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest

from tests import receiving
from tests.patience import LONG, TICK
from tests.receiving import Receiver, ca_pem


@contextmanager
def connected(receiver: Receiver, timeout: float = LONG) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=timeout)) as client:
        yield client


def post(client: http.client.HTTPConnection, body: bytes = b"{}", path: str = "/hook?a=1") -> http.client.HTTPResponse:
    client.request("POST", path, body, {"X-Word": "said"})
    return client.getresponse()


def test_what_comes_is_kept_in_order_with_path_headers_and_body() -> None:
    with Receiver() as receiver, connected(receiver) as client:
        for number in range(3):
            response = post(client, json.dumps({"number": number}).encode())
            response.read()
            assert response.status == 202
        received = receiver.wait(3)

    assert [(one.at_order, one.json, one.path) for one in received] == [
        (n, {"number": n}, "/hook?a=1") for n in range(3)
    ]
    assert received[0].headers["x-word"] == "said"
    assert receiver.connections == 1


def test_many_at_once_are_all_kept() -> None:
    def send(receiver: Receiver) -> None:
        with connected(receiver) as client:
            for _ in range(20):
                post(client).read()

    with Receiver() as receiver, ThreadPoolExecutor(8) as threads:
        list(threads.map(send, [receiver] * 8))
        received = receiver.wait(160)

    assert [one.at_order for one in received] == list(range(160))


def test_waiting_ends_as_soon_as_enough_has_come_and_fails_if_it_does_not() -> None:
    with Receiver() as receiver, connected(receiver) as client:
        waiting = threading.Thread(target=receiver.wait, args=(1,))
        waiting.start()
        post(client).read()
        waiting.join(LONG)

        assert not waiting.is_alive()
        with pytest.raises(AssertionError, match=r"^1 callbacks came in 0 s instead of 2$"):
            receiver.wait(2, timeout=0)
        with pytest.raises(AssertionError, match=r"^1 connections were opened in 0 s instead of 2$"):
            receiver.wait_for_connections(2, timeout=0)


def test_statuses_come_in_turn_and_the_last_one_stays() -> None:
    with Receiver(receiving.answers(500, 503, 204)) as receiver, connected(receiver) as client:
        statuses = []
        for _ in range(4):
            response = post(client)
            response.read()
            statuses.append(response.status)

    assert statuses == [500, 503, 204, 204]


def test_a_receiver_that_hangs_takes_the_callback_and_ends_with_its_context() -> None:
    with Receiver(receiving.hangs()) as receiver, connected(receiver) as client:
        client.request("POST", "/", b"{}")
        receiver.wait(1)
        with closing(socket.create_connection(("127.0.0.1", receiver.port))) as idle:
            receiver.wait_for_connections(2)
            receiver.stop()

            assert idle.recv(1) == b""
        with pytest.raises(ConnectionError):
            client.getresponse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", receiver.port))


def test_a_reset_is_one() -> None:
    with Receiver(receiving.resets()) as receiver, connected(receiver) as client:
        with pytest.raises(ConnectionResetError) as reset:
            post(client)
        assert not isinstance(reset.value, http.client.RemoteDisconnected)  # which is an orderly end
        receiver.wait(1)


def test_a_redirect_leads_where_it_says() -> None:
    with Receiver(receiving.redirects("http://169.254.169.254/")) as receiver, connected(receiver) as client:
        response = post(client)

        assert (response.status, response.getheader("location")) == (307, "http://169.254.169.254/")


def test_a_flood_is_as_large_as_it_says() -> None:
    with Receiver(receiving.floods(1_000_000)) as receiver, connected(receiver) as client:
        assert len(post(client).read()) == 1_000_000


def test_a_slow_answer_is_late() -> None:
    with Receiver(receiving.is_slow(0.05)) as receiver, connected(receiver) as client:
        begun = time.monotonic()
        assert post(client).status == 202
        assert time.monotonic() - begun >= 0.05 - TICK


def test_a_receiver_that_never_reads_lets_its_client_write_only_little() -> None:
    with Receiver(receiving.never_reads()) as receiver:
        with closing(socket.create_connection(("127.0.0.1", receiver.port), timeout=0.2)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            with pytest.raises(TimeoutError):
                client.sendall(bytes(1_000_000))
        assert receiver.received == []


def test_the_mode_can_change_on_the_way() -> None:
    with Receiver(receiving.answers(500)) as receiver, connected(receiver) as client:
        before = post(client)
        before.read()
        receiver.mode = receiving.answers(202)

        assert (before.status, post(client).status) == (500, 202)


def test_what_is_not_http_ends_the_connection() -> None:
    with (
        Receiver() as receiver,
        closing(socket.create_connection(("127.0.0.1", receiver.port), timeout=LONG)) as client,
    ):
        client.sendall(b"nonsense\r\n\r\n")

        assert client.recv(1) == b""


def test_https_is_trusted_by_the_certificate_of_this_process_only() -> None:
    with Receiver(tls=True) as receiver:
        assert receiver.url == f"https://127.0.0.1:{receiver.port}/"
        for host in ("127.0.0.1", "localhost"):
            trusting = ssl.create_default_context(cadata=ca_pem().decode())
            with closing(http.client.HTTPSConnection(host, receiver.port, timeout=LONG, context=trusting)) as client:
                assert post(client).status == 202
        stranger = http.client.HTTPSConnection("127.0.0.1", receiver.port, timeout=LONG)
        with closing(stranger), pytest.raises(ssl.SSLCertVerificationError):
            stranger.connect()
        with closing(socket.create_connection(("127.0.0.1", receiver.port), timeout=LONG)) as greeting:
            greeting.send(b"\x16")  # and no more of the handshake
            receiver.stop()

            with suppress(ConnectionResetError):  # the end of a connection of which something was not read
                assert greeting.recv(1) == b""

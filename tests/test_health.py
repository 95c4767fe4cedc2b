"""`promo-sandbox health`: by its exit code whether a server answers, and which server it asks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from promo_sandbox.base.sockets import listen
from tests.command import Invoke, run, serving
from tests.patience import LONG
from tests.serving import free_port


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "HOST", "PORT", "ADMIN_TOKEN"):
        monkeypatch.delenv(f"SANDBOX_{name}", raising=False)


@pytest.fixture
def other() -> Iterator[HTTPServer]:
    """Some other server, which answers everything with its `said`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said[0])

        def log_message(self, *_: object) -> None:
            pass

    said = [b"{}"]
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.said = said  # type: ignore[attr-defined]  # for the tests to change
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_server_that_answers_is_healthy(invoke: Invoke, url: str) -> None:
    assert invoke("health", "--url", url) == (0, f"{url} is healthy\n", "")


def test_a_closed_server_is_healthy_without_its_token(invoke: Invoke) -> None:
    with serving("--admin-token", "closed") as served:
        assert invoke("health", "--url", served.url)[0] == 0


def test_a_server_that_is_not_there_is_not(invoke: Invoke) -> None:
    port = free_port()

    code, out, err = invoke("health", "--url", f"http://127.0.0.1:{port}")

    assert (code, out) == (1, "")
    assert err == f"promo-sandbox: http://127.0.0.1:{port} does not answer: Connection refused\n"


def test_a_server_that_says_nothing_is_not(invoke: Invoke) -> None:
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        code, _, err = invoke("health", "--url", url, "--timeout", "0.05")

    assert (code, err) == (1, f"promo-sandbox: {url} does not answer: timed out\n")


@pytest.mark.parametrize(
    "said", [b"<html>", b"{}", b"[]", b'{"status": "sick"}', b"[" * 10_000, b""], ids=lambda said: said[:12].decode()
)
def test_another_server_is_not(invoke: Invoke, other: HTTPServer, said: bytes) -> None:
    other.said[0] = said  # type: ignore[attr-defined]  # as above

    code, out, err = invoke("health", "--url", f"http://127.0.0.1:{other.server_port}")

    assert (code, out) == (1, "")
    assert "is not a Promo Sandbox" in err
    assert err.count("\n") == 1


def test_it_asks_the_server_that_the_environment_configures(
    invoke: Invoke, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_PORT", url.rsplit(":", 1)[1])
    by_port = invoke("health")
    monkeypatch.setenv("SANDBOX_HOST", "0.0.0.0")  # noqa: S104 - a server there is asked at loopback
    anywhere = invoke("health")
    monkeypatch.setenv("SANDBOX_HOST", "localhost")
    by_name = invoke("health")
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:9")
    by_url = invoke("health")

    assert by_port == anywhere == (0, f"{url} is healthy\n", "")
    assert by_name[0] == 0
    assert by_url[2].startswith("promo-sandbox: http://127.0.0.1:9 does not answer")


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 on this machine")
def test_a_server_of_any_address_of_ipv6_is_asked_at_its_loopback(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_HOST", "::")
    monkeypatch.setenv("SANDBOX_PORT", "9")

    assert "http://[::1]:9 does not answer" in invoke("health")[2]


@pytest.mark.parametrize("port", ["0", "tcp://10.0.0.1:8080", "65536", "-1", "1" * 5000])
@pytest.mark.parametrize("command", ["health", "tail", "coverage"])
def test_a_port_that_cannot_be_asked_is_a_mistake(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: str, port: str
) -> None:
    monkeypatch.setenv("SANDBOX_PORT", port)

    assert invoke(command) == (
        2,
        "",
        f"promo-sandbox: SANDBOX_PORT is {port[:20]}, which is not a port number; use --url\n",
    )


def test_a_url_that_is_none_is_a_mistake(invoke: Invoke) -> None:
    assert invoke("health", "--url", "localhost:8080")[0] == 2


def test_it_waits_for_a_server_that_still_starts(tmp_path: Path) -> None:
    port = free_port()
    done = []
    waiting = threading.Thread(
        target=lambda: done.append(run("health", "--url", f"http://127.0.0.1:{port}", "--wait", "100", cwd=tmp_path))
    )
    waiting.start()

    with serving("--port", str(port)):
        waiting.join(LONG)

    assert (done[0].returncode, done[0].stderr) == (0, "")


def test_it_waits_no_longer_than_its_timeout(invoke: Invoke) -> None:
    code, _, err = invoke("health", "--url", "http://127.0.0.1:9", "--wait", "0.15")

    assert (code, err.count("\n")) == (1, 1)

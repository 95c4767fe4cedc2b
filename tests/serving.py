"""A real server on loopback for the tests, and a client of one org of it."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseServer
from typing import Any, TypeVar

import httpx2

from promo_sandbox.base.config import Config
from promo_sandbox.base.sockets import listen
from promo_sandbox.server.app import App
from promo_sandbox.server.server import Server
from tests.patience import LONG

Json = Any
S = TypeVar("S", bound=BaseServer)


@contextmanager
def running(config: Config | None = None, app: App | None = None, *, keep_alive: int = 75) -> Iterator[tuple[App, str]]:
    """A server in a thread of this process: the app and its base URL. keep_alive: seconds of an idle connection."""
    app = app or App(config)
    listener = listen("127.0.0.1", 0)
    server = Server(app)
    server.config.timeout_keep_alive = keep_alive
    up = threading.Event()
    server.started_hook = up.set
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert up.wait(LONG), "the server did not start"
    try:
        yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(LONG)
        assert not thread.is_alive(), "the server did not stop"
        listener.close()


def free_port() -> int:
    """A port without a listener, below the range (from 32768) that the system assigns."""
    while True:
        port = random.randrange(15_000, 32_000)  # noqa: S311 - so that workers do not meet
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def in_a_thread(server: S) -> Iterator[S]:
    """A server of the standard library, serving until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class OrgClient:
    """One org seen from outside: its vendor's API and its admin API, over HTTP."""

    def __init__(self, url: str, org: str, http: httpx2.Client) -> None:
        self.url = url
        self.org = org
        self.http = http

    def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """A request to a vendor's path, with a bearer token; `body` is sent as JSON, `raw` as it is, as JSON too."""
        sent = {"Authorization": "Bearer any", **(headers or {})}
        if raw is not None:
            return self.http.request(
                method, self.url + path, content=raw, headers={"Content-Type": "application/json", **sent}
            )
        if body is not None:
            return self.http.request(method, self.url + path, json=body, headers=sent)
        return self.http.request(method, self.url + path, headers=sent)

    def admin(self, method: str, path: str = "", body: Json = None) -> httpx2.Response:
        """A request to `/__admin/orgs/{org}` and what follows it."""
        return self.http.request(method, f"{self.url}/__admin/orgs/{self.org}{path}", json=body)

    def seed(self, vendor: str, **collections: list[Json]) -> Json:
        """Stored objects by collection."""
        response = self.admin("POST", "/seed", {vendor: collections})
        assert response.status_code == 200, response.text
        return response.json()[vendor]

    def freeze(self, now: str) -> None:
        assert self.admin("PUT", "/clock", {"now": now, "frozen": True}).status_code == 200

    def advance(self, by: str) -> list[Json]:
        """What happened."""
        response = self.admin("POST", "/clock/advance", {"by": by})
        assert response.status_code == 200, response.text
        happened: list[Json] = response.json()["happened"]
        return happened

    def state(self) -> Json:
        return self.admin("GET", "/state").json()["documents"]

    def last(self) -> Json:
        """The newest exchange in the journal."""
        return self.admin("GET", "/requests?limit=1").json()["requests"][0]

    def events(self) -> list[Json]:
        events: list[Json] = self.admin("GET", "/events").json()["events"]
        return events

"""A server in a process of its own, and a bystander that calls it all the time while others keep it busy.

What the bystander waits is counted in time that the server was at work, so that a busy machine counts for nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
HEADERS = {"Authorization": "Bearer any", "Content-Type": "application/json"}
_URL = re.compile(r"http://127\.0\.0\.1:\d+")
_NANOSECONDS = 1_000_000


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=300)
        self._response: HTTPResponse | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def begin(self, method: str, path: str, body: Any = None) -> None:
        """Send a request whose reply is awaited later, by `end`."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self._connection.request(method, path, sent, HEADERS)

    def read_head(self) -> None:
        """Wait until the reply has begun."""
        self._response = self._connection.getresponse()

    def end(self) -> Answer:
        response, self._response = self._response or self._connection.getresponse(), None
        with response:
            return Answer(response.status, response.read())

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        self.begin(method, path, body)
        return self.end()

    def done(self, method: str, path: str, body: Any = None) -> Answer:
        """The same, for what must succeed."""
        answer = self.ask(method, path, body)
        assert 200 <= answer.status < 300, answer.body[:500]
        return answer


class Watched:
    """A server in a process of its own."""

    def __init__(self, url: str, pid: int, client: Client) -> None:
        self.url = url
        self.pid = pid
        self.client = client

    @property
    def worked(self) -> float:
        """Milliseconds that its thread has had a processor."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()[0]) / _NANOSECONDS

    @property
    def resident(self) -> float:
        """MiB of memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024

    def longest_wait(self, attack: Callable[[], object], org: str = "bystander") -> float:
        """Milliseconds of the server's work that a request to an org waited for at most, during an attack."""
        waits, over = [0.0], threading.Event()

        def look() -> None:
            with Client(self.url) as client:
                client.done("PUT", f"/__admin/orgs/{org}/clock", {"frozen": False})
                while not over.is_set():
                    before = self.worked
                    client.done("GET", f"/__admin/orgs/{org}/clock")
                    waits.append(self.worked - before)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            attack()
        finally:
            over.set()
            looking.join()
        return max(waits)


@contextmanager
def watched(*options: str, address_space: int | None = None) -> Iterator[Watched]:
    """`promo-sandbox serve` with options; address_space: KiB, as of `ulimit -v`."""
    serve = [sys.executable, "-m", "promo_sandbox", "serve", "--port", "0", *options]
    command = serve if address_space is None else ["sh", "-c", f'ulimit -v {address_space}; exec "$@"', "sh", *serve]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own
        assert server.stdout is not None
        try:
            found = next(filter(None, map(_URL.search, server.stdout)), None)
            assert found, "the server did not start"
            with Client(found[0]) as client:
                yield Watched(found[0], server.pid, client)
        finally:
            server.terminate()

"""A real browser opens a foreign page, which tries all that a page can send at the admin API of the developer.

It needs Chromium: `apt-get install chromium`. Nothing leaves this machine.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import pytest

from promo_sandbox.admin.guard import Guard
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.server.app import App
from tests.acme import new_app
from tests.serving import in_a_thread, running

PAGE = Path(__file__).with_name("attack.html")
PATIENCE = 120  # seconds, for a busy machine
SECRET = "a secret of the org"
MODES = ("cors", "no-cors")
KINDS = (
    "read",
    "reset",
    "text",
    "form",
    "untyped",
    "json",
    "delete",
    "credentials",
    "keepalive",
    "silent",
)
# What a browser sends whatever the page's origin is. Requests of the modes `same-origin` and `navigate` never leave it.
SENT = {
    *(f"{mode}-{kind}" for mode in MODES for kind in KINDS if (mode, kind) != ("no-cors", "delete")),
    *("form-url", "form-multipart", "form-plain", "form-get", "xhr", "websocket", "eventsource"),
    *("img", "script", "style", "iframe", "object", "refresh", "null-form", "null-fetch"),
    *("beacon-text", "beacon-untyped", "beacon-form", "beacon-empty", "ping", "csp"),
}
ALL = SENT | {f"{mode}-{kind}" for mode in ("no-cors", "same-origin", "navigate") for kind in KINDS}
NEEDS_CHROMIUM = "this test needs Chromium; on Debian: apt-get install --no-install-recommends chromium"


class Site:
    """A server with a page on it that attacks `target`; under the name `rebound.example` it is the target itself."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.report: Any = None
        self.reported = threading.Event()


class Answers(BaseHTTPRequestHandler):
    """What the site says. Each site has a class of its own."""

    site: Site

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def do_OPTIONS(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/report":
            self.site.report = json.loads(body)
            self.site.reported.set()
            self._send(204, [], b"")
        elif self.path.startswith("/__admin"):
            self._send(*self._forwarded(body))
        else:
            target = f"http://{self.headers['Host']}" if "rebound" in self.headers["Host"] else self.site.target
            page = PAGE.read_text(encoding="utf-8").replace("{target}", target)
            csp = f"style-src 'none'; report-uri {target}/__admin/orgs/victim-csp/reset"
            kind = ("Content-Type", "text/html")
            self._send(200, [kind, ("Content-Security-Policy-Report-Only", csp)], page.encode())

    def _forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """As if the name's address had just been changed to the target's."""
        place = urlsplit(self.site.target)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            sent = [it for it in response.getheaders() if it[0].lower() not in ("content-length", "connection")]
            return response.status, sent, response.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def browser(url: str, folder: Path) -> Iterator[Path]:
    """Chromium with a page open; the file has what it complains about."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        assert "CI" not in os.environ, NEEDS_CHROMIUM  # CI must have it
        pytest.skip(NEEDS_CHROMIUM)
    log = folder / "chromium.log"
    with log.open("wb") as complaints:
        process = subprocess.Popen(  # noqa: S603 - a browser
            [
                *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *(
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--no-proxy-server",
                ),
                "--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                *(f"--user-data-dir={folder / 'profile'}", url),
            ],
            stdin=subprocess.DEVNULL,
            stdout=complaints,
            stderr=complaints,
            start_new_session=True,  # so that its children can be ended with it
        )
    try:
        yield log
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder / "profile", ignore_errors=True)


class Outcome(NamedTuple):
    """What the page got, what came to the admin API by attack (method and status), and what the orgs hold now."""

    got: dict[str, str]
    came: dict[str, set[tuple[str, int]]]
    documents: dict[str, int]


class Watched:
    """An app whose answers to the page's requests are noted."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.came: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self.news = threading.Condition()
        self._handle = app.handle

    def handle(self, request: Request) -> Reply:
        reply = self._handle(request)
        attack = re.match(r"/__admin/orgs/victim-([a-z-]+)", request.path)
        if attack and b"user-agent" in request.fields and b"Mozilla" in request.fields[b"user-agent"]:
            with self.news:
                self.came[attack[1]].add((request.method, reply.status))
                self.news.notify_all()
        return reply


@pytest.fixture
def watched(specs: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched(new_app(specs))
    monkeypatch.setattr(watched.app, "handle", watched.handle)
    return watched


def attacked(watched: Watched, name: str, folder: Path) -> Outcome:
    """A page of a site of this name is opened, and has done all it can."""
    with running(app=watched.app) as (_, url), httpx2.Client(base_url=f"{url}/__admin") as admin:
        for attack in sorted(ALL):
            things = [{"name": SECRET}]
            admin.post(f"/orgs/victim-{attack}/seed", json={"acme": {"things": things}}).raise_for_status()
        site = Site(url)
        listening = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (Answers,), {"site": site}))
        page = f"http://{name}:{listening.server_port}/"
        with in_a_thread(listening), browser(page, folder) as log:
            said = "the page never reported: "
            assert site.reported.wait(PATIENCE), said + log.read_text(encoding="utf-8", errors="replace")[-2000:]
            with watched.news:
                watched.news.wait_for(lambda: watched.came.keys() >= SENT, PATIENCE)
        orgs = {org["name"]: org["documents"] for org in admin.get("/orgs?limit=1000").json()["orgs"]}
    documents = {attack: orgs.get(f"victim-{attack}", 0) for attack in ALL}
    return Outcome(site.report, dict(watched.came), documents)


@pytest.mark.parametrize(
    "name",
    [
        "attacker.example",  # a page of the Internet
        "127.0.0.1",  # of another program on this machine
        "rebound.example",  # whose name leads to this server now: DNS rebinding
    ],
)
def test_a_page_in_the_browser_changes_nothing_and_reads_nothing(watched: Watched, tmp_path: Path, name: str) -> None:
    outcome = attacked(watched, name, tmp_path)

    assert SENT - outcome.came.keys() == set()  # the browser did send them
    assert {status for came in outcome.came.values() for _, status in came} == {403}
    assert outcome.documents == dict.fromkeys(ALL, 1)
    assert SECRET not in json.dumps(outcome.got)
    assert "opened" not in json.dumps(outcome.got)
    assert "failed" not in outcome.got


@pytest.mark.parametrize("name", ["attacker.example", "rebound.example"])
def test_without_the_guard_the_same_page_does_harm(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Guard, "rejection", lambda *_: None)

    outcome = attacked(watched, name, tmp_path)

    harmed = {attack for attack, count in outcome.documents.items() if count != 1}
    assert harmed >= {"no-cors-reset", "form-url", "form-multipart", "beacon-empty", "null-form", "ping", "csp", "xhr"}
    assert (SECRET in json.dumps(outcome.got)) is (name == "rebound.example")

"""`promo-sandbox tail`, `export` and `import` against real servers: what they print, and how they end."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx2
import pytest

from promo_sandbox.admin import exports
from promo_sandbox.base.errors import SandboxError
from promo_sandbox.cli.tail import Event, Filters, Printer, follow
from promo_sandbox.client import http as client_http
from promo_sandbox.client.http import HttpTransport, Unreachable, path_segment
from tests.acme import new_app, write_specs
from tests.command import PYTHON, environment, run, serving
from tests.patience import LONG
from tests.serving import OrgClient, free_port, running

SEND_TOKEN = "Send SANDBOX_ADMIN_TOKEN as a bearer token. (--admin-token)"


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_specs(tmp_path_factory.mktemp("tail") / "specs")


@pytest.fixture(scope="module")
def url(specs: Path) -> Iterator[str]:
    with running(app=new_app(specs)) as (_, base):
        yield base


class _Enough(Exception):
    """Ends a thread that follows."""


class Following:
    """`follow` in a thread: what it has written and warned of."""

    def __init__(self, url: str, filters: Filters) -> None:
        self.events: queue.Queue[Any] = queue.Queue()
        self.warnings: queue.Queue[str] = queue.Queue()
        self.enough = False
        self._remote, self._filters = _Ending(url, self), filters
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(_Enough):
            follow(self._remote, self._filters, self._write, self._warn)

    def _write(self, event: Event) -> None:
        if self.enough:
            raise _Enough
        self.events.put(json.loads(event.data))

    def _warn(self, text: str) -> None:
        if self.enough:
            raise _Enough
        self.warnings.put(text)

    def stop(self) -> None:
        """At the next event, which is at the latest that the server has gone."""
        self.enough = True
        self._thread.join(0)

    def after(self, ask: Callable[[], None]) -> Any:
        """The first event after asking, as often as it takes until it is connected."""
        for _ in range(int(10 * LONG)):
            ask()
            try:
                return self.events.get(timeout=0.1)
            except queue.Empty:
                continue
        raise AssertionError("nothing was received")

    def next(self) -> Any:
        return self.events.get(timeout=LONG)


def ask(url: str, path: str = "/acme/t/things", **headers: str) -> None:
    httpx2.get(f"{url}{path}", headers={"Authorization": "Bearer any", **headers}, timeout=LONG)


class _Ending(HttpTransport):
    """A server that is not asked any more when it is enough."""

    def __init__(self, url: str, following: Following) -> None:
        super().__init__(url)
        self._following = following

    @contextmanager
    def stream(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[HTTPResponse]:
        if self._following.enough:
            raise _Enough
        with super().stream(method, path, body, headers) as response:
            yield response


# What is shown


def exchange(**members: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "org": "t",
        "at": "2030-01-01T12:00:00.123Z",
        "request": {"method": "POST", "target": "/acme/t/things"},
        "reply": {"status": 201},
        "operation": "addThing",
        "rejection": None,
        "violations": [],
        "nearest": [],
        "step": None,
        "fault": None,
        "unexpected": None,
        "internal_error": None,
        "microseconds": 1234,
        **members,
    }


def lines(*, coloured: bool = False, **members: Any) -> list[str]:
    return Printer(as_json=False, coloured=coloured).lines(exchange(**members))


def test_an_exchange_is_one_line() -> None:
    assert lines() == ["2030-01-01 12:00:00.123  t             POST    201  /acme/t/things  addThing  1.2 ms"]


def test_below_a_rejection_stands_what_was_wrong() -> None:
    violations = [
        {"where": "body.name", "message": "is required", "spec": "acme/things.yaml#/components/schemas/Thing/required"},
        {"where": "body.x", "message": "is odd", "spec": None},
    ]

    first, *below = lines(reply={"status": 400}, rejection="invalid-request", violations=violations)

    assert "400  /acme/t/things  addThing  invalid-request  1.2 ms" in first
    assert below == [
        "    body.name: is required  acme/things.yaml#/components/schemas/Thing/required",
        "    body.x: is odd",
    ]


def test_below_what_matched_nothing_stand_the_two_nearest() -> None:
    near = [
        {"operation": f"op{number}", "method": "GET", "path": "/a/{b}", "why": "1 segment too many"}
        for number in range(5)
    ]

    first, *below = lines(operation=None, reply={"status": 404}, nearest=near)

    assert "404  /acme/t/things  unmatched" in first
    assert below == [f"    near op{number}, GET /a/{{b}}: 1 segment too many" for number in range(2)]


def test_an_internal_error_is_shown_and_so_is_the_step_of_a_scenario() -> None:
    first, below = lines(reply={"status": 500}, internal_error="RuntimeError: broken", step=3)

    assert "  step 3  " in first
    assert below == "    internal error: RuntimeError: broken"


def test_a_server_that_is_no_sandbox_cannot_write_to_the_terminal() -> None:
    strange = "\x1b[31m\u202e\x9b"
    names = ("at", "org", "operation", "rejection", "step", "internal_error", "unexpected")
    texts: dict[str, Any] = dict.fromkeys(names, strange)

    received = lines(**texts, fault={"cut": strange}, request={"method": strange, "target": strange})

    assert all(line.isprintable() for line in received)


def test_faults_of_the_reply_and_why_no_step_took_the_call_are_shown() -> None:
    [lost] = lines(step=1, fault={"delay": 0.5, "cut": "after", "corrupt": False})
    [spoilt] = lines(fault={"delay": 0, "cut": None, "corrupt": True})
    _, why = lines(unexpected="step 2 awaits getThing")

    assert "  step 1  0.5 s late  cut after  1.2 ms" in lost
    assert "addThing  corrupt  1.2 ms" in spoilt
    assert why == "    unexpected: step 2 awaits getThing"


def test_a_terminal_is_not_commanded_by_what_a_client_sends() -> None:
    shown = "\n".join(
        lines(
            org="\x1b[2J",
            request={"method": "G\x07T", "target": "/\x1b]0;x\x07\r\n"},
            violations=[{"where": "a\x1b", "message": "b\u202e\x9b", "spec": None}],
        )
    )

    assert "\\u001b[2J" in shown
    assert "\\u0007\\u000d\\u000a" in shown
    assert [letter for letter in shown if not letter.isprintable() and letter != "\n"] == []


@pytest.mark.parametrize(
    ("status", "colour"), [(200, "\x1b[32m"), (304, "\x1b[36m"), (404, "\x1b[33m"), (503, "\x1b[31m")]
)
def test_a_status_has_the_colour_of_its_class(status: int, colour: str) -> None:
    [line] = lines(reply={"status": status}, coloured=True)

    assert f"{colour}{status}\x1b[0m" in line
    assert "\x1b" not in lines(reply={"status": status})[0]


# How a server is followed


@contextmanager
def following(url: str, filters: Filters | None = None) -> Iterator[Following]:
    made = Following(url, filters or Filters())
    try:
        yield made
    finally:
        made.stop()


def test_events_are_written_as_they_happen(url: str) -> None:
    with following(url, Filters(org="live")) as received:
        first = received.after(lambda: ask(url, "/acme/live/things"))
        ask(url, "/acme/other/things")
        ask(url, "/acme/live/things/none")
        while (last := received.next())["operation"] == "listThings":
            continue

    assert (first["org"], first["operation"]) == ("live", "listThings")
    assert (last["org"], last["rejection"]) == ("live", "unknown-thing")


def test_filters_hold_together(url: str) -> None:
    def everything() -> None:
        ask(url, "/acme/filtered/things?limit=0")
        ask(url, "/acme/filtered/nothing")

    with following(url, Filters(org="filtered", unmatched=True, rejected=True)) as received:
        assert received.after(everything)["operation"] is None


def test_a_server_that_comes_back_is_followed_on() -> None:
    port = str(free_port())
    path = "/promotions/org/t/sales-vouchers/gift-cards"
    with serving("--port", port) as first, following(first.url) as received:
        received.after(lambda: ask(first.url, path))
        first.stop()
        warning = received.warnings.get(timeout=LONG)
        while not received.events.empty():
            received.events.get()
        with serving("--port", port) as second:
            ask(second.url, path)  # before it is followed: then it receives what is kept
            after = received.next()
            received.enough = True

    assert warning == f"lost the connection to http://127.0.0.1:{port}; waiting for the server"
    assert (after["operation"], after["id"]) == ("getGiftCards", 1)


@contextmanager
def scripted(*answers: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers, one a connection: its URL and the requests it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(LONG)
    got: list[str] = []

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                got.append(connection.recv(65_536).decode())
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", got
    finally:
        thread.join(LONG)
        listener.close()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nretry: 10\n\n"


def test_a_dropped_follower_says_where_it_was() -> None:
    with (
        scripted(
            HEAD + b'id: s-7\nevent: exchange\ndata: {"n":1}\n\nid: s-8\nevent: exchange\ndata: {"n"',  # half an event
            HEAD + b'id: s-8\nevent: exchange\ndata: {"n":2}\n\n: a comment\n\nid: s-9\n\n',
            HEAD,
        ) as (url, got),
        following(url) as followed,
    ):
        received = [followed.next(), followed.next()]
        for _ in range(3):
            followed.warnings.get(timeout=LONG)

    assert received == [{"n": 1}, {"n": 2}]
    assert "Last-Event-ID" not in got[0]
    assert "Last-Event-ID: s-7\r\n" in got[1]
    assert "Last-Event-ID: s-9\r\n" in got[2]


def test_a_server_that_rejects_after_it_came_back_ends_it() -> None:
    rejection = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 14\r\n\r\n" + b'{"detail":"x"}'
    with scripted(HEAD, rejection) as (url, _):
        warned: list[str] = []
        with pytest.raises(SandboxError, match=rf"^{url} answered 401: x \(--admin-token\)$"):
            follow(HttpTransport(url), Filters(), lambda _: None, warned.append)

    assert len(warned) == 1


# The commands


def test_a_server_that_is_not_there_is_one_line_and_exit_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        for command in (("tail",), ("export", "acme")):
            ended = run(*command, "--url", url)
            assert (ended.returncode, ended.stdout) == (2, "")
            assert ended.stderr == f"promo-sandbox: {url} does not answer: Connection refused\n"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://localhost", "http://", "http://localhost:port", "nonsense"])
def test_a_url_that_is_none_is_one_line_and_exit_code_2(url: str) -> None:
    ended = run("tail", "--url", url)

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith(f"promo-sandbox: --url '{url}'")


def test_what_is_no_sandbox_is_one_line_and_exit_code_2() -> None:
    with scripted(b"SSH-2.0-OpenSSH_9.6\r\n") as (url, _):
        ended = run("tail", "--url", url)

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith(f"promo-sandbox: {url} does not answer: ")


@contextmanager
def tailing(url: str, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*PYTHON, "tail", "--url", url, *options],
        env=environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def asked_until_it_ends(url: str, path: str = "/acme/tail/things?limit=0") -> Iterator[None]:
    """Requests now and then, for a command that takes a while to connect."""
    enough = threading.Event()

    def go_on() -> None:
        while not enough.wait(0.1):
            ask(url, path)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def first_lines(process: subprocess.Popen[str], url: str, number: int = 1) -> list[str]:
    assert process.stdout is not None  # it is a pipe
    with asked_until_it_ends(url):
        return [process.stdout.readline().rstrip("\n") for _ in range(number)]


def test_it_prints_lines_without_colours_where_there_is_no_terminal(url: str) -> None:
    with tailing(url, "--org", "tail", "--rejected") as process:
        first, second = first_lines(process, url, 2)

    assert "  tail          GET     400  /acme/tail/things?limit=0  listThings  invalid-request  " in first
    assert second.startswith("    query.limit: 0 is less than the minimum of 1  acme/things.yaml#/paths/")


def test_colours_can_be_had_anyway_and_json_too(url: str) -> None:
    with tailing(url, "--org", "tail", "--color", "always", NO_COLOR="1") as process:
        assert "\x1b[33m400\x1b[0m" in first_lines(process, url)[0]
    with tailing(url, "--org", "tail", "--json", "--color", "never") as process:
        received = json.loads(first_lines(process, url)[0])
    assert (received["org"], received["rejection"]) == ("tail", "invalid-request")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupting_it_ends_it_quietly_with_130(url: str) -> None:
    with tailing(url, "--org", "tail") as process:
        first_lines(process, url)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=LONG)

    assert (process.returncode, said) == (130, "")


def test_it_ends_quietly_when_its_reader_does(url: str) -> None:
    with tailing(url, "--org", "tail") as process:
        first_lines(process, url)
        assert process.stdout is not None  # it is a pipe
        assert process.stderr is not None
        process.stdout.close()
        with asked_until_it_ends(url):
            assert process.wait(LONG) == 0
        assert process.stderr.read() == ""


def test_the_admin_token_is_sent_or_its_lack_reported(specs: Path) -> None:
    with running(app=new_app(specs, admin_token="s3cret")) as (_, url):
        rejected = run("tail", "--url", url)
        with tailing(url, SANDBOX_ADMIN_TOKEN="s3cret") as process:
            shown = first_lines(process, url)

    assert rejected.returncode == 2
    assert rejected.stderr == f"promo-sandbox: {url} answered 401: {SEND_TOKEN}\n"
    assert "invalid-request" in shown[0]


# Export and import


@pytest.fixture
def org_client(url: str, http: httpx2.Client) -> OrgClient:
    org_client = OrgClient(url, path_segment("a b/é"), http)
    org_client.freeze("2030-01-01T00:00:00Z")
    org_client.admin("PUT", "/state", {"documents": {}})
    org_client.seed("acme", things=[{"id": "a", "name": "A"}])
    return org_client


def test_an_org_goes_through_a_file_to_another_server(specs: Path, org_client: OrgClient, tmp_path: Path) -> None:
    file = tmp_path / "org.json"

    exported = run("export", "a b/é", "--out", str(file), "--url", org_client.url)
    with running(app=new_app(specs)) as (_, other):
        imported = run("import", str(file), "--url", other)
        renamed = run("import", str(file), "--org", "renamed", "--url", f"{other}/")
        there = httpx2.get(f"{other}/__admin/orgs/{org_client.org}/state", timeout=LONG).json()
        orgs = [org["name"] for org in httpx2.get(f"{other}/__admin/orgs", timeout=LONG).json()["orgs"]]

    assert (exported.returncode, exported.stdout, exported.stderr) == (0, "", "")
    assert (imported.returncode, imported.stdout) == (0, "imported a b/é\n")
    assert (renamed.returncode, renamed.stdout) == (0, "imported renamed\n")
    assert there == org_client.admin("GET", "/state").json()
    assert orgs == ["a b/é", "renamed"]


def test_an_export_is_printed_if_no_file_is_named(org_client: OrgClient) -> None:
    printed = run("export", "a b/é", "--url", org_client.url)

    assert json.loads(printed.stdout)["org"] == org_client.admin("GET", "/export").json()["org"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "{file} is not an export of an org"),
        ("[]", "{file} is not an export of an org"),
        ('{"org":{}}', "{file} is not an export of an org"),
        ("[" * 100_000, "{file} is not an export of an org"),
        ('{"promo_sandbox_export":2}', "{file} has the export format 2; this version of promo-sandbox reads 1"),
        ('{"promo_sandbox_export":1}', "{file} does not name its org; name it with --org"),
        (
            '{"promo_sandbox_export":1,"org":{"name":"x"}}',
            (
                "{url} answered 400: body.org.clock: is required; body.org.sequence: is required; "
                "body.org.documents: is required"
            ),
        ),
    ],
)
def test_a_file_that_is_no_export_is_one_line_and_exit_code_2(
    url: str, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "org.json"
    file.write_text(content, encoding="utf-8")

    ended = run("import", str(file), "--url", url)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"promo-sandbox: {said.format(file=file, url=url)}\n"


def test_what_cannot_be_read_or_written_is_one_line_and_exit_code_2(org_client: OrgClient, tmp_path: Path) -> None:
    missing = tmp_path / "none" / "org.json"

    read = run("import", str(missing), "--url", org_client.url)
    written = run("export", "a b/é", "--out", str(missing), "--url", org_client.url)
    unknown = run("export", "a b", "--url", org_client.url)

    assert read.stderr == f"promo-sandbox: cannot read {missing}: No such file or directory\n"
    assert written.stderr == f"promo-sandbox: cannot write {missing}: No such file or directory\n"
    assert unknown.stderr.startswith(f"promo-sandbox: {org_client.url} answered 404: There is no org a b")
    assert {read.returncode, written.returncode, unknown.returncode} == {2}


def test_the_form_of_an_export_is_known_at_both_ends() -> None:
    assert client_http.EXPORT_FORMAT == exports.EXPORT_FORMAT


@pytest.mark.parametrize(("name", "written"), [("a", "a"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("é", "%C3%A9")])
def test_a_name_is_a_segment_of_a_path(name: str, written: str) -> None:
    assert path_segment(name) == written


def test_a_server_that_dies_in_the_middle_of_an_answer_is_reported() -> None:
    with scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{") as (url, _), pytest.raises(Unreachable):
        HttpTransport(url).request("GET", "/version")

"""`promo-sandbox coverage`: the report in every form, its exit codes, and one line for every mistake."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx2
import pytest

from promo_sandbox.reports import coverage_writer, figures
from tests.acme import new_app, write_specs
from tests.command import Invoke
from tests.patience import LONG
from tests.serving import OrgClient, running

FORMS = ["text", "json", "markdown", "junit", "html"]
NASTY = "<script>alert(1)</script> & \"quotes\" '|' `\x00\x1b\ufffe*_"
VOID = {"meta", "br"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "ADMIN_TOKEN"):
        monkeypatch.delenv(f"SANDBOX_{name}", raising=False)


@pytest.fixture
def shop(tmp_path: Path, http: httpx2.Client) -> Iterator[OrgClient]:
    """An org of a server of its own, which has met a success and a rejection of one operation."""
    with running(app=new_app(write_specs(tmp_path / "specs"))) as (_, base):
        org_client = OrgClient(base, "shop", http)
        for _ in range(2):
            org_client.request("POST", "/acme/shop/things", {"name": "Lamp", "code": "1"})
        yield org_client


def part(covered: int, of: int) -> dict[str, Any]:
    return {"covered": covered, "all": of, "percent": covered * 1000 // of / 10 if of else 100.0}


def made_up(text: str = "Plain.", org: str | None = None) -> dict[str, Any]:
    """A report in which one operation was called, one was not, and `text` stands wherever a spec is free to write."""
    totals = {
        "operations": part(1, 2),
        "statuses": part(1, 3),
        "rejections": part(0, 1),
        "callbacks": part(1, 2),
        "everything": part(3, 8),
    }
    operations = [
        {
            "operation": "addThing",
            "method": "POST",
            "path": "/acme/{shop}/things",
            "summary": text,
            "count": 7,
            "statuses": [{"status": 201, "count": 7}, {"status": 409, "count": 0}],
            "rejections": [
                {"rejection": "code-taken", "status": 409, "count": 0, "source": f"documented: {text}", "summary": text}
            ],
        },
        {
            "operation": "greet",
            "method": "GET",
            "path": "/acme/greeting",
            "summary": text,
            "count": 0,
            "statuses": [{"status": 200, "count": 0}],
            "rejections": [],
        },
    ]
    callbacks = [{"callback": "thing-changed", "count": 7}, {"callback": "thing-gone", "count": 0}]
    vendor = {"vendor": "acme", "totals": totals, "operations": operations, "callbacks": callbacks}
    return {"org": org, "totals": totals, "vendors": [vendor]}


class Page(HTMLParser):
    """Reads a page and insists that every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.said.append(data)

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that is no sandbox."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(LONG)


# Text


def test_text_says_what_was_never_met_of_what_was_called_and_what_was_not_called() -> None:
    assert coverage_writer.write("text", made_up(), missing=True) == (
        "acme: 3 of 8 covered (37.5 %)\n"
        "operations 1/2, statuses 1/3, rejections 0/1, callbacks 1/2\n"
        "\n"
        "operation  calls  statuses  rejections\n"
        "addThing   7      1/2       0/1\n"
        "    not covered: 409, code-taken\n"
        "\n"
        "operations never called:\n"
        "    greet\n"
        "callbacks not covered:\n"
        "    thing-gone\n"
        "\n"
        "all orgs: 3 of 8 covered (37.5 %)\n"
    )


def test_text_of_everything_says_how_often() -> None:
    assert coverage_writer.write("text", made_up(org="shop"), missing=False).splitlines()[3:] == [
        "operation  calls  statuses  rejections",
        "addThing   7      1/2       0/1",
        "    201=7, 409=0, code-taken=0",
        "greet      0      0/1       0/0",
        "    200=0",
        "",
        "callbacks:",
        "    thing-changed=7, thing-gone=0",
        "",
        "the org shop: 3 of 8 covered (37.5 %)",
    ]


def test_text_leaves_out_what_lacks_nothing() -> None:
    report = made_up()
    vendor = report["vendors"][0]
    for item in (*vendor["operations"], *vendor["callbacks"]):
        item["count"] = 1
    for operation in vendor["operations"]:
        for item in (*operation["statuses"], *operation["rejections"]):
            item["count"] = 1

    said = coverage_writer.write("text", report, missing=True)

    assert "addThing" not in said
    assert "never" not in said


def test_lines_of_names_are_wrapped_between_them() -> None:
    report = made_up()
    names = [f"a-rather-long-name-of-a-rejection-{number}" for number in range(20)]
    report["vendors"][0]["operations"][0]["rejections"] = [
        {"rejection": name, "status": 409, "count": 0, "source": "", "summary": ""} for name in names
    ]

    said = coverage_writer.write("text", report, missing=True)

    assert max(map(len, said.splitlines())) <= 110
    assert set(names) <= set(re.findall(r"[\w-]+", said))


# Markdown


def test_markdown_is_tables_of_equally_many_cells() -> None:
    lines = coverage_writer.write("markdown", made_up(), missing=True).splitlines()

    assert lines[0] == "## Contract coverage: 3 of 8 covered (37.5 %)"
    assert lines[2:5] == [
        "| vendor | operations | statuses | rejections | callbacks | together |",
        "| --- | --- | --- | --- | --- | --- |",
        "| acme | 1/2 | 1/3 | 0/1 | 1/2 | 37.5 % |",
    ]
    assert "| addThing | 7 | 1/2 | 0/1 | 409, code-taken |" in lines
    assert "greet" in lines


def test_markdown_takes_nothing_in_a_name_for_markup() -> None:
    said = coverage_writer.write("markdown", made_up(org="a|b\n<b>*x*"), missing=False)

    assert said.splitlines()[0] == "## Contract coverage of the org a\\|b \\<b\\>\\*x\\*: 3 of 8 covered (37.5 %)"


# JSON


def test_json_is_what_the_server_said(shop: OrgClient, invoke: Invoke) -> None:
    code, said, _ = invoke("coverage", "--url", shop.url, "--format", "json")

    assert (code, json.loads(said)) == (0, shop.http.get(f"{shop.url}/__admin/coverage").json())


# JUnit


def test_junit_has_a_case_for_everything_and_skips_what_was_never_met() -> None:
    suites = ET.fromstring(coverage_writer.write("junit", made_up(), missing=True))  # noqa: S314 - our own

    assert [suite.tag for suite in suites] == ["testsuite"]
    suite = suites[0]
    cases = {f"{case.get('classname')} {case.get('name')}": [it.tag for it in case] for case in suite.iter("testcase")}
    assert cases == {
        "acme.addThing called": [],
        "acme.addThing status 201": [],
        "acme.addThing status 409": ["skipped"],
        "acme.addThing rejection code-taken": ["skipped"],
        "acme.greet called": ["skipped"],
        "acme.greet status 200": ["skipped"],
        "acme.callbacks thing-changed": [],
        "acme.callbacks thing-gone": ["skipped"],
    }
    assert [suite.get(name) for name in ("name", "tests", "skipped", "failures", "errors")] == [
        "acme",
        "8",
        "5",
        "0",
        "0",
    ]
    reasons = [it.get("message") for it in suite.iter("skipped")]
    assert "no client ever got this 409: Plain. (documented: Plain.)" in reasons
    assert all(reasons)


def test_junit_keeps_the_schemas_of_ant_and_jenkins() -> None:
    """What they ask for, both having been run on a whole report."""
    suites = ET.fromstring(coverage_writer.write("junit", made_up(), missing=True))  # noqa: S314 - our own

    assert (suites.tag, suites.attrib) == ("testsuites", {})
    for number, suite in enumerate(suites):
        assert set(suite.keys()) == {
            "name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"
        }  # fmt: skip
        assert suite.get("id") == str(number)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
        tags = [child.tag for child in suite]
        cases = len(tags) - 3
        assert tags == ["properties", *["testcase"] * cases, "system-out", "system-err"]
        for case in suite.iter("testcase"):
            assert set(case.keys()) == {"classname", "name", "time"}
            assert len(case) <= 1


# HTML


def test_the_page_has_everything_and_a_bar_for_each_operation() -> None:
    page = Page(coverage_writer.write("html", made_up(), missing=True))
    text = " ".join(" ".join(page.said).split())

    assert "Contract coverage: 3 of 8 covered (37.5 %)" in text
    assert [it.get("style") for it in page.having("i")] == ["width: 33.3%", "width: 0.0%"]
    assert len(page.having("details")) == 2
    for name in ("addThing", "code-taken", "greet", "thing-changed", "thing-gone", "documented: Plain."):
        assert name in text
    assert text.count("never") == 5


def test_the_page_needs_nothing_but_itself() -> None:
    text = coverage_writer.write("html", made_up(), missing=True)
    page = Page(text)

    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object"} == set()
    assert all((link.get("href") or "").startswith("#") for link in page.having("a"))
    assert not re.search(r"url\(|@import|https?:", text)
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize("form", ["junit", "html"])
def test_what_a_spec_or_a_client_wrote_is_text_and_nothing_else(form: str) -> None:
    written = coverage_writer.write(form, made_up(NASTY, org=NASTY), missing=True)

    assert "<script" not in written
    if form == "html":
        page = Page(written)
        assert {tag for tag, _ in page.elements} == {
            tag for tag, _ in Page(coverage_writer.write(form, made_up(), missing=True)).elements
        }
        assert '<script>alert(1)</script> & "quotes"' in "".join(page.said)
    else:
        suite = ET.fromstring(written)[0]  # noqa: S314 - our own
        value = next(suite.iter("property")).get("value") or ""
        assert value.startswith("<script>alert(1)</script> & \"quotes\" '|' `")
        assert "\x00" not in value


# The command


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_real_server_s_coverage(shop: OrgClient, invoke: Invoke, tmp_path: Path, form: str) -> None:
    out = tmp_path / "report"

    code, said, complained = invoke("coverage", "--url", shop.url, "--format", form)
    saved, summary, _ = invoke("coverage", "--url", shop.url, "--format", form, "--out", str(out))

    assert (code, complained, saved) == (0, "", 0)
    assert "insufficient-scope" in said
    steady = re.compile(r'timestamp="[^"]*"')
    assert steady.sub("", out.read_text(encoding="utf-8")) == steady.sub("", said)
    assert re.fullmatch(rf"\d+ of \d+ covered \([\d.]+ %\); see {re.escape(str(out))}\n", summary)


def test_an_org_and_a_vendor_are_chosen(shop: OrgClient, invoke: Invoke) -> None:
    shop.request("GET", "/acme/other/things")

    code, said, _ = invoke("coverage", "--url", shop.url, "--org", "other", "--vendor", "acme", "--format", "json")

    report = json.loads(said)
    assert (code, report["org"], report["totals"]["operations"]["covered"]) == (0, "other", 1)


@pytest.mark.parametrize("suffix", ["", "/", "/__admin", "/__admin/"])
def test_the_url_may_be_any_that_serve_has_printed(shop: OrgClient, invoke: Invoke, suffix: str) -> None:
    assert invoke("coverage", "--url", shop.url + suffix)[0] == 0


def test_url_and_token_come_from_the_environment_too(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(app=new_app(write_specs(tmp_path / "specs"), admin_token="s3cret")) as (_, base):
        monkeypatch.setenv("SANDBOX_URL", base)
        rejected = invoke("coverage")
        monkeypatch.setenv("SANDBOX_ADMIN_TOKEN", "s3cret")
        admitted = invoke("coverage")

    assert rejected[0] == 2
    assert rejected[2].endswith("answered 401: Send SANDBOX_ADMIN_TOKEN as a bearer token. (--admin-token)\n")
    assert admitted[0] == 0


def test_a_proxy_is_not_asked(shop: OrgClient, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    assert invoke("coverage", "--url", shop.url)[0] == 0


# --fail-under


def test_too_little_is_exit_code_1_and_one_line(shop: OrgClient, invoke: Invoke) -> None:
    code, said, complained = invoke("coverage", "--url", shop.url, "--fail-under", "80")

    assert code == 1
    assert "insufficient-scope" in said
    assert re.fullmatch(r"promo-sandbox: \d+ of \d+ covered \([\d.]+ %\), and --fail-under is 80\n", complained)


def test_enough_is_exit_code_0(shop: OrgClient, invoke: Invoke) -> None:
    assert invoke("coverage", "--url", shop.url, "--fail-under", "0.5")[0] == 0


@pytest.mark.parametrize(
    ("covered", "of", "wanted", "enough"),
    [
        (1, 3, 33.3, True),
        (1, 3, 33.4, False),
        (2999, 3000, 100, False),
        (3000, 3000, 100, True),
        (0, 5, 0, True),
        (0, 0, 100, True),
        (7, 1000, 0.7, True),
    ],
)
def test_what_is_wanted_is_compared_before_rounding(covered: int, of: int, wanted: float, enough: bool) -> None:
    assert figures.reaches({"everything": part(covered, of)}, wanted) is enough


@pytest.mark.parametrize("wanted", ["-1", "100.1", "much"])
def test_a_percentage_that_is_none(invoke: Invoke, wanted: str) -> None:
    code, _, complained = invoke("coverage", "--fail-under", wanted)

    assert code == 2
    assert len(complained.splitlines()) == 1


# Mistakes


def test_a_server_that_is_not_there(invoke: Invoke) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        code, said, complained = invoke("coverage", "--url", url)

    assert (code, said) == (2, "")
    assert complained == f"promo-sandbox: {url} does not answer: Connection refused\n"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://a:0",
        "",
        "http://a b",
    ],
)
def test_a_url_that_is_none(invoke: Invoke, url: str) -> None:
    code, said, complained = invoke("coverage", "--url", url)

    assert (code, said) == (2, "")
    assert len(complained.splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"{}"), (200, b"[]"), (404, b""), (502, b'{"error": 1}'), (200, b"\xff")],
)
def test_a_server_that_is_no_sandbox(invoke: Invoke, status: int, body: bytes) -> None:
    with answering(status, body) as url:
        code, said, complained = invoke("coverage", "--url", url)

    assert (code, said) == (2, "")
    assert complained == f"promo-sandbox: {url} is not a Promo Sandbox: it answered {status} to /__admin/coverage\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--org", "shopp"), "did you mean shop?"), (("--vendor", "acmee"), "did you mean acme?")],
)
def test_a_name_that_is_unknown(shop: OrgClient, invoke: Invoke, options: tuple[str, str], message: str) -> None:
    code, said, complained = invoke("coverage", "--url", shop.url, *options)

    assert (code, said) == (2, "")
    assert message in complained
    assert len(complained.splitlines()) == 1


@pytest.mark.parametrize("token", ["new\nline", "\N{SNOWMAN}"])
def test_a_token_that_is_none(shop: OrgClient, invoke: Invoke, token: str) -> None:
    code, _, complained = invoke("coverage", "--url", shop.url, "--admin-token", token)

    assert len(complained.splitlines()) == (1 if code else 0)
    assert code == (2 if "\n" in token else 0)  # the server has no token, so it asks for none


def test_a_file_that_cannot_be_written(shop: OrgClient, invoke: Invoke, tmp_path: Path) -> None:
    code, _, complained = invoke("coverage", "--url", shop.url, "--out", str(tmp_path / "none" / "report"))

    assert code == 2
    assert complained.endswith("No such file or directory\n")


def test_an_unknown_form(invoke: Invoke) -> None:
    code, _, complained = invoke("coverage", "--format", "pdf")

    assert code == 2
    assert len(complained.splitlines()) == 1

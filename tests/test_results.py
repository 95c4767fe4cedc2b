"""The report of a contract test in each form, whatever a server said; and what Schemathesis tells of its run."""

from __future__ import annotations

import json
import shlex
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from promo_sandbox.base.errors import SandboxError
from promo_sandbox.base.masking import Masks
from promo_sandbox.conformance.verify.tally import Tally
from promo_sandbox.reports import results_writer
from promo_sandbox.reports.results import FAILED, NOT_ASKED, PASSED, SKIPPED, Failure, Result, Results, curl

NASTY = "<script>alert(1)</script> & \"quotes\" '|' `\x00\x1b\ufffe*_ $HOME"
REPORT = Results(
    f"{NASTY} held to the specs",
    [
        Result("one", "ok", "GET /ok", PASSED, "3 requests"),
        Result("one", NASTY, "GET /bad", FAILED, "1 request", (Failure(NASTY, f"{NASTY}\n{NASTY}", "curl", 3),), 0.25),
        Result("two", "left", "POST /left", SKIPPED, NASTY),
    ],
    1.5,
    "the time was up",
)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_what_a_server_said_as_text() -> None:
    page = Page()
    page.feed(results_writer.write("html", REPORT))

    assert "script" not in page.tags
    assert page.tags.count("details") == 3
    assert "<script>alert(1)</script>" in page.text
    assert "ended early: the time was up" in page.text


def test_junit_keeps_the_lines_of_a_failure() -> None:
    failure = ET.fromstring(results_writer.write("junit", REPORT)).find(".//failure")  # noqa: S314 - ours

    assert failure is not None
    assert (failure.text or "").count("\n") >= 1
    assert "\N{REPLACEMENT CHARACTER}" in (failure.text or "")  # for what XML cannot have


def test_junit_counts_each_group_by_itself() -> None:
    suites = {suite.get("name"): suite for suite in ET.fromstring(results_writer.write("junit", REPORT))}  # noqa: S314 - ours

    assert {name: (it.get("tests"), it.get("failures"), it.get("skipped")) for name, it in suites.items()} == {
        "one": ("2", "1", "0"),
        "two": ("1", "0", "1"),
    }
    failure = suites["one"].find("testcase/failure")
    assert failure is not None
    assert "alert(1)" in str(failure.text)


def test_the_text_says_what_failed_below_its_line() -> None:
    text = results_writer.write("text", REPORT)

    assert "passed  ok" in text
    assert " (3 times)\n" in text
    assert text.endswith("1 passed, 1 failed, 1 skipped, in 1.5 s; ended early: the time was up\n")


def test_the_text_counts_what_was_not_asked_for_and_does_not_list_it() -> None:
    left = [
        Result("one", "left", "GET /left", SKIPPED, NOT_ASKED),
        Result("two", "too", "GET /too", SKIPPED, NOT_ASKED),
    ]
    report = Results("held to the specs", [*REPORT.results[:1], *left], 1.5)

    text = results_writer.write("text", report)

    assert text == (
        "held to the specs\n\none\npassed  ok  3 requests\n\n"
        "1 passed, 0 failed, 2 skipped (2 not asked for), in 1.5 s\n"
    )
    assert 'name="left"' in results_writer.write("junit", report)


def test_the_summary_counts_what_passed_without_a_success() -> None:
    found = tally()
    for method, status in (("GET", 404), ("GET", 400), ("POST", 201)):
        recorder = scenario(status)
        recorder["cases"]["a"]["value"]["method"] = method
        found.read(json.dumps({"ScenarioFinished": {"recorder": recorder}}))

    report = Results("held to the specs", found.results(""), 1.5)

    assert report.summary() == "2 passed (1 never a success), 0 failed, 0 skipped, in 1.5 s"


def test_a_request_as_a_command_is_safe_for_a_shell_and_hides_credentials() -> None:
    headers = {"Authorization": "Bearer secret", "X-Name": NASTY.replace("\x00", "")}

    command = curl("POST", "http://localhost/a?b='c'", headers, b"it's {}")

    assert "secret" not in command
    assert shlex.split(command)[:5] == ["curl", "-i", "-X", "POST", "http://localhost/a?b='c'"]
    assert shlex.split(command)[-1] == "it's {}"


def test_a_request_as_a_command_hides_what_specs_call_secret() -> None:
    masks = Masks([{"components": {"securitySchemes": {"k": {"type": "apiKey", "in": "header", "name": "Shop-Key"}}}}])
    headers = {"Shop-Key": "SECRET1", "Cookie": "a=SECRET2", "X-Api-Key": "SECRET3", "Accept": "*/*"}

    command = curl("POST", "http://x/?access_token=SECRET4", headers, b'{"client_secret": "SECRET5"}', masks)

    assert "SECRET" not in command
    assert '-H "Shop-Key: $SHOP_KEY"' in command
    assert "'accept: */*'" in command.lower()


def test_what_schemathesis_cites_is_without_secrets() -> None:
    found = Tally("acme", {("GET", "/things"): "listThings"}, {}, Masks(), ["SECRET-of-the-header"])
    said = 'not valid: {"access_token": "SECRET1"} and SECRET-of-the-header'

    found.read(json.dumps({"ScenarioFinished": {"recorder": scenario(200, said)}}))
    found.read(json.dumps({"NonFatalError": {"label": "GET /things", "value": {"message": said}}}))

    assert "SECRET" not in results_writer.write("text", Results("x", found.results(""), 1.0))


def tally() -> Tally:
    return Tally("acme/things.yaml", {("GET", "/things"): "listThings", ("POST", "/things"): "addThing"}, {})


def scenario(status: int, *messages: str) -> dict[str, Any]:
    request = {"method": "GET", "uri": "http://localhost/things", "headers": {"Accept": ["*/*"]}}
    failures = [
        {
            "name": "response_schema_conformance",
            "status": "failure",
            "failure_info": {"failure": {"title": "Response violates schema", "message": message}},
        }
        for message in messages
    ]
    return {
        "cases": {"a": {"value": {"method": "GET", "path": "/things"}}},
        "checks": {"a": failures},
        "interactions": {"a": {"request": request, "response": {"status_code": status, "elapsed": 0.5}}},
    }


def test_failures_of_a_kind_are_reported_once_and_counted() -> None:
    found = tally()
    for messages in (["'id' is missing\nin 1"], ["'id' is missing\nin 2", "7 is no text"]):
        found.read(json.dumps({"ScenarioFinished": {"recorder": scenario(200, *messages)}}))

    listed, added = found.results("")

    assert [(failure.message, failure.times) for failure in listed.failures] == [
        ("'id' is missing\nin 1", 2),
        ("7 is no text", 1),
    ]
    assert (listed.note, listed.seconds) == ("2 requests: 200 (2)", 1.0)
    assert (added.outcome, added.note) == (SKIPPED, "not tested: Schemathesis sent nothing")


def test_an_operation_fails_in_no_more_than_twenty_ways() -> None:
    found = tally()
    found.read(json.dumps({"ScenarioFinished": {"recorder": scenario(200, *map(str, range(100)))}}))

    assert len(found.results("")[0].failures) == 20


@pytest.mark.parametrize(
    "line", ["{", '{"ScenarioFinished": {}}', '{"ScenarioFinished": {"recorder": {"interactions": [1]}}}']
)
def test_an_event_of_another_form_is_one_sentence(line: str) -> None:
    with pytest.raises(SandboxError, match=r"^cannot read the report of this version of Schemathesis: "):
        tally().read(line)


@pytest.mark.parametrize(
    ("statuses", "rejection"),
    [
        ([403, 403, 403], 403),
        ([401, 401, 401], 401),
        ([403, 403, 200], None),
        ([403, 403], None),  # too few to say
        ([404], 404),  # as a URL that is not the server's answers everything
        ([404, 400], None),
        ([404, 200], None),
        ([500, 500, 500], None),  # that is a failure
        ([], None),
    ],
)
def test_a_server_that_rejects_everything_is_known_by_it(statuses: list[int], rejection: int | None) -> None:
    found = tally()
    for status in statuses:
        found.read(json.dumps({"ScenarioFinished": {"recorder": scenario(status)}}))

    assert found.only_status == rejection


def test_an_event_that_is_not_known_is_passed_over() -> None:
    found = tally()

    found.read('{"SomethingNew": {"a": 1}}')

    assert found.scenarios == 0

"""`promo-sandbox parity`: the vendors' pages as cases; our own server passes them, a wrong one does not."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from promo_sandbox.base.config import Config, data_folder
from promo_sandbox.base.messages import Reply, Request
from promo_sandbox.conformance.parity import cases as catalogue
from promo_sandbox.conformance.parity.cases import Case, filled
from promo_sandbox.server.app import App
from tests.command import PYTHON, Invoke, environment
from tests.patience import LONG
from tests.serving import running
from tests.wrong_server import Fault, WrongApp, always, bare, status, success, without

TOKEN = ("--header", "Authorization: Bearer any")
APP = App(Config())
OPERATIONS = {
    contract.vendor: {route.operation.id: route.operation for route in contract.routes()} for contract in APP.contracts
}
CASES = catalogue.load(data_folder("parity"), OPERATIONS)
VENDORS = ["emporix", "enfore", "norce"]
GIFT_CARDS = "/promotions/org/[^/]+/sales-vouchers/gift-cards"
FAULTS = {
    "a gift card is read as what it is, an external one": (
        "body.@type is missing",
        Fault("GET", f"{GIFT_CARDS}/[^/]+", without("@type")),
    ),
    "a redemption is recorded with 201 and a timestamp": (
        "body.redeemed_amount.value is '20.15', not 20.15",
        Fault(
            "POST",
            f"{GIFT_CARDS}/[^/]+/redemptions",
            success(lambda body: {**body, "redeemed_amount": {"unit": "EUR", "value": "20.15"}}),
        ),
    ),
    "a list requires both ends of the interval": (
        "headers.content-type is 'text/html', not {'matches': '^application/problem",
        Fault("GET", GIFT_CARDS, lambda reply: Reply(reply.status, "<p>Hello", "text/html")),
    ),
    "a request without a token is rejected with 401": (
        "headers.www-authenticate is missing",
        Fault("GET", "/commerce/management/1.0/api/promotion", bare),
    ),
    "a list of codes shows which are claimed": (
        "status is 500, not 200",
        Fault("GET", ".*/unique-codes", always(Reply(500, {"Message": "Oops"}, "application/json"))),
    ),
    "a redemption is deleted with 204": (
        "status is 200, not 204",
        Fault("DELETE", "/coupon/.*", always(Reply(200, {}, "application/json"))),
    ),
}


def rows(report: str) -> dict[str, str]:
    """What a report as text says of each case."""
    found = re.findall(r"^(passed|FAILED|skipped) +(.*?)  +(.*(?:\n {8}.*)*)", report, re.MULTILINE)
    return {name: f"{outcome} {said}" for outcome, name, said in found}


def test_each_vendor_has_a_dozen_documented_cases_and_they_come_first() -> None:
    documented = Counter(case.vendor for case in CASES if case.documented)

    assert min(documented[vendor] for vendor in VENDORS) >= 12
    for vendor in VENDORS:
        kinds = [case.documented for case in CASES if case.vendor == vendor]
        assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.vendor}: {case.name}")
def test_a_case_asks_for_the_operation_it_names(case: Case) -> None:
    known = {name: "x" for step in case.steps for name in step.take}
    request = filled(case.steps[-1].request, {**case.variables, **known, "org": "acme", "fresh": "f"})
    operation = OPERATIONS[case.vendor][case.operation]
    template = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(operation.template))

    # Some cases read what became of another operation's work.
    assert request["method"] == operation.method
    assert re.fullmatch(template, request["path"].partition("?")[0])


def test_our_own_server_is_as_the_pages_say(url: str, invoke: Invoke) -> None:
    for _ in range(2):  # what the first run leaves is not in the way of the second
        code, said, complaint = invoke("parity", f"{url}/~parity", "--allow-writes", *TOKEN)

        assert (code, complaint) == (0, ""), said
        assert [row for row in rows(said).values() if not row.startswith("passed")] == []
        assert len(rows(said)) == len({case.name for case in CASES})


def test_an_org_with_a_slash_in_its_name_is_one_segment(url: str, invoke: Invoke) -> None:
    code, said, _ = invoke("parity", url, "--org", "a/b c", "--vendor", "enfore", "--allow-writes", *TOKEN)

    assert code == 0, said


def test_the_present_version_is_as_the_pages_say_too(invoke: Invoke) -> None:
    config = Config(settings=(("emporix.reward_points_version", "current"), ("norce.error_body", "problem")))
    with running(config) as (_, url):
        code, said, _ = invoke("parity", url, "--allow-writes", "--vendor", "emporix", "--vendor", "norce", *TOKEN)

    assert code == 0, said


def test_every_seeded_fault_is_reported_under_its_case(invoke: Invoke) -> None:
    with running(app=WrongApp(*(fault for _, fault in FAULTS.values()))) as (_, url):
        code, said, complaint = invoke("parity", url, "--allow-writes", *TOKEN)

    assert (code, complaint) == (1, "")
    found = rows(said)
    for name, (difference, _) in FAULTS.items():
        assert found[name].startswith("FAILED"), name
        assert difference in " ".join(found[name].split()), found[name]
        assert "curl -i " in found[name]
        assert "documented: " in found[name] or "inferred: " in found[name]
    assert found["an unknown promotion is not found"].startswith("passed")


def test_a_request_before_the_last_that_goes_wrong_is_reported_as_such(invoke: Invoke) -> None:
    with running(app=WrongApp(Fault("POST", GIFT_CARDS, status(200)))) as (_, url):
        _, said, _ = invoke("parity", url, "--allow-writes", "--vendor", "enfore", *TOKEN)

    found = rows(said)
    assert "given, request 1: status is 200, not 201" in found["a redemption is recorded with 201 and a timestamp"]
    assert (
        "\n        status is 200, not 201"
        in found["a new external gift card returns 201 with an id and the fields that were sent"]
    )


def test_nothing_but_get_is_sent_unless_writes_are_allowed(invoke: Invoke) -> None:
    app = WrongApp()
    with running(app=app) as (_, url):
        code, said, _ = invoke("parity", url, *TOKEN)

    assert code == 0, said
    assert app.methods == {"GET"}
    outcomes = Counter(row.split()[0] for row in rows(said).values())
    assert outcomes["passed"] >= 10
    assert outcomes["skipped"] >= 40


def test_the_names_of_the_clients_can_be_set(invoke: Invoke) -> None:
    config = Config(strict=True, clients={"ada": "geheim"})
    with running(config) as (_, url):
        asked = ("parity", url, "--operation", "authorize")
        rejected, _, _ = invoke(*asked)
        code, said, _ = invoke(*asked, "--variable", "application=ada", "--variable", "secret=geheim")

    assert rejected == 1
    assert code == 0, said


@pytest.mark.parametrize("form", ["junit", "html"])
def test_a_report_can_be_written_to_a_file(form: str, tmp_path: Path, invoke: Invoke) -> None:
    out = tmp_path / "report"
    with running(app=WrongApp(Fault("GET", ".*/gift-cards/.*", always(Reply(500, "<b>\x01", "text/plain"))))) as (
        _,
        url,
    ):
        code, said, _ = invoke("parity", url, "--allow-writes", "--report", form, "--out", str(out), *TOKEN)

    assert code == 1
    assert said.endswith(f"; see {out}\n")
    text = out.read_text(encoding="utf-8")
    if form == "html":
        assert "<b>" not in text
        assert "&lt;b&gt;" in text
        return
    suites = {suite.get("name"): suite for suite in ET.fromstring(text)}  # noqa: S314 - we wrote it
    assert list(suites) == VENDORS
    failed = [case.get("name") for case in suites["enfore"] if case.find("failure") is not None]
    assert "a gift card is read as what it is, an external one" in failed
    assert suites["enfore"].get("failures") == str(len(failed))
    assert suites["norce"].get("failures") == "0"


GIVE = "give credentials for the org acme with --header 'Authorization: Bearer …'"


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("writes", [(), ("--allow-writes",)])
def test_a_vendor_that_rejects_all_that_needs_credentials_is_not_tested(
    vendor: str, writes: tuple[str, ...], url: str, invoke: Invoke
) -> None:
    code, said, complaint = invoke("parity", url, "--vendor", vendor, *writes)

    assert (code, said) == (2, "")
    assert complaint == (
        f"promo-sandbox: {vendor} could not be tested: {url} rejected every request that needs credentials; {GIVE}\n"
    )


def test_what_brings_its_own_credentials_needs_no_others(url: str, invoke: Invoke) -> None:
    code, said, complaint = invoke("parity", url, "--operation", "authorize")

    assert (code, complaint) == (0, ""), said


FORBIDDEN = always(Reply(403, {"Message": "No."}, "application/json"))
SOME = Fault("GET", f"{GIFT_CARDS}/none-.*", always(Reply(404, {"title": "None."}, "application/json")))
ONE = Fault("DELETE", "/coupon/.*", FORBIDDEN)
MANY = Fault("PUT", "/commerce/.*", FORBIDDEN)


@pytest.mark.parametrize(
    ("arguments", "fault", "expected"),
    [
        (("--vendor", "enfore"), SOME, f"promo-sandbox: 2 cases were rejected with 401 or 403; {GIVE}\n"),
        (("--vendor", "emporix", "--allow-writes", *TOKEN), ONE, ""),  # whose credentials let in everywhere else
        (
            ("--vendor", "norce", "--allow-writes", *TOKEN),
            MANY,
            f"promo-sandbox: 4 cases were rejected with 401 or 403; {GIVE}\n",
        ),
    ],
)
def test_rejections_for_want_of_credentials_end_with_one_hint(
    arguments: tuple[str, ...], fault: Fault, expected: str, invoke: Invoke
) -> None:
    with running(app=WrongApp(fault)) as (_, url):
        code, _, complaint = invoke("parity", url, *arguments)

    assert (code, complaint) == (1, expected)


def test_a_server_that_goes_away_is_not_waited_for_case_by_case(invoke: Invoke) -> None:
    class Gone(App):
        def handle(self, request: Request) -> Reply:
            reply = super().handle(request)
            if request.path != "/":
                reply.cut = "unsent"
            return reply

    with running(app=Gone()) as (_, url):
        code, said, _ = invoke("parity", url, *TOKEN)

    assert code == 1
    assert said.count("no reply") == 3
    assert said.rstrip().endswith("ended early: the server stopped replying")


def test_a_media_type_may_be_written_in_any_letters(invoke: Invoke) -> None:
    class Capital(App):
        def handle(self, request: Request) -> Reply:
            reply = super().handle(request)
            reply.media = reply.media and f"{reply.media.upper()};charset=UTF-8"
            return reply

    with running(app=Capital()) as (_, url):
        code, said, _ = invoke("parity", url, "--allow-writes", *TOKEN)

    assert code == 0, said


def test_a_header_in_several_lines_is_one_list(tmp_path: Path, invoke: Invoke) -> None:
    class Repeating(App):
        def handle(self, request: Request) -> Reply:  # noqa: ARG002 - as `App` has it
            return Reply(200, {}, "application/json", (("Vary", "Origin"), ("vary", "Accept")))

    expect = {"status": 200, "headers": {"Vary": "Origin, Accept", "Content-Type": "Application/JSON"}}
    document = {"vendor": "enfore", "page": "x", "cases": [{**SOUND, "expect": expect}]}
    (tmp_path / "case.yaml").write_text(json.dumps(document), encoding="utf-8")

    with running(app=Repeating()) as (_, url):
        code, said, _ = invoke("parity", url, "--cases", str(tmp_path))

    assert code == 0, said


def test_a_run_that_is_stopped_still_writes_its_report(tmp_path: Path) -> None:
    asked = threading.Event()

    class Slow(App):
        def handle(self, request: Request) -> Reply:
            reply = super().handle(request)
            if request.path != "/":
                asked.set()
                reply.delay = 20.0
            return reply

    out = tmp_path / "report"
    with running(app=Slow()) as (_, url):
        command = [*PYTHON, "parity", url, *TOKEN, "--timeout", "60", "--out", str(out)]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) as run:  # noqa: S603 - our own
            assert asked.wait(LONG)
            run.send_signal(signal.SIGTERM)
            assert run.wait(LONG) == 130

    assert "ended early: interrupted" in out.read_text(encoding="utf-8")


SOUND: dict[str, Any] = {
    "name": "a",
    "source": "documented: b",
    "operation": "getGiftCard",
    "request": {"method": "GET", "path": "/x"},
    "expect": {"status": 200},
}
GIVEN = {"request": {"method": "GET", "path": "/x"}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"operation": "getGiftCrad"}, "operation: enfore has no operation getGiftCrad; did you mean getGiftCard?"),
        ({"source": "perhaps"}, "source: must begin with documented: or inferred:"),
        ({"requset": {}}, "requset: is unknown; did you mean request?"),
        ({"name": 7}, "name: has the wrong type"),
        ({"expect": {}}, "expect: must have a status"),
        ({"expect": {"status": True}}, "expect/status: has the wrong type"),
        ({"expect": {"status": ["200"]}}, "expect/status: must be a status or a list of them"),
        (
            {"expect": {"status": 200, "body": {"matches": "("}}},
            "expect/body: '(' is not a regular expression: missing ), un",
        ),
        (
            {"request": {"method": "FETCH", "path": "/x"}},
            "request/method: must be one of GET, HEAD, POST, PUT, PATCH, DE",
        ),
        ({"request": {"method": "GET", "path": "x"}}, "request/path: must begin with /"),
        ({"request": {"method": "GET", "path": "/${frsh}"}}, ": there is nothing named ${frsh}; did you mean fresh?"),
        (
            {"request": {"method": "GET", "path": "/x", "body": 1, "text": "a"}},
            "request: has more than one of body, form",
        ),
        ({"given": [1]}, "given/0: must be an object"),
        (
            {"given": [{**GIVEN, "take": {"card": "id"}}]},
            "given/0/take/card: must be a word, and its value a field: body.",
        ),
    ],
)
def test_a_broken_case_is_one_line_with_its_place(
    changes: dict[str, Any], expected: str, tmp_path: Path, url: str, invoke: Invoke
) -> None:
    document = {"vendor": "enfore", "page": "x", "cases": [{**SOUND, **changes}]}
    (tmp_path / "bad.yaml").write_text(json.dumps(document), encoding="utf-8")

    code, said, complaint = invoke("parity", url, "--cases", str(tmp_path))

    assert (code, said) == (2, "")
    place = "/cases/0" if expected.startswith(":") else "/cases/0/"
    assert complaint.startswith(f"promo-sandbox: {tmp_path}/bad.yaml:1: {place}{expected}")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1]", "1: must be an object"),
        ("a: [", "2: did not find expected node content"),
        ("vendor: enfour\npage: x\ncases: []", "1: /vendor: there is no vendor enfour; did you mean enfore?"),
        ("vendor: enfore\npage: x", "1: cases is missing"),
    ],
)
def test_a_broken_file_of_cases_is_one_line(text: str, expected: str, tmp_path: Path, url: str, invoke: Invoke) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")

    code, said, complaint = invoke("parity", url, "--cases", str(tmp_path))

    assert (code, said) == (2, "")
    assert complaint.startswith(f"promo-sandbox: {tmp_path}/bad.yaml:{expected}")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--variable", "aplication=x"), r"there is no variable of a case aplication; did you mean application\?"),
        (("--cases", "/nowhere"), r"there are no cases in /nowhere"),
        (("--vendor", "norce", "--operation", "getGiftCard"), r"there are no cases of norce about getGiftCard"),
    ],
)
def test_a_mistake_of_parity_is_one_line(arguments: tuple[str, ...], expected: str, url: str, invoke: Invoke) -> None:
    code, said, complaint = invoke("parity", url, *arguments)

    assert (code, said) == (2, "")
    assert re.fullmatch(f"promo-sandbox: {expected}\n", complaint), complaint


def test_no_secret_of_a_real_account_stands_in_a_report(invoke: Invoke) -> None:
    leak = {"access_token": "SECRET-of-the-token", "note": "Bearer SECRET-of-the-header is not known", "SECRETS": []}
    faults = [Fault(method, "/.*", always(Reply(418, leak, "application/json"))) for method in ("GET", "POST")]
    secrets = ("--header", "Authorization: Bearer SECRET-of-the-header", "--header", "X-Api-Key: SECRET-of-the-key")
    with running(app=WrongApp(*faults)) as (_, url):
        code, text, complaint = invoke(
            "parity", url, "--allow-writes", *secrets, "--variable", "client_secret=SECRET-set-here"
        )

    assert code == 1
    assert "$X_API_KEY" in text
    assert "client_secret=***" in text
    assert "SECRET-" not in text + complaint
